"""The history on the screen: finding a run, opening its workflow again, watching it, comparing it."""

import base64
import json
from pathlib import Path

import pytest
from fake_engine import WORKFLOW, Stage, picture, play

from tui.history import History
from tui.player import FASTEST, LEAD, PAUSE, SLOWEST, Player, without_pauses


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(WORKFLOW, indent=2))
    return path


async def ran(stage: Stage, folder: Path, seed: int) -> None:
    """A run with this seed, from F5 to its picture."""
    stage.session.set_param("seed", seed)
    stage.app.desk.edited()
    await stage.press("f5")
    stage.engine.begin(seeds=[{"seed": seed}])
    stage.engine.node("started", "denoise")
    preview = base64.b64encode(picture()).decode()
    stage.engine.node("progress", "denoise", step=1, total=2, preview=preview)
    stage.engine.node("finished", "denoise")
    saved = folder / f"{seed}.png"
    saved.write_bytes(picture(seed))
    stage.engine.node("finished", "save", files=[{"path": str(saved), "digest": "d", "mime": "image/png"}])
    stage.engine.end()
    await stage.settle()


async def opened(stage: Stage) -> None:
    """The history, once it has been read."""
    await stage.press("H")
    await stage.until(lambda: stage.screen_name == "history" and any(stage.app.screen._ids))


