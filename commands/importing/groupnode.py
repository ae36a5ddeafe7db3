"""Group nodes, which came before subgraphs: several nodes in one, with sockets and values that the editor gathers."""

from dataclasses import dataclass
from typing import Any

from commands.importing.core import signatures
from commands.importing.widgets import is_control


@dataclass(frozen=True, slots=True)
class GroupNode:
    """What a group node holds, its nodes by their number.

    internal: by (node, input), the (node, output) that feeds it. inputs: by (node, input), the place and the name of
    the group node's own socket. outputs: the (node, output) of each of its own. hidden: (node, widget) without a value.
    """

    nodes: list[dict[str, Any]]
    internal: dict[tuple[int, int], tuple[int, int]]
    inputs: dict[tuple[int, int], tuple[int, str]]
    outputs: list[tuple[int, int]]
    hidden: frozenset[tuple[int, str]]

    def values(self, listed: list[Any]) -> list[list[Any]]:
        """The values of each node, out of the list that the group node has for all of them."""
        rest, found = list(listed), []
        for i, node in enumerate(self.nodes):
            own = list(items(node.get("widgets_values")))
            names = _widgets(node, own)
            for k, name in enumerate(names):
                if (i, name) in self.hidden or not rest:
                    continue
                value = rest.pop(0)
                if k < len(own):
                    own[k] = value
                else:
                    own.append(value)
            found.append(own)
        return found


def items(value: Any) -> list[Any]:
    """A list that a file has, or the values of an object in its place; nothing for anything else."""
    return value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []


def objects(value: Any) -> list[dict[str, Any]]:
    """A list of objects that a file has; what is none is an empty one."""
    return [item if isinstance(item, dict) else {} for item in items(value)]


def group_node(data: Any) -> GroupNode:
    """A group node out of extra.groupNodes; what is not of the right shape counts as not there."""
    data = data if isinstance(data, dict) else {}
    nodes = [node if isinstance(node, dict) else {} for node in items(data.get("nodes"))]
    internal: dict[tuple[int, int], tuple[int, int]] = {}
    used: set[tuple[int, int]] = set()
    for link in items(data.get("links")):
        if isinstance(link, list) and len(link) >= 4 and all(type(n) is int for n in link[:4]):
            internal[link[2], link[3]] = link[0], link[1]
            used.add((link[0], link[1]))
    outside = {(str(e[0]), str(e[1])) for e in items(data.get("external")) if isinstance(e, list) and len(e) >= 2}
    inputs: dict[tuple[int, int], tuple[int, str]] = {}
    outputs: list[tuple[int, int]] = []
    names: set[str] = set()
    for i, node in enumerate(nodes):
        for k, socket in enumerate(objects(node.get("inputs"))):
            if (i, k) in internal:
                continue
            name = str(socket.get("name", k))
            if name in names:
                name = f"{node.get('title') or node.get('type')} {name}"
            names.add(name)
            inputs[i, k] = len(inputs), name
        for k in range(len(objects(node.get("outputs")))):
            if (i, k) not in used or (str(i), str(k)) in outside:
                outputs.append((i, k))
    config = data.get("config")
    return GroupNode(nodes, internal, inputs, outputs, _hidden(nodes, internal, config))


def _hidden(
    nodes: list[dict[str, Any]], internal: dict[tuple[int, int], Any], config: Any
) -> frozenset[tuple[int, str]]:
    """The widgets that the group node does not show: those that it feeds itself, and those that it was told to hide."""
    found = set()
    for i, node in enumerate(nodes):
        sockets = objects(node.get("inputs"))
        found |= {(i, str(sockets[k].get("name"))) for k in range(len(sockets)) if (i, k) in internal}
        own = config.get(str(i)) if isinstance(config, dict) else None
        shown = own.get("input") if isinstance(own, dict) else None
        for name, how in (shown if isinstance(shown, dict) else {}).items():
            if isinstance(how, dict) and how.get("visible") is False:
                found.add((i, str(name)))
    return frozenset(found)


def _widgets(node: dict[str, Any], own: list[Any]) -> list[str]:
    """The names of the values of a node, in order; what becomes of a seed counts as one."""
    signature = signatures().get(str(node.get("type")))
    if signature is None:
        return [f"value{k}" if k else "value" for k in range(len(own))]
    names: list[str] = []
    for widget in signature.widgets:
        if widget.kind == "U" and len(names) >= len(own):
            continue
        names.append(widget.name)
        if widget.kind == "N" and len(own) > len(names) and is_control(own[len(names)]):
            names.append(f"{widget.name} control")
    return names
