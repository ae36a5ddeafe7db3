"""A difference of two workflows in full, and taking it back. Pure."""

import difflib
import re
from collections.abc import Mapping
from typing import Any, Literal

from engine.diff import ABSENT, Difference
from engine.jsonedit import remove_value, replace_value
from engine.jsontext import JsonPath
from tui.edits import dumps

Piece = tuple[Literal["same", "gone", "new"], str]
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
MOST = 2000
"""Words of a text of which those that differ are found; longer ones are shown as they are."""


def pieces(difference: Difference) -> tuple[list[Piece], list[Piece]]:
    """(before, after) in full, each in pieces that the other has too or has not. Empty where it is absent."""
    before, after = (_shown(value) for value in (difference.before, difference.after))
    if difference.sign != "~":
        return [("gone", before)] if before else [], [("new", after)] if after else []
    a, b = _WORDS.findall(before), _WORDS.findall(after)
    if max(len(a), len(b)) > MOST:
        return [("gone", before)], [("new", after)]
    left: list[Piece] = []
    right: list[Piece] = []
    for kind, a0, a1, b0, b1 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        same = kind == "equal"
        if a1 > a0:
            left.append(("same" if same else "gone", "".join(a[a0:a1])))
        if b1 > b0:
            right.append(("same" if same else "new", "".join(b[b0:b1])))
    return left, right


def taken_back(text: str, data: Mapping[str, Any], difference: Difference) -> str:
    """The text of the second workflow with this one difference to the first undone, as the first has it.

    data: what the text holds. Raises KeyError where what would hold the value is not there any more.
    """
    path = _path(difference, data)
    name, key = difference.path.removeprefix("$").partition(".")[::2]
    if difference.path.startswith("$") and difference.what == "value":
        declared = data["params"][name]
        if not isinstance(declared, dict) and key != "default":
            # The short form has no place for it.
            whole = {"default": declared, key: difference.before}
            return replace_value(text, ("params", name), dumps(whole))
    if difference.before is ABSENT:
        return remove_value(text, path)
    if difference.what == "param" and "params" not in data:
        return replace_value(text, ("params",), dumps({name: difference.before}))
    return replace_value(text, path, dumps(difference.before))


def _path(difference: Difference, data: Mapping[str, Any]) -> JsonPath:
    name, dot, key = difference.path.partition(".")
    if not name.startswith("$"):
        inside = difference.what == "node" or dot
        return ("nodes", name, *([key] if dot else [])) if inside else (name,)
    name = name[1:]
    if difference.what == "param":
        return ("params", name)
    short = not isinstance(data["params"][name], dict)
    return ("params", name) if short else ("params", name, key)


def _shown(value: Any) -> str:
    if value is ABSENT:
        return ""
    return value if isinstance(value, str) else dumps(value)
