"""Cells of a terminal: box-drawing glyphs from directions, widths of text, and a sparse grid of coloured spans."""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from engine.views.model import Net

UP, RIGHT, DOWN, LEFT = 1, 2, 4, 8

GLYPHS = " ╵╶╰╷│╭├╴╯─┴╮┤┬┼"
"""The glyph of a cell by the sum of the directions in which it is connected."""

IDLE = "○"
"""The state glyph of a node about which nothing is known."""

_NARROW = frozenset(GLYPHS + IDLE + "●⚠")

Role = Literal["blank", "wire", "border", "state", "id", "type", "port", "note"]


@dataclass(frozen=True, slots=True)
class Span:
    """A run of text of one look.

    role: what it is; net: the (node, output) whose wire it belongs to, if it is of one wire alone; kind: that wire's
    or port's socket; box: the node it belongs to, if it is part of one.
    """

    text: str
    role: Role = "blank"
    net: Net | None = None
    kind: str = ""
    box: str = ""

    def reading(self, text: str) -> "Span":
        """Another text in the same look."""
        return Span(text, self.role, self.net, self.kind, self.box)


def width(text: str) -> int:
    """How many columns a terminal gives to `text`: two for wide characters, none for combining marks."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(char: str) -> int:
    if char in _NARROW:
        return 1
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def padded(text: str, columns: int) -> str:
    """`text` with spaces behind it up to `columns` columns; longer text comes back as it is."""
    return text + " " * (columns - width(text))


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same line in as few spans as possible."""
    line: list[Span] = []
    texts: list[str] = []
    for span in spans:
        if line and _alike(line[-1], span):
            texts.append(span.text)
            continue
        if len(texts) > 1:
            line[-1] = line[-1].reading("".join(texts))
        line.append(span)
        texts = [span.text]
    if len(texts) > 1:
        line[-1] = line[-1].reading("".join(texts))
    return tuple(line)


def _alike(a: Span, b: Span) -> bool:
    return a is b or (a.role == b.role and a.net == b.net and a.kind == b.kind and a.box == b.box)


def plain(lines: Iterable[Iterable[Span]]) -> str:
    """Lines of spans as text without colour, each line ended by a newline and free of spaces at its end."""
    return "".join("".join(s.text for s in line).rstrip() + "\n" for line in lines)


class Grid:
    """A sheet of cells, addressed by column x and row y from the top left. Only cells that were written take space."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[int, tuple[str, Span]]] = {}

    def put(self, x: int, y: int, span: Span) -> None:
        """Write the span's text from (x, y) rightwards, over what was there."""
        row = self._rows.setdefault(y, {})
        if span.text.isascii():
            row.update(zip(range(x, x + len(span.text)), ((char, span) for char in span.text), strict=True))
            return
        if span.text in _NARROW:
            row[x] = (span.text, span)
            return
        last = x
        for char in span.text:
            columns = _width(char)
            if not columns:
                row[last] = (row[last][0] + char if last in row else char, span)
                continue
            last = x
            row[x] = (char, span)
            if columns == 2:
                row[x + 1] = ("", span)
            x += columns

    def lines(self) -> Iterator[tuple[Span, ...]]:
        """The sheet from row 0 to the last row written, each as merged spans from column 0 on."""
        for y in range(max(self._rows, default=-1) + 1):
            row = self._rows.get(y, {})
            line: list[Span] = []
            texts: list[str] = []
            column = 0
            for x in sorted(row):
                char, span = row[x]
                if x > column:
                    line.append(_BLANK)
                    texts.append(" " * (x - column))
                if line and _alike(line[-1], span):
                    texts[-1] += char
                else:
                    line.append(span)
                    texts.append(char)
                column = x + 1
            yield tuple(span.reading(text) for span, text in zip(line, texts, strict=True))


_BLANK = Span("")
