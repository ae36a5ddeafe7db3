"""Checking params: the type of each is that of the inputs it feeds."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.document import PARAM_NAME
from engine.errors import Problem
from engine.graph import Link, NodeDef, Param, ParamRef, reference
from engine.report import Report
from engine.spec import REQUIRED, Bad, InputSpec
from engine.templates import templates_of
from engine.text import did_you_mean, quoted

PARAM_KEYS = ("default", "min", "max", "about")


@dataclass(frozen=True, slots=True)
class _Use:
    """An input that a param feeds, or an element of a list input."""

    node: str
    input: str
    spec: InputSpec

    def __str__(self) -> str:
        return f"{self.node}.{self.input}"


def check_params(report: Report, nodes: Mapping[str, NodeDef], whole: bool) -> dict[str, Param]:
    """The params by name, their problems reported. `whole`: nothing is broken or left out, so that a param which
    feeds nothing is worth a note."""
    declared = report.document.params
    before = len(report.problems)
    uses: dict[str, list[_Use]] = {name: [] for name in declared}
    for node in nodes.values():
        for key, name in node.params.items():
            _use(report, uses, name, _Use(node.id, key, node.cls.inputs[key]))
        for key, items in node.lists.items():
            for item in items:
                if isinstance(item, ParamRef):
                    _use(report, uses, item.name, _Use(node.id, key, node.cls.inputs[key].element))
    params = {}
    # A param that seems idle may be the one that a misspelt use means.
    whole = whole and len(report.problems) == before
    templates = " ".join(f"{{{template}}}" for node in nodes.values() for _, template in templates_of(node))
    for name, raw in declared.items():
        in_template = f"{{{name}}}" in templates
        param = _param(report, name, raw, uses[name], in_template)
        if param is not None:
            params[name] = param
            if whole and not uses[name] and not in_template:
                report.add("W-PARAM", f"param {quoted(name)} feeds nothing", path=("params", name), key=True)
    return params


def _use(report: Report, uses: dict[str, list[_Use]], name: str, use: _Use) -> None:
    if name in uses:
        uses[name].append(use)
    else:
        hint = report.suggest(name, uses) or 'add it to "params"'
        report.add("E-PARAM", f"param {quoted(name)} is not declared", hint, path=("nodes", use.node, use.input))


def _param(report: Report, name: str, raw: Any, uses: list[_Use], in_template: bool) -> Param | None:
    path = ("params", name)
    before = len(report.problems)
    if not PARAM_NAME.match(name):
        hint = "names are 1–64 letters, digits and _, not starting with a digit or __"
        report.add("E-ID", f"{quoted(name)} cannot be the name of a param", hint, path=path, key=True)
    given = raw if isinstance(raw, dict) else {"default": raw}
    for key in given:
        if key not in PARAM_KEYS:
            what, hint = f"{quoted(key)} unknown in a param", did_you_mean(key, PARAM_KEYS)
            report.add("E-KEY", what, hint, path=(*path, key), key=True)
    for key in ("min", "max"):
        if key in given and (isinstance(given[key], bool) or not isinstance(given[key], int | float)):
            report.add("E-TYPE", f"{key} is {quoted(given[key])}; expected a number", path=(*path, key))
    if "about" in given and not isinstance(given["about"], str):
        report.add("E-TYPE", '"about" must be text', path=(*path, "about"))
    if len(report.problems) > before:
        return None
    try:
        spec = _spec(name, given, uses, in_template)
    except Bad as bad:
        report.place(bad, path)
        return None
    if "default" in given:
        at = (*path, "default") if isinstance(raw, dict) else path
        try:
            spec = replace(spec, default=spec.check(_plain(given["default"])))
        except Bad as bad:
            report.place(bad, at)
            return None
        report.note_controls(given["default"], at)
    return Param(name, spec, str(given.get("about", "")), tuple((use.node, use.input) for use in uses))


def _plain(value: Any) -> Any:
    """The default as a literal; raises Bad for a link or a param, which a default cannot be."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    item = reference(value)
    if isinstance(item, Link | ParamRef):
        kind = "link" if isinstance(item, Link) else "param"
        hint = f"for the text itself write {quoted(value[0] + value)}"
        raise Bad(Problem("E-PARAM", f"{quoted(value)} is a {kind}; a param holds a value", hint))
    return item


def _spec(name: str, given: dict[str, Any], uses: list[_Use], in_template: bool) -> InputSpec:
    """What the param takes: a value that suits every use and its own min and max. Raises Bad where they disagree."""
    low, high, about = given.get("min"), given.get("max"), str(given.get("about", ""))
    if uses:
        spec = uses[0].spec
        for use in uses:
            if not use.spec.literal:
                what = f"feeds {use}, which takes {use.spec.type_name}"
                raise Bad(Problem("E-PARAM", what, "use a link there"))
        for use in uses[1:]:
            spec = _both(spec, use.spec, str(uses[0]), str(use))
    else:
        value = given.get("default")
        kind = type(value) if isinstance(value, bool | int | float | str | dict) else str
        # Nothing waits for the value of a param that is used nowhere.
        unused = not in_template and "default" not in given
        spec = InputSpec(name, (kind,), optional=value is None and not in_template, many=isinstance(value, list))
        if unused:
            return replace(spec, default=None, ge=low, le=high, about=about)
    if (low, high) != (None, None) and not {int, float} & {*spec.kinds}:
        raise Bad(Problem("E-PARAM", f"min and max are for numbers, not for {spec.type_name}", "remove them"))
    low, high = _tighter(spec.ge, low, max), _tighter(spec.le, high, min)
    if low is not None and high is not None and low > high:
        raise Bad(Problem("E-PARAM", f"no number is at least {low:g} and at most {high:g}", "use two params"))
    return replace(spec, name=name, default=REQUIRED, ge=low, le=high, about=about or spec.about)


def _both(a: InputSpec, b: InputSpec, a_name: str, b_name: str) -> InputSpec:
    """What two inputs both take."""

    def differ(of_a: str, of_b: str) -> Bad:
        what = f"feeds {a_name} ({of_a}) and {b_name} ({of_b})"
        return Bad(Problem("E-PARAM", what, "a param has one type; use two params"))

    kinds = tuple(kind for kind in a.kinds if kind in b.kinds)
    if not kinds and {int, float} <= {*a.kinds, *b.kinds}:
        kinds = (int,)
    if not kinds or a.many != b.many:
        raise differ(a.type_name, b.type_name)
    choices = tuple(c for c in a.choices if c in b.choices) if a.choices and b.choices else a.choices or b.choices
    if (a.choices or b.choices) and not choices:
        raise differ(f"one of {', '.join(a.choices)}", f"one of {', '.join(b.choices)}")
    step = a.multiple_of or b.multiple_of
    if a.multiple_of and b.multiple_of and a.multiple_of != b.multiple_of:
        if not (float(a.multiple_of).is_integer() and float(b.multiple_of).is_integer()):
            raise differ(f"multiples of {a.multiple_of:g}", f"multiples of {b.multiple_of:g}")
        step = math.lcm(int(a.multiple_of), int(b.multiple_of))
    return replace(
        a,
        kinds=kinds,
        choices=choices,
        optional=a.optional and b.optional,
        ge=_tighter(a.ge, b.ge, max),
        le=_tighter(a.le, b.le, min),
        multiple_of=step,
        seed=a.seed and b.seed,
        files=a.files or b.files,
        beside=a.beside if a.files else b.beside,
    )


def _tighter(a: float | None, b: float | None, pick: Callable[[float, float], float]) -> float | None:
    return pick(a, b) if a is not None and b is not None else a if b is None else b
