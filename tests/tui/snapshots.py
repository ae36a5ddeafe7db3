"""Pictures of the screen as SVG, small and without anything that changes by itself; and whether they are as before."""

import difflib
import html
import os
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import textual
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.app import App

KEPT = Path(__file__).parent / "snapshots"
UPDATE = os.environ.get("WEFT_SNAPSHOTS") == "update"
COLUMN, ROW, SIZE = 8.4, 16, 14
"""Pixels of a cell, and of its font."""
BASE = 12
"""The line on which letters stand, from the top of a cell."""
HALF = "▀"
"""Drawn as what it is, because fonts leave gaps."""
FRONT, BACK = "#d0d0d0", "#000000"
"""The colours of a terminal's own."""
_MADE_BY = re.compile(r"<!-- textual (\S+) -->")


def drawn(app: App[object]) -> str:
    """The screen as SVG: behind each row its backgrounds, then its text in runs of one style."""
    columns, rows = app.size
    console = Console(width=columns, height=rows, force_terminal=True, color_system="truecolor", legacy_windows=False)
    update = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens, simplify=True)
    segments = [segment for segment in console.render(update) if not segment.control]  # type: ignore[arg-type]
    parts = [
        f"<!-- textual {textual.__version__} -->",
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {columns * COLUMN:.0f} {rows * ROW}" '
        f'font-family="monospace" font-size="{SIZE}" shape-rendering="crispEdges" xml:space="preserve">',
        f'<rect width="100%" height="100%" fill="{BACK}"/>',
    ]
    for y, line in enumerate(Segment.split_lines(segments)):
        parts += _row(y, line)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _row(y: int, line: list[Segment]) -> Iterator[str]:
    x, runs = 0, []
    for segment in line:
        runs.append((x, segment.text, *_look(segment.style or Style())))
        x += cell_len(segment.text)
    for back, group in groupby(runs, key=lambda run: run[3]):
        same = list(group)
        wide = sum(cell_len(run[1]) for run in same)
        if back != BACK:
            place = f'x="{same[0][0] * COLUMN:.1f}" y="{y * ROW}" width="{wide * COLUMN:.1f}" height="{ROW}"'
            yield f'<rect {place} fill="{back}"/>'
    spans = []
    for at, text, front, _, more in runs:
        inked = text.strip()
        if inked and not inked.strip(HALF):
            place = f'y="{y * ROW}" height="{ROW // 2}" width="{cell_len(text) * COLUMN:.1f}"'
            yield f'<rect x="{at * COLUMN:.1f}" {place} fill="{front}"/>'
        elif inked:
            at += cell_len(text[: text.index(inked)])
            spans.append(f'<tspan x="{at * COLUMN:.1f}" fill="{front}"{more}>{html.escape(inked, quote=False)}</tspan>')
    if spans:
        yield f'<text y="{y * ROW + BASE}">' + "".join(spans) + "</text>"


def _look(style: Style) -> tuple[str, str, str]:
    """(colour, background, what else a run's element says)."""
    front = style.color.get_truecolor().hex if style.color is not None and not style.color.is_default else FRONT
    back = style.bgcolor.get_truecolor().hex if style.bgcolor is not None and not style.bgcolor.is_default else BACK
    if style.reverse:
        front, back = back, front
    more = ' font-weight="bold"' if style.bold else ""
    more += ' text-decoration="underline"' if style.underline else ""
    return front, back, more + (' opacity="0.6"' if style.dim else "")


def words(svg: str) -> list[str]:
    """The text on the screen, row by row, without the spaces between runs."""
    rows = re.findall(r"<text y=.*?</text>", svg)
    return [html.unescape(" ".join(re.findall(r"<tspan[^>]*>(.*?)</tspan>", row))) for row in rows]


def compare(name: str, svg: str, made: Path) -> None:
    """Fail where a screen looks otherwise than the one kept under that name; with WEFT_SNAPSHOTS=update, keep it.

    Another version of Textual may place and blend otherwise by a hair: then only the text counts.
    """
    path = KEPT / f"{name}.svg"
    if UPDATE:
        KEPT.mkdir(exist_ok=True)
        path.write_text(svg, encoding="utf-8")
        return
    assert path.is_file(), f"no snapshot is kept as {path.name}: WEFT_SNAPSHOTS=update makes it"
    kept = path.read_text(encoding="utf-8")
    by = _MADE_BY.search(kept)
    same = kept == svg if by is not None and by[1] == textual.__version__ else words(kept) == words(svg)
    if not same:
        now = made / path.name
        now.write_text(svg, encoding="utf-8")
        told = "\n".join(difflib.unified_diff(words(kept), words(svg), "kept", "now", lineterm="", n=1))
        raise AssertionError(f"{name} looks otherwise; it is in {now}; if that is right, WEFT_SNAPSHOTS=update\n{told}")
