"""How each screen looks, at three sizes. The nodes are those of `small_pack`, the engine says what it is told to, and
the clock stands still. Pixels of pictures are not compared: they are left out, or told by the number of cells."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import small_pack
from fake_engine import Stage, play
from snapshots import KEPT, compare, drawn
from textual.widgets import Input

from tui.config import Config

SIZES = ((80, 24), (120, 40), (160, 50))
Scene = Callable[[Stage], Awaitable[None]]


async def planned(stage: Stage) -> None:
    """Before a run: some is cached, the rest would run."""
    stage.engine.cached = {"base", "positive"}
    stage.app.desk.replan()
    await stage.settle()


async def running(stage: Stage) -> None:
    await planned(stage)
    await stage.press("f5")
    stage.engine.begin()
    for node in ("base", "positive"):
        stage.engine.node("cached", node)
    stage.engine.node("started", "negative")
    stage.engine.node("finished", "negative", seconds=0.4)
    stage.engine.node("started", "sample")
    stage.engine.node("progress", "sample", step=13, total=20)
    stage.main.go_to("sample")
    await stage.settle()


async def done(stage: Stage) -> None:
    await running(stage)
    for node, seconds in (("sample", 12.5), ("hires", 30.0), ("decode", 0.8), ("save", 0.1)):
        files = [{"path": "out/fox-7.png", "digest": "d", "mime": "image/png"}] if node == "save" else []
        stage.engine.node("finished", node, seconds=seconds, files=files)
    stage.engine.end(seconds=44.0)
    await stage.settle()


async def failed(stage: Stage) -> None:
    await running(stage)
    problem = {"code": "E-MEMORY", "what": "out of memory: 12 GiB were asked for", "where": "sample", "node": "sample",
               "hint": "make sample.tiled true, or the size smaller", "input": "", "exit_code": 1}  # fmt: skip
    stage.engine.node("failed", "sample", problems=[problem])
    for node in ("hires", "decode", "save"):
        stage.engine.node("skipped", node, because="sample")
    stage.engine.end("failed")
    await stage.settle()


async def cancelled(stage: Stage) -> None:
    await running(stage)
    for node in ("sample", "hires", "decode", "save"):
        stage.engine.node("skipped", node, because="cancelled")
    stage.engine.end("cancelled")
    await stage.settle()


async def died(stage: Stage) -> None:
    await running(stage)
    stage.engine.die()
    await stage.settle()


async def missing(stage: Stage) -> None:
    stage.engine.plan_problems = [{
        "code": "E-NOTFOUND", "what": "no model at fox-model", "hint": "put one there", "where": "base.source",
        "node": "base", "input": "source", "line": 1, "column": 1, "exit_code": 3,
    }]  # fmt: skip
    await planned(stage)


async def invalid(stage: Stage) -> None:
    stage.session.remove_node("positive")
    stage.app.desk.edited()
    stage.main.go_to("sample")
    await stage.settle()


async def bypassed(stage: Stage) -> None:
    await planned(stage)
    stage.main.go_to("hires")
    await stage.press("b")


def keys(*pressed: str, node: str = "", field: str = "") -> Scene:
    """Keys pressed where a run is planned."""

    async def scene(stage: Stage) -> None:
        await planned(stage)
        if node or field:
            stage.main.go_to(node or field.partition(".")[0])
        if field:
            stage.main.action_pane_params()
            stage.main.params.select(field)
        await stage.press(*pressed)

    return scene


def themed(theme: str) -> Scene:
    """A run going on, in other colours."""

    async def scene(stage: Stage) -> None:
        stage.app.desk.config = stage.app.config = Config(theme=theme, out=stage.app.config.out)
        from tui import look

        look.use(stage.app, theme)
        await running(stage)

    return scene


EVERY_SIZE: dict[str, Scene] = {
    "planned": planned, "running": running, "done": done, "failed": failed, "cancelled": cancelled, "died": died,
    "missing": missing, "invalid": invalid, "bypassed": bypassed, "canvas": keys("v", node="hires"),
}  # fmt: skip
ONE_SIZE: dict[str, Scene] = {
    "light": themed("weft-light"), "ansi": themed("ansi"),
    "json": keys("v", "v", node="hires"), "zoomed": keys("z", node="hires"), "found": keys("slash", *"hires"),
    "jump": keys("ctrl+o"), "palette": keys("ctrl+p", *"edit"), "value": keys("enter", field="sample.scale"),
    "wrong-value": keys("enter", "1", "0", "1", field="sample.scale"), "choice": keys("enter", field="sample.sampler"),
    "wire": keys("w", field="hires.latent"), "copy": keys("y", node="sample"), "nodes": keys("a"),
    "settings": keys("comma"), "keys": keys("question_mark"), "queue": keys("f5", "f5", "f5", "Q"),
}  # fmt: skip
CASES = [(name, scene, size) for name, scene in EVERY_SIZE.items() for size in SIZES] + [
    (name, scene, SIZES[1]) for name, scene in ONE_SIZE.items()
]


@pytest.mark.parametrize(("name", "scene", "size"), CASES, ids=[f"{n}-{s[0]}x{s[1]}" for n, _, s in CASES])
def test_the_screen_looks_as_it_did(
    name: str, scene: Scene, size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEFT_CONFIG", "config")
    Path("fox.json").write_text(small_pack.WORKFLOW)

    async def work(stage: Stage) -> None:
        stage.app.desk.clock = lambda: 100.0
        stage.app.animation_level = "none"
        await scene(stage)
        stage.app.clear_notifications()
        for typed in stage.app.screen.query(Input):
            typed.cursor_blink = False
        await stage.settle()
        compare(f"{name}-{size[0]}x{size[1]}", drawn(stage.app), tmp_path)

    play(work, tmp_path, Path("fox.json"), size=size, registry=small_pack.registry, config=Config(out="out"))


def test_every_kept_snapshot_is_one_of_these() -> None:
    assert {path.stem for path in KEPT.glob("*.svg")} == {f"{n}-{s[0]}x{s[1]}" for n, _, s in CASES}


def test_the_workflow_of_the_snapshots_is_right() -> None:
    from engine.compile import check
    from engine.document import from_value

    workflow, problems = check(from_value(json.loads(small_pack.WORKFLOW)), small_pack.registry())
    assert workflow is not None
    assert not problems
