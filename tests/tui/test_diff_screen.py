"""Differences: in full, taken back one by one, and between two runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_engine import WORKFLOW, Stage, picture, play

from engine.diff import ABSENT, Difference, compare
from tui.differing import pieces, taken_back


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(WORKFLOW, indent=2))
    return path


def changed(change: Callable[[Any], object]) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(WORKFLOW))
    change(data)
    return data


CHANGES: dict[str, Callable[[Any], object]] = {
    "a value": lambda d: d["nodes"]["guide"].update(scale=9),
    "an input that was not there": lambda d: d["nodes"]["sampler"].update(eta=0.5),
    "an input that is gone": lambda d: d["nodes"]["guide"].pop("scale"),
    "a link": lambda d: d["nodes"]["decode"].update(latent="@blank"),
    "a param in short form": lambda d: d["params"].update(seed=8),
    "a param in long form": lambda d: d["params"]["steps"].update(default=30),
    "the range of a param": lambda d: d["params"]["steps"].pop("max"),
    "a param made short": lambda d: d["params"].update(steps=20),
    "a param that is gone": lambda d: d["params"].pop("prompt"),
    "a param that is new": lambda d: d["params"].update(other="x"),
    "a node that is gone": lambda d: d["nodes"].pop("blank"),
    "a node that is new": lambda d: d["nodes"].update(more={"type": "Text", "value": "@@x"}),
    "a name": lambda d: d.update(name="Fox"),
    "no params left": lambda d: d.pop("params"),
    "several": lambda d: (d["nodes"].pop("save"), d["params"].update(prompt="a cat", seed=1)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("indent", [None, 2])
def test_taking_every_difference_back_gives_what_there_was(change: str, indent: int | None) -> None:
    data = changed(CHANGES[change])
    text = json.dumps(data, indent=indent)
    found = compare(WORKFLOW, data)
    assert found
    while found:
        text = taken_back(text, json.loads(text), found[0])
        rest = compare(WORKFLOW, json.loads(text))
        assert len(rest) < len(found)
        found = rest


def test_the_words_that_differ_are_told_apart() -> None:
    before, after = pieces(Difference("value", "$prompt", "a red fox in snow", "a fox in deep snow"))
    assert [text for kind, text in before if kind == "gone"] == [" red"]
    assert [text for kind, text in after if kind == "new"] == ["deep "]
    assert "".join(text for _, text in before) == "a red fox in snow"
    assert "".join(text for _, text in after) == "a fox in deep snow"
    assert pieces(Difference("value", "a.b", ABSENT, 3)) == ([], [("new", "3")])
    assert pieces(Difference("value", "a.b", "x", ABSENT)) == ([("gone", "x")], [])
    long = "a " * 3000
    assert pieces(Difference("value", "a.b", long, "b")) == ([("gone", long)], [("new", "b")])


def test_a_difference_is_shown_in_full_and_taken_back(tmp_path: Path, file: Path) -> None:
    before = file.read_text()

    async def work(stage: Stage) -> None:
        long = "a fox " + "[bold]\x1b[31m and some more words of a long prompt " * 5
        stage.session.set_param("prompt", long)
        stage.session.set_input("guide", "scale", 7.5)
        stage.app.desk.edited()
        await stage.press("D")
        assert len(stage.app.screen._ids) == 2
        assert "[bold]" in stage.text()
        assert "\x1b" not in stage.text()
        assert "- a fox" in stage.text()
        await stage.press("enter")
        assert stage.session.data["params"]["prompt"] == "a fox"
        assert "guide.scale: 6.0 → 7.5" in stage.text()
        await stage.press("enter")
        assert stage.session.text == before
        assert "no difference" in stage.text()
        await stage.press("escape", "u", "u")
        assert stage.session.data["params"]["prompt"] == long

    play(work, tmp_path, file)


def test_two_runs_are_compared_as_they_ran(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        for seed in (11, 12):
            await stage.press("f5")
            stage.engine.begin(seeds=[{"seed": seed}])
            (tmp_path / f"{seed}.png").write_bytes(picture(seed))
            stage.engine.end()
            await stage.settle()
        await stage.press("H")
        await stage.until(lambda: stage.screen_name == "history" and len([i for i in stage.app.screen._ids if i]) == 2)
        await stage.press("m")
        assert "◆" in stage.text()
        await stage.press("down", "D")
        await stage.until(lambda: "$seed.default: 12 → 11" in stage.text())
        assert "Take back" not in stage.text(), "what ran cannot be changed"
        await stage.press("enter")
        assert stage.session.data["params"]["seed"] == 7
        await stage.press("escape", "up", "m", "D")
        await stage.until(lambda: "$seed.default: 12 → 7" in stage.text())
        assert "Take back" in stage.text()

    play(work, tmp_path, file)
