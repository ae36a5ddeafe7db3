"""Changes to a workflow's text, each a pure function from text to text that keeps the rest as its author wrote it.

They work on whatever the JSON reader takes, however wrong it is as a workflow: a broken one must be mendable here.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from engine.document import NODE_ID
from engine.graph import Link, escape, reference
from engine.jsonedit import remove_value, replace_value
from engine.jsontext import JsonPath
from engine.node import RESERVED

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def dumps(value: Any) -> str:
    """A value as it is written into a file: on one line, readable letters as they are."""
    return json.dumps(value, ensure_ascii=False)


def set_value(text: str, path: JsonPath, value: Any) -> str:
    """A literal at a path. Text that begins with @ or $ stays text."""
    return replace_value(text, path, dumps(escape(value)))


def set_param(text: str, data: Mapping[str, Any], name: str, value: Any) -> str:
    """The default of a param, in the short or the long form that the file has."""
    declared = data.get("params", {}).get(name)
    if isinstance(declared, dict):
        return set_value(text, ("params", name, "default"), value)
    if isinstance(value, dict):
        return replace_value(text, ("params", name), dumps({"default": escape(value)}))
    return set_value(text, ("params", name), value)


def reset(text: str, data: Mapping[str, Any], node: str, name: str) -> str:
    """An input back to its node's default: what the file says of it is removed."""
    return remove_value(text, ("nodes", node, name)) if name in data["nodes"][node] else text


def link(text: str, node: str, name: str, source: str, output: str = "") -> str:
    """An input fed by another node. output: empty for a node that has one."""
    return replace_value(text, ("nodes", node, name), dumps(f"@{source}.{output}" if output else f"@{source}"))


def link_item(text: str, data: Mapping[str, Any], node: str, name: str, source: str, output: str = "") -> str:
    """One more link at the end of a list input; whatever feeds it now stays."""
    mark = f"@{source}.{output}" if output else f"@{source}"
    now = data["nodes"][node].get(name)
    if isinstance(now, list):
        return replace_value(text, ("nodes", node, name, len(now)), dumps(mark))
    return replace_value(text, ("nodes", node, name), dumps([mark] if now is None else [now, mark]))


def feed(text: str, node: str, name: str, param: str) -> str:
    """An input fed by a param."""
    return replace_value(text, ("nodes", node, name), dumps(f"${param}"))


def add_node(text: str, data: Mapping[str, Any], kind: str, inputs: Mapping[str, Any] | None = None) -> tuple[str, str]:
    """(the text with a new node of this type at its end, the id it got). inputs: as the file writes them."""
    name = free_id(kind, data["nodes"])
    return replace_value(text, ("nodes", name), dumps({"type": kind, **(inputs or {})})), name


def free_id(kind: str, taken: Mapping[str, Any]) -> str:
    """An id for a new node of a type: vae_decode, and if that is taken vae_decode_2, …"""
    plain = _CAMEL.sub("_", re.sub(r"(?<=[A-Z])([A-Z][a-z])", r"_\1", kind)).lower()
    plain = re.sub(r"_+", "_", plain).strip("_")
    base = plain[:56] if NODE_ID.match(plain[:56]) else "node"
    numbers = (f"{base}_{n}" for n in range(2, len(taken) + 3))
    return base if base not in taken else next(name for name in numbers if name not in taken)


def remove_node(text: str, data: Mapping[str, Any], node: str) -> str:
    """The text without a node, and without every link to it."""
    for other, raw in data["nodes"].items():
        if other == node or not isinstance(raw, dict):
            continue
        for name, value in raw.items():
            if name in RESERVED:
                continue
            if isinstance(value, list):
                for index in reversed([i for i, item in enumerate(value) if _leads_to(item, node)]):
                    text = remove_value(text, ("nodes", other, name, index))
            elif _leads_to(value, node):
                text = remove_value(text, ("nodes", other, name))
    return remove_value(text, ("nodes", node))


def _leads_to(value: Any, node: str) -> bool:
    found = reference(value)
    return isinstance(found, Link) and found.node == node
