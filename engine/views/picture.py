"""From a workflow's document to a picture of it. A broken document is drawn too, as far as it can be understood."""

from collections.abc import Iterator, Mapping
from typing import Any

from engine.document import Document
from engine.graph import Link, reference
from engine.node import Node, output_type
from engine.registry import Registry
from engine.values import socket_of
from engine.views.model import Box, Picture, Port, Wire


def picture(document: Document, registry: Registry) -> Picture:
    """The graph in a document. Shown are inputs that are linked or that only a link can feed; literals are not."""
    raw = {name: node if isinstance(node, dict) else {} for name, node in document.nodes.items()}
    classes = {name: _class(node, registry) for name, node in raw.items()}
    wires: list[Wire] = []
    boxes: list[Box] = []
    for name, node in raw.items():
        links = [(key, link) for key, value in node.items() if key not in _KEYS for link in _links(value)]
        for key, link in links:
            wires.append(Wire(link.node, _output(classes.get(link.node), link.output), name, key))
        boxes.append(_box(name, node, classes[name], [key for key, _ in links]))
    return Picture(tuple(boxes), tuple(wires))


_KEYS = ("type", "about", "cache")


def _class(node: Mapping[str, Any], registry: Registry) -> type[Node] | None:
    kind = node.get("type")
    return registry.get(kind.partition("@")[0]) if isinstance(kind, str) else None


def _links(value: Any) -> Iterator[Link]:
    for item in value if isinstance(value, list) else [value]:
        found = reference(item)
        if isinstance(found, Link):
            yield found


def _output(cls: type[Node] | None, name: str) -> str:
    """The full name of an output; what the file says if there is none such."""
    return (cls.output_named(name) if cls is not None else None) or name


def _box(name: str, node: Mapping[str, Any], cls: type[Node] | None, linked: list[str]) -> Box:
    kind = node.get("type")
    title = kind if isinstance(kind, str) else "?"
    specs = cls.inputs if cls is not None else {}
    shown = [key for key, spec in specs.items() if key in linked or not (spec.literal or spec.free)]
    shown += [key for key in dict.fromkeys(linked) if key not in specs]
    inputs = tuple(Port(key, specs[key].type_name if key in specs else "") for key in shown)
    outputs = tuple(_outputs(cls)) if cls is not None else ()
    return Box(name, title, inputs, outputs)


def _outputs(cls: type[Node]) -> Iterator[Port]:
    for name in cls.outputs if not cls.effect else ():
        yield Port(name, socket_of(output_type(cls, name)[0]).name)
