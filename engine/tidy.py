"""A workflow that a program wrote, laid out for people."""

import json
from collections.abc import Mapping
from typing import Any


def laid_out(text: str) -> str:
    """A workflow with a line for each value, its parts in the order that people write them, sources first. What is no
    JSON stays as it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, dict) and isinstance(value.get("nodes"), dict):
        nodes = {name: _in_order(node, ("type", "about")) for name, node in value["nodes"].items()}
        value = _in_order({**value, "nodes": _sources_first(nodes)}, ("format", "name", "about", "params", "nodes"))
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _in_order(value: Any, first: tuple[str, ...]) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: value[name] for name in (*(n for n in first if n in value), *(n for n in value if n not in first))}


def _sources_first(nodes: Mapping[str, Any]) -> dict[str, Any]:
    """The nodes in an order in which each stands behind what feeds it, as far as that is possible."""
    left = {name: {link for link in _links(node) if link in nodes and link != name} for name, node in nodes.items()}
    found: dict[str, Any] = {}
    while left:
        ready = [name for name, links in left.items() if not links & left.keys()] or list(left)
        for name in ready:
            found[name] = nodes[name]
            del left[name]
    return found


def _links(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value[1:].partition(".")[0]] if value.startswith("@") and not value.startswith("@@") else []
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [link for item in items for link in _links(item)]
