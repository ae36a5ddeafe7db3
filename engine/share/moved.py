"""What differs between two locks, part by part, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.diff import ABSENT, compare, same
from engine.share.lock import Lock
from engine.text import quoted, visible

CODE = ("workflow", "models", "inputs", "nodes", "packs")
"""The parts that decide what is computed; the others say where it was."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One thing that is otherwise. part: of the lock. path: within it. before, after: a value, or ABSENT."""

    part: str
    path: str
    before: Any
    after: Any

    def to_json(self) -> dict[str, Any]:
        """As JSON; what is absent is left out."""
        values = {"before": self.before, "after": self.after}
        told = {name: value for name, value in values.items() if value is not ABSENT}
        return {"part": self.part, "path": self.path, **told}

    def __str__(self) -> str:
        head = f"{self.part} {visible(self.path)}".rstrip()
        if self.before is ABSENT:
            return f"+ {head}: {_shown(self.after)}"
        if self.after is ABSENT:
            return f"- {head}: {_shown(self.before)}"
        return f"~ {head}: {_shown(self.before)} → {_shown(self.after)}"


def moved(a: Lock, b: Lock, parts: Sequence[str] = ()) -> list[Moved]:
    """What differs from one lock to another, in the order of their parts; of all parts, or of these."""
    found = list(_all(a, b))
    return [one for one in found if not parts or one.part in parts]


def _all(a: Lock, b: Lock) -> Iterator[Moved]:
    for difference in compare(a.document, b.document):
        yield Moved("workflow", difference.path, difference.before, difference.after)
    for part in ("models", "inputs"):
        yield from _tree(part, "", _by_place(a.data[part]), _by_place(b.data[part]))
    for name in dict.fromkeys([*a.nodes, *b.nodes]):
        before, after = a.nodes.get(name, ABSENT), b.nodes.get(name, ABSENT)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            # inputs are those of the workflow, told already
            kept = ("type", "version", "code", "fallbacks", "outputs")
            before, after = ({k: v for k, v in node.items() if k in kept} for node in (before, after))
        elif not same(before, after):
            before, after = (one if one is ABSENT else one.get("type") for one in (before, after))
        yield from _tree("nodes", name, before, after)
    for part in ("packs", "settings", "environment", "outputs"):
        yield from _tree(part, "", a.data[part], b.data[part])


def environment(a: Lock, b: Lock) -> list[Moved]:
    """What differs in where and how two locks were made."""
    return moved(a, b, ("settings", "environment"))


def _by_place(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Models or inputs by node and input, their files by name."""
    found = {}
    for entry in entries:
        files = {str(file.get("name")): file.get("sha256") for file in entry["files"]}
        more = {key: entry[key] for key in ("source", "revision", "read") if key in entry}
        found[f"{entry.get('node')}.{entry.get('input')}"] = {**more, "files": files}
    return found


def _tree(part: str, path: str, before: Any, after: Any) -> Iterator[Moved]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            inner = f"{path}.{key}" if path else str(key)
            yield from _tree(part, inner, before.get(key, ABSENT), after.get(key, ABSENT))
    elif not same(before, after):
        yield Moved(part, path, before, after)


def _shown(value: Any) -> str:
    if isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef"):
        return value[:12]
    if isinstance(value, Mapping) and "type" in value:
        return visible(str(value["type"]), 60)
    return quoted(value, 60)
