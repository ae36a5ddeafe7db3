"""What differs between two workflows, down to each input of each node."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.text import quoted, visible

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "absent"})()


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that one workflow has and the other has not, or has otherwise.

    what: "node" or "param" for a whole one, "value" for a part of one. path: its name, such as `$steps`, `guide`, or
    `guide.scale`. before, after: as the files have it, or ABSENT.
    """

    what: Literal["node", "param", "value"]
    path: str
    before: Any
    after: Any

    @property
    def sign(self) -> str:
        """+ added, - removed, ~ changed."""
        return "+" if self.before is ABSENT else "-" if self.after is ABSENT else "~"

    def __str__(self) -> str:
        name = visible(self.path)
        if self.sign == "~":
            return f"~ {name}: {_shown(self.before)} → {_shown(self.after)}"
        value = self.after if self.sign == "+" else self.before
        if self.what == "node":
            kind = value.get("type", "") if isinstance(value, Mapping) else ""
            return f"{self.sign} node {name} ({visible(str(kind))})"
        if self.what == "param":
            return f"{self.sign} param {name}" + (f" = {_shown(value['default'])}" if "default" in value else "")
        return f"{self.sign} {name}: {_shown(value)}"


def compare(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    """The differences between two workflows in the current format, in the order of the first, then of the second.

    The order of nodes and keys is no difference, nor is a param's short form; 1 and 1.0 are the same number.
    """
    found = [d for key in ("name", "about") for d in _value(key, a.get(key, ABSENT), b.get(key, ABSENT))]
    params_a = {name: _param(value) for name, value in a.get("params", {}).items()}
    params_b = {name: _param(value) for name, value in b.get("params", {}).items()}
    found += _items("param", "$", params_a, params_b)
    found += _items("node", "", a["nodes"], b["nodes"])
    return found


def _items(
    what: Literal["node", "param"], mark: str, a: Mapping[str, Any], b: Mapping[str, Any]
) -> Iterator[Difference]:
    for name in _union(a, b):
        before, after = a.get(name, ABSENT), b.get(name, ABSENT)
        path = f"{mark}{name}"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            for key in _union(before, after):
                yield from _value(f"{path}.{key}", before.get(key, ABSENT), after.get(key, ABSENT))
        elif not same(before, after):
            yield Difference(what, path, before, after)


def _value(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if not same(before, after):
        yield Difference("value", path, before, after)


def same(a: Any, b: Any) -> bool:
    """Whether two JSON values are equal. Unlike Python's ==, true is not 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def _param(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"default": value}


def _union(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([*a, *b]))


def _shown(value: Any) -> str:
    return quoted(value, 60)
