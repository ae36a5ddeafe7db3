"""The nodes of an editor's file as one flat list: what lies in subgraphs and group nodes stands beside the rest.

An inner node is called as ComfyUI calls it when it runs a graph: "57:8:3" is node 3 of the subgraph at node 8 of the
one at node 57. A subgraph itself leaves two nodes that are never sent: one that stands for its outputs, and one
("57:-10") for its inputs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from commands.importing.graph import NODE_LIMIT
from commands.importing.groupnode import GroupNode, group_node, items, objects
from engine.errors import Place, Problem, error
from engine.jsontext import Json, JsonPath
from engine.text import quoted, visible

INPUTS, OUTPUTS = -10, -20
"""The ids by which links inside a subgraph name its edge."""

OUTSIDE, INSIDE = "(subgraph)", "(subgraph's inputs)"
"""The types of the two nodes that a subgraph leaves."""

DEPTH = 32
"""Subgraphs in subgraphs."""

Fed = tuple[str, int]


@dataclass(slots=True)
class Flat:
    """A node of the editor. fed: by input, the output of which node feeds it. types: the types of its inputs.

    outputs: the types of its outputs; None if unknown. set: values that the subgraph around it gives its widgets.
    constants: of the inputs of a subgraph, values of those that nothing feeds.
    """

    id: str
    type: str
    path: JsonPath
    mode: int = 0
    fed: dict[str, Fed | None] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    outputs: list[str] | None = None
    values: Any = field(default_factory=list)
    set: dict[str, Any] = field(default_factory=dict)
    constants: dict[int, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Scope:
    """A list of nodes and links: the whole file, or what a subgraph holds."""

    prefix: str
    path: JsonPath
    nodes: Any
    links: Any
    edge: str = ""
    """The id of the node that stands for the inputs of this subgraph."""
    sets: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    inside: tuple[str, ...] = ()


def flattened(json: Json) -> dict[str, Flat]:
    """All nodes of the file by id. Raises E-SHAPE, E-LIMIT, E-DEPTH, and E-CYCLE for a subgraph within itself."""
    return _Flattener(json).all()


class _Flattener:
    def __init__(self, json: Json) -> None:
        self.json = json
        file: Any = json.value
        self.file: dict[str, Any] = file
        self.found: dict[str, Flat] = {}
        definitions = self.file.get("definitions")
        listed = definitions.get("subgraphs") if isinstance(definitions, dict) else None
        self.subgraphs: dict[str, tuple[int, dict[str, Any]]] = {
            str(s.get("id")): (i, s) for i, s in enumerate(items(listed)) if isinstance(s, dict)
        }
        extra = self.file.get("extra")
        groups = extra.get("groupNodes") if isinstance(extra, dict) else None
        self.groups: dict[str, Any] = groups if isinstance(groups, dict) else {}

    def all(self) -> dict[str, Flat]:
        """The nodes of the whole file."""
        pending = [_Scope("", (), self.file["nodes"], self.file.get("links"))]
        while pending:
            pending.extend(self.scope(pending.pop()))
        self._everywhere()
        return self.found

    def scope(self, scope: _Scope) -> Iterator[_Scope]:
        """Add the nodes of a scope; gives the scopes of the subgraphs in it."""
        links = self.links(scope)
        for i, node in enumerate(items(scope.nodes)):
            path = (*scope.path, "nodes", i)
            if not isinstance(node, dict) or "id" not in node or not isinstance(node.get("type"), str):
                raise error(Problem("E-SHAPE", 'a node needs "id" and "type"', place=self.place(path)))
            flat = self.flat(scope, node, path, links)
            if flat.id in self.found:
                first = self.place(self.found[flat.id].path)
                what = f'node "{visible(flat.id, 64)}" is there already, at {first.line}:{first.column}'
                raise error(Problem("E-DUPKEY", what, place=self.place(path)))
            self.add(flat)
            if flat.mode in (2, 4):
                continue
            name = flat.type.partition(">")[2] or flat.type.partition("/")[2]
            if flat.type in self.subgraphs:
                yield self.subgraph(scope, node, flat)
            elif flat.type.startswith(("workflow>", "workflow/")) and name in self.groups:
                self.group(flat, group_node(self.groups[name]), node)

    def add(self, flat: Flat) -> None:
        """Take a node in. E-LIMIT beyond the limit."""
        self.found[flat.id] = flat
        if len(self.found) > NODE_LIMIT:
            raise error(Problem("E-LIMIT", f"more than {NODE_LIMIT} nodes", place=Place(self.json.source.name)))

    def links(self, scope: _Scope) -> dict[Any, Fed]:
        """By id, what each link comes from."""
        found: dict[Any, Fed] = {}
        listed = scope.links
        for i, link in enumerate(items(listed)):
            if isinstance(link, dict):
                name, origin, slot = link.get("id"), link.get("origin_id"), link.get("origin_slot")
            elif isinstance(link, list) and len(link) >= 5:
                name, origin, slot = link[:3]
            elif link is None:
                continue
            else:
                what = f"{quoted(link, 40)} is no link: [id, origin, slot, target, slot, type]"
                raise error(Problem("E-SHAPE", what, place=self.place((*scope.path, "links", i))))
            if type(slot) is not int or not isinstance(origin, int | str) or not isinstance(name, int | str):
                what = f"link {quoted(name, 20)} comes from output {quoted(slot, 20)} of node {quoted(origin, 20)}"
                raise error(Problem("E-LINK", what, "link it anew", self.place((*scope.path, "links", i))))
            if origin == INPUTS and scope.edge:
                found[name] = (scope.edge, slot)
            else:
                found[name] = (f"{scope.prefix}{origin}", slot)
        return found

    def flat(self, scope: _Scope, node: dict[str, Any], path: JsonPath, links: dict[Any, Fed]) -> Flat:
        """A node as it stands."""
        name = f"{scope.prefix}{node['id']}"
        values = node.get("widgets_values")
        values = values if isinstance(values, dict) else items(values)
        flat = Flat(name, node["type"], path, mode=node.get("mode") or 0, values=values)
        for i, socket in enumerate(items(node.get("inputs"))):
            if not isinstance(socket, dict):
                raise error(Problem("E-SHAPE", "an input must be an object", place=self.place((*path, "inputs", i))))
            called = str(socket.get("name", i))
            flat.types[called] = str(socket.get("type", "*"))
            link = socket.get("link")
            if link is not None and (isinstance(link, list | dict) or link not in links):
                what = f"link {quoted(link, 20)} does not exist"
                at = self.place((*path, "inputs", i))
                place = Place(at.file, at.line, at.column, visible(name, 64), visible(called, 64))
                raise error(Problem("E-LINK", what, "take the link away", place))
            flat.fed[called] = None if link is None else links[link]
        outputs = items(node.get("outputs"))
        flat.outputs = [str(o.get("type", "*")) if isinstance(o, dict) else "*" for o in outputs]
        inner = str(node["id"])
        flat.set = {widget: value for (owner, widget), value in scope.sets.items() if owner == inner}
        return flat

    def subgraph(self, outer: _Scope, node: dict[str, Any], flat: Flat) -> _Scope:
        """The scope of a subgraph at a node, which then stands for its outputs."""
        index, definition = self.subgraphs[flat.type]
        if flat.type in outer.inside:
            what = f"subgraph {quoted(str(definition.get('name', flat.type)), 40)} holds itself"
            raise error(Problem("E-CYCLE", what, "take it out of itself", self.place(flat.path)))
        if len(outer.inside) >= DEPTH:
            raise error(Problem("E-DEPTH", f"subgraphs nested deeper than {DEPTH}", place=self.place(flat.path)))
        constants, sets = _given(node, flat)
        prefix = f"{flat.id}:"
        edge = Flat(f"{prefix}{INPUTS}", INSIDE, flat.path, fed=dict(flat.fed), constants=constants)
        self.add(edge)
        path = ("definitions", "subgraphs", index)
        scope = _Scope(prefix, path, definition.get("nodes"), definition.get("links"), edge.id, sets,
                       (*outer.inside, flat.type))  # fmt: skip
        links = self.links(scope)
        outputs = items(definition.get("outputs"))
        flat.type, flat.fed = OUTSIDE, {}
        by_slot = {slot: links[name] for name, slot in _to_outputs(definition.get("links"))}
        for i in range(len(outputs)):
            flat.fed[str(i)] = by_slot.get(i)
        return scope

    def group(self, flat: Flat, made: GroupNode, node: dict[str, Any]) -> None:
        """The nodes of a group node at a node, which then stands for its outputs."""
        values = made.values(flat.values if isinstance(flat.values, list) else [])
        outer = list(flat.fed.values())
        by_name = dict(flat.fed)
        for i, inner in enumerate(made.nodes):
            one = Flat(f"{flat.id}:{i}", str(inner.get("type")), flat.path, mode=inner.get("mode") or 0)
            one.outputs = [str(o.get("type", "*")) for o in objects(inner.get("outputs"))]
            one.values = values[i]
            for k, socket in enumerate(objects(inner.get("inputs"))):
                called = str(socket.get("name", k))
                one.types[called] = str(socket.get("type", "*"))
                if (i, k) in made.internal:
                    origin, slot = made.internal[i, k]
                    one.fed[called] = (f"{flat.id}:{origin}", slot)
                elif (i, k) in made.inputs:
                    place, name = made.inputs[i, k]
                    one.fed[called] = by_name.get(name, outer[place] if place < len(outer) else None)
            self.add(one)
        flat.type = OUTSIDE
        flat.fed = {str(k): (f"{flat.id}:{origin}", slot) for k, (origin, slot) in enumerate(made.outputs)}

    def place(self, path: JsonPath) -> Place:
        """Where a part of the file stands."""
        line, column = self.json.locate(path)
        return Place(self.json.source.name, line, column)

    def _everywhere(self) -> None:
        """Links that the pack Use Everywhere draws by itself, as it leaves them in the file."""
        extra = self.file.get("extra")
        for link in objects(extra.get("ue_links") if isinstance(extra, dict) else None):
            target, slot = self.found.get(str(link.get("downstream"))), link.get("downstream_slot")
            source, out = str(link.get("upstream")), link.get("upstream_slot")
            names = list(target.fed) if target is not None else []
            if target is None or type(slot) is not int or type(out) is not int or not 0 <= slot < len(names):
                continue
            if target.fed[names[slot]] is None and source in self.found:
                target.fed[names[slot]] = (source, out)


def _to_outputs(links: Any) -> Iterator[tuple[Any, int]]:
    """Of the links in a subgraph, those to its outputs: id and the number of the output."""
    for link in items(links):
        if isinstance(link, dict) and link.get("target_id") == OUTPUTS and type(link.get("target_slot")) is int:
            yield link.get("id"), link["target_slot"]
        elif isinstance(link, list) and len(link) >= 5 and link[3] == OUTPUTS and type(link[4]) is int:
            yield link[0], link[4]


def _given(node: dict[str, Any], flat: Flat) -> tuple[dict[int, Any], dict[tuple[str, str], Any]]:
    """What the widgets of a subgraph's node give: values of its inputs by number, and of widgets of its inner nodes."""
    properties = node.get("properties")
    proxies = properties.get("proxyWidgets") if isinstance(properties, dict) else None
    listed = [(str(p[0]), str(p[1])) for p in items(proxies) if isinstance(p, list) and len(p) >= 2]
    own = {str(s.get("name")): i for i, s in enumerate(objects(node.get("inputs"))) if s.get("widget")}
    named = {name for owner, name in listed if owner == "-1"}
    slots: list[tuple[str, str]] = [("-1", name) for name in own if name not in named]
    values = flat.values if isinstance(flat.values, list) else []
    order = [*slots, *listed] if len(values) != len(listed) or not listed else listed
    constants: dict[int, Any] = {}
    sets: dict[tuple[str, str], Any] = {}
    for (owner, name), value in zip(order, values, strict=False):
        given = flat.set.get(name, value)
        if owner == "-1":
            if name in own:
                constants[own[name]] = given
        elif given is not None:
            sets[owner, name] = given
    return constants, sets
