"""The format of ComfyUI's editor: nodes with places on a canvas, and links between their sockets.

Versions 0.4 (links are lists) and 1.0 (links are objects). What the editor does before it sends a graph to be run is
done here: nodes that are muted vanish with their links, those that are bypassed hand on what they are fed, and those
that only stand on the canvas (reroutes, primitives, notes, set and get) never reach the graph.
"""

from typing import Any

from commands.importing.api import check, where
from commands.importing.core import signatures
from commands.importing.flatten import INSIDE, OUTSIDE, Flat, flattened
from commands.importing.graph import ComfyGraph, ComfyNode, Link, shown
from commands.importing.groupnode import objects
from commands.importing.widgets import is_control, named
from engine.errors import Place, Problem, error
from engine.jsontext import Json
from engine.text import visible

MUTED, BYPASSED = 2, 4
NOTES = ("Note", "MarkdownNote", "Label (rgthree)")
EVERYWHERE = ("Anything Everywhere", "Anything Everywhere?", "Anything Everywhere3", "Prompts Everywhere",
              "Seed Everywhere")  # fmt: skip
VIRTUAL = (*NOTES, *EVERYWHERE, "Reroute", "PrimitiveNode", "SetNode", "GetNode", INSIDE, OUTSIDE)
"""Node types that the editor never sends."""

_MISSING = object()


def is_ui(value: Any) -> bool:
    """Whether JSON is a file of the editor."""
    return isinstance(value, dict) and isinstance(value.get("nodes"), list) and "links" in value


def read(json: Json) -> ComfyGraph:
    """The graph that the editor would send.

    Raises E-SHAPE, E-LIMIT, E-CYCLE for subgraphs within themselves, E-LINK for links from what is not there, and as
    `api.check` does.
    """
    value: Any = json.value
    nodes = flattened(json)
    reader = _Reader(json, nodes)
    graph = ComfyGraph(said=_notes(value, nodes))
    for node in nodes.values():
        if node.type in VIRTUAL:
            continue
        if node.mode in (MUTED, BYPASSED):
            how = "muted" if node.mode == MUTED else "bypassed"
            graph.said.append(f"{visible(node.type, 64)} ({visible(node.id, 64)}) is {how}, and left out")
            continue
        graph.nodes[node.id] = reader.node(node, graph.said)
    if reader.problems:
        raise error(reader.problems)
    check(graph)
    return graph


