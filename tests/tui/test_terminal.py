"""weft in a real terminal, with the real engine and the model that ships. Skipped where tmux is absent."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from real_terminal import PROMPT, TMUX, Terminal, digit

pytestmark = pytest.mark.skipif(TMUX is None, reason="tmux is absent")

SLOW = {"steps": {"default": 1000, "min": 1, "max": 1000}}
"""Enough steps that a run can be interrupted."""
Opens = Callable[..., Terminal]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Opens]:
    """A function that opens a terminal; all are closed at the end, whatever happened."""
    opened: list[Terminal] = []

    def make(size: tuple[int, int] = (120, 40), **env: str) -> Terminal:
        opened.append(Terminal(tmp_path, size, **env))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def test_it_opens_a_file_a_name_and_the_start(tmp_path: Path, terminal: Opens) -> None:
    digit(tmp_path)
    shown = terminal()
    shown.weft("tui", "digit.json")
    shown.until("10 of 10 will run")
    assert "◌ denoise" in shown.text()
    assert "LoadCheckpoint" in shown.row(" base ")
    shown.press("C-q")
    shown.until(lambda: shown.told("alternate_on") == "0")
    shown.weft()
    shown.until("ddpm-digits")
    shown.until("digit.json")
    assert shown.told("alternate_on") == "1", "among what was opened lately"


def test_a_param_is_edited_saved_and_run(tmp_path: Path, terminal: Opens) -> None:
    file = digit(tmp_path)
    shown = terminal()
    shown.weft("tui", "digit.json")
    shown.until("will run")
    shown.press("2", "End", "Up", "Enter")
    shown.until("╭─ seed")
    shown.press("C-u", "1", "2")
    shown.until("│ 12 ")
    shown.press("Enter")
    shown.until("● modified")
    shown.press("C-s")
    shown.until(lambda: json.loads(file.read_text())["params"]["seed"] == 12)
    shown.press("F5")
    shown.until("✓ done")
    assert (tmp_path / "out" / "digit-3-12.png").is_file()
    shown.until("✓ save")
    shown.until(lambda: shown.text().count("▀") > 200)
    shown.press("F5")
    shown.until("run 2")
    shown.until("✓ done")
    assert "≡ denoise" in shown.text(), "nothing is made twice"


def test_story_3_a_graph_of_42_nodes_is_searched_edited_run_and_cancelled(tmp_path: Path, terminal: Opens) -> None:
    """What was made before is not made again, the picture of the cancelled step stays, and the terminal is restored."""
    file = digit(tmp_path)
    made = json.loads(file.read_text())
    nodes = made["nodes"]
    nodes["hires"] = {**nodes["guide"], "scale": 1.5}
    nodes["many"] = {**nodes["schedule"], "steps": 1000}
    nodes["again"] = {**nodes["denoise"], "guider": "@hires", "schedule": "@many", "noise": "@noise"}
    nodes["decode"]["latent"] = "@again"
    nodes["first"] = {"type": "VAEDecode", "vae": "@base.vae", "latent": "@denoise"}
    nodes["both"] = {"type": "ImageGrid", "images": ["@first", "@decode"], "columns": 2}
    nodes["save"]["image"] = "@both"
    nodes |= {f"text_{n}": {"type": "Text", "value": f"part {n}"} for n in range(42 - len(nodes))}
    file.write_text(json.dumps(made, indent=2))
    shown = terminal((80, 24))
    shown.weft("tui", "digit.json")
    shown.until("15 of 42 will run")
    assert len(nodes) == 42
    shown.press("/", *"first", "Enter", "r")
    shown.until("✓ done")
    shown.press("/", *"hires", "Enter", "2", "Down", "Down", "Down", "Enter", "8", "Enter", "1")
    shown.until("● modified")
    shown.until(lambda: re.search(r"✓ denoise|≡ denoise", shown.text()))
    shown.press("F5")
    shown.until(lambda: re.search(r"▶ again .*[5-9]\d*/1000", shown.text()))
    assert re.search(r"[✓≡] denoise", shown.text()), "only what is stale runs"
    shown.press("x")
    assert shown.until("⊘ cancelled") < 3
    shown.press("3")
    shown.until(lambda: shown.text().count("▀") > 100)
    assert not list((tmp_path / "out").glob("*.png"))
    shown.press("C-q")
    shown.until("changes that are not saved")
    shown.press("d")
    shown.until(lambda: shown.told("alternate_on") == "0")


def test_story_5_the_engine_is_killed_and_f5_works_again(tmp_path: Path, terminal: Opens) -> None:
    file = digit(tmp_path, **SLOW)
    shown = terminal()
    shown.weft("tui", "digit.json")
    shown.until("will run")
    shown.press("F5")
    shown.until(lambda: re.search(r"▶ denoise .*[1-9]\d*/1000", shown.text()))
    shown.kill_engine()
    took = shown.until("signal 9")
    assert took < 2, "a second, and what looking at the screen takes on a busy machine"
    assert "Traceback" not in shown.text()
    assert "✗ denoise" in shown.text()
    digit(tmp_path)
    shown.until("reloaded digit.json")
    shown.press("F5")
    shown.until("✓ done")
    assert (tmp_path / "out" / "digit-3-7.png").is_file()
    assert file.is_file()


def test_resizing_draws_everything_anew(tmp_path: Path, terminal: Opens) -> None:
    digit(tmp_path)
    shown = terminal((120, 40))
    shown.weft("tui", "digit.json")
    shown.until("will run")
    for columns, rows in ((80, 24), (200, 60), (60, 16), (120, 40)):
        shown.resize(columns, rows)
        shown.until(lambda columns=columns, rows=rows: _fills(shown.text(), columns, rows))  # type: ignore[misc]
        assert "denoise" in shown.text()
    shown.resize(50, 12)
    shown.until("too small: 60 × 16 at least")
    shown.resize(80, 24)
    shown.until("denoise")


def _fills(text: str, columns: int, rows: int) -> bool:
    """Whether everything there is room for is drawn, from corner to corner."""
    lines = text.splitlines()
    whole = len(lines) == rows and lines[-1].endswith("keys") and len(lines[-1]) in (columns, columns - 1)
    return whole and "will run" in lines[-2] and ("Preview" in text) == (columns >= 100)


def test_leaving_restores_the_terminal_and_ends_the_engine(tmp_path: Path, terminal: Opens) -> None:
    digit(tmp_path, **SLOW)
    shown = terminal()
    shown.type("stty -a > before")
    shown.press("Enter")
    shown.weft("tui", "digit.json")
    shown.until("will run")
    assert (shown.told("alternate_on"), shown.told("mouse_any_flag")) == ("1", "1")
    shown.press("F5")
    shown.until(lambda: re.search(r"▶ denoise .*[1-9]\d*/1000", shown.text()))
    assert len(shown.engines()) == 1
    shown.press("C-q")
    shown.until(lambda: shown.told("alternate_on") == "0")
    shown.until(lambda: shown.text().rstrip().endswith(PROMPT))
    assert (shown.told("mouse_any_flag"), shown.told("cursor_flag"), shown.told("bracket_paste_flag")) in {
        ("0", "1", "0"), ("0", "1", ""),
    }  # fmt: skip
    assert shown.engines() == []
    shown.type("stty -a > after; echo code $?")
    shown.press("Enter")
    shown.until("code 0")
    assert (tmp_path / "after").read_text() == (tmp_path / "before").read_text()
    assert "denoise" not in shown.text(), "what was on the screen before is there again"


def test_story_8_without_colours_states_are_glyphs_and_words(tmp_path: Path, terminal: Opens) -> None:
    digit(tmp_path)
    shown = terminal((120, 40), NO_COLOR="1", TERM="dumb")
    shown.weft("tui", "digit.json")
    shown.until("will run")
    assert "◌ denoise" in shown.text()
    for red, green, blue in re.findall(r"8;2;(\d+);(\d+);(\d+)m", shown.text(colours=True)):
        assert red == green == blue, "greys only"
    assert not re.search(r"\x1b\[(?:3[1-6]|4[1-6]|9[1-6]|10[1-6])m", shown.text(colours=True))
    shown.press("C-q")
    shown.until(lambda: shown.told("alternate_on") == "0")


def test_a_broken_file_opens_with_its_errors_and_a_mend_is_seen_within_a_second(
    tmp_path: Path, terminal: Opens
) -> None:
    """Story 2, as a person meets it: a typo, told where it is; mended while it is open."""
    file = digit(tmp_path)
    right = file.read_text()
    file.write_text(right.replace('"UNetDenoise"', '"UNetDenoiser"'))
    shown = terminal()
    shown.weft("tui", "digit.json")
    shown.until("⚠ denoise")
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "UNetDenoiser" in text)
    shown.until(f"digit.json:{line}:")
    shown.until("denoise · ")  # the cursor is at the first error
    time.sleep(0.1)
    file.write_text(right)
    took = shown.until("reloaded digit.json", 10)
    shown.until("◌ denoise")
    assert took < 2
    assert "denoise · UNetDenoise" in shown.text()
