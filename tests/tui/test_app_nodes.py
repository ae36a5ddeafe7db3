"""The library of nodes, adding one, and the palette."""

import json
from pathlib import Path

import pytest
from fake_engine import WORKFLOW, Stage, play

from tui.keytable import TABLES


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(WORKFLOW, indent=2))
    return path


async def choose(stage: Stage, kind: str) -> None:
    """Open the library and select a type in it."""
    await stage.press("a")
    await stage.until(lambda: stage.screen_name == "nodes" and kind in stage.app.screen._ids)
    stage.app.screen.query_one("Rows").highlighted = stage.app.screen._ids.index(kind)
    await stage.settle()


def test_the_library_explains_each_node(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await choose(stage, "CFG")
        assert "eps_uncond + w (eps_cond - eps_uncond)" in stage.text()
        assert "Salimans" in stage.text()
        assert "GUIDER" in stage.text()
        await stage.press("slash")
        await stage.type("vae decode")
        await stage.press("enter")
        assert "VAEDecode" in stage.app.screen._ids
        assert "CFG" not in stage.app.screen._ids
        await stage.press("escape")
        assert stage.screen_name == "main"

    play(work, tmp_path, file)


def test_an_added_node_is_wired_to_what_fits_as_one_change(tmp_path: Path, file: Path) -> None:
    before = file.read_text()

    async def work(stage: Stage) -> None:
        await choose(stage, "VAEDecode")
        await stage.press("enter")
        assert stage.screen_name == "Choose", "three latents would fit"
        assert "What feeds latent" in stage.text()
        await stage.type("denoise")
        await stage.press("enter")
        assert stage.screen_name == "main"
        assert stage.session.nodes["vae_decode"] == {"type": "VAEDecode", "vae": "@base.vae", "latent": "@denoise"}
        assert stage.main.graph.selected == "vae_decode"
        assert stage.session.errors == []
        await stage.press("u")
        assert stage.session.text == before

    play(work, tmp_path, file)


def test_a_list_input_is_wired_as_a_list_and_nothing_may_be_chosen(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await choose(stage, "ImageGrid")
        await stage.press("enter")
        assert stage.session.nodes["image_grid"]["images"] == ["@decode"]
        await choose(stage, "VAEDecode")
        await stage.press("enter", "escape")
        assert "latent" not in stage.session.nodes["vae_decode"]
        assert stage.state("vae_decode").glyph == "⚠"

    play(work, tmp_path, file)


def test_the_palette_has_what_is_live_and_does_it(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.press("ctrl+p")
        await stage.type("run")
        await stage.until(lambda: "run: queue" in stage.text())
        assert "run: stop" not in stage.text()
        await stage.press("ctrl+u")
        await stage.type("bypass")
        await stage.press("enter")
        await stage.settle()
        assert stage.session.bypassed == {stage.main.graph.selected}
        await stage.press("ctrl+p")
        await stage.type("history" if "history" in TABLES else "queue runs that wait")
        await stage.press("enter")
        await stage.until(lambda: stage.screen_name in ("queue", "history"))
        await stage.press("ctrl+p")
        await stage.type("back")
        await stage.until(lambda: "screen: back" in stage.text())

    play(work, tmp_path, file)


LEAVES = {"app.quit", "screen.back"}
ASKS = {"seed.set", "run.times", "find.open", "copy.menu", "file.save_as", "file.open", "app.palette", "edit.value"}


@pytest.mark.parametrize("screen", [name for name in TABLES if name not in ("keys",)])
def test_every_live_action_of_every_screen_can_be_done(
    screen: str, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None fails, whatever it does; those that end the program are tested elsewhere."""
    monkeypatch.setenv("WEFT_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("EDITOR", "false")

    async def work(stage: Stage) -> None:
        for action in TABLES[screen]:
            if action.id in LEAVES:
                continue
            while stage.screen_name != "main":
                stage.app.pop_screen()
                await stage.settle()
            if screen != "main":
                stage.app.show_screen(screen)
                await stage.settle()
            if action in stage.app.screen.live_actions():
                await stage.app.screen.run_action(action.call)
                await stage.settle()
        assert stage.app._exception is None

    play(work, tmp_path, file)


def test_the_traceback_of_a_failed_node_is_folded_until_it_is_asked_for(tmp_path: Path, file: Path) -> None:
    trace = 'Traceback (most recent call last):\n  File "x.py", line 3, in run\nValueError: [/bold] no \x1b[31m\n'

    async def work(stage: Stage) -> None:
        await stage.press("f5")
        stage.engine.begin()
        stage.engine.node("started", "denoise")
        problem = {"code": "E-RUN", "what": "no", "where": "denoise", "node": "denoise", "input": "", "hint": ""}
        stage.engine.node("failed", "denoise", problems=[problem], traceback=trace)
        stage.engine.end("failed")
        stage.main.go_to("denoise")
        await stage.until(lambda: "✗ E-RUN: no" in stage.text())
        assert "Error · denoise · UNetDenoise" in stage.text()
        line = file.read_text().partition('"denoise"')[0].count("\n") + 1
        assert f"{file.name}:{line}" in stage.text()
        assert "▸ traceback, 3 lines: t" in stage.text()
        assert "ValueError" not in stage.text()
        await stage.press("t")
        assert "▾ traceback" in stage.text()
        assert "ValueError: [/bold] no ⟨U+001B⟩[31m" in stage.text()
        await stage.press("t")
        assert "ValueError" not in stage.text()
        await stage.press("y")
        await stage.type("traceback of denoise")
        await stage.press("enter")
        assert stage.app.clipboard == trace
        stage.main.go_to("decode")
        await stage.settle()
        assert "▸ traceback" not in stage.text()

    play(work, tmp_path, file)


def test_colours_and_pictures_are_changed_from_the_palette(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEFT_CONFIG", str(tmp_path / "config"))

    async def work(stage: Stage) -> None:
        for words, said in (("app: theme", "theme: weft-light"), ("app: images", "images: half")):
            await stage.press("ctrl+p")
            await stage.type(words.replace(":", ""))
            await stage.press("enter")
            await stage.until(lambda said=said: said in stage.text())  # type: ignore[misc]
        assert stage.app.theme == "weft-light"
        assert "weft-light" in (tmp_path / "config" / "tui.toml").read_text()

    play(work, tmp_path, file)