class _Reader:
    """Finds what feeds the inputs of nodes. What is wrong is collected in `problems`."""

    def __init__(self, json: Json, nodes: dict[str, Flat]) -> None:
        self.json, self.nodes = json, nodes
        self.problems: list[Problem] = []
        self._set = {
            str(node.values[0]): node for node in nodes.values() if node.type == "SetNode" and _listed(node.values)
        }

    def place(self, node: Flat) -> Place:
        """Where a node stands in the file."""
        return where(self.json, node.path, node.id)

    def node(self, node: Flat, said: list[str]) -> ComfyNode:
        """The node that would be sent."""
        made = ComfyNode(node.id, node.type, place=self.place(node))
        values, unnamed = self._values(node, said)
        made.inputs.update(values)
        made.unnamed = unnamed
        for name, fed in node.fed.items():
            if fed is None:
                continue
            found = self.follow(node, name, fed)
            if found is None:
                made.inputs.pop(name, None)
            elif found is not _MISSING:
                made.inputs[name] = found
        made.inputs.update(node.set)
        return made

    def _values(self, node: Flat, said: list[str]) -> tuple[dict[str, Any], list[Any]]:
        signature = signatures().get(node.type)
        if isinstance(node.values, dict):
            return dict(node.values), []
        if signature is None:
            return {}, [value for value in node.values if not is_control(value)]
        linked = frozenset(name for name, fed in node.fed.items() if fed is not None)
        values, over = named(signature, node.values, linked)
        called = f"{visible(node.type, 64)} ({visible(node.id, 64)})"
        given = {*values, *linked, *node.set}
        absent = [w.name for w in signature.widgets if w.name not in given and w.kind != "U" and not w.optional]
        if absent:
            count = f"{len(node.values)} values are too few"
            needed = [name for name in absent if signature.inputs[name].default is None]
            if needed:
                what = f"{count}: none for {', '.join(needed)}"
                self.problems.append(
                    Problem("E-MISSING", what, "open it in ComfyUI, and save it again", self.place(node))
                )
            else:
                said.append(f"{called}: {count}; {', '.join(absent)} as ComfyUI has it by default")
        if over:
            said.append(f"{called}: {len(node.values)} values are too many; left out: {', '.join(map(shown, over))}")
        return values, []

    def follow(self, node: Flat, name: str, fed: tuple[str, int]) -> Any:
        """What feeds an input through everything that is not sent: a Link or a constant; None if it has vanished."""
        wanted = node.types.get(name, "*")
        seen = set()
        while True:
            source = self.nodes.get(fed[0])
            if source is None:
                what = f'node "{visible(fed[0], 64)}" does not exist'
                place = self.place(node)
                at = Place(place.file, place.line, place.column, place.node, visible(name, 64))
                self.problems.append(Problem("E-LINK", what, "take the link away", at))
                return _MISSING
            if fed in seen:
                what = f"links lead back to {visible(source.type, 64)} ({visible(source.id, 64)})"
                self.problems.append(Problem("E-CYCLE", what, "take one of them away", self.place(source)))
                return _MISSING
            seen.add(fed)
            if source.outputs is not None and not 0 <= fed[1] < max(len(source.outputs), 1):
                place = self.place(node)
                at = Place(place.file, place.line, place.column, place.node, visible(name, 64))
                what = (
                    f"output {fed[1]} of {visible(source.type, 64)} ({visible(source.id, 64)}), "
                    f"which has outputs 0 to {max(len(source.outputs), 1) - 1}"
                )
                self.problems.append(Problem("E-LINK", what, "link one that is there", at))
                return _MISSING
            if source.type == "PrimitiveNode":
                return source.values[0] if _listed(source.values) else _MISSING
            if source.mode == MUTED:
                return None
            if source.type == INSIDE and (list(source.fed.values())[fed[1] :] or [None])[0] is None:
                # nothing feeds the subgraph here: it has a value of its own, or the node inside keeps its
                return source.constants.get(fed[1], _MISSING)
            onward = self._onward(source, fed[1], wanted)
            if onward is _MISSING:
                return Link(*fed)
            if onward is None:
                return None
            fed = onward

    def _onward(self, source: Flat, slot: int, wanted: str) -> Any:
        """What feeds a node that is not sent; None where nothing does, _MISSING for one that is sent."""
        if source.type in ("Reroute", "SetNode"):
            return next(iter(source.fed.values()), None)
        if source.mode != BYPASSED and source.type in (OUTSIDE, INSIDE):
            fed = list(source.fed.values())
            return fed[slot] if slot < len(fed) else None
        if source.type == "GetNode":
            setter = self._set.get(str(source.values[0])) if _listed(source.values) else None
            return None if setter is None else next(iter(setter.fed.values()), None)
        if source.mode == BYPASSED:
            return _bypassed(source, slot, wanted)
        return _MISSING


def _bypassed(source: Flat, slot: int, wanted: str) -> tuple[str, int] | None:
    """What a bypassed node hands on: the input of the same slot if its type fits, else the first of that type."""
    outputs = source.outputs or []
    kind = outputs[slot] if slot < len(outputs) else wanted
    names = list(source.fed)
    order = [*names[slot : slot + 1], *names]
    fits = next((n for n in order if source.types.get(n, "*") in (kind, "*") or kind == "*"), None)
    return None if fits is None else source.fed[fits]


def _listed(values: Any) -> bool:
    return isinstance(values, list) and bool(values)


def _notes(value: dict[str, Any], nodes: dict[str, Flat]) -> list[str]:
    """The notes of a file, and the titles of its groups."""
    said = []
    for node in nodes.values():
        if node.type in NOTES and _listed(node.values) and str(node.values[0]).strip():
            said.append(f"note: {visible(' '.join(str(node.values[0]).split()), 400)}")
    titles = [str(group["title"]) for group in objects(value.get("groups")) if group.get("title")]
    if titles:
        said.append(f"groups: {visible(', '.join(titles), 400)}")
    return said
