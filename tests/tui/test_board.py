"""States of nodes from checks, plans and events; time left."""

from pathlib import Path
from typing import Any

import pytest

import nodes
from engine.api import load
from engine.errors import Place, Problem
from tui.board import Board, Run, State
from tui.eta import estimate, signature

ROOT = Path(__file__).parents[2]
TYPES = {"load": "Load", "text": "Encode", "denoise": "Denoise", "save": "Save"}


def row(node: str, status: str = "run", key: str = "", why: str = "", **more: Any) -> dict[str, Any]:
    return {"node": node, "type": TYPES[node], "status": status, "why": why, "variants": [0], "also": [],
            "key": key or node, **more}  # fmt: skip


PLAN = {
    "event": "plan", "total": 4, "will_run": 2, "drawn": [],
    "nodes": [row("load", "unneeded"), row("text", "cached", why="cached"), row("denoise", why="scale was 6, is 7"),
              row("save", why="writes files")],
}  # fmt: skip


def node(kind: str, name: str, **more: Any) -> dict[str, Any]:
    if kind in ("started", "cached", "finished"):
        more = {"key": name, **more}
    if kind == "finished":
        more = {"seconds": 2.0, "peak_bytes": 5, "digests": {}, "files": [], "text": "", **more}
    return {"event": f"node_{kind}", "run": "r", "variant": 0, "node": name, "type": TYPES[name], **more}


STARTED = {"event": "run_started", "run": "r", "name": "x", "variants": 1, "total": 2, "cached": 1, "seeds": [{"s": 1}]}
FINISHED = {"event": "run_finished", "run": "r", "status": "done", "seconds": 3.0, "ran": 2, "cached": 1, "failed": 0,
            "skipped": 0}  # fmt: skip


def board(*events: dict[str, Any], plan: bool = True, run: bool = True) -> Board:
    found = Board()
    found.shape(TYPES, [], [])
    if plan:
        found.planned(PLAN)
    if run:
        found.begin("r")
        found.apply({**PLAN, "run": "r"}, 0.0)
    for at, event in enumerate(events):
        found.apply(event, float(at))
    return found


def states(found: Board) -> str:
    return "".join(found.view(name).state.glyph for name in TYPES)


def test_every_state_has_a_glyph_and_a_word_of_its_own() -> None:
    assert "".join(s.glyph for s in State) == "○◌≡·▶✓✗⊘⤼⚠⇩"
    assert len({str(s) for s in State}) == 11


def test_before_a_run_the_plan_counts() -> None:
    found = board(run=False)
    assert states(found) == "○≡◌◌"
    assert found.view("denoise").why == "scale was 6, is 7"
    assert (found.will_run, found.total) == (2, 4)


def test_without_a_plan_nothing_is_known() -> None:
    assert states(board(plan=False, run=False)) == "○○○○"


def test_a_run_from_start_to_end() -> None:
    found = board(STARTED)
    assert states(found) == "○≡··"
    found.apply(node("cached", "text"), 1.0)
    found.apply(node("started", "denoise"), 1.0)
    assert states(found) == "○≡▶·"
    found.apply(node("progress", "denoise", step=5, total=20, preview="aGk="), 2.0)
    view = found.view("denoise")
    assert (view.detail, view.part) == ("5/20", 0.25)
    assert found.run is not None
    assert found.run.preview is not None
    assert found.run.preview.data == b"hi"
    found.apply(node("finished", "denoise"), 3.0)
    found.apply(node("started", "save"), 3.0)
    file = {"path": "out/x.png", "digest": "d", "mime": "image/png"}
    found.apply(node("finished", "save", files=[file]), 3.0)
    found.apply(FINISHED, 4.0)
    assert states(found) == "○≡✓✓"
    assert found.view("denoise").detail == "2.0 s"
    assert found.run.outputs == [{**file, "node": "save", "variant": 0}]
    assert found.run.status == "done"


def test_after_a_run_what_changed_is_stale_and_what_did_not_stays_done() -> None:
    found = board(STARTED, node("started", "denoise"), node("finished", "denoise"), node("started", "save"),
                  node("finished", "save"), FINISHED)  # fmt: skip
    found.planned({**PLAN, "nodes": [row("text", "cached"), row("denoise", "cached"), row("save", key="other")]})
    assert states(found) == "○≡✓◌"


