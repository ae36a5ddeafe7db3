"""JSON read strictly: what JSON does not allow, and what a workflow cannot hold, is an error with its place.

The standard library's C parser reads the text. Where it stumbles, or a hook below sees something that it would let
pass (a key that stands twice, NaN, 1e999), `jsonscan` reads the text again and names everything that is wrong.
"""

import json
import math
import re
from typing import NamedTuple, NoReturn, TypeAlias

from engine.errors import error
from engine.jsonscan import DEPTH, problems
from engine.jsontoken import DIGITS
from engine.lines import Lines
from engine.source import Source

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"
JsonPath: TypeAlias = tuple[str | int, ...]


class Json:
    """A JSON text that holds no error: its value, and where each part of it stands."""

    def __init__(self, source: Source, value: JsonValue) -> None:
        self.source = source
        self.value = value
        self._lines = Lines(source.text)
        self._members: dict[int, dict[str | int, Member]] = {}

    def locate(self, path: JsonPath, key: bool = False) -> tuple[int, int]:
        """(line, column), from 1, of the value at `path`, or of its key.

        Where the text does not have all of `path` (an input left out, a file migrated in memory), the place is that
        of the part which it has. An element of a list has no key: the place is that of the element.
        """
        here = Member(0, _spaces(self.source.text, 0), 0)
        for step in path:
            if here.start not in self._members:
                self._members[here.start] = members(self.source.text, here.start)
            found = self._members[here.start].get(step)
            if found is None:
                return self._lines.position(here.start)
            here = found
        return self._lines.position(here.key if key and path else here.start)

    def excerpt(self, line: int, column: int) -> str:
        """That line of the text, cut around the column, and a caret under it, for `Problem.excerpt`."""
        return self._lines.excerpt(line, column)


def parse(source: Source) -> Json:
    """The JSON of `source`, with every number finite and every text valid Unicode.

    Raises WorkflowError with all that is wrong (the first 20): E-JSON, E-DEPTH (nested deeper than 64), E-DUPKEY,
    E-NUM (NaN, infinite, an integer of more than 20 digits), E-ENC (half of a surrogate pair), E-EMPTY.
    """
    try:
        value: JsonValue = _DECODER.decode(source.text)
    except (ValueError, RecursionError):
        raise error(problems(source)) from None
    if (_is_deep(value) or _may_hold_half_a_character(source.text)) and (found := problems(source)):
        raise error(found)
    return Json(source, value)


def dump_canonical(value: JsonValue) -> str:
    """The one JSON text of `value`: sorted keys, no spaces, ASCII; 1 and 1.0 stay different. ValueError for NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


class Member(NamedTuple):
    """A value inside an object or list, by offsets: where its key starts (in a list: it itself), start and end."""

    key: int
    start: int
    end: int


_SPACES = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"')
_SCALAR = re.compile(r"[^ \t\n\r,\]}]+")
_MARK = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}]')


def members(text: str, start: int) -> dict[str | int, Member]:
    """The members, by key or index, of the object or list at `start` of a text without errors; else nothing."""
    found: dict[str | int, Member] = {}
    if text[start] not in "{[":
        return found
    at = _spaces(text, start + 1)
    while text[at] not in "}]":
        name: str | int = len(found)
        key = at
        if text[start] == "{":
            end = _end(text, at)
            name = str(json.loads(text[at:end]))
            at = _spaces(text, _spaces(text, end) + 1)
        end = _end(text, at)
        found[name] = Member(key, at, end)
        at = _spaces(text, end)
        if text[at] == ",":
            at = _spaces(text, at + 1)
    return found


def _spaces(text: str, at: int) -> int:
    match = _SPACES.match(text, at)
    return match.end() if match else at


def _end(text: str, start: int) -> int:
    """The offset after the value that starts at `start`."""
    if text[start] not in "{[":
        match = (_STRING if text[start] == '"' else _SCALAR).match(text, start)
        return match.end() if match else len(text)
    depth = 0
    for mark in _MARK.finditer(text, start):
        c = mark.group()
        if c in "{[":
            depth += 1
        elif c in "}]":
            depth -= 1
            if not depth:
                return mark.end()
    return len(text)


# What the C parser would let pass. Each hook only doubts: `jsonscan` then says what is wrong.


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > DIGITS:
        raise ValueError("too many digits")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("too large")
    return value


def _constant(text: str) -> NoReturn:
    raise ValueError(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
)
# A surrogate escape without its other half beside it. Behind an escaped backslash it is plain text: hence the doubt.
_HALF = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)


def _may_hold_half_a_character(text: str) -> bool:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return True
    return "\\u" in text and _HALF.search(text) is not None


def _is_deep(value: JsonValue) -> bool:
    level: list[JsonValue] = [value]
    for _ in range(DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent if isinstance(parent, list) else ())
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
