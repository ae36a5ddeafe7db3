"""Checking links: where each comes from, and whether what flows there fits."""

from engine.document import Document
from engine.errors import Problem
from engine.graph import Link, NodeDef
from engine.node import Node, output_type
from engine.registry import Registry
from engine.spec import InputSpec
from engine.text import did_you_mean, quoted
from engine.values import socket_of


def check_links(document: Document, registry: Registry, nodes: dict[str, NodeDef], broken: set[str]) -> list[Problem]:
    """The problems of all links. Links that lead nowhere are taken out of `nodes`, so that nothing follows from them;
    the others are given the full name of their output. A link from a node that is itself broken is not complained of.
    """
    problems: list[Problem] = []
    for node in nodes.values():
        if not node.sources:
            continue
        for name, link in list(node.links.items()):
            good = _check(document, registry, nodes, node.id, node.cls.inputs[name], link, problems)
            if good is None:
                del node.links[name]
            else:
                node.links[name] = good
        for name, items in node.lists.items():
            spec = node.cls.inputs[name]
            kept = []
            for item in items:
                if isinstance(item, Link):
                    item = _check(document, registry, nodes, node.id, spec, item, problems)
                if item is not None:
                    kept.append(item)
            node.lists[name] = tuple(kept)
        node.__post_init__()
    return problems


def _check(
    document: Document,
    registry: Registry,
    nodes: dict[str, NodeDef],
    target: str,
    spec: InputSpec,
    link: Link,
    problems: list[Problem],
) -> Link | None:
    """The link with its output named in full, or None if it leads nowhere."""
    path = ("nodes", target, spec.name)
    source = nodes.get(link.node)
    if source is None:
        if link.node not in document.nodes:
            hint = did_you_mean(link.node, document.nodes)
            problems.append(document.problem("E-LINK", f"node {quoted(link.node)} does not exist", hint, path=path))
        return None
    output = source.cls.output_named(link.output)
    if output is None:
        names = ", ".join(source.cls.outputs)
        if link.output:
            what = f"node {link.node} has no output {quoted(link.output)}; it has {names}"
        else:
            what = f"node {link.node} has several outputs: {names}"
        close = did_you_mean(link.output, source.cls.outputs) if link.output else ""
        first = f'write "@{link.node}.{next(iter(source.cls.outputs))}"'
        problems.append(document.problem("E-LINK", what, close if close.startswith("did") else first, path=path))
        return None
    kind, may_be_none = output_type(source.cls, output)
    label = link.node if source.cls.single else f"{link.node}.{output}"
    if not spec.takes(kind):
        what = f"gets {socket_of(kind).name} from {label}, expects {spec.type_name}"
        problems.append(document.problem("E-TYPE", what, _converter(registry, kind, spec), path=path))
        return None
    if may_be_none and not (spec.optional or spec.free):
        what = f"gets {socket_of(kind).name} or nothing from {label}, expects {spec.type_name}"
        problems.append(document.problem("E-TYPE", what, "this input must not be empty", path=path))
        return None
    return Link(link.node, output)


def _converter(registry: Registry, kind: type, spec: InputSpec) -> str:
    """Which node turns the one type into the other, as a hint; empty if none does."""
    found = [cls for cls in registry.classes() if _converts(cls, kind, spec)]
    if not found:
        return ""
    required = {cls: sum(1 for s in cls.inputs.values() if s.default is ...) for cls in found}
    return f"add {min(found, key=lambda c: (required[c], c.__name__)).__name__}"


def _converts(cls: type[Node], kind: type, spec: InputSpec) -> bool:
    if not cls.single or cls.effect or cls.hidden:
        return False
    out, may_be_none = output_type(cls, next(iter(cls.outputs)))
    takes = any(kind in s.kinds and not s.many for s in cls.inputs.values())
    return takes and spec.takes(out) and not may_be_none and not spec.takes(kind)
