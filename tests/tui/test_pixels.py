"""Finished pictures in the terminal's own pixels: what a terminal says that it can, and what is then drawn."""

import asyncio
import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_engine import WORKFLOW, Stage, picture, play
from PIL import Image
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


def test_a_large_picture_is_encoded_beside_the_event_loop(tmp_path: Path) -> None:
    made = tmp_path / "made.png"
    rows = range(1200)
    noise = bytes((x * x + 7 * y * x) >> 3 & 255 for y in rows for x in range(1200))
    Image.merge("RGB", [Image.frombytes("L", (1200, 1200), noise)] * 3).save(made)
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            before = time.thread_time()  # of the loop's thread alone, however busy the machine is
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)

    async def work(stage: Stage) -> None:
        beating = asyncio.ensure_future(beat())
        stage.app.show_screen("image", path=str(made))
        await stage.until(lambda: "\x1bP" in stage.text(), 60)
        beating.cancel()
        sixels = stage.text().partition("\x1bP")[2].partition("\x1b\\")[0]
        assert len(sixels) > 100_000
        assert longest < 0.1

    play(work, tmp_path, pixels="sixel", size=(160, 50))


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
