"""From a document to a checked workflow. Every problem is found and all are reported; what merely follows from one
that is already reported is not."""

from collections.abc import Iterable
from typing import Any

from engine.document import NODE_ID, Document
from engine.errors import Problem, error
from engine.graph import Link, NodeDef, ParamRef, Workflow, upstream
from engine.links import check_links
from engine.node import RESERVED, Node
from engine.order import cycles, order
from engine.params import check_params
from engine.registry import Registry
from engine.spec import REQUIRED, Bad, InputSpec
from engine.text import did_you_mean, quoted


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
    problems: list[Problem] = list(document.notes)
    nodes: dict[str, NodeDef] = {}
    broken: set[str] = set()
    for position, (name, raw) in enumerate(document.nodes.items()):
        found: list[Problem] = []
        node = _node(document, registry, name, raw, position, found)
        problems += found
        if found:
            broken.add(name)
        if node is not None:
            nodes[name] = node
    problems += check_links(document, registry, nodes, broken)
    done, stuck = order(nodes)
    if stuck:
        for links in cycles({n: nodes[n] for n in stuck}):
            names = [links[0].node] if len(links) == 1 else [str(link) for link in links]
            text = " → ".join([*names, links[0].node])
            first = document.problem(
                "E-CYCLE", text, "nodes cannot feed each other", path=("nodes", links[0].node), key=True
            )
            problems.append(first)
    params, param_problems = check_params(document, nodes)
    problems += param_problems
    for name in targets:
        if name not in document.nodes:
            hint = did_you_mean(name, document.nodes)
            problems.append(document.problem("E-LINK", f"target {quoted(name)}: no such node", hint))
    effects = tuple(n for n in nodes if nodes[n].cls.effect)
    if not document.nodes:
        problems.append(document.problem("E-NOOUT", "the workflow has no nodes", path=("nodes",)))
    elif not targets and not effects and len(nodes) == len(document.nodes):
        problems.append(document.problem("E-NOOUT", "nothing would be saved", "add SaveImage, or name a --target"))
    wanted = targets or effects
    problems = _forgive(problems, upstream(nodes, targets) if targets else None)
    problems.sort(key=lambda p: (p.is_warning, p.place.line, p.place.column))
    if any(not p.is_warning for p in problems):
        return None, problems
    needed = upstream(nodes, wanted) if targets else set(nodes)
    return Workflow(
        document=document,
        name=str(document.data.get("name") or document.name),
        about=str(document.data.get("about", "")),
        params=params,
        nodes={n: nodes[n] for n in nodes if n in needed},
        order=tuple(n for n in done if n in needed),
        targets=wanted,
        warnings=tuple(problems),
    ), problems


def _forgive(problems: list[Problem], needed: set[str] | None) -> list[Problem]:
    """With targets, problems of nodes that these do not need become one warning each."""
    if needed is None:
        return problems
    kept = []
    for problem in problems:
        node = problem.place.node
        if node and not node.startswith("$") and node not in needed and not problem.is_warning:
            kept.append(Problem("W-SKIP", f"{problem.code}: {problem.what}", "the target does not need it",
                                problem.place))  # fmt: skip
        else:
            kept.append(problem)
    return kept


def _node(
    document: Document, registry: Registry, name: str, raw: Any, position: int, problems: list[Problem]
) -> NodeDef | None:
    """Check one node by itself: its id, type, input names and literals. None if even its type is unknown."""
    path = ("nodes", name)
    if not NODE_ID.match(name):
        what = f"node id {quoted(name)}"
        hint = "ids are 1–64 of A–Z a–z 0–9 _ -, not starting with __"
        problems.append(document.problem("E-ID", what, hint, path=path, key=True))
    if not isinstance(raw, dict):
        problems.append(document.problem("E-SHAPE", 'a node must be an object with "type"', path=path))
        return None
    cls = _type(document, registry, path, raw, problems)
    if cls is None:
        return None
    if "about" in raw and not isinstance(raw["about"], str):
        problems.append(document.problem("E-TYPE", '"about" must be text', path=(*path, "about")))
    if not isinstance(raw.get("cache", True), bool):
        problems.append(document.problem("E-TYPE", '"cache" must be true or false', path=(*path, "cache")))
    specs = cls.inputs
    for key in raw:
        if key not in specs and key not in RESERVED:
            hint = did_you_mean(key, specs)
            what = f"{quoted(key)} unknown: {cls.__name__} has no such input"
            problems.append(document.problem("E-INPUT", what, hint, path=(*path, key), key=True))
    node = NodeDef(name, cls, position, {}, cache=raw.get("cache", True) is not False)
    for key, spec in specs.items():
        if key in raw:
            _input(document, node, spec, raw[key], problems)
        elif spec.default is REQUIRED:
            problems.append(document.problem("E-MISSING", f'"{key}" is required', _fill(spec), path=path, key=True))
        else:
            node.literals[key] = spec.default
    node.__post_init__()
    if not problems:
        for found in cls.check(node.literals):
            problems.append(_placed(document, path, found))
    return node


