"""Nodes that run aside: what they make, what is told of them and in which order, and what becomes of failures."""

import threading
import time
import weakref

import pytest
import run_nodes
from run_nodes import HOOKS, Tensor
from runs import execute, flow, node

from engine.cache import Cache
from engine.context import CancelToken
from engine.events import NodeFailed, NodeFinished, NodeProgress, NodeSaid, NodeSkipped, NodeStarted
from engine.sweep import Sweep

SOON = 20.0
"""Seconds after which a test has waited in vain."""


def chain(**more):
    """A picture drawn in steps, then developed and saved aside, for each x of a sweep."""
    nodes = {
        "a": node("Fill", count=3, value="$x"),
        "draw": node("Shift", tensor="@a", steps=2),
        "late": node("Late", a="@total"),
        "total": node("Sum", tensors=["@draw"]),
        "save": node("LateWrite", value="@late", path="{x}.txt"),
    }
    for name, inputs in more.items():
        nodes[name].update(inputs)
    return flow({"x": 0}, **nodes)


XS = Sweep({"x": [1, 2, 3, 4]})


def of(ran, *kinds):
    return [(type(e).__name__, e.node, e.variant) for e in ran.events if isinstance(e, kinds)]


def test_the_next_node_runs_before_the_one_aside_is_done(tmp_path):
    drawn = threading.Event()
    HOOKS["until the next is drawn"] = lambda: drawn.wait(SOON) or pytest.fail("nothing else ran")
    started = time.monotonic()

    def listener(event):
        if isinstance(event, NodeProgress) and event.variant == 1:
            drawn.set()

    ran = execute(chain(late={"hook": "until the next is drawn"}), sweep=XS, batch=1, out=tmp_path, listener=listener)
    assert ran.outcome.status == "done"
    assert time.monotonic() - started < SOON
    order = of(ran, NodeStarted, NodeFinished)
    assert order.index(("NodeStarted", "draw", 1)) < order.index(("NodeFinished", "late", 0))
    assert [(tmp_path / f"{x}.txt").read_text() for x in (1, 2, 3, 4)] == ["7", "10", "13", "16"]


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_files_results_and_digests_are_those_of_a_run_one_after_another(tmp_path, monkeypatch, batch):
    def go(out):
        ran = execute(chain(), sweep=XS, batch=batch, out=out)
        files = [
            (e.node, e.variant, e.files[0]["digest"]) for e in ran.events if isinstance(e, NodeFinished) and e.files
        ]
        return ran.digests, files, sorted(of(ran, NodeFinished)), sorted(f.name for f in out.iterdir())

    aside = go(tmp_path / "aside")
    for cls in (run_nodes.Late, run_nodes.LateWrite):
        monkeypatch.setattr(cls, "runs_aside", classmethod(lambda cls, settings: False))
    assert go(tmp_path / "after") == aside


def test_what_nodes_aside_say_comes_between_their_start_and_their_end(tmp_path):
    ran = execute(chain(), out=tmp_path)
    assert of(ran, NodeStarted, NodeSaid, NodeFinished)[-5:] == [
        ("NodeStarted", "late", 0), ("NodeSaid", "late", 0), ("NodeFinished", "late", 0),
        ("NodeStarted", "save", 0), ("NodeFinished", "save", 0),
    ]  # fmt: skip


def test_names_are_taken_in_the_order_of_the_variants_also_by_what_saves_in_front(tmp_path):
    HOOKS["slow"] = lambda: time.sleep(0.02)
    saves = {"save": node("LateWrite", value="@a", path="{x}.txt", hook="slow"),
             "then": node("Write", value="@a", path="{x}.txt")}  # fmt: skip
    ran = execute(flow({"x": 0}, a=node("Fill", value="$x"), **saves), sweep=XS, out=tmp_path)
    assert [n for n in ran.ran if n != "a"] == ["save", "save", "save", "save", "then", "then", "then", "then"]


def test_a_failure_aside_ends_the_run_at_the_next_step_of_the_one_in_front(tmp_path):
    def fail():
        raise OSError("the disk is gone")

    HOOKS["fail"] = fail
    workflow = chain(save={"hook": "fail"}, draw={"steps": 1000, "wait": 0.001})
    ran = execute(workflow, sweep=XS, batch=1, out=tmp_path)
    assert ran.outcome.status == "failed"
    assert of(ran, NodeFailed) == [("NodeFailed", "save", 0)]
    assert ("NodeSkipped", "draw", 1) in of(ran, NodeSkipped)
    steps = [e for e in ran.events if isinstance(e, NodeProgress) and e.variant == 1]
    assert len(steps) < 1000
    assert not any(e.variant == 2 for e in ran.events if isinstance(e, NodeStarted))
    assert [p.code for p in ran.outcome.problems] == ["E-RUN"]


