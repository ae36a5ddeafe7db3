"""Values of a node: by name from its list of widgets, and of the kind that its input takes."""

from collections.abc import Iterator, Sequence
from typing import Any

from commands.importing.core import KINDS, Signature, Socket

CONTROLS = ("fixed", "increment", "decrement", "randomize", "increment-wrap")
BROWSER = ("upload", "choose file to upload", "video-preview", "control_after_generate", "speak_and_recognation")
"""Inputs that only ComfyUI's editor knows."""


def named(signature: Signature, values: Sequence[Any], linked: frozenset[str]) -> tuple[dict[str, Any], list[Any]]:
    """(values by the name of their input, those left over).

    linked: the widgets that are fed by a link. They keep their place in the list, but for files in which it is too
    short by as many.
    """
    found, rest = _dealt(signature.widgets, values)
    if not rest and len(found) < len(signature.widgets) and linked:
        without = [widget for widget in signature.widgets if widget.name not in linked]
        other, over = _dealt(without, values)
        if not over and len(other) == len(without):
            return other, over
    return found, rest


def _dealt(widgets: Sequence[Socket], values: Sequence[Any]) -> tuple[dict[str, Any], list[Any]]:
    found: dict[str, Any] = {}
    left = Reader(values)
    for widget in widgets:
        if widget.kind == "U":
            if left.ahead in ("image", "video", "audio"):
                left.take()
            continue
        if left.empty:
            continue
        found[widget.name] = left.take()
        if widget.kind == "N" and not left.empty and is_control(left.ahead):
            left.take()
    return found, list(left.rest())


def is_control(value: object) -> bool:
    """Whether a value says what becomes of the seed before it; files before mid-2023 have a boolean there."""
    return isinstance(value, bool) or value in CONTROLS


class Reader:
    """A list that is read from the front."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values, self._at = values, 0

    @property
    def empty(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._values)

    @property
    def ahead(self) -> Any:
        """The next value, which stays; None where nothing is left."""
        return None if self.empty else self._values[self._at]

    def take(self) -> Any:
        """The next value."""
        self._at += 1
        return self._values[self._at - 1]

    def rest(self) -> Iterator[Any]:
        """What is left."""
        return iter(self._values[self._at :])


def typed(socket: Socket, value: Any) -> Any:
    """A constant as its input takes it. TypeError, with what was expected, for one that it does not take."""
    if isinstance(value, dict) and list(value) == ["__value__"]:
        value = value["__value__"]
    kind = socket.kind
    if kind in ("S", "C", "U") and isinstance(value, str):
        return value
    if kind == "C" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if kind == "B" and isinstance(value, bool):
        return value
    if kind in ("I", "N", "F") and isinstance(value, int | float) and not isinstance(value, bool):
        if kind == "F":
            return plain(float(value))
        if value == int(value):
            return int(value)
    raise TypeError(KINDS.get(kind, "a link"))


def plain(value: float) -> float:
    """A number without the digits that adding 0.01 in a browser leaves: 0.8700000000000001 is 0.87."""
    return round(value, 10)
