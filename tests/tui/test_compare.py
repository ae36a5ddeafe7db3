"""Comparing: the grid of a sweep, and picking one of its pictures."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from fake_engine import WORKFLOW, Stage, picture, play
from PIL import Image

from engine.errors import WeftError
from engine.spec import Bad
from tui.board import Run, State
from tui.client import Client
from tui.fields import fields_of, params_of
from tui.session import Session
from tui.sheet import Sheet, progress_of, read_axis, suggested, typed

TWO = Sheet({"seed": [42, 43, 44], "guide.scale": [3.0, 5.0, 6.5, 8.0, 12.0]})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(WORKFLOW, indent=2))
    return path


def test_two_axes_are_rows_and_columns() -> None:
    assert (TWO.count, TWO.shape(3)) == (15, (3, 5))
    assert TWO.values(0) == {"seed": 42, "guide.scale": 3.0}
    assert TWO.values(7) == {"seed": 43, "guide.scale": 6.5}
    assert (TWO.row_label(1), TWO.column_label(4), TWO.title(7)) == ("seed 43", "scale 12.0", "43 · 6.5")


def test_one_axis_wraps() -> None:
    one = Sheet({"kind": ["ddim", "euler", "heun"]})
    assert (one.shape(2), one.shape(9)) == ((2, 2), (1, 3))
    assert (one.row_label(0), one.column_label(0), one.title(2)) == ("", "", "heun")


def test_the_order_is_that_of_the_engine() -> None:
    from engine.sweep import Sweep

    assert [TWO.values(variant) for variant in range(TWO.count)] == list(Sweep(TWO.sweep))


def test_values_of_an_axis_are_read_as_the_input_takes_them(file: Path) -> None:
    import nodes

    session = Session.open(file, nodes.registry())
    steps, seed = (next(f for f in params_of(session) if f.name == name) for name in ("steps", "seed"))
    kind = next(f for f in fields_of(session, "sampler") if f.name == "kind")
    assert read_axis(steps, "10, 20,30") == [10, 20, 30]
    assert read_axis(steps, "3..6") == [3, 4, 5, 6]
    assert read_axis(kind, "ddim,euler") == ["ddim", "euler"]
    assert read_axis(seed, suggested(seed)) == [7, 8, 9]
    assert len(read_axis(steps, suggested(steps))) == 3
    assert "ddpm" in suggested(kind)
    for text, what in (("", "no values"), ("1..9999", "limit")):
        with pytest.raises(WeftError, match=what):
            read_axis(steps, text)
    with pytest.raises(Bad, match="outside"):
        read_axis(steps, "10, 1000")


def test_how_far_a_variant_is() -> None:
    run = Run("r", "running", variants=2)
    assert progress_of(run, 0).state is State.QUEUED
    node = {"run": "r", "node": "d", "type": "D", "key": "k"}
    run.apply({"event": "node_started", "variant": 0, **node}, 0.0)
    run.apply({"event": "node_progress", "variant": 0, "step": 3, "total": 4, **node}, 1.0)
    assert (progress_of(run, 0).detail, progress_of(run, 0).part) == ("3/4", 0.75)
    run.apply({"event": "node_finished", "variant": 0, "seconds": 2.0, "peak_bytes": 0,
               "files": [{"path": "a.png", "mime": "image/png", "digest": ""}], **node}, 2.0)  # fmt: skip
    assert progress_of(run, 0).detail == "2.0 s"
    run.status = "cancelled"
    assert progress_of(run, 1).detail == "cancelled"


async def marked(stage: Stage) -> None:
    """Mark seed and scale, and give their values."""
    stage.main.go_to("guide")
    await stage.press("2")
    for key in ("seed", "guide.scale"):
        stage.main.params.select(key)
        await stage.press("m")
    assert "◆seed" in stage.text()
    await stage.press("c")
    await stage.press("ctrl+u")
    await stage.type("42,43,44")
    await stage.press("enter", "ctrl+u")
    await stage.type("3,5,6.5,8,12")
    await stage.press("enter")
    await stage.until(lambda: stage.screen_name == "compare")


def test_axes_are_marked_swept_shown_and_picked(tmp_path: Path, file: Path) -> None:
    before = file.read_text()

    async def work(stage: Stage) -> None:
        await marked(stage)
        command = stage.engine.sent_runs()[-1]
        assert command["sweep"] == {"seed": [42, 43, 44], "guide.scale": [3.0, 5.0, 6.5, 8.0, 12.0]}
        assert command["grid"]
        run = stage.app.desk.runs[command["run"]]
        stage.engine.feed(
            {"event": "run_started", "run": run.id, "name": "x", "variants": 15, "total": 15, "cached": 0}
        )
        saved = tmp_path / "7.png"
        saved.write_bytes(picture())
        row = {"run": run.id, "variant": 7, "node": "save", "type": "SaveImage", "key": "k"}
        stage.engine.feed(
            {"event": "node_started", **row},
            {"event": "node_finished", **row, "seconds": 1.0, "peak_bytes": 0, "digests": {}, "text": "",
             "files": [{"path": str(saved), "digest": "", "mime": "image/png"}]},
        )  # fmt: skip
        await stage.until(lambda: "▀" in stage.text())
        text = stage.text()
        for label in ("seed 43", "scale 6.5", "43 · 6.5", "queued"):
            assert label in text
        await stage.press("down", "l", "l")
        assert "guide.scale 6.5" in stage.text()
        await stage.press("enter")
        await stage.until(lambda: "8 × 8" in stage.text())
        await stage.press("escape", "p")
        assert stage.screen_name == "main"
        data = json.loads(stage.session.text)
        assert (data["params"]["seed"], data["nodes"]["guide"]["scale"]) == (43, 6.5)
        await stage.press("u")
        assert stage.session.text == before, "one change"
        await stage.press("C")
        assert stage.screen_name == "compare"

    play(work, tmp_path, file)


def test_two_pictures_are_flipped_between_and_other_values_are_compared(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await marked(stage)
        run = stage.app.desk.runs[stage.engine.sent_runs()[-1]["run"]]
        stage.engine.begin()
        for variant in (7, 8):
            saved = tmp_path / f"{variant}.png"
            saved.write_bytes(picture())
            row = {"run": run.id, "variant": variant, "node": "save", "type": "SaveImage", "key": "k"}
            stage.engine.feed(
                {"event": "node_started", **row},
                {"event": "node_finished", **row, "seconds": 1.0, "peak_bytes": 0, "digests": {}, "text": "",
                 "files": [{"path": str(saved), "digest": "", "mime": "image/png"}]},
            )  # fmt: skip
        await stage.until(lambda: "Compare · seed × scale · 15 runs · 2 done" in stage.text())
        await stage.press("f")
        assert "flipping takes two pictures" in stage.text()
        await stage.press("down", "l", "l", "m")
        assert "★ 43 · 6.5" in stage.text()
        await stage.press("l", "f")
        for name in ("8.png", "7.png", "8.png"):
            await stage.until(lambda name=name: name in stage.row("8 × 8"))  # type: ignore[misc]
            await stage.press("f")
        await stage.press("escape", "a")
        assert stage.screen_name == "AskText"
        assert "42, 43, 44" in stage.text()
        await stage.press("ctrl+u")
        await stage.type("1,2")
        await stage.press("enter")
        assert "3.0, 5.0, 6.5, 8.0, 12.0" in stage.text()
        await stage.press("enter")
        await stage.until(lambda: stage.screen_name == "compare")
        assert stage.app.desk.queue.waiting[0].command["sweep"]["seed"] == [1, 2]

    play(work, tmp_path, file)


def test_what_was_compared_can_be_typed_again(file: Path) -> None:
    import nodes

    session = Session.open(file, nodes.registry())
    prompt, seed = (next(f for f in params_of(session) if f.name == name) for name in ("prompt", "seed"))
    for field, values in ((prompt, ["a, b", "c"]), (seed, [1, 2])):
        assert read_axis(field, typed(values)) == values


def test_without_marks_the_axes_are_asked_for(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.press("c")
        await stage.type("sampler.kind")
        await stage.press("enter", "enter")
        await stage.press("ctrl+u")
        await stage.type("ddim,eulr")
        await stage.press("enter")
        await stage.until(lambda: "did you mean" in stage.text())
        await stage.press("ctrl+u")
        await stage.type("ddim")
        await stage.press("enter")
        assert stage.screen_name == "main", "one picture is no comparison"
        assert stage.engine.sent_runs() == []

    play(work, tmp_path, file)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_story_4_fifteen_pictures_encode_text_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real engine and the digits model."""
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    file = tmp_path / "digits.json"
    document = json.loads(json.dumps(WORKFLOW))
    document["params"]["prompt"] = "7"
    document["params"]["steps"]["default"] = 2
    document["nodes"]["save"]["path"] = "{index}.png"
    file.write_text(json.dumps(document))

    async def work(stage: Stage) -> None:
        await marked(stage)
        (run,) = stage.app.desk.runs.values()
        await stage.until(lambda: run.status not in ("queued", "running") and stage.app.desk.current is None, 60)
        assert (run.status, run.problems) == ("done", [])
        states = [cell.state for (_, node), cell in run.cells.items() if node == "positive"]
        assert (states.count(State.DONE), states.count(State.CACHED)) == (1, 14)
        pictures = [o for o in run.outputs if isinstance(o.get("variant"), int)]
        assert {o["variant"] for o in pictures} == set(range(15))
        (sheet,) = [o["path"] for o in run.outputs if o.get("variant") is None]
        with Image.open(sheet) as opened:
            assert opened.width > opened.height
            told = json.loads(opened.text["weft_sweep"])
            assert told["columns"] == 5
            assert told["variants"][7] == {"seed": 43, "guide.scale": 6.5}
            assert str(tmp_path) not in opened.text["weft_sweep"]
        await stage.until(lambda: stage.text().count("▀") > 15)
        await stage.press("down", "right", "p")
        assert stage.session.data["params"]["seed"] == 43
        assert stage.session.nodes["guide"]["scale"] == 5.0
        await stage.press("u")
        assert stage.session.data["params"]["seed"] == 7
        await asyncio.sleep(0)

    play(work, tmp_path, file, client=Client)