def test_with_keep_going_a_failure_aside_fails_what_depends_on_it_only(tmp_path):
    def fail():
        if run_nodes.CALLS[-1] == "late 9":
            raise ValueError("nine")

    HOOKS["fail at nine"] = fail
    ran = execute(chain(late={"hook": "fail at nine"}), sweep=XS, batch=1, out=tmp_path, keep_going=True)
    assert ran.outcome.status == "failed"
    assert of(ran, NodeFailed, NodeSkipped) == [("NodeFailed", "late", 1), ("NodeSkipped", "save", 1)]
    assert sorted(f.name for f in tmp_path.glob("*.txt")) == ["1.txt", "3.txt", "4.txt"]


def test_cancelling_lets_the_one_that_runs_end_and_begins_no_other(tmp_path):
    token, waiting = CancelToken(), threading.Event()

    def cancel():
        token.cancel()
        waiting.wait(0.05)

    HOOKS["cancel"] = cancel
    nodes = {f"s{i}": node("LateWrite", value="@a", path=f"{i}.txt", hook="cancel" if i == 1 else "") for i in range(4)}
    cache = Cache(tmp_path / "cache")
    ran = execute(flow(a=node("Fill", count=3), **nodes), cache, out=tmp_path / "out", token=token)
    assert ran.outcome.status == "cancelled"
    assert ran.ran == ["a", "s0", "s1"]
    assert ran.skipped == ["s2", "s3"]
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["0.txt", "1.txt"]
    again = execute(flow(a=node("Fill", count=3), **nodes), cache, out=tmp_path / "out")
    assert (again.cached, again.ran) == (["a"], ["s0", "s1", "s2", "s3"])


def test_a_listener_that_raises_ends_the_run_and_what_is_saved_is_whole(tmp_path):
    def listener(event):
        if isinstance(event, NodeFinished) and event.node == "late":
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        execute(chain(), sweep=XS, batch=1, out=tmp_path, listener=listener)
    assert all(f.read_text() in ("7", "10", "13", "16") for f in tmp_path.glob("*.txt"))
    assert not [t for t in threading.enumerate() if t.name.startswith("weft-aside")]


def test_no_memory_for_two_at_once_is_memory_for_one_after_the_other(tmp_path):
    both, tries = threading.Barrier(2), {"front": 0, "aside": 0}

    def short(name):
        tries[name] += 1
        if tries[name] == 1:
            both.wait(SOON)
            raise MemoryError("two at once")

    HOOKS["front"], HOOKS["aside"] = (lambda: short("front")), (lambda: short("aside"))
    ran = execute(
        flow(a=node("Source"), late=node("Late", a="@a", hook="aside"), other=node("Hook", a="@a", hook="front"),
             save=node("Write", value="@late"), then=node("Write", value="@other", path="b.txt")),
        out=tmp_path,
    )  # fmt: skip
    assert ran.outcome.status == "done", ran.outcome.problems
    assert tries == {"front": 2, "aside": 2}


def test_no_memory_for_one_alone_is_told(tmp_path):
    def short():
        raise MemoryError("not enough")

    HOOKS["short"] = short
    ran = execute(flow(a=node("Source"), late=node("LateWrite", value="@a", hook="short")), out=tmp_path)
    assert [p.code for p in ran.outcome.problems] == ["E-MEMORY"]


def test_a_value_is_released_once_it_is_saved(tmp_path, monkeypatch):
    made, alive = [], []

    class Seen(Tensor):
        def __init__(self, data):
            super().__init__(data)
            made.append(weakref.ref(self))

    monkeypatch.setattr(run_nodes, "Tensor", Seen)
    HOOKS["look"] = lambda: alive.append([ref() is not None for ref in made])
    nodes = {
        "a": node("Fill", count=3), "s": node("LateWrite", value="@a", path="1.txt"), "b": node("Source"),
        "late": node("Late", a="@b"), "x": node("Hook", hook="look", a="@late"), "t": node("Write", value="@x"),
    }  # fmt: skip
    execute(flow(**nodes), out=tmp_path)
    assert alive == [[False]]