def _fill(spec: InputSpec) -> str:
    if spec.literal:
        return f'add "{spec.name}": a value'
    return f'add "{spec.name}": "@node" with a node that makes {spec.type_name}'


def _type(
    document: Document, registry: Registry, path: tuple[str, str], raw: dict[str, Any], problems: list[Problem]
) -> type[Node] | None:
    """The class that "type" names; "NAME@2" asks for at least version 2 of it."""
    kind = raw.get("type")
    if not isinstance(kind, str):
        what = '"type" is required' if kind is None else f'"type" must be text, not {quoted(kind)}'
        problems.append(
            document.problem("E-MISSING" if kind is None else "E-TYPE", what, "such as SaveImage", path=path)
        )
        return None
    name, _, version = kind.partition("@")
    cls = registry.get(name)
    if cls is None:
        problems.append(document.problem("E-NODE", *_unknown(name, registry), path=(*path, "type")))
        return None
    if version and (not version.isdigit() or not 1 <= int(version) <= cls.version):
        what = f"{quoted(kind)}: this weft has {name} up to version {cls.version}"
        problems.append(document.problem("E-VERSION", what, "update weft", path=(*path, "type")))
        return None
    return cls


def _unknown(name: str, registry: Registry) -> tuple[str, str]:
    import unicodedata

    strange = next((c for c in name if not c.isascii()), "")
    if strange:
        script = unicodedata.name(strange, "unnamed").split()[0].title()
        plain = "".join(_LOOKALIKE.get(c, c) for c in name)
        what = f"{quoted(name)} contains U+{ord(strange):04X} ({script})"
        return what, did_you_mean(plain, registry.names())
    return f"{quoted(name)} is not a node type", did_you_mean(name, registry.names()) or "weft nodes lists them"


_LOOKALIKE = dict(zip("асеорхуАВСЕНКМОРТХ", "aceopxyABCEHKMOPTX", strict=True))


def _placed(document: Document, path: tuple[str, str], found: Problem) -> Problem:
    where = (*path, found.place.input) if found.place.input else path
    return document.problem(found.code, found.what, found.hint, path=where, exit_code=found.exit_code)


def _input(document: Document, node: NodeDef, spec: InputSpec, raw: Any, problems: list[Problem]) -> None:
    """Sort one input into literals, links, params or lists, and check it if it is a literal."""
    name = spec.name
    item = reference(raw)
    if isinstance(item, Link):
        if spec.many:
            node.lists[name] = (item,)
        else:
            node.links[name] = item
        return
    if isinstance(item, ParamRef):
        node.params[name] = item.name
        return
    path = ("nodes", node.id, name)
    if isinstance(raw, list):
        items = tuple(reference(v) for v in raw)
        links = [i for i in items if isinstance(i, Link)]
        if links and not spec.many:
            sources = ", ".join(link.node for link in links)
            what = f"{'two' if len(links) == 2 else len(links)} sources ({sources})"
            problems.append(document.problem("E-LINK", what, "one link feeds this input", path=path))
            return
        if any(isinstance(i, Link | ParamRef) for i in items):
            node.lists[name] = items
            return
        item = list(items)
    try:
        node.literals[name] = spec.check(item)
    except Bad as bad:
        problems.append(document.problem(bad.problem.code, bad.problem.what, bad.problem.hint, path=path))


def reference(value: Any) -> Any:
    """What a value in a file stands for: a Link, a ParamRef, or a literal with its doubled mark undone."""
    if not isinstance(value, str) or len(value) < 2 or value[0] not in "@$":
        return value
    if value[1] == value[0]:
        return value[1:]
    if value[0] == "$":
        return ParamRef(value[1:])
    node, _, output = value[1:].partition(".")
    return Link(node, output)
