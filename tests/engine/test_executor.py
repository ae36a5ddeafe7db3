"""Cases S1-S19 of running a graph."""

import gc
import json
import random
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
from run_nodes import HOOKS, Fill, Shift, Tensor, Trained
from runs import execute, flow, node

from engine.cache import Cache
from engine.context import CancelToken, Context
from engine.events import NodeCached, NodeFailed, NodeFinished, NodeProgress, NodeSkipped, NodeStarted
from engine.sweep import Sweep

HERE = Path(__file__).parent


def diamond(**more):
    return flow(
        top=node("Source", value=1),
        left=node("Add", a="@top", b=10),
        right=node("Add", a="@top", b=20),
        bottom=node("Add", a="@left", b="@right"),
        lonely=node("Source", value=99),
        save=node("Write", value="@bottom"),
        **more,
    )


def test_s1_s3_parents_run_first_each_once_and_what_nothing_needs_does_not_run(tmp_path):
    ran = execute(diamond(), out=tmp_path)
    assert ran.calls == ["source 1", "left 1+10", "right 1+20", "bottom 11+21", "write"]
    assert ran.ran == ["top", "left", "right", "bottom", "save"]
    assert (tmp_path / "out.txt").read_text() == "32"


def test_s3_equal_nodes_are_one_piece_of_work(tmp_path):
    ran = execute(flow(a=node("Source", value=1), b=node("Source", value=1), s=node("Write", value="@b"),
                       t=node("Write", value="@a", path="t.txt")), out=tmp_path)  # fmt: skip
    assert ran.calls.count("source 1") == 1
    assert (ran.ran, ran.cached) == (["a", "s", "t"], ["b"])


def test_s5_models_stay_together_and_the_order_is_always_the_same():
    nodes = {}
    for name in ("one", "two"):
        nodes[name] = node("Train", steps=len(nodes) + 1)
    for i in range(3):
        for name in ("one", "two"):
            nodes[f"{name}-{i}"] = node("Weigh", model=f"@{name}", tag=str(i))
    workflow = flow(**nodes, targets=[n for n in nodes if "-" in n])
    orders = {tuple(execute(workflow).ran) for _ in range(3)}
    assert orders == {("one", "one-0", "one-1", "one-2", "two", "two-0", "two-1", "two-2")}


@pytest.mark.parametrize("disk", [True, False])
def test_s7_an_interrupted_run_resumes_without_repeating_what_is_done(tmp_path, disk):
    cache = Cache(tmp_path / "cache" if disk else None, memory=0 if disk else 1 << 20)
    workflow = flow(a=node("Fill"), b=node("Shift", tensor="@a", by=2),
                    c=node("Shift", tensor="@b", by=3, steps=5), s=node("Write", value="@c"))  # fmt: skip
    token = CancelToken()
    first = execute(workflow, cache, token=token, out=tmp_path,
                    listener=lambda e: isinstance(e, NodeProgress) and e.node == "c" and token.cancel())  # fmt: skip
    assert (first.outcome.status, first.ran, first.skipped) == ("cancelled", ["a", "b"], ["c", "s"])
    again = execute(workflow, cache, out=tmp_path)
    assert (again.outcome.status, again.ran) == ("done", ["c", "s"])


def test_s7_training_goes_on_from_its_checkpoint_and_leaves_no_scratch(tmp_path):
    cache = Cache(tmp_path / "cache")
    workflow = flow(t=node("Train", steps=5), w=node("Weigh", model="@t"), targets=["w"])
    token = CancelToken()
    execute(workflow, cache, token=token,
            listener=lambda e: isinstance(e, NodeProgress) and e.step == 2 and token.cancel())  # fmt: skip
    cache.close()
    assert [p.name for p in (tmp_path / "cache" / "scratch").rglob("state")] == ["state"]
    cache = Cache(tmp_path / "cache")
    ran = execute(workflow, cache)
    assert ran.calls == ["train from 3", "weigh"]
    assert list((tmp_path / "cache" / "scratch").iterdir()) == []


def test_s7_a_failed_training_keeps_its_checkpoint(tmp_path):
    def fail():
        raise ValueError("loss is not finite")

    HOOKS["fail"] = fail
    cache = Cache(tmp_path)
    workflow = flow(t=node("Train", steps=2, hook="fail"), w=node("Weigh", model="@t"), targets=["w"])
    assert execute(workflow, cache).failed == ["t"]
    HOOKS["fail"] = lambda: None
    assert execute(workflow, cache).calls == ["train from 1", "weigh"]


