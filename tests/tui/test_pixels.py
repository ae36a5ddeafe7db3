"""Finished pictures in the terminal's own pixels: what a terminal says that it can, and what is then drawn."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from fake_engine import WORKFLOW, Stage, picture, play
from real_terminal import ROOT

from engine.errors import WeftError
from tui import pixels

pytest.importorskip("textual_image")

ASK = """
import sys
sys.path.insert(0, sys.argv[1])
from tui import pixels
print("drawn", pixels.drawn_as(sys.argv[2]), "numpy" in sys.modules, file=sys.stderr)
"""
TERMINALS = {
    "one with sixel": (b"\x1b[?62;4;22c", b"", "sixel"),
    "kitty": (b"\x1b[?62;22c", b"\x1b_Gi=1;OK\x1b\\", "tgp"),
    "one with neither": (b"\x1b[?62;22c", b"", "half"),
    "one that says nothing, and has no size": (b"", b"", "half"),
}
"""What it answers when asked for its attributes, and for the graphics of kitty."""


@pytest.mark.skipif(sys.platform == "win32", reason="no pty")
@pytest.mark.parametrize("name", TERMINALS)
def test_the_terminal_is_asked_what_it_can(name: str, tmp_path: Path) -> None:
    import fcntl
    import pty
    import termios

    attributes, graphics, wanted = TERMINALS[name]
    answers = bool(attributes)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 480, 800) if answers else bytes(8))
    env = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm-256color"}
    command = [sys.executable, "-c", ASK, str(ROOT), "auto"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=env) as process:
        os.close(theirs)
        asked = b""
        while True:
            try:
                asked += os.read(ours, 1024)
            except OSError:
                break
            if b"\x1b[c" in asked:
                asked = asked.replace(b"\x1b[c", b"")
                os.write(ours, attributes)
            if b"a=q" in asked:
                asked = b""
                os.write(ours, graphics)
        assert process.stderr is not None
        assert process.stderr.read().decode().split() == ["drawn", wanted, "False"]
    os.close(ours)


@pytest.mark.parametrize(("wanted", "drawn"), [("auto", "half"), ("sixel", "half"), ("half", "half"), ("off", "off")])
def test_without_a_terminal_nobody_is_asked(wanted: str, drawn: str) -> None:
    assert pixels.drawn_as(wanted) == drawn


def test_without_textual_image_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "find_spec", lambda name: None)
    assert pixels.drawn_as("auto") == "half"
    with pytest.raises(WeftError, match=r"sixel needs textual-image; install weft\[images\]"):
        pixels.drawn_as("sixel")


@pytest.mark.parametrize(("kind", "sign"), [("sixel", "\x1bP"), ("tgp", "\U0010eeee"), ("half", "▀")])
def test_a_finished_picture_is_drawn_as_the_terminal_can(kind: str, sign: str, tmp_path: Path) -> None:
    file, made = tmp_path / "x.json", tmp_path / "made.png"
    file.write_text(json.dumps(WORKFLOW))
    made.write_bytes(picture())

    async def work(stage: Stage) -> None:
        stage.app.show_screen("image", path=str(made))
        await stage.until(lambda: "8 × 8" in stage.text())
        await stage.until(lambda: sign in stage.text())
        await stage.press("escape")
        assert stage.screen_name == "main"

    play(work, tmp_path, file, pixels=kind)