def test_a_failure_stays_until_something_changes() -> None:
    problem = {"code": "E-MEMORY", "what": "out of memory", "hint": "smaller", "node": "denoise", "exit_code": 1}
    found = board(STARTED, node("started", "denoise"), node("failed", "denoise", problems=[problem]),
                  node("skipped", "save", because="denoise"), {**FINISHED, "status": "failed"})  # fmt: skip
    found.planned(PLAN)
    assert states(found) == "○≡✗⊘"
    assert found.view("save").why == "denoise failed"
    assert found.problems_at("denoise") == [problem]
    found.planned({**PLAN, "nodes": [row("denoise", key="new")]})
    assert found.view("denoise").state is State.STALE


def test_a_cancelled_run_keeps_its_preview() -> None:
    found = board(STARTED, node("started", "denoise"), node("progress", "denoise", step=1, total=2, preview="aGk="),
                  node("skipped", "denoise", because="cancelled"), node("skipped", "save", because="cancelled"),
                  {**FINISHED, "status": "cancelled"})  # fmt: skip
    assert states(found) == "○≡⊘⊘"
    assert found.view("save").detail == "cancelled"
    assert found.run is not None
    assert found.run.preview is not None


def test_when_the_engine_dies_what_ran_has_failed() -> None:
    found = board(STARTED, node("started", "denoise"))
    assert found.run is not None
    found.run.died("engine exited (signal 9)")
    assert states(found) == "○≡✗⊘"
    assert "signal 9" in found.view("denoise").why
    assert found.run.status == "died"


def test_what_is_wrong_is_invalid_and_a_file_that_is_not_there_is_missing() -> None:
    found = board(run=False)
    found.shape(TYPES, [Problem("E-RANGE", "−1 is outside", place=Place(node="denoise", input="scale")),
                        Problem("W-CTRL", "odd", place=Place(node="text"))], ["save"])  # fmt: skip
    missing = {"code": "E-NOTFOUND", "what": "no such folder", "hint": "get it", "node": "load", "exit_code": 3}
    found.planned({"event": "plan", "problems": [missing]})
    assert states(found) == "⇩○⚠⤼"
    assert found.view("denoise").why == "−1 is outside"
    assert found.problems_at("load") == [missing]


def test_events_of_other_runs_are_passed_over() -> None:
    found = board(STARTED)
    found.apply({**node("started", "denoise"), "run": "other"}, 1.0)
    assert states(found) == "○≡··"


def test_a_sweep_shows_how_many_variants_are_over() -> None:
    run = Run("r")
    rows = [row("denoise", variants=[0]), {**row("denoise", key="b"), "variants": [1]}]
    run.apply({"event": "plan", "nodes": rows}, 0.0)
    run.apply({**STARTED, "variants": 2}, 0.0)
    found = Board()
    found.shape(TYPES, [], [])
    found.run = run
    assert found.view("denoise").detail == "queued · 0/2"
    found.apply(node("started", "denoise"), 1.0)
    found.apply(node("finished", "denoise"), 2.0)
    assert found.view("denoise").detail == "queued · 1/2"
    found.apply(node("started", "denoise", variant=1), 2.0)
    found.apply(node("progress", "denoise", variant=1, step=1, total=4), 3.0)
    assert found.view("denoise").detail == "1/4 · 1/2"
    assert run.running() == (1, "denoise")


def test_equal_nodes_share_a_row_of_the_plan() -> None:
    found = Board()
    found.shape(TYPES, [], [])
    found.planned({"nodes": [{**row("text", "cached"), "also": ["denoise"]}]})
    assert states(found) == "○≡≡○"


def test_time_left_is_the_pace_and_what_others_took() -> None:
    found = board(STARTED, node("started", "denoise"))
    assert found.run is not None
    took: dict[str, float] = {"S": 1.5}
    signs = {"denoise": "D", "save": "S"}
    first = estimate(found.run, 1.0, signs, took.get)
    assert first is not None
    assert str(first) == "≈ 1.5 s"
    for step in range(1, 5):
        found.apply(node("progress", "denoise", step=step, total=10), 1.0 + step * 2)
    left = estimate(found.run, 9.0, signs, took.get)
    assert left is not None
    assert left.seconds == pytest.approx(6 * 2 + 1.5)
    assert left.sure
    assert estimate(Run("x"), 0.0, {}, took.get) is None


def test_a_signature_holds_the_type_the_sizes_and_the_device() -> None:
    workflow = load(ROOT / "workflows" / "ddpm-digits.json", registry=nodes.registry())
    assert signature(workflow, "denoise", "cpu") == "UNetDenoise cpu batch=80 steps=50"
    assert signature(workflow, "noise", "cpu") == "Noise cpu"