def test_s8_what_cannot_be_stored_is_made_again_and_only_when_needed(tmp_path):
    cache = Cache(tmp_path)
    workflow = flow(h=node("Open", name="abc"), u=node("Use", handle="@h"), s=node("Write", value="@u"))
    assert execute(workflow, cache, out=tmp_path).calls == ["open abc", "use", "write"]
    again = execute(workflow, cache, out=tmp_path)
    assert (again.calls, again.cached) == (["write"], ["u"])
    cache.forget([k for k, *_ in cache.index.rows()])
    assert execute(workflow, cache, out=tmp_path).calls == ["open abc", "use", "write"]


def test_s8_it_is_held_in_memory_only_if_there_is_room():
    workflow = flow(h=node("Open", name="abc"), u=node("Use", handle="@h"), targets=["u", "h"])
    for memory, calls in ((0, ["open abc", "use"]), (1 << 20, [])):
        cache = Cache(memory=memory)
        execute(workflow, cache)
        assert execute(workflow, cache).calls == calls


def test_s11_a_value_is_released_after_its_last_consumer(monkeypatch):
    alive: dict[str, weakref.ref[Tensor]] = {}
    seen: dict[str, list[str]] = {}

    def watch(cls):
        run = cls.run

        def watched(self: Shift, ctx: Context) -> Tensor:
            gc.collect()
            seen[ctx.node] = sorted(name for name, ref in alive.items() if ref() is not None)
            value = run(self, ctx)
            alive[ctx.node] = weakref.ref(value)
            return value

        monkeypatch.setattr(cls, "run", watched)

    watch(Fill)
    watch(Shift)
    nodes = {f"n{i}": node("Shift", tensor=f"@n{i - 1}", by=i) for i in range(1, 5)}
    execute(flow(n0=node("Fill"), **nodes, late=node("Shift", tensor="@n1", by=50), targets=["n4", "late"]))
    assert seen["n1"] == ["n0"]
    assert seen["n2"] == ["n1"]
    assert seen["n4"] == ["n1", "n3"]
    assert seen["late"] == ["n1", "n4"]
    gc.collect()
    assert [name for name, ref in alive.items() if ref() is not None] == []


def test_s11_a_skipped_consumer_releases_what_it_would_have_read(monkeypatch):
    held: list[weakref.ref[Tensor]] = []
    alive: list[bool] = []
    run = Fill.run

    def watched(self: Fill, ctx: Context) -> Tensor:
        value = run(self, ctx)
        held.append(weakref.ref(value))
        return value

    def note():
        gc.collect()
        alive.append(held[0]() is not None)

    monkeypatch.setattr(Fill, "run", watched)
    HOOKS["note"] = note
    workflow = flow(a=node("Fill"), bad=node("Missing"), n=node("Shift", tensor="@a", by="@bad"),
                    z=node("Hook", hook="note"), targets=["n", "z"])  # fmt: skip
    ran = execute(workflow, keep_going=True)
    assert (ran.failed, ran.skipped, ran.ran, alive) == (["bad"], ["n"], ["a", "z"], [False])


def test_s12_variants_come_in_lexicographic_order(tmp_path):
    workflow = flow({"x": 0, "y": 0}, a=node("Add", a="$x", b="$y"), s=node("Write", value="@a", path="{x}-{y}.txt"))
    ran = execute(workflow, sweep=Sweep({"x": [2, 1], "y": [3, 4]}), out=tmp_path)
    assert [(e.variant, e.text) for e in ran.events if isinstance(e, NodeFinished) and e.node == "s"] == [
        (0, "2-3.txt"), (1, "2-4.txt"), (2, "1-3.txt"), (3, "1-4.txt"),
    ]  # fmt: skip


def failing():
    return flow(
        good=node("Source", value=1),
        bad=node("Missing", a="@good"),
        after=node("Add", a="@bad"),
        later=node("Add", a="@after"),
        other=node("Add", a="@good", b=5),
        save=node("Write", value="@later"),
        fine=node("Write", value="@other", path="fine.txt"),
    )


