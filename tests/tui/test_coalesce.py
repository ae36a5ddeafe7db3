"""Many events become few, and none that matters is lost."""

import math
from typing import Any

from tui.coalesce import PREVIEW_EVERY, PROGRESS_EVERY, SOON, Coalescer


def step(n: int, preview: str = "", node: str = "d") -> dict[str, Any]:
    return {
        "event": "node_progress",
        "run": "r",
        "variant": 0,
        "node": node,
        "step": n,
        "total": 99,
        "preview": preview,
    }


def other(kind: str, node: str = "d") -> dict[str, Any]:
    return {"event": kind, "run": "r", "variant": 0, "node": node}


def flood(count: int, seconds: float, previews: bool = True) -> list[list[Any]]:
    """What is given out of `count` steps in `seconds`, whenever something is due."""
    out, events = [], Coalescer()
    for n in range(count):
        now = n * seconds / count
        events.add(step(n + 1, f"p{n + 1}" if previews else ""), now)
        if events.due <= now:
            out.append(events.take(now))
    if events.due < math.inf:
        out.append(events.take(events.due))
    return out


def test_nothing_is_due_at_first() -> None:
    events = Coalescer()
    assert events.due == math.inf
    assert events.take(5.0) == []


def test_of_500_steps_a_second_ten_are_shown_and_the_newest_last() -> None:
    batches = flood(1000, 2.0, previews=False)
    assert len(batches) <= 2 / PROGRESS_EVERY + 2
    steps = [e["step"] for batch in batches for e in batch]
    assert steps == sorted(steps)
    assert steps[-1] == 1000


def test_previews_come_four_times_a_second_and_the_newest_counts() -> None:
    shown = [e["preview"] for batch in flood(1000, 2.0) for e in batch if e["preview"]]
    assert len(shown) <= 2 / PREVIEW_EVERY + 2
    assert shown == sorted(shown, key=lambda p: int(p[1:]))


def test_a_preview_that_came_too_soon_is_shown_later_at_the_newest_step() -> None:
    events = Coalescer()
    events.add(step(1, "a"), 0.0)
    assert events.take(0.0)[0]["preview"] == "a"
    events.add(step(2, "b"), 0.1)
    assert [(e["step"], e["preview"]) for e in events.take(0.1)] == [(2, "")]
    assert events.due == PREVIEW_EVERY
    events.add(step(3), 0.21)
    assert [(e["step"], e["preview"]) for e in events.take(0.21)] == [(3, "")]
    assert [(e["step"], e["preview"]) for e in events.take(PREVIEW_EVERY)] == [(3, "b")]
    assert events.due == math.inf


def test_the_last_preview_of_a_node_comes_before_its_end() -> None:
    events = Coalescer()
    events.add(step(1, "a"), 0.0)
    events.take(0.0)
    events.add(step(2, "b"), 0.05)
    events.add(other("node_skipped"), 0.06)
    taken = events.take(0.11)
    assert [(e["event"], e.get("preview")) for e in taken] == [("node_progress", "b"), ("node_skipped", None)]
    assert events.due == math.inf


def test_other_events_come_soon_in_order_and_are_never_dropped() -> None:
    events = Coalescer()
    for kind in ("node_started", "node_finished"):
        events.add(other(kind, "a"), 0.0)
    events.add(other("node_started"), 0.001)
    events.add(step(1), 0.002)
    events.add(step(2), 0.003)
    events.add(other("node_finished"), 0.004)
    events.add(other("node_started"), 0.005)
    events.add(step(1), 0.006)
    taken = events.take(SOON)
    assert [e["event"] + str(e.get("step", "")) for e in taken] == [
        "node_started", "node_finished", "node_started", "node_progress2", "node_finished", "node_started",
        "node_progress1",
    ]  # fmt: skip


def test_steps_of_several_nodes_do_not_hide_each_other() -> None:
    events = Coalescer()
    for n in (1, 2):
        for node in ("a", "b"):
            events.add(step(n, node=node), 0.0)
    assert {(e["node"], e["step"]) for e in events.take(1.0)} == {("a", 2), ("b", 2)}
