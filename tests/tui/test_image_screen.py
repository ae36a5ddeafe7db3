"""A picture full screen: what it was made from, and the workflow that made it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_engine import WORKFLOW, Stage, picture, play

import nodes
from tui.history import History, Past
from tui.origin import Origin, facts, output_of, session_of, sets_of, values_of

SWEPT: dict[str, Any] = {"guide.scale": 3.0, "steps": [10, 20], "prompt": ["a fox", "a cat", "a hen"]}
PAST = Past("20250101-120000-abcd", 0.0, "/there/x.json", "x.json", json.dumps(WORKFLOW), SWEPT, "cpu", "done", 9.0,
            6, [{"seed": 7}] * 6, 1, 0, "", False,
            [{"path": f"/out/{n}.png", "variant": n, "node": "save", "digest": "", "mime": "image/png"}
             for n in range(6)])  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(WORKFLOW, indent=2))
    return path


def test_a_variant_has_its_own_values() -> None:
    assert values_of(PAST, 4) == {"seed": 7, "guide.scale": 3.0, "steps": 20, "prompt": "a cat"}
    assert values_of(PAST, None) == {"guide.scale": 3.0}
    alone = replace(PAST, sets={"steps": 30}, variants=1, seeds=[{"seed": 9}])
    assert values_of(alone, None) == {"seed": 9, "steps": 30}


def test_a_list_that_is_one_value_is_no_sweep() -> None:
    past = replace(PAST, sets={"grid.labels": ["a", "b"]}, variants=1)
    assert sets_of(past) == ({"grid.labels": ["a", "b"]}, {})
    assert sets_of(PAST)[1] == {"steps": [10, 20], "prompt": ["a fox", "a cat", "a hen"]}


def test_facts_are_the_run_and_all_values_as_they_were() -> None:
    output = output_of(PAST.outputs, "/out/4.png")
    assert output is not None
    found = dict(facts(Origin(PAST, output)))
    assert found["run"] == PAST.id
    assert (found["seed"], found["steps"], found["prompt"], found["guide.scale"]) == ("7", "20", "a cat", "3.0")
    assert "digest" not in found, "what is not known is not shown"
    sheet = dict(facts(Origin(PAST, {"path": "/out/sheet.png", "variant": None})))
    assert sheet["steps"] == "[10, 20]"
    assert dict(facts(Origin(replace(PAST, workflow="no JSON"), output)))["steps"] == "20"
    assert output_of(PAST.outputs, "/out/7.png") is None


def test_the_workflow_of_one_picture_of_a_sweep_has_its_values() -> None:
    session = session_of(PAST, nodes.registry(), 4)
    assert session.path is None
    assert session.data["params"]["prompt"] == "a cat"
    assert session.data["params"]["steps"]["default"] == 20
    assert session.nodes["guide"]["scale"] == 3.0


def test_the_history_knows_which_run_made_a_file(tmp_path: Path) -> None:
    history = History(tmp_path)
    for run in ("r1", "r2"):
        history.begin(run, "", run, "{}", {}, "cpu")
    with history._using() as db:
        db.execute("INSERT INTO outputs VALUES ('r1',0,'save',?,'','image/png')", (str(tmp_path / "a.png"),))
        db.execute("INSERT INTO outputs VALUES ('r2',0,'save',?,'','image/png')", (str(tmp_path / "b.png"),))
    found = history.made(str(tmp_path / "a.png"))
    assert found is not None
    assert found.id == "r1"
    assert history.made("elsewhere.png") is None


async def ran(stage: Stage, path: Path, seed: int) -> None:
    stage.session.set_param("seed", seed)
    stage.app.desk.edited()
    await stage.press("f5")
    stage.engine.begin(seeds=[{"seed": seed}])
    path.write_bytes(picture(seed))
    stage.engine.node("finished", "save", files=[{"path": str(path), "digest": f"d{seed}", "mime": "image/png"}])
    await stage.settle()


def test_a_picture_shows_what_made_it_and_opens_its_workflow(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await ran(stage, tmp_path / "eleven.png", 11)
        await stage.press("p")
        await stage.until(lambda: "seed       11" in stage.text())
        assert "a fox" in stage.text()
        assert "save" in stage.row("node")
        await stage.press("escape")
        stage.engine.end()
        await stage.settle()
        await ran(stage, tmp_path / "twelve.png", 12)
        stage.engine.end()
        await stage.settle()
        await stage.press("p")
        await stage.until(lambda: "d12" in stage.text())
        await stage.press("n")
        await stage.until(lambda: "d11" in stage.text() and "1 of 2" in stage.text())
        await stage.press("i")
        assert "d11" not in stage.text()
        await stage.press("enter")
        await stage.until(lambda: "not saved" in stage.text())
        await stage.press("d")
        await stage.until(lambda: stage.screen_name == "main" and stage.session.path is None)
        assert stage.session.data["params"]["seed"] == 11

    play(work, tmp_path, file)


def test_a_picture_of_unknown_origin_says_so(tmp_path: Path, file: Path) -> None:
    (tmp_path / "other.png").write_bytes(picture())

    async def work(stage: Stage) -> None:
        stage.app.show_screen("image", path=str(tmp_path / "other.png"))
        await stage.until(lambda: "no run that is remembered" in stage.text())
        assert "Workflow" not in stage.text().splitlines()[-1]
        await stage.press("enter")
        assert stage.screen_name == "image"

    play(work, tmp_path, file)


def test_at_80_columns_facts_take_the_place_of_the_picture(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await ran(stage, tmp_path / "eleven.png", 11)
        await stage.press("p")
        await stage.until(lambda: "▀" in stage.text())
        assert "seed       11" not in stage.text()
        await stage.press("i")
        assert "seed       11" in stage.text()
        assert "▀" not in stage.text()

    play(work, tmp_path, file, size=(80, 24))


def test_a_picture_is_deleted_once_that_was_said(tmp_path: Path, file: Path) -> None:
    made = tmp_path / "made.png"
    made.write_bytes(picture())

    async def work(stage: Stage) -> None:
        await stage.press("f5")
        stage.engine.begin()
        stage.engine.node("finished", "save", files=[{"path": str(made), "digest": "d", "mime": "image/png"}])
        stage.engine.end()
        await stage.settle()
        await stage.press("p", "delete", "escape")
        assert made.exists()
        await stage.press("delete", "d")
        assert not made.exists()
        assert stage.screen_name == "main"
        assert stage.app.pictures() == []

    play(work, tmp_path, file)
