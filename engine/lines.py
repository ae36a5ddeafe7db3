"""Lines and columns of a text, and the excerpt that an error shows: the line with a caret under the place."""

import unicodedata

from engine.text import visible

BEFORE, AFTER = 60, 40


class Lines:
    """Positions in one text: offsets count from 0, lines and columns from 1, columns in characters.

    Only a line feed ends a line. Positions asked for in file order cost one pass over the text in all.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._line, self._offset = 1, 0
        self._starts = {1: 0}

    def position(self, offset: int) -> tuple[int, int]:
        """(line, column) of the character at `offset`; the length of the text is the position after its end."""
        if offset < self._offset:
            self._line, self._offset = 1, 0
        self._line += self.text.count("\n", self._offset, offset)
        self._offset = offset
        start = self.text.rfind("\n", 0, offset) + 1
        self._starts[self._line] = start
        return self._line, offset - start + 1

    def start(self, line: int) -> int:
        """The offset at which `line` starts (the end of the text, if it has fewer lines)."""
        if line not in self._starts:
            offset = 0
            for _ in range(line - 1):
                offset = self.text.find("\n", offset) + 1
                if not offset:
                    return len(self.text)
            self._starts[line] = offset
        return self._starts[line]

    def excerpt(self, line: int, column: int) -> str:
        """Two lines: the line of the text, made visible and cut around `column`, and a caret under that column."""
        start = self.start(line)
        end = self.text.find("\n", start)
        end = len(self.text) if end < 0 else end
        caret = start + column - 1
        first, last = max(start, caret - BEFORE), min(end, caret + AFTER)
        before = ("…" if first > start else "") + _shown(self.text[first:caret])
        after = _shown(self.text[caret:last]) + ("…" if last < end else "")
        return f"  {before}{after}\n  {' ' * _width(before)}^"


def _shown(text: str) -> str:
    return visible(text.rstrip("\r").replace("\t", " "))


def _width(text: str) -> int:
    """How many cells of a terminal `text` takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in text
    )
