"""Checking links: where each comes from, and whether what flows there fits."""

from engine.graph import Link, NodeDef
from engine.node import Node, output_type
from engine.registry import Registry
from engine.report import Report
from engine.spec import REQUIRED, InputSpec
from engine.text import quoted, visible
from engine.values import socket_of


def check_links(report: Report, registry: Registry, nodes: dict[str, NodeDef]) -> None:
    """Report what is wrong with links. Those that lead nowhere are taken out of `nodes`, so that nothing follows from
    them; the others are given the full name of their output. A link from a node whose type is unknown is taken out
    without a word: that node has its own problem."""
    for node in nodes.values():
        if not node.sources:
            continue
        for name, link in list(node.links.items()):
            good = _check(report, registry, nodes, node, node.cls.inputs[name], link)
            if good is None:
                del node.links[name]
            else:
                node.links[name] = good
        for name, items in node.lists.items():
            spec = node.cls.inputs[name]
            checked = [
                _check(report, registry, nodes, node, spec, item) if isinstance(item, Link) else item for item in items
            ]
            node.lists[name] = tuple(item for item in checked if item is not None)
        node.find_sources()


def _check(
    report: Report, registry: Registry, nodes: dict[str, NodeDef], node: NodeDef, spec: InputSpec, link: Link
) -> Link | None:
    """The link with its output named in full, or None if it leads nowhere."""
    path = ("nodes", node.id, spec.name)
    source = nodes.get(link.node)
    if source is None:
        if link.node not in report.document.nodes:
            hint = report.suggest(link.node, report.document.nodes)
            report.add("E-LINK", f"node {quoted(link.node)} does not exist", hint, path=path)
        return None
    output = source.cls.output_named(link.output)
    origin = visible(link.node, 64)
    if output is None:
        names = ", ".join(source.cls.outputs)
        if link.output:
            what = f"node {origin} has no output {quoted(link.output)}; it has {names}"
            close = report.suggest(link.output, source.cls.outputs)
        else:
            what, close = f"node {origin} has several outputs: {names}", ""
        first = f'write "@{origin}.{next(iter(source.cls.outputs))}"'
        report.add("E-LINK", what, close if close.startswith("did") else first, path=path)
        return None
    if spec.files:
        what = f"gets its file name from {origin}, but it must be known before anything runs"
        report.add("E-LINK", what, "write the name here, or use a param", path=path)
        return None
    kind, may_be_none = output_type(source.cls, output)
    label = origin if source.cls.single else f"{origin}.{output}"
    if not spec.takes(kind):
        what = f"gets {socket_of(kind).name} from {label}, expects {spec.type_name}"
        report.add("E-TYPE", what, _converter(registry, kind, spec), path=path)
        return None
    if may_be_none and not spec.free and (spec.many or not spec.optional):
        what = f"gets {socket_of(kind).name} or nothing from {label}, expects {spec.type_name}"
        report.add("E-TYPE", what, "this input must not be empty", path=path)
        return None
    return Link(link.node, output)


def _converter(registry: Registry, kind: type, spec: InputSpec) -> str:
    """Which node turns the one type into the other, as a hint; empty if none does."""
    found = [cls for cls in registry.classes() if _converts(cls, kind, spec)]
    if not found:
        return ""
    required = {cls: sum(1 for s in cls.inputs.values() if s.default is REQUIRED) for cls in found}
    return f"add {min(found, key=lambda c: (required[c], c.__name__)).__name__}"


def _converts(cls: type[Node], kind: type, spec: InputSpec) -> bool:
    if not cls.single or cls.effect or cls.hidden:
        return False
    out, may_be_none = output_type(cls, next(iter(cls.outputs)))
    takes = any(kind in s.kinds and not s.many and not s.literal for s in cls.inputs.values())
    return takes and spec.takes(out) and not may_be_none
