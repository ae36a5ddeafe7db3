"""Keys that the person changes, and those that no other test presses."""

import json
from pathlib import Path

import pytest
from fake_engine import WORKFLOW, Stage, graph_of, play


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(WORKFLOW, indent=2))
    return path


def test_keys_are_changed_on_the_screen_that_lists_them(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key replaces those there were, or comes beside them; one that would do two things is refused."""
    monkeypatch.setenv("WEFT_CONFIG", str(tmp_path / "config"))
    kept = tmp_path / "config" / "tui.toml"

    async def work(stage: Stage) -> None:
        await stage.press("question_mark")
        stage.app.screen.query_one("Rows").highlighted = stage.app.screen._ids.index("run.queue")
        await stage.press("enter", "f9")
        assert '"run.queue" = "f9"' in kept.read_text()
        await stage.press("a", "f8")
        assert '"run.queue" = "f9,f8"' in kept.read_text()
        assert "f9  f8" in stage.row("run.queue")
        await stage.press("enter", "x")
        assert '"run.queue" = "f9,f8"' in kept.read_text(), "x stops a run"
        await stage.press("enter", "escape", "escape")
        assert "f9Run" in stage.text()
        await stage.press("f5")
        assert stage.engine.sent_runs() == []
        await stage.press("f8")
        assert len(stage.engine.sent_runs()) == 1
        await stage.press("question_mark")
        stage.app.screen.query_one("Rows").highlighted = stage.app.screen._ids.index("run.queue")
        await stage.press("backspace", "escape", "f5")
        assert "run.queue" not in kept.read_text()
        assert len(stage.app.desk.queue) == 1, "it waits for the first"

    play(work, tmp_path, file)


def test_the_keys_that_are_seldom_pressed(tmp_path: Path) -> None:
    """Those that no other test presses: each does what the list of keys says."""
    file = tmp_path / "big.json"
    file.write_text(json.dumps(graph_of(42), indent=1))

    async def work(stage: Stage) -> None:
        graph = stage.main.graph
        await stage.press("end", "pageup")
        assert graph.order.index(graph.selected) == 41 - graph.page()
        await stage.press("slash", *"text_4", "enter", "n")
        after = graph.selected
        await stage.press("n", "N")
        assert graph.selected == after
        await stage.press("L")
        assert stage.screen_name == "nodes"
        await stage.press("escape", "s")
        assert stage.session.modified
        await stage.press("ctrl+r", "t")
        assert not stage.session.modified
        await stage.press("ctrl+c")
        assert "x stops the run, ctrl+q leaves weft" in stage.text()
        await stage.press("f5", "f5", "f5", "Q")
        first, second = (order.id for order in stage.app.desk.queue.waiting)
        await stage.press("J")
        assert [order.id for order in stage.app.desk.queue.waiting] == [second, first]
        await stage.press("K")
        assert [order.id for order in stage.app.desk.queue.waiting] == [first, second]

    play(work, tmp_path, file)
