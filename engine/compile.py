"""From a document to a checked workflow. Every problem is found and all are reported; what merely follows from one
that is already reported is not."""

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from engine.document import NODE_ID, Document
from engine.errors import Problem, error
from engine.graph import Link, NodeDef, ParamRef, Workflow, reference, upstream
from engine.links import check_links
from engine.node import RESERVED, Node
from engine.order import cycles, order
from engine.params import check_params
from engine.registry import Registry
from engine.report import Report, TooMany
from engine.spec import REQUIRED, Bad, InputSpec
from engine.templates import check_templates
from engine.text import nearest, quoted, visible

_VERSION = re.compile(r"[1-9][0-9]{0,5}\Z")
_LOOKALIKE = dict(zip("асеорхуАВСЕНКМОРТХ", "aceopxyABCEHKMOPTX", strict=True))


def compile(document: Document, registry: Registry, targets: Iterable[str] = ()) -> Workflow:
    """The workflow in a document. Raises all its problems at once.

    targets: ids of the nodes to make, instead of everything that saves; what they do not need may be broken.
    """
    workflow, problems = check(document, registry, targets)
    if workflow is None:
        raise error(problems)
    return workflow


def check(document: Document, registry: Registry, targets: Iterable[str] = ()) -> tuple[Workflow | None, list[Problem]]:
    """(the workflow, or None where it is broken; all problems and warnings, in the order of the file)."""
    targets = tuple(dict.fromkeys(targets))
    report = Report(document)
    workflow = None
    with suppress(TooMany):
        workflow = _checked(report, registry, targets)
    problems = report.problems
    problems.sort(key=lambda p: (p.is_warning, p.place.line, p.place.column))
    if any(not p.is_warning for p in problems):
        return None, problems
    return workflow, problems


def _checked(report: Report, registry: Registry, targets: tuple[str, ...]) -> Workflow:
    """The workflow, which is good only if no error was reported."""
    document = report.document
    nodes: dict[str, NodeDef] = {}
    for position, (name, raw) in enumerate(document.nodes.items()):
        node = _node(report, registry, name, raw, position)
        if node is not None:
            nodes[name] = node
    # Before links that lead nowhere are taken out: a target needs what is behind these too.
    needed = upstream(nodes, targets) if targets else {*document.nodes}
    check_links(report, registry, nodes)
    done, stuck = order(nodes)
    for links in cycles({n: nodes[n] for n in stuck}) if stuck else ():
        what = _circle(links)
        report.add("E-CYCLE", what, "nodes cannot feed each other", path=("nodes", links[0].node), key=True)
    kept = {name: node for name, node in nodes.items() if name in needed}
    whole = kept.keys() == document.nodes.keys() and not any(not p.is_warning for p in report.problems)
    params = check_params(report, kept, whole)
    check_templates(report, kept)
    effects = tuple(name for name, node in nodes.items() if node.cls.effect)
    for name in targets:
        if name not in document.nodes:
            report.add("E-LINK", f"target {quoted(name)}: no such node", report.suggest(name, document.nodes))
    if not document.nodes:
        report.add("E-NOOUT", "the workflow has no nodes", "add some, with one that saves", path=("nodes",))
    elif not targets and not effects and len(nodes) == len(document.nodes):
        report.add("E-NOOUT", "nothing would be saved", "add SaveImage, or name a --target", path=("nodes",), key=True)
    if targets:
        report.problems = _forgiven(report.problems, needed)
    return Workflow(
        document=document,
        name=str(document.data.get("name") or document.name),
        about=str(document.data.get("about", "")),
        params=params,
        nodes=kept,
        order=tuple(n for n in done if n in needed),
        targets=targets or effects,
        warnings=tuple(p for p in report.problems if p.is_warning),
    )


def _circle(links: list[Link]) -> str:
    """The cycle in words: 3.latent → 5.image → 3.latent, or 3 → 3."""
    names = [visible(links[0].node, 64)] if len(links) == 1 else [visible(str(link)) for link in links]
    between = names if len(names) <= 12 else [*names[:6], f"… {len(names) - 12} more …", *names[-6:]]
    return " → ".join([*between, names[0]])


def _forgiven(problems: Iterable[Problem], needed: Iterable[str]) -> list[Problem]:
    """The problems; those of nodes that no target needs as warnings."""
    places = {visible(name, 64) for name in needed}
    kept = []
    for problem in problems:
        node = problem.place.node
        if node and not node.startswith("$") and node not in places and not problem.is_warning:
            what = f"{problem.code}: {problem.what}"
            problem = Problem("W-SKIP", what, "the target does not need it", problem.place)
        kept.append(problem)
    return kept


def _node(report: Report, registry: Registry, name: str, raw: Any, position: int) -> NodeDef | None:
    """Check one node by itself: its id, type, input names and literals. None if even its type is unknown."""
    path = ("nodes", name)
    before = len(report.problems)
    if not NODE_ID.match(name):
        hint = "ids are 1–64 of A–Z a–z 0–9 _ -, not starting with __"
        report.add("E-ID", f"{quoted(name)} cannot be a node id", hint, path=path, key=True)
    if not isinstance(raw, dict):
        report.add("E-SHAPE", 'a node must be an object with "type"', path=path)
        return None
    cls = _type(report, registry, path, raw)
    if cls is None:
        return None
    if "about" in raw and not isinstance(raw["about"], str):
        report.add("E-TYPE", '"about" must be text', path=(*path, "about"))
    if not isinstance(raw.get("cache", True), bool):
        report.add("E-TYPE", '"cache" must be true or false', path=(*path, "cache"))
    specs = cls.inputs
    misspelt = _unknown_inputs(report, cls, path, raw)
    node = NodeDef(name, cls, position, {}, cache=raw.get("cache", True) is not False)
    for key, spec in specs.items():
        if key in raw:
            _input(report, node, spec, raw[key])
        elif spec.default is not REQUIRED:
            node.literals[key] = spec.default
        elif key not in misspelt:
            report.add("E-MISSING", f'"{key}" is required', _fill(spec), path=path, key=True)
    node.find_sources()
    if len(report.problems) == before or all(p.is_warning for p in report.problems[before:]):
        for found in cls.check(node.literals):
            report.place(found, (*path, found.place.input) if found.place.input else path)
    return node