def test_s15_a_failed_node_fails_its_dependants_only(tmp_path):
    ran = execute(failing(), keep_going=True, out=tmp_path)
    assert (ran.ran, ran.failed, ran.skipped) == (["good", "other", "fine"], ["bad"], ["after", "later", "save"])
    assert [e.because for e in ran.events if isinstance(e, NodeSkipped)] == ["bad", "bad", "bad"]
    assert (ran.outcome.status, ran.outcome.problems[0].place.node) == ("failed", "bad")
    assert (tmp_path / "fine.txt").read_text() == "6"


def test_s15_without_keep_going_nothing_more_runs(tmp_path):
    ran = execute(failing(), out=tmp_path)
    assert (ran.ran, ran.failed) == (["good"], ["bad"])
    assert set(ran.skipped) == {"after", "later", "save", "other", "fine"}


def test_s15_a_shared_node_that_fails_skips_its_other_places():
    workflow = flow({"x": 0}, m=node("Missing"), a=node("Add", a="@m", b="$x"), targets=["a"])
    ran = execute(workflow, sweep=Sweep({"x": [1, 2]}), keep_going=True)
    assert [(type(e).__name__, e.node, e.variant) for e in ran.events if isinstance(e, NodeFailed | NodeSkipped)] == [
        ("NodeFailed", "m", 0), ("NodeSkipped", "m", 1), ("NodeSkipped", "a", 0), ("NodeSkipped", "a", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_s16_cancel_at_any_time_stops_within_a_step_and_leaves_the_cache_whole(tmp_path, seed):
    shifts = {f"n{i}": node("Shift", tensor="@a", by=i, steps=4, wait=0.002) for i in range(6)}
    workflow = flow(a=node("Fill"), **shifts, t=node("Sum", tensors=[f"@n{i}" for i in range(6)]), targets=["t"])
    want = execute(workflow).value("t")
    cache, token, steps = Cache(tmp_path), CancelToken(), []
    timer = threading.Timer(random.Random(seed).uniform(0, 0.06), token.cancel)
    timer.start()
    ran = execute(workflow, cache, token=token,
                  listener=lambda e: isinstance(e, NodeProgress) and token.cancelled and steps.append(e))  # fmt: skip
    timer.join()
    assert len(steps) <= 1
    assert ran.outcome.status in ("cancelled", "done")
    cache.close()
    cache = Cache(tmp_path)
    again = execute(workflow, cache)
    assert again.value("t") == want
    assert set(again.ran).isdisjoint(ran.ran)
    assert cache.counts.damaged == 0


def test_s16_ctrl_c_without_a_handler_is_a_cancelled_run():
    def interrupt():
        raise KeyboardInterrupt

    HOOKS["interrupt"] = interrupt
    ran = execute(flow(a=node("Source"), h=node("Hook", a="@a", hook="interrupt"), targets=["h"]))
    assert (ran.outcome.status, ran.ran, ran.skipped) == ("cancelled", ["a"], ["h"])
    assert [e.because for e in ran.events if isinstance(e, NodeSkipped)] == ["cancelled"]


SCRIPT = """
import json, sys
from pathlib import Path
from runs import execute, flow, node
from engine.cache import Cache
nodes = {f"n{i}": node("Shift", tensor="@a", by=i, steps=2, wait=0.001) for i in range(20)}
cache = Cache(Path(sys.argv[1]), limit=int(sys.argv[2])) if sys.argv[1] else None
ran = execute(flow(a=node("Fill", count=500), **nodes, x=node("Split", tensor="@n3"),
              t=node("Train", steps=2), w=node("Weigh", model="@t"),
              s=node("Sum", tensors=[f"@n{i}" for i in range(20)]), targets=["s", "x", "w"]), cache)
if cache: cache.close()
print(json.dumps([ran.outcome.status, ran.value("s"), ran.value("w"), ran.digests]))
"""


def start(script, *args, **env):
    import os

    paths = os.pathsep.join([str(HERE), str(HERE.parent.parent)])
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, **env},
    )


def finish(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out)


def test_s17_one_process_or_two_give_the_same_digests(tmp_path):
    first, second = (start(SCRIPT, "", 0, PYTHONHASHSEED=seed) for seed in ("1", "2"))
    one, two = finish(first), finish(second)
    assert one == two
    assert len(one[3]) == 25