def test_runs_are_listed_shown_and_found(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await ran(stage, tmp_path, 11)
        await ran(stage, tmp_path, 12)
        await opened(stage)
        assert len(stage.app.screen._ids) == 2
        await stage.until(lambda: "▀" in stage.text())
        assert "seed       12" in stage.text(), "the newest first"
        assert "12.png" in stage.text()
        await stage.press("s")
        await stage.until(lambda: "★" in stage.text())
        await stage.press("slash")
        await stage.type("nothing like it")
        await stage.press("enter")
        await stage.until(lambda: "no such run" in stage.text())
        await stage.press("slash", "ctrl+u", "enter")
        await stage.until(lambda: len([i for i in stage.app.screen._ids if i]) == 2)
        await stage.press("delete")
        await stage.until(lambda: len([i for i in stage.app.screen._ids if i]) == 1)
        assert (tmp_path / "12.png").exists()

    play(work, tmp_path, file)


def test_a_runs_workflow_is_opened_as_it_ran(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await ran(stage, tmp_path, 11)
        await ran(stage, tmp_path, 12)
        stage.session.save()
        await opened(stage)
        await stage.press("down")
        await stage.press("D")
        assert stage.screen_name == "diff"
        assert "~ $seed.default: 11 → 12" in stage.text() or "$seed" in stage.text()
        await stage.press("escape", "enter")
        await stage.until(lambda: stage.screen_name == "main")
        assert stage.session.data["params"]["seed"] == 11
        assert stage.session.path is None, "a copy"
        assert json.loads(file.read_text())["params"]["seed"] == 12

    play(work, tmp_path, file)


def test_a_run_is_watched_again_from_its_events(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        stage.engine.cached = {"base", "positive"}
        await ran(stage, tmp_path, 11)
        await opened(stage)
        await stage.press("r")
        await stage.until(lambda: "✓ denoise" in stage.text())
        assert "≡ positive" in stage.text()
        await stage.until(lambda: "▀" in stage.text())
        await stage.until(lambda: "× 1   done" in stage.text())
        await stage.press("plus")
        assert stage.app.screen.player.speed == 2.0
        await stage.press("space", "home")
        assert "paused" in stage.text()
        assert "○ denoise" in stage.text() or "◌ denoise" in stage.text()
        await stage.press("end")
        assert "✓ denoise" in stage.text()
        assert stage.app.desk.board.run.status == "done", "what is open is not touched"

    play(work, tmp_path, file)


def test_the_clock_of_a_replay_stands_runs_and_is_set() -> None:
    events = [{"event": "run_started", "at": 10.0, "variants": 1, "total": 1, "cached": 0}]
    node = {"run": "r", "variant": 0, "node": "d", "type": "D", "key": "k"}
    events.append({"event": "node_started", "at": 10.5, **node})
    events += [{"event": "node_progress", "at": 10.5 + n / 10, "step": n, "total": 10, **node} for n in range(1, 11)]
    events.append({"event": "run_finished", "at": 12.0, "status": "done", "seconds": 2.0})
    player = Player("r", events)
    assert player.whole == pytest.approx(2.0 + LEAD)
    assert player.turn(0.1)
    assert (player.run.status, player.run.cells) == ("running", {})
    assert not player.turn(0.1)
    player.seek(1.01 + LEAD)
    assert player.run.cells[(0, "d")].step == 5
    player.seek(0.75 + LEAD)
    assert player.run.cells[(0, "d")].step == 2, "the other way"
    player.paused = True
    assert not player.turn(9.0)
    player.paused = False
    player.faster(4.0)
    assert player.turn(0.1)
    assert player.clock == pytest.approx(1.15 + LEAD)
    player.seek(99.0)
    assert player.over
    assert (player.run.status, player.clock) == ("done", player.whole)
    player.faster(1000.0)
    assert player.speed == FASTEST
    player.faster(1e-9)
    assert player.speed == SLOWEST
    assert Player("r", []).over
    once = Player("r", [{**event, "at": 3.0} for event in events])
    once.seek(once.whole)
    assert once.over
    once.seek(0.0)
    assert (once.run.status, once.over) == ("queued", False), "before the first event, though all came at once"


def test_long_pauses_are_shortened() -> None:
    events = [{"at": at} for at in (100.0, 100.5, 160.0, 160.1)]
    assert [e["at"] for e in without_pauses(events)] == pytest.approx(
        [LEAD + at for at in (0.0, 0.5, 0.5 + PAUSE, 0.6 + PAUSE)]
    )
    assert without_pauses([]) == []


def test_an_empty_history_says_so(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.press("H")
        await stage.until(lambda: "no run is remembered yet" in stage.text())
        stage.app.show_screen("replay")
        await stage.settle()
        assert stage.screen_name == "replay"

    play(work, tmp_path, file)


def test_changes_since_the_file_was_saved_are_shown(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.press("D")
        assert "no difference" in stage.text()
        await stage.press("escape")
        stage.session.set_input("guide", "scale", 7.5)
        stage.session.remove_node("save")
        stage.app.desk.edited()
        await stage.press("D")
        assert "guide.scale: 6.0 → 7.5" in stage.text()
        assert "- node save (SaveImage)" in stage.text()

    play(work, tmp_path, file)


def test_the_events_of_a_run_are_kept_for_replay(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await ran(stage, tmp_path, 11)

    play(work, tmp_path, file)
    history = History(tmp_path / "state")
    (past,) = history.runs()
    kinds = [event["event"] for event in history.events(past.id)]
    assert kinds[:2] == ["plan", "run_started"]
    assert kinds[-2:] == ["run_finished", "over"]
    assert past.seconds == 1.0
    assert json.loads(past.workflow)["params"]["seed"] == 11


def test_of_a_sweep_each_picture_has_its_values(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        stage.app.desk.run(sweep={"guide.scale": [3.0, 9.5]}, purpose="compare")
        await stage.settle()
        run = stage.engine.begin(seeds=[{"seed": 7}] * 2)
        await stage.press("H")
        await stage.until(lambda: stage.screen_name == "history" and "running" in stage.text())
        stage.app.desk.runs[run].variants = 2
        for n in range(2):
            path = tmp_path / f"{n}.png"
            path.write_bytes(picture())
            row = {"path": str(path), "digest": "d", "mime": "image/png", "node": "save", "variant": n}
            stage.app.desk.runs[run].outputs.append(row)
        stage.engine.end()
        await stage.until(lambda: "2 of 2" in stage.text(), 5.0)
        assert "guide.scale 9.5" in stage.text()
        await stage.press("right")
        assert "1 of 2" in stage.text()
        assert "guide.scale 3.0" in stage.text()
        await stage.press("enter")
        await stage.until(lambda: stage.screen_name == "main")
        assert stage.session.nodes["guide"]["scale"] == 3.0

    play(work, tmp_path, file)


def test_a_run_whose_weft_is_gone_is_unfinished(tmp_path: Path, file: Path) -> None:
    history = History(tmp_path / "state")
    history.begin("lost", "", "lost", json.dumps(WORKFLOW), {}, "cpu")
    history.close()

    async def work(stage: Stage) -> None:
        await opened(stage)
        assert "⊘" in stage.row("lost")
        assert "unfinished" in stage.text()

    play(work, tmp_path, file)