def _unknown_inputs(report: Report, cls: type[Node], path: tuple[str, str], raw: dict[str, Any]) -> set[str]:
    """Report the keys that are no inputs; return the inputs that seem to be meant, which are then not missing."""
    specs = cls.inputs
    meant: set[str] = set()
    for key in raw:
        if key not in specs and key not in RESERVED:
            free = [name for name in specs if name not in raw]
            close = nearest(key, free)
            meant.update(close)
            hint = report.suggest(key, close or specs)
            report.add("E-INPUT", f"{cls.__name__} has no input {quoted(key)}", hint, path=(*path, key), key=True)
    return meant


def _fill(spec: InputSpec) -> str:
    if spec.literal:
        return f'add "{spec.name}": a value'
    return f'add "{spec.name}": "@node" with a node that makes {spec.type_name}'


def _type(report: Report, registry: Registry, path: tuple[str, str], raw: dict[str, Any]) -> type[Node] | None:
    """The class that "type" names; "NAME@2" asks for at least version 2 of it."""
    kind = raw.get("type")
    if kind is None:
        report.add("E-MISSING", '"type" is required', 'add "type": the name of a node, such as SaveImage', path=path)
        return None
    if not isinstance(kind, str):
        what = f'"type" must be text, not {quoted(kind)}'
        report.add("E-TYPE", what, "the name of a node, such as SaveImage", path=(*path, "type"))
        return None
    name, mark, version = kind.partition("@")
    cls = registry.get(name)
    if cls is None:
        report.add("E-NODE", *_unknown(report, name, registry), path=(*path, "type"))
        return None
    if mark and not _VERSION.match(version):
        hint = f'write "{name}" or "{name}@{cls.version}"'
        report.add("E-VERSION", f"{quoted(kind)} names no version of {name}", hint, path=(*path, "type"))
        return None
    if mark and int(version) > cls.version:
        what = f"{quoted(kind)}: this weft has {name} up to version {cls.version}"
        report.add("E-VERSION", what, "update weft", path=(*path, "type"))
        return None
    return cls


def _unknown(report: Report, name: str, registry: Registry) -> tuple[str, str]:
    import unicodedata

    strange = next((c for c in name if not c.isascii()), "")
    if strange:
        script = unicodedata.name(strange, "unnamed").split()[0].title()
        plain = "".join(_LOOKALIKE.get(c, c) for c in name)
        what = f"{quoted(name)} contains U+{ord(strange):04X} ({script})"
        return what, report.suggest(plain, registry.names())
    close = report.suggest(name, registry.names())
    failed = "; ".join(f"the package {quoted(pack)} did not load: {why}" for pack, why in registry.broken.items())
    hint = failed or (close if close.startswith("did") else "weft nodes lists them")
    return f"{quoted(name)} is not a node type", hint


def _input(report: Report, node: NodeDef, spec: InputSpec, raw: Any) -> None:
    """Sort one input into literals, links, params or lists, and check it if it is a literal."""
    name = spec.name
    path = ("nodes", node.id, name)
    item = reference(raw)
    if isinstance(item, Link):
        if spec.many:
            node.lists[name] = (item,)
        else:
            node.links[name] = item
    elif isinstance(item, ParamRef):
        node.params[name] = item.name
    elif isinstance(raw, list) and spec.many:
        _list(report, node, spec, raw)
    elif isinstance(raw, list) and len(sources := _links(raw)) > 1:
        what = f"{'two' if len(sources) == 2 else len(sources)} sources ({visible(', '.join(sources))})"
        report.add("E-LINK", what, "one link feeds this input", path=path)
    elif isinstance(raw, list) and (sources or any(isinstance(reference(v), ParamRef) for v in raw)):
        report.add("E-TYPE", f"a list; expected one {spec.type_name}", "write it without the brackets", path=path)
    else:
        try:
            node.literals[name] = spec.check(item)
        except Bad as bad:
            report.place(bad, path)
        report.note_controls(item, path)


def _links(raw: list[Any]) -> list[str]:
    return [item.node for item in map(reference, raw) if isinstance(item, Link)]


def _list(report: Report, node: NodeDef, spec: InputSpec, raw: list[Any]) -> None:
    """A list for an input that takes one, element by element."""
    items: list[Any] = []
    one = spec.element
    for index, item in enumerate(map(reference, raw)):
        path = ("nodes", node.id, spec.name, index)
        if not isinstance(item, Link | ParamRef):
            try:
                item = one.check(item)
            except Bad as bad:
                report.place(bad, path)
            report.note_controls(item, path)
        items.append(item)
    if any(isinstance(item, Link | ParamRef) for item in items):
        node.lists[spec.name] = tuple(items)
    else:
        node.literals[spec.name] = items