def test_s18_an_effect_always_happens_with_the_same_bytes(tmp_path):
    cache = Cache(tmp_path / "cache")
    workflow = flow(a=node("Fill", count=10, value=7), s=node("Write", value="@a"))
    first = execute(workflow, cache, out=tmp_path / "out")
    (tmp_path / "out" / "out.txt").unlink()
    again = execute(workflow, cache, out=tmp_path / "out")
    assert (again.ran, again.cached) == (["s"], ["a"])
    assert (tmp_path / "out" / "out.txt").read_bytes() == bytes([7]) * 10
    assert first.outcome.saved == again.outcome.saved


@pytest.mark.parametrize("limit", [1 << 30, 3000])
def test_s19_two_runs_at_once_on_one_cache(tmp_path, limit):
    processes = [start(SCRIPT, tmp_path / "cache", limit) for _ in range(2)]
    found = [finish(p) for p in processes]
    assert [f[0] for f in found] == ["done", "done"]
    assert found[0][1:3] == found[1][1:3]
    if limit > 3000:
        cache = Cache(tmp_path / "cache")
        assert all(cache.blobs.check(d) for d in list(cache.blobs.digests()))
        assert finish(start(SCRIPT, tmp_path / "cache", limit))[3] == {}


def test_a_stale_plan_is_made_anew_when_results_are_lost_on_the_way(tmp_path):
    cache = Cache(tmp_path)
    nodes = {"f": node("Fill", count=100), "a": node("Shift", tensor="@f", by=1), "b": node("Shift", tensor="@a", by=2)}
    execute(flow(**nodes, targets=["b"]), cache)

    def lose():
        cache.forget([key for key, *_ in cache.index.rows()])

    HOOKS["lose"] = lose
    workflow = flow(h=node("Hook", hook="lose"), **nodes, s=node("Sum", tensors=["@a", "@b"]),
                    n=node("Add", a="@s", b="@h"), targets=["n"])  # fmt: skip
    ran = execute(workflow, cache)
    assert ran.value("n") == 100 * 1 + 100 * 3
    assert ran.calls == ["h", "f 0", "a 1", "b 2", "s", "n 400+0"]


def test_files_of_a_result_come_back_under_their_own_names(tmp_path):
    cache = Cache(tmp_path)
    workflow = flow(t=node("Train", steps=2), w=node("Weigh", model="@t"), targets=["w", "t"])
    first = execute(workflow, cache)
    assert first.value("w") == "config.json=12 model.safetensors=200"
    folder: Trained = first.value("t")
    assert sorted(p.name for p in folder.folder.iterdir()) == ["config.json", "model.safetensors"]
    cache.close()
    cache = Cache(tmp_path)
    again = execute(flow(t=node("Train", steps=2), w=node("Weigh", model="@t", tag="2"), targets=["w"]), cache)
    assert (again.calls, again.value("w")) == (["weigh"], "config.json=12 model.safetensors=200")


def test_node_cached_comes_once_for_each_place_of_a_sweep():
    workflow = flow({"x": 0}, a=node("Source", value=3), b=node("Add", a="@a", b="$x"), targets=["b"])
    ran = execute(workflow, sweep=Sweep({"x": [1, 2, 1]}))
    assert [(e.node, e.variant) for e in ran.events if isinstance(e, NodeStarted)] == [("a", 0), ("b", 0), ("b", 1)]
    assert [(e.node, e.variant) for e in ran.events if isinstance(e, NodeCached)] == [("a", 1), ("a", 2), ("b", 2)]
    assert [ran.value("b", v) for v in range(3)] == [4, 5, 4]


def test_events_are_plain_json():
    workflow = flow({"x": 0}, a=node("Add", a="$x"), s=node("Shift", tensor="@f", steps=2), f=node("Fill"),
                    bad=node("Missing", a="@a"), b=node("Add", a="@bad"), targets=["b", "s"])  # fmt: skip
    ran = execute(workflow, sweep=Sweep({"x": [1, 2]}), keep_going=True)
    told = [e.to_json() for e in ran.events]
    assert json.loads(json.dumps(told)) == told
    assert {t["event"] for t in told} == {
        "run_started", "node_started", "node_finished", "node_progress", "node_cached", "node_failed", "node_skipped",
        "run_finished",
    }  # fmt: skip
    failed = next(t for t in told if t["event"] == "node_failed")
    assert failed["problems"][0]["code"] == "E-NOTFOUND"
    assert failed["problems"][0]["exit_code"] == 3
