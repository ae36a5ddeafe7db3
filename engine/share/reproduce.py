"""Making a lock again and comparing: every output of every node by its digest, and the pictures by their pixels."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.graph import reference
from engine.share.distance import Distance
from engine.share.lock import Lock
from engine.share.moved import Moved, environment

TOLERANCE = 40.0
"""PSNR in decibels from which on a picture counts as near."""
EXIT = {"exact": 0, "near": 10, "different": 11}

Verdict = Literal["exact", "near", "different"]


@dataclass(frozen=True, slots=True)
class First:
    """The first node, in running order, that gave something else. outputs: which. inputs_equal: whether all that it was
    fed has the digests of the lock; None where some of that has none."""

    node: str
    type: str
    outputs: tuple[str, ...]
    inputs_equal: bool | None

    def __str__(self) -> str:
        fed = {True: "its inputs were equal", False: "its inputs differed", None: "its inputs have no digests"}
        return (
            f"{self.node} ({self.type}) is the first that differs, in {', '.join(self.outputs)}; "
            + fed[self.inputs_equal]
        )


@dataclass
class Comparison:
    """What came of making a lock again. equal, unknown: how many digests are the same, and have nothing to compare
    with. distances: by node and number of the picture; None where sizes differ."""

    environment: list[Moved] = field(default_factory=list)
    first: First | None = None
    differing: tuple[str, ...] = ()
    equal: int = 0
    unknown: int = 0
    outputs_equal: bool = True
    distances: dict[tuple[str, int], Distance | None] = field(default_factory=dict)

    def verdict(self, tolerance: float = TOLERANCE) -> Verdict:
        """exact: every digest is the same. near: all pictures that can be compared are within the tolerance, and all
        that differ can be compared."""
        if self.first is None and self.outputs_equal:
            return "exact"
        if self.outputs_equal:
            return "near"
        far = [d is None or d.psnr < tolerance for d in self.distances.values()]
        return "near" if far and not any(far) else "different"


def compare(before: Lock, after: Lock, order: list[str]) -> Comparison:
    """Digest by digest. order: the node ids, sources first. Distances are for the caller to fill in."""
    found = Comparison(environment(before, after))
    differing: list[str] = []
    for name in order:
        if name not in before.nodes:
            continue
        was, now = _digests(before, name), _digests(after, name)
        outputs = tuple(key for key in was if key in now and was[key] != now[key])
        found.equal += sum(key in now and was[key] == now[key] for key in was)
        found.unknown += sum(key not in now for key in was) + (not was)
        if outputs or (now and len(was) != len(now)):
            differing.append(name)
            if found.first is None:
                fed = _fed_equally(before, after, name)
                found.first = First(name, str(before.nodes[name]["type"]), outputs or ("what it saves",), fed)
    found.differing = tuple(differing)
    found.outputs_equal = before.data["outputs"] == after.data["outputs"]
    return found


def _digests(lock: Lock, name: str) -> Mapping[str, Any]:
    """What a node gave: its outputs, and for one that saves, what it saved."""
    node = lock.nodes.get(name, {})
    made = {key: value.get("digest") for key, value in node.get("outputs", {}).items() if isinstance(value, Mapping)}
    saved = lock.data["outputs"].get(name)
    if isinstance(saved, list):
        made |= {f"file {i}" if len(saved) > 1 else "file": digest for i, digest in enumerate(saved)}
    return made


def _fed_equally(before: Lock, after: Lock, name: str) -> bool | None:
    links = [link for value in before.nodes[name]["inputs"].values() for link in _links(value)]
    pairs = [
        (_digests(before, node).get(output), _digests(after, node).get(output)) for node, output in dict.fromkeys(links)
    ]
    if any(a != b for a, b in pairs):
        return False
    return None if any(a is None for a, _ in pairs) else True


def _links(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, list):
        return [link for item in value for link in _links(item)]
    found = reference(value)
    return [(found.node, found.output)] if type(found).__name__ == "Link" else []


def nearest(distances: Mapping[tuple[str, int], Distance | None]) -> float:
    """The lowest PSNR of all pictures, infinite where all are equal, and 0 where one cannot be compared."""
    return min((d.psnr if d is not None else 0.0 for d in distances.values()), default=math.inf)
