"""Cases B5, B7 and B8: what the variants of a sweep compute, share, and do together."""

import pytest
from run_nodes import CALLS, Double
from runs import execute, flow, node

from engine.cache import Cache
from engine.errors import WeftError
from engine.events import NodeFinished, NodeStarted
from engine.sweep import Sweep


def test_b5_values_land_in_the_right_input():
    workflow = flow({"x": 0}, a=node("Add", a="$x", b=5), s=node("Add", a="@a", b=7), targets=["s"])
    ran = execute(workflow, sweep=Sweep({"x": [1, 2]}, {"a.b": [10, 20], "s.b": [100, 200]}))
    assert [ran.value("s", v) for v in range(4)] == [1 + 10 + 100, 1 + 20 + 200, 2 + 10 + 100, 2 + 20 + 200]


def test_b5_a_value_of_the_wrong_type_stops_all_before_anything_runs():
    workflow = flow({"x": 0}, a=node("Add", a="$x"), targets=["a"])
    with pytest.raises(WeftError, match="E-TYPE"):
        execute(workflow, sweep=Sweep({"x": [1, "2"]}))


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_b7_shared_nodes_run_once_over_the_whole_sweep(batch, tmp_path):
    workflow = flow({"by": 0}, f=node("Fill"), x=node("Shift", tensor="@f", by=9),
                    y=node("Shift", tensor="@x", by="$by"), s=node("Write", value="@y", path="{by}.txt"))  # fmt: skip
    ran = execute(workflow, sweep=Sweep({"by": [1, 2, 3, 4, 5]}), batch=batch, out=tmp_path)
    assert sorted(ran.calls) == sorted(["f 0", "x 9", *[f"y {i}" for i in range(1, 6)], *["write"] * 5])
    assert [p.read_bytes()[:1] for p in sorted(tmp_path.glob("*.txt"))] == [bytes([9 + i]) for i in range(1, 6)]
    assert ran.cached == ["f"] * 4 + ["x"] * 4


def doubles(**inputs):
    return flow({"x": 0}, d=node("Double", x="$x", **inputs), s=node("Add", a="@d", b=1), targets=["s"])


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_b8_batched_variants_equal_one_at_a_time(batch, tmp_path):
    values = [3, 1, 4, 1, 5, 9, 2]
    cache = Cache(tmp_path)
    ran = execute(doubles(), cache, sweep=Sweep({"x": values}), batch=batch)
    single = [execute(doubles(), given={"x": x}).value("s") for x in values]
    assert [ran.value("s", v) for v in range(len(values))] == single == [2 * x + 1 for x in values]
    together = [int(c.split()[1]) for c in ran.calls if c.startswith("together")]
    assert together == {1: [], 2: [2, 2], 3: [3, 2], 8: [6]}[batch]  # equal variants are one piece of work
    assert max(together, default=1) <= batch
    again = execute(doubles(), cache, sweep=Sweep({"x": values}), batch=batch)
    assert again.calls == []


def test_b8_nodes_whose_batch_keys_differ_run_apart():
    workflow = flow({"x": 0, "g": "a"}, d=node("Double", x="$x", group="$g"), targets=["d"])
    ran = execute(workflow, sweep=Sweep(zips={"x": [1, 2, 3, 4, 5], "g": ["a", "b", "a", "", ""]}))
    assert ran.calls == ["together 2", "double 2", "double 4", "double 5"]
    assert [ran.value("d", v) for v in range(5)] == [2, 4, 6, 8, 10]


def test_b8_when_a_batch_fails_only_the_guilty_one_does():
    ran = execute(doubles(trouble=2), sweep=Sweep({"x": [1, 2, 3]}), keep_going=True)
    assert ran.warnings == [
        "3 variants did not run together: one of them is trouble",
        "2 variants did not run together: one of them is trouble",
    ]
    assert ran.calls == ["together 3", "together 2", "double 1", "double 2", "double 3", "s 2+1", "s 6+1"]
    assert [(e.node, e.variant) for e in ran.events if isinstance(e, NodeFinished)] == [
        ("d", 0), ("d", 2), ("s", 0), ("s", 2),
    ]  # fmt: skip
    assert (ran.failed, ran.skipped) == (["d"], ["s"])
    assert [p.what for p in ran.outcome.problems] == ["2 is trouble"]


def test_b8_what_does_not_fit_into_memory_goes_on_in_halves_and_later_batches_begin_with_these(monkeypatch, tmp_path):
    twice = Double.run_batch.__func__

    def run_batch(cls, nodes, ctxs):
        if len(nodes) > 2:
            CALLS.append(f"no room for {len(nodes)}")
            raise MemoryError
        return twice(cls, nodes, ctxs)

    monkeypatch.setattr(Double, "run_batch", classmethod(run_batch))
    cache = Cache(tmp_path)
    ran = execute(doubles(), cache, sweep=Sweep({"x": list(range(16))}), batch=8)
    assert [call for call in ran.calls if "s " not in call] == [
        "no room for 8", "no room for 4", *["together 2"] * 2, "no room for 4", *["together 2"] * 2,
        *["together 2"] * 4,
    ]  # fmt: skip
    assert ran.warnings == [f"{n} variants did not run together: out of memory" for n in (8, 4, 4)]
    assert [ran.value("s", v) for v in range(16)] == [2 * x + 1 for x in range(16)]


@pytest.mark.parametrize(("room", "expected"), [(5, [4, 3]), (3, [3, 2, 2]), (1, []), (0, []), (100, [7])])
def test_b8_a_node_says_how_many_there_is_room_for(room, expected, monkeypatch):
    monkeypatch.setattr(Double, "room", classmethod(lambda cls, nodes, ctxs: room))
    ran = execute(doubles(), sweep=Sweep({"x": list(range(7))}))
    assert sorted((int(c.split()[1]) for c in ran.calls if c.startswith("together")), reverse=True) == expected
    assert ran.warnings == []
    assert [ran.value("s", v) for v in range(7)] == [2 * x + 1 for x in range(7)]


def test_b8_it_is_asked_once_for_batches_that_are_alike(monkeypatch):
    asked = []

    def room(cls, nodes, ctxs):
        asked.append(len(nodes))
        return 2

    monkeypatch.setattr(Double, "room", classmethod(room))
    ran = execute(doubles(), sweep=Sweep({"x": list(range(10))}), batch=4)
    assert asked == [4]
    assert [c for c in ran.calls if c.startswith("together")] == ["together 2"] * 5


def test_b8_what_cannot_be_told_before_is_met_in_the_run(monkeypatch):
    def room(cls, nodes, ctxs):
        raise ValueError("no idea")

    monkeypatch.setattr(Double, "room", classmethod(room))
    assert "together 2" in execute(doubles(), sweep=Sweep({"x": [1, 2]})).calls


def test_b8_a_batch_that_returns_too_few_runs_one_by_one(monkeypatch):
    monkeypatch.setattr(Double, "run_batch", classmethod(lambda cls, nodes, ctxs: [1]))
    ran = execute(doubles(), sweep=Sweep({"x": [1, 2]}))
    assert ran.warnings == ["2 variants did not run together: run_batch returned 1 outputs for 2 nodes"]
    assert [ran.value("s", v) for v in range(2)] == [3, 5]


def test_b7_every_variant_starts_what_is_its_own():
    ran = execute(doubles(), sweep=Sweep({"x": [1, 2]}), batch=1)
    assert [(e.node, e.variant) for e in ran.events if isinstance(e, NodeStarted)] == [
        ("d", 0), ("s", 0), ("d", 1), ("s", 1),
    ]  # fmt: skip
