"""Checking params: the type of each is that of the inputs it feeds."""

from dataclasses import replace
from typing import Any

from engine.document import PARAM_NAME, Document
from engine.errors import Problem
from engine.graph import NodeDef, Param, ParamRef
from engine.spec import REQUIRED, Bad, InputSpec
from engine.text import did_you_mean, quoted

PARAM_KEYS = ("default", "min", "max", "about")


def check_params(document: Document, nodes: dict[str, NodeDef]) -> tuple[dict[str, Param], list[Problem]]:
    """(the params by name; their problems)."""
    problems: list[Problem] = []
    feeds: dict[str, list[tuple[str, str]]] = {name: [] for name in document.params}
    for node in nodes.values():
        uses = [(key, name) for key, name in node.params.items()]
        uses += [(k, i.name) for k, items in node.lists.items() for i in items if isinstance(i, ParamRef)]
        for key, name in uses:
            if name in feeds:
                feeds[name].append((node.id, key))
            else:
                hint = did_you_mean(name, document.params)
                what = f"param {quoted(name)} is not declared"
                problems.append(
                    document.problem("E-PARAM", what, hint or 'add it to "params"', path=("nodes", node.id, key))
                )
    params = {}
    in_templates = _template_names(nodes)
    whole = len(nodes) == len(document.nodes)
    for name, declared in document.params.items():
        param = _param(document, nodes, name, declared, feeds[name], problems)
        if param is not None:
            params[name] = param
        if whole and not feeds[name] and name not in in_templates:
            problems.append(
                document.problem("W-PARAM", f"param {quoted(name)} feeds nothing", path=("params", name), key=True)
            )
    return params, problems


def _template_names(nodes: dict[str, NodeDef]) -> str:
    """All file name templates in one text: a param may be used in these alone."""
    return " ".join(
        f"{{{value}}}"
        for node in nodes.values()
        for key, value in node.literals.items()
        if isinstance(value, str) and node.cls.inputs[key].template
    )


def _param(
    document: Document,
    nodes: dict[str, NodeDef],
    name: str,
    declared: Any,
    feeds: list[tuple[str, str]],
    problems: list[Problem],
) -> Param | None:
    path = ("params", name)
    if not PARAM_NAME.match(name):
        what = f"param name {quoted(name)}"
        hint = "names are letters, digits and _, starting with a letter"
        problems.append(document.problem("E-ID", what, hint, path=path, key=True))
        return None
    given = declared if isinstance(declared, dict) else {"default": declared}
    start = len(problems)
    for key in given:
        if key not in PARAM_KEYS:
            what, hint = f"{quoted(key)} unknown in a param", did_you_mean(key, PARAM_KEYS)
            problems.append(document.problem("E-KEY", what, hint, path=(*path, key), key=True))
    for key in ("min", "max"):
        if key in given and (isinstance(given[key], bool) or not isinstance(given[key], int | float)):
            problems.append(
                document.problem("E-TYPE", f"{key} is {quoted(given[key])}; expected a number", path=(*path, key))
            )
    if "about" in given and not isinstance(given["about"], str):
        problems.append(document.problem("E-TYPE", '"about" must be text', path=(*path, "about")))
    if len(problems) > start:
        return None
    try:
        spec = _merge(name, given, [nodes[node].cls.inputs[key] for node, key in feeds], feeds)
        if "default" in given:
            spec = replace(spec, default=spec.check(given["default"]))
    except Bad as bad:
        at = (*path, "default") if isinstance(declared, dict) and "default" in declared else path
        problems.append(document.problem(bad.problem.code, bad.problem.what, bad.problem.hint, path=at))
        return None
    return Param(name, spec, str(given.get("about", "")), tuple(feeds))


def _merge(name: str, given: dict[str, Any], specs: list[InputSpec], feeds: list[tuple[str, str]]) -> InputSpec:
    """One spec that every use accepts; raises Bad where they do not agree."""
    if not specs:
        value = given.get("default", "")
        kind = type(value) if isinstance(value, bool | int | float | str) else str
        return InputSpec(name, (kind,), optional=value is None, ge=given.get("min"), le=given.get("max"))
    for spec, (node, key) in zip(specs, feeds, strict=True):
        if not spec.literal:
            raise Bad(Problem("E-PARAM", f"feeds {node}.{key}, which takes {spec.type_name}", "use a link there"))
    first = specs[0]
    for spec, (node, key) in zip(specs[1:], feeds[1:], strict=True):
        common = tuple(k for k in spec.kinds if k in first.kinds)
        if not common and {int, float} <= {*spec.kinds, *first.kinds}:
            common = (int,)
        if not common or spec.many != first.many:
            a, b = f"{feeds[0][0]}.{feeds[0][1]}", f"{node}.{key}"
            what = f"feeds {a} ({first.type_name}) and {b} ({spec.type_name})"
            raise Bad(Problem("E-PARAM", what, "a param has one type; use two params"))
        choices = first.choices or spec.choices
        if first.choices and spec.choices:
            choices = tuple(c for c in first.choices if c in spec.choices)
        first = replace(
            first,
            kinds=common,
            choices=choices,
            optional=first.optional and spec.optional,
            ge=_tighter(first.ge, spec.ge, max),
            le=_tighter(first.le, spec.le, min),
            multiple_of=first.multiple_of or spec.multiple_of,
            seed=first.seed and spec.seed,
            files=first.files or spec.files,
        )
    low, high = _tighter(first.ge, given.get("min"), max), _tighter(first.le, given.get("max"), min)
    return replace(
        first, name=name, default=REQUIRED, ge=low, le=high, about=str(given.get("about", "")) or first.about
    )


def _tighter(a: float | None, b: float | None, pick: Any) -> float | None:
    return pick(a, b) if a is not None and b is not None else a if b is None else b
