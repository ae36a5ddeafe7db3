"""A ComfyUI graph as both of its file formats mean it, and what there is to say about it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, NamedTuple

from engine.errors import Place, Problem, error
from engine.text import quoted, visible

NODE_LIMIT = 10_000
"""Nodes of a graph, those inside subgraphs counted each time that they are used."""


class Link(NamedTuple):
    """An output of a node, by its number."""

    node: str
    slot: int


@dataclass(slots=True)
class ComfyNode:
    """One node that ComfyUI would run: its type, and what feeds its inputs, a Link or a constant."""

    id: str
    type: str
    inputs: dict[str, Any] = field(default_factory=dict)
    unnamed: list[Any] = field(default_factory=list)
    """Values of an unknown node whose names no file tells."""
    place: Place = field(default_factory=Place)

    @property
    def called(self) -> str:
        """How messages name it."""
        return f"{visible(self.type, 64)} ({visible(self.id, 64)})"


@dataclass(slots=True)
class ComfyGraph:
    """The nodes by id. said: what a reader should know of the file, and a workflow has no place for."""

    nodes: dict[str, ComfyNode] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """The key by which ids are ordered: 2 before 10, "37:2" behind "37:0"."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return tuple((0, int(p), "") if p.isdigit() and len(p) < 20 else (1, 0, p) for p in parts)


def in_order(graph: ComfyGraph, first: Iterable[str] = ()) -> list[ComfyNode]:
    """The nodes, sources first, then by id; of those that are ready, nodes of the types in `first` go before others.

    The order of the file does not count. Raises E-LINK for links from nodes that are not there, E-CYCLE.
    """
    nodes, early = graph.nodes, set(first)
    problems = [
        Problem("E-LINK", f'node "{visible(link.node, 64)}" does not exist', "take the link away", _at(node, name))
        for node in nodes.values()
        for name, link in node.inputs.items()
        if isinstance(link, Link) and link.node not in nodes
    ]
    if problems:
        raise error(problems)
    sources = {
        node.id: {link.node for link in node.inputs.values() if isinstance(link, Link)} for node in nodes.values()
    }
    followers: dict[str, list[str]] = {}
    for name, above in sources.items():
        for source in above:
            followers.setdefault(source, []).append(name)
    waiting = {name: len(above) for name, above in sources.items()}
    ready: list[tuple[bool, tuple[tuple[int, int, str], ...], str]] = []

    def enqueue(name: str) -> None:
        heappush(ready, (nodes[name].type not in early, natural(name), name))

    for name, count in waiting.items():
        if not count:
            enqueue(name)
    done: list[ComfyNode] = []
    while ready:
        name = heappop(ready)[2]
        done.append(nodes[name])
        for follower in followers.get(name, ()):
            waiting[follower] -= 1
            if not waiting[follower]:
                enqueue(follower)
    if len(done) < len(nodes):
        raise error(_cycle(nodes, {name for name, count in waiting.items() if count}))
    return done


def needed(graph: ComfyGraph, ends: Iterable[str]) -> set[str]:
    """The ids of these nodes and of everything that feeds them."""
    found: set[str] = set()
    pending = list(ends)
    while pending:
        name = pending.pop()
        if name not in found and name in graph.nodes:
            found.add(name)
            pending.extend(v.node for v in graph.nodes[name].inputs.values() if isinstance(v, Link))
    return found


def _cycle(nodes: Mapping[str, ComfyNode], stuck: set[str]) -> Problem:
    """E-CYCLE with one circle, begun at its first node in order."""
    at = min(stuck, key=natural)
    seen: list[str] = []
    while at not in seen:
        seen.append(at)
        feeding = {v.node for v in nodes[at].inputs.values() if isinstance(v, Link) and v.node in stuck}
        at = min(feeding, key=natural)
    circle = seen[seen.index(at) :][::-1]
    start = circle.index(min(circle, key=natural))
    circle = [*circle[start:], *circle[:start]]
    shown = " → ".join(visible(name, 64) for name in [*circle[:8], *(["…"] if len(circle) > 8 else []), circle[0]])
    first = nodes[circle[0]].place
    place = Place(first.file, first.line, first.column)
    return Problem("E-CYCLE", shown, "nodes cannot feed each other; take one of these links away", place)


def _at(node: ComfyNode, name: str) -> Place:
    return Place(node.place.file, node.place.line, node.place.column, visible(node.id, 64), visible(name, 64))


def place_of(node: ComfyNode, name: str = "") -> Place:
    """Where a node, or an input of it, stands."""
    return _at(node, name) if name else node.place


def shown(value: Any) -> str:
    """A constant of a file, for messages."""
    return quoted(value, 40)
