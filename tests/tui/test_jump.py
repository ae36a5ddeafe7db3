"""Jump mode: letters at every place in view."""

import json
from pathlib import Path

import pytest
from fake_engine import WORKFLOW, Stage, graph_of, play

from tui.screens.jumping import LETTERS, codes


@pytest.mark.parametrize("count", [0, 1, 26, 27, 60, 676])
def test_no_code_begins_another(count: int) -> None:
    made = codes(count)
    assert len(made) == len({*made}) == count
    assert not [(a, b) for a in made for b in made if a != b and b.startswith(a)]
    assert made == sorted(made, key=len)


def test_there_are_no_more_codes_than_pairs_of_letters() -> None:
    assert len(codes(1000)) == len(LETTERS) ** 2


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(WORKFLOW, indent=2))
    return path


def code_of(stage: Stage, **wanted: str) -> str:
    places = stage.app.screen.places  # type: ignore[attr-defined]
    return next(c for c, place in places.items() if all(getattr(place, k) == v for k, v in wanted.items()))


@pytest.mark.parametrize("drawing", ["rails", "canvas", "json"])
def test_typing_its_letters_goes_to_a_node(tmp_path: Path, file: Path, drawing: str) -> None:
    async def work(stage: Stage) -> None:
        stage.main.graph.draw_as(drawing)
        await stage.press("2", "ctrl+o")
        code = code_of(stage, node="sampler" if drawing != "json" else "positive")
        at = stage.app.screen.places[code].at  # type: ignore[attr-defined]
        assert stage.text().splitlines()[at.y][at.x :].startswith(code), "the letters stand where they lead"
        await stage.press(*code)
        assert stage.screen_name == "main"
        assert stage.main.pane == "graph"
        assert stage.main.graph.selected == ("sampler" if drawing != "json" else "positive")

    play(work, tmp_path, file)


def test_values_and_panes_have_letters_and_escape_goes_nowhere(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.press("ctrl+o")
        await stage.press(*code_of(stage, key="steps"))
        assert stage.main.pane == "params"
        assert stage.main.params.field.key == "steps"
        await stage.press("ctrl+o")
        await stage.press(*code_of(stage, pane="preview"))
        assert stage.main.pane == "preview"
        before = stage.main.graph.selected
        for key in ("escape", "0", "f5"):
            await stage.press("ctrl+o", key)
            assert stage.screen_name == "main"
            assert (stage.main.pane, stage.main.graph.selected) == ("preview", before)
        assert stage.engine.sent_runs() == []

    play(work, tmp_path, file)


def test_only_what_is_in_view_has_letters(tmp_path: Path) -> None:
    file = tmp_path / "many.json"
    file.write_text(json.dumps(graph_of(42)))

    async def work(stage: Stage) -> None:
        await stage.press("end", "ctrl+o")
        places = stage.app.screen.places.values()  # type: ignore[attr-defined]
        nodes = [place.node for place in places if place.node]
        assert stage.main.graph.order[-1] in nodes
        assert stage.main.graph.order[0] not in nodes
        assert {place.pane for place in places} == {"graph"}, "the others are not shown"
        assert all(0 < place.at.y < 23 for place in places)

    play(work, tmp_path, file, size=(80, 24))
