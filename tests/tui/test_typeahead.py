"""Keys that come faster than they are handled do what they would have done one by one."""

import json
from pathlib import Path

import pytest
from fake_engine import Stage, play
from real_terminal import digit
from textual import events

NAMED = ("up", "down", "end", "enter", "escape", "slash", "f5", "ctrl+u", "ctrl+s")


async def burst(stage: Stage, *keys: str) -> None:
    """Keys as a terminal brings them that was not read for a while: all at once."""
    for key in keys:
        character = {"enter": "\r", "slash": "/"}.get(key, None if key in NAMED else key)
        stage.app.post_message(events.Key(key, character))
    await stage.until(lambda: stage.app.typed_ahead)
    await stage.until(lambda: not stage.app.typed_ahead)


CASES = {
    "a value": (("2", "end", "up", "enter", "ctrl+u", "1", "2", "enter"), ("seed", 12)),
    "a value, twice": (("2", "end", "up", "enter", "9", "enter", "enter", "8", "enter"), ("seed", 8)),
    "a value that is left": (("2", "end", "up", "enter", "9", "escape", "down", "enter", "4", "enter"), ("steps", 4)),
    "saved": (("2", "end", "up", "enter", "1", "1", "enter", "ctrl+s"), ("seed", 11)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_keys_that_come_at_once_are_handled_in_order(case: str, tmp_path: Path) -> None:
    keys, (param, value) = CASES[case]
    file = digit(tmp_path)

    async def work(stage: Stage) -> None:
        await burst(stage, *keys)
        read = stage.session.data["params"][param]
        assert (read["default"] if isinstance(read, dict) else read) == value
        if "ctrl+s" in keys:
            assert json.loads(file.read_text())["params"][param] == value

    play(work, tmp_path, file)


def test_what_is_typed_behind_the_key_that_opens_a_window_goes_into_it(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await burst(stage, "slash", *"denoi", "enter", "f5")
        await stage.settle()
        assert stage.main.graph.selected == "denoise"
        assert stage.main.graph.found == {"denoise", "decode"}
        assert len(stage.engine.sent_runs()) == 1

    play(work, tmp_path, digit(tmp_path))
