"""The gallery: pictures of all runs side by side."""

import json
from pathlib import Path

import pytest
from fake_engine import WORKFLOW, Stage, picture, play

from tui.board import Run
from tui.history import History
from tui.screens.gallery import pictures_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(WORKFLOW, indent=2))
    return path


def remember(folder: Path, count: int) -> None:
    """A history of so many runs, each with a picture; the one of the first is gone; and one sweep of two."""
    history = History(folder / "state")
    for n in range(count):
        run = Run(f"r{n:02}", "done", seconds=1.0, seeds=[{"seed": n}])
        path = folder / f"{n:02}.png"
        if n:
            path.write_bytes(picture(n))
        run.outputs = [{"path": str(path), "mime": "image/png", "node": "save", "variant": 0},
                       {"path": str(folder / "w.txt"), "mime": "text/plain", "node": "t", "variant": 0}]  # fmt: skip
        history.begin(run.id, "", "cats" if n % 2 else "[b]dogs\x1b", json.dumps(WORKFLOW), {}, "cpu")
        history.finish(run, {})
    sweep = Run("z", "done", variants=2, seeds=[{"seed": 7}] * 2)
    (folder / "s.png").write_bytes(picture())
    sweep.outputs = [{"path": str(folder / "s.png"), "mime": "image/png", "node": "save", "variant": 1}]
    history.begin("z", "", "sweep", json.dumps(WORKFLOW), {"guide.scale": [3.0, 9.5]}, "cpu")
    history.finish(sweep, {})
    history.close()


def test_each_picture_is_there_once_with_the_run_that_made_it_last(tmp_path: Path) -> None:
    remember(tmp_path, 3)
    history = History(tmp_path / "state")
    found = pictures_of(history.runs())
    assert [Path(path).name for path in found] == ["s.png", "02.png", "01.png", "00.png"]
    assert found[str(tmp_path / "s.png")][1] == 1
    assert pictures_of([*history.runs(), *history.runs()]) == found


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_pictures_are_shown_moved_over_and_opened(tmp_path: Path, file: Path, size: tuple[int, int]) -> None:
    remember(tmp_path, 40)
    columns = size[0] // 24

    async def work(stage: Stage) -> None:
        await stage.press("G")
        await stage.until(lambda: stage.text().count("▀" * 20) > 10)
        view = stage.app.screen.gallery
        assert "9.5 · sweep" in stage.text()
        assert "1 of 41" in stage.text()
        assert "guide.scale 9.5" in stage.text()
        assert all(len(line) <= size[0] for line in stage.text().splitlines())
        await stage.press("right", "down")
        assert view.at == 1 + columns
        await stage.press("up", "left", "left")
        assert view.at == 0
        for _ in range(40):
            await stage.pilot.press("down")
        await stage.until(lambda: "gone" in stage.text())
        assert view.at == 40
        assert "[b]dogs⟨U+001B⟩" in stage.text()
        await stage.press("left", "enter")
        await stage.until(lambda: stage.screen_name == "image" and "01.png" in stage.text())
        await stage.press("escape")
        assert view.at == 39

    play(work, tmp_path, file, size=size)


def test_it_is_filtered_as_the_history_and_clicked(tmp_path: Path, file: Path) -> None:
    remember(tmp_path, 6)

    async def work(stage: Stage) -> None:
        await stage.press("H")
        await stage.until(lambda: "sweep" in stage.text())
        await stage.press("slash")
        await stage.type("cats")
        await stage.press("enter", "v")
        await stage.until(lambda: stage.screen_name == "gallery" and "1 of 3" in stage.text())
        await stage.pilot.click("GalleryView", offset=(30, 5))
        await stage.settle()
        assert "2 of 3" in stage.text()
        await stage.pilot.click("GalleryView", offset=(30, 5))
        await stage.until(lambda: stage.screen_name == "image" and "03.png" in stage.text())
        await stage.press("escape", "slash", "ctrl+u")
        await stage.type("nothing")
        await stage.press("enter")
        await stage.until(lambda: "no picture of a run with nothing" in stage.text())
        await stage.press("enter", "down")
        assert stage.screen_name == "gallery"

    play(work, tmp_path, file)


def test_without_a_history_it_says_so(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.press("G")
        await stage.until(lambda: "no picture is remembered yet" in stage.text())

    play(work, tmp_path, file)
