"""The tokens of a JSON text, and what is wrong within one; `jsonscan` puts them together."""

import json
import math
import re
from dataclasses import dataclass, field

from engine.errors import Place, Problem
from engine.lines import Lines
from engine.source import Source
from engine.text import visible

DIGITS = 20
"""Digits of an integer; 2^64 has 20."""

MOST = 20
"""Problems named before the reading stops."""

_SPACES = re.compile(r"[ \t\n\r]*")
_COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*(?:[^*]++|\*(?!/))*+(?:\*/|\Z)")
SINGLE = re.compile(r"'(?:[^'\\\n]++|\\.)*+'|‘[^’\n]*’|[“”][^”\n]*”")
# A number, or a word, or what someone took for one.
WORD = re.compile(r"[-+.\w$]+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(\.[0-9]++)?([eE][-+]?[0-9]++)?")
_NOT_FINITE = re.compile(r"[-+]?(?:nan|inf|infinity)", re.IGNORECASE)
_WORDS = {"True": "true", "False": "false", "None": "null", "undefined": "null", "nil": "null", "NULL": "null"}
# The part of a text that is right: plain characters, escapes, and surrogates in pairs.
_RIGHT = re.compile(
    r'(?:[^"\\\x00-\x1f\ud800-\udfff]++'
    r'|\\["\\/bfnrt]'
    r"|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+"
)
_HALF = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}|[\ud800-\udfff]")


@dataclass(slots=True)
class Open:
    """An object or list that is not closed yet."""

    offset: int
    is_object: bool
    key: str = ""
    """The key that is being read."""
    keys: dict[str, int] = field(default_factory=dict)
    """Where each key stood first."""

    @property
    def kind(self) -> str:
        """What it is called in messages."""
        return "an object" if self.is_object else "a list"


class Stop(Exception):
    """What follows can only be guessed."""


class Tokens:
    """Reads one token at a time from `at`, and notes what is wrong."""

    def __init__(self, source: Source) -> None:
        self.name, self.text = source.name, source.text
        self.lines = Lines(source.text)
        self.at = 0
        self.last_end = 0
        self.comma = 0
        self.stack: list[Open] = []
        self.found: list[Problem] = []

    # What every problem says.

    def problem(self, offset: int, what: str, hint: str = "", code: str = "E-JSON", whole: bool = False) -> None:
        """Note a problem at `offset`; `whole`: of the file as a whole, not of the input being read. Raises Stop when
        enough are noted."""
        line, column = self.lines.position(offset)
        node, name = ("", "") if whole else self.inside()
        place = Place(self.name, line, column, node, name)
        self.found.append(Problem(code, what, hint, place, excerpt=self.lines.excerpt(line, column)))
        if len(self.found) >= MOST:
            raise Stop

    def inside(self) -> tuple[str, str]:
        """The node and the input that are being read: what follows nodes -> <id> -> <input>."""
        keys = [o.key for o in self.stack[:3]]
        if len(keys) < 2 or keys[0] != "nodes":
            return "", ""
        return visible(keys[1], 64), visible("".join(keys[2:]), 64)

    def where(self, offset: int) -> str:
        """The line and column of an offset, as messages write them."""
        line, column = self.lines.position(offset)
        return f"{line}:{column}"

    # Between tokens.

    def skip(self) -> None:
        """Pass what stands between two tokens: spaces, and what others take for spaces or comments."""
        while True:
            self.at = _SPACES.match(self.text, self.at).end()  # type: ignore[union-attr]
            c = self.text[self.at : self.at + 1]
            if c in ("/", "#") and (comment := _COMMENT.match(self.text, self.at)):
                self.problem(self.at, "JSON allows no comments", 'remove it, or write it into "about"')
                self.at = comment.end()
            elif c and (c.isspace() or c == "\ufeff"):
                self.problem(self.at, f"U+{ord(c):04X} is no space to JSON", "write a plain space")
                self.at += 1
            else:
                return

    # Tokens.

    def string(self) -> str:
        """Pass the text in double quotes that starts here; what it says, as far as it is right."""
        start = self.at
        while True:
            self.at = _RIGHT.match(self.text, self.at + 1 if self.at == start else self.at).end()  # type: ignore[union-attr]
            c = self.text[self.at : self.at + 1]
            if c == '"':
                self.at += 1
                break
            if c in ("", "\n"):
                self.unclosed(start, c)
            elif half := _HALF.match(self.text, self.at):
                count = len(self.decoded(start, self.at)) + 1
                what = f"not valid Unicode at character {count}"
                self.problem(self.at, what, f"{visible(half.group())} is half of a character", "E-ENC")
                self.at = half.end()
            elif c == "\\":
                escape = visible(self.text[self.at : self.at + 2])
                self.problem(self.at, f"{escape} is no escape of JSON", r"write \\ for a backslash")
                self.at += 2
            else:
                escape = {"\t": r"\t", "\r": r"\r"}.get(c, f"\\u{ord(c):04x}")
                self.problem(self.at, f"control character {visible(c)} inside a text", f"write {escape}")
                self.at += 1
        return self.decoded(start, self.at - 1)

    def decoded(self, start: int, end: int) -> str:
        """What the text from the quote at `start` up to `end` says; as written, if it has a wrong escape."""
        written = self.text[start + 1 : end]
        if "\\" not in written:
            return written
        try:
            return str(json.loads(f'"{written}"', strict=False))
        except ValueError:
            return written

    def unclosed(self, start: int, c: str) -> None:
        """Note that the text from `start` has no end before `c`, a line feed or nothing. Raises Stop."""
        if c:
            self.problem(
                start, "the text that starts here has no closing quote", r"close it; a line break inside is \n"
            )
        else:
            self.problem(self.at, "the file ends inside a text", f"it opens at {self.where(start)}")
        raise Stop

    def word(self, word: str) -> None:
        """Judge what stands where a value is due and is no text, object or list."""
        if word in ("true", "false", "null"):
            return
        if _NOT_FINITE.fullmatch(word):
            self.problem(self.at, f"{word} is not a number a workflow can hold", "write a plain number", "E-NUM")
        elif number := _NUMBER.fullmatch(word):
            self.number(word, is_integer=number.group(1) is None and number.group(2) is None)
        elif word in _WORDS:
            self.problem(self.at, f"{word} is not JSON", f"write {_WORDS[word]}")
        elif word[0].isdigit() or word[0] in "+-.":
            hint = "JSON writes numbers as 7, -12, 0.5 or 1e-3"
            self.problem(self.at, f"{visible(word, 40)} is not a number", hint)
        else:
            self.problem(self.at, f"{visible(word, 40)} is not JSON", 'a text is in "double quotes"')

    def number(self, word: str, is_integer: bool) -> None:
        """Judge a number of the right form."""
        if is_integer:
            digits = len(word.lstrip("-"))
            if digits > DIGITS:
                what = f"integer of {digits} digits, limit {DIGITS}"
                self.problem(self.at, what, "write a smaller number", "E-NUM")
        elif math.isinf(float(word)):
            self.problem(self.at, f"{visible(word, 40)} is too large", "write a number below 1.8e308", "E-NUM")
