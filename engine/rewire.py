"""A workflow with some of its nodes out of the way, for one run: the file itself knows no such thing.

A bypassed node hands on what it was given: each of its outputs is replaced by what feeds its first input of the same
type (of a list, by the first in it). A muted node does not run, and neither does anything that needs it. An output of a
bypassed node that has no input of its type is as muted.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from engine.graph import Link, reference
from engine.node import RESERVED, Node, output_type
from engine.registry import Registry


def without(
    data: Mapping[str, Any], registry: Registry, bypassed: Collection[str] = (), muted: Collection[str] = ()
) -> tuple[dict[str, Any], set[str]]:
    """(the workflow without these nodes and what cannot do without them, the ids of all that is left out)."""
    nodes: dict[str, Any] = data["nodes"]
    classes = {name: _class(node, registry) for name, node in nodes.items()}
    out = {name for name in (*bypassed, *muted) if name in nodes}

    def behind(value: Any, seen: frozenset[str] = frozenset()) -> Any:
        """The value with links past bypassed nodes; None if nothing is left."""
        link = reference(value)
        if not isinstance(link, Link):
            return value
        if link.node in bypassed and link.node not in muted and link.node not in seen:
            cls, raw = classes[link.node], nodes[link.node]
            passed = _passed(cls, raw, link.output) if cls is not None else None
            return None if passed is None else behind(passed, seen | {link.node})
        return None if link.node in out else value

    kept = {name: node for name, node in nodes.items() if name not in out}
    changed = True
    while changed:
        changed = False
        for name, node in list(kept.items()):
            rewired = _rewired(node, behind)
            if rewired is None:
                out.add(name)
                del kept[name]
                changed = True
    result = {name: _rewired(node, behind) for name, node in kept.items()}
    return {**data, "nodes": result}, out


def passes(cls: type[Node], output: str) -> str:
    """The input whose value a bypassed node of this class hands on at an output; empty if there is none."""
    name = cls.output_named(output)
    if name is None:
        return ""
    kind, _ = output_type(cls, name)
    return next((s.name for s in cls.inputs.values() if kind in s.kinds and not s.free), "")


def _passed(cls: type[Node], raw: Any, output: str) -> Any:
    name = passes(cls, output)
    value = raw.get(name) if name and isinstance(raw, dict) else None
    return (value[0] if value else None) if isinstance(value, list) else value


def _rewired(node: Any, behind: Callable[[Any], Any]) -> Any:
    """The node with its links past what is out of the way; None if one leads to nothing."""
    if not isinstance(node, dict):
        return node
    rewired: dict[str, Any] = {}
    for key, value in node.items():
        if key in RESERVED:
            rewired[key] = value
            continue
        new = [behind(item) for item in value] if isinstance(value, list) else behind(value)
        if (new is None and value is not None) or (isinstance(value, list) and None in new and None not in value):
            return None
        rewired[key] = new
    return rewired


def _class(node: Any, registry: Registry) -> type[Node] | None:
    kind = node.get("type") if isinstance(node, dict) else None
    return registry.get(kind.partition("@")[0]) if isinstance(kind, str) else None
