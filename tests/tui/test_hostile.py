"""Names, texts and paths that would do harm if a terminal, or Textual's markup, got to read them, on every screen."""

import json
from pathlib import Path

import pytest
from fake_engine import Stage, picture, play

from engine.registry import Registry
from tui.config import Config
from tui.keytable import TABLES
from tui.screens.modals import AskText
from tui.widgets.typed import signs

HOSTILE = "[@click=app.quit]x[/] [/red] [bold \x1b[31m\x1b]0;t\x07 \u202egnp.exe \u200b\u2066 \r\x9b2J"
BAD = {"\x1b", "\x07", "\x9b", "\r", "\u202e", "\u200b", "\u2066"}
NAMED = "[@click=app.quit]x[red] \u202e\u200b.json"
"""A file name, of what a file system takes."""


def document() -> dict[str, object]:
    return {
        "format": 1,
        "name": HOSTILE,
        "about": HOSTILE,
        "params": {"p": {"default": HOSTILE, "about": HOSTILE}},
        "nodes": {
            "a": {"type": "Text", "value": "$p", "about": HOSTILE},
            "save": {"type": "SaveText", "value": "@a", "path": "x.txt", "about": HOSTILE},
        },
    }


def harmless(stage: Stage, where: object) -> None:
    bad = BAD & set(stage.text())
    assert not bad, (where, [ascii(line) for line in stage.text().splitlines() if bad & set(line)][:3])


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
def test_no_screen_shows_what_a_terminal_would_obey(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEFT_CONFIG", str(tmp_path / "config"))
    file = tmp_path / NAMED
    file.write_text(json.dumps(document()))
    saved = tmp_path / "[b]\u202e.png"
    saved.write_bytes(picture())

    async def work(stage: Stage) -> None:
        assert stage.session.errors == []
        await stage.press("f5")
        stage.engine.begin()
        stage.engine.node("started", "a")
        stage.engine.node("progress", "a", step=1, total=2, message=HOSTILE)
        await stage.settle()
        harmless(stage, "running")
        problem = {"code": "E-RUN", "what": HOSTILE, "where": HOSTILE, "hint": HOSTILE, "node": "a", "input": HOSTILE,
                   "exit_code": 1}  # fmt: skip
        stage.engine.node("finished", "save", files=[{"path": str(saved), "digest": "d", "mime": "image/png"}])
        stage.engine.node("failed", "a", problems=[problem])
        stage.engine.end("failed")
        stage.engine.feed({"event": "log", "text": HOSTILE}, {"event": "error", "problems": [problem]})
        stage.app.say(HOSTILE)
        await stage.settle()
        for name in TABLES:
            if name != "main":
                stage.app.show_screen(name)
                await stage.settle()
                await stage.pilot.pause(0.1)
                harmless(stage, name)
                assert stage.app.is_running
                await stage.press("escape")
                while stage.screen_name != "main":
                    stage.app.pop_screen()
                    await stage.settle()
        for keys in (["v"], ["v"], ["v"], ["2"], ["enter"], ["escape", "3"], ["4"], ["1", "y"], ["escape", "c"],
                     ["escape", "ctrl+p"], ["escape", "ctrl+o"], ["escape", "slash", "x"]):  # fmt: skip
            await stage.press(*keys)
            harmless(stage, keys)
        assert stage.app._exception is None

    play(work, tmp_path, file, size=size, config=Config(out=str(tmp_path / "o")))


def test_a_broken_workflow_lists_its_errors_with_the_cursor_at_the_first(tmp_path: Path) -> None:
    made = document()
    made["nodes"] = {
        "a": {"type": "Text", "value": "x"},
        "b": {"type": HOSTILE},
        "c": {"type": "SaveText", "value": "@nobody", "path": "x.txt", HOSTILE: 1},
    }
    file = tmp_path / "broken.json"
    file.write_text(json.dumps(made, indent=1))

    async def work(stage: Stage) -> None:
        assert len(stage.session.errors) >= 3
        assert stage.main.graph.selected == stage.session.errors[0].place.node == "b"
        assert stage.state("b").glyph == "⚠"
        assert f"(and {len(stage.session.errors) - 1} more)" in stage.text()
        harmless(stage, "broken")
        stage.main.go_to("c")
        await stage.settle()
        assert "nobody" in stage.text()
        harmless(stage, "c")

    play(work, tmp_path, file)


def test_own_keys_are_remapped_and_what_they_replace_is_free(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps(document()))

    async def work(stage: Stage) -> None:
        assert stage.app.config_problems == []
        await stage.press("1", "v")
        assert stage.main.graph.drawing == "rails"
        await stage.press("B")
        assert stage.main.graph.drawing == "canvas"
        await stage.press("question_mark")
        assert stage.screen_name == "keys"
        (row,) = [text.plain for id_, text in stage.app.screen.entries() if id_ == "view.cycle"]
        assert row.split()[0] == "B"

    play(work, tmp_path, file, config=Config(keys={"view.cycle": "B"}))


def test_keys_that_clash_are_told_and_the_usual_ones_count(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps(document()))

    async def work(stage: Stage) -> None:
        assert "x on main would do both" in stage.text()
        await stage.press("v")
        assert stage.main.graph.drawing == "canvas", "v is what it was"
        await stage.press("comma")
        assert "⚠" in stage.row("would do both")

    play(work, tmp_path, file, config=Config(keys={"view.cycle": "x"}))


@pytest.mark.parametrize("theme", ["weft-dark", "weft-light", "ansi"])
def test_every_theme_shows_every_state_by_glyph_and_word(theme: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps(document()))

    async def work(stage: Stage) -> None:
        assert "◌ a" in stage.text()
        assert "will run" in stage.row("◌ a")
        for name in ("settings", "nodes", "log"):
            stage.app.show_screen(name)
            await stage.settle()
            assert stage.text().strip()
            await stage.press("escape")
        await stage.press("ctrl+p")
        assert "Palette" in stage.text()

    play(work, tmp_path, file, config=Config(theme=theme, out=str(tmp_path / "o")))


def test_what_is_typed_is_drawn_one_sign_a_character_and_kept_as_it_is(tmp_path: Path) -> None:
    assert signs("a fox\tin snow ü") == "a fox\tin snow ü"
    assert signs("\x1b[31m\x9b\u202e\u200b") == "␛[31m¤¤¤"
    file = tmp_path / "x.json"
    file.write_text(json.dumps(document()))

    async def work(stage: Stage) -> None:
        stage.main.go_to("a")
        stage.main.params.select("a.value")
        await stage.press("2", "enter")
        assert "␛[31m" in stage.text()
        harmless(stage, "the window")
        await stage.type("!")
        await stage.press("enter")
        kept = HOSTILE.replace("\r", "\n") + "!"
        assert stage.session.data["params"]["p"]["default"].replace("\r", "\n") == kept
        stage.app.push_screen(AskText("x", HOSTILE))
        await stage.settle()
        harmless(stage, "one line")
        await stage.press("enter")

    play(work, tmp_path, file)


def test_a_mistake_of_weft_in_the_background_is_told_and_the_app_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEFT_STATE", str(tmp_path / "state"))

    def broken() -> Registry:
        raise RuntimeError("of a node pack")

    async def work(stage: Stage) -> None:
        stage.app.open_workflow("ddpm-digits")
        await stage.until(lambda: "weft itself failed: RuntimeError" in stage.text())
        assert "Traceback" not in stage.text()
        assert stage.app.is_running
        assert "of a node pack" in (tmp_path / "state" / "crash.log").read_text()

    play(work, tmp_path, registry=broken)
