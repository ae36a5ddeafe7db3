"""What the params pane shows: a row for each input of a node, and for each param of the workflow.

A row says what may be typed there and where in the file it would go. Reading and nudging values is here too, so that
widgets only show and ask.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from commands.inputs import typed
from engine.errors import Problem
from engine.graph import Link, ParamRef, reference
from engine.node import RESERVED, Node
from engine.spec import REQUIRED, Bad, InputSpec
from engine.text import quoted, visible
from tui.session import Session

Kind = Literal["integer", "number", "choice", "flag", "text", "seed", "value", "link"]
"""How a value is edited. link: only another node can feed it; value: as JSON."""

WIDTH = 60
"""Characters of a value that a row shows."""
ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "absent"})()


@dataclass(frozen=True, slots=True)
class Field:
    """One row. node: empty for a param of the workflow.

    raw: as the file has it, or ABSENT. value: the literal that counts now (of the param that feeds it, or the
    default), ABSENT where there is none. links: the outputs that feed it. param: the name of the param that does.
    """

    node: str
    name: str
    spec: InputSpec | None
    kind: Kind
    raw: Any
    value: Any
    links: tuple[Link, ...] = ()
    param: str = ""
    problem: Problem | None = None
    about: str = ""

    @property
    def key(self) -> str:
        """The name under which a run takes a value for it: a param, or node.input."""
        return f"{self.node}.{self.name}" if self.node else self.name

    @property
    def is_default(self) -> bool:
        """Whether the file says nothing of it."""
        return self.raw is ABSENT

    @property
    def editable(self) -> bool:
        """Whether a value can be typed: its own, or that of its param."""
        return self.kind != "link" and not self.links and self.spec is not None

    @property
    def shown(self) -> str:
        """The value as the row shows it, safe and on one line."""
        if self.links:
            return "← " + ", ".join(visible(str(link) if link.output else link.node, 40) for link in self.links)
        if self.value is ABSENT:
            return "required" if self.spec is None or self.spec.default is REQUIRED else "–"
        if self.value is None:
            return "random" if self.spec is not None and self.spec.seed else "–"
        if isinstance(self.value, str):
            return visible(self.value, WIDTH) or '""'
        return quoted(self.value, WIDTH)

    @property
    def range_text(self) -> str:
        """What may be typed: choices, a range, a step."""
        spec = self.spec
        if spec is None:
            return ""
        step = f"multiple of {spec.multiple_of:g}" if spec.multiple_of else ""
        return ", ".join(filter(None, [*spec.choices, spec.range_text, step])) or spec.type_name

    def read(self, text: str) -> Any:
        """The value of a typed text. Raises Bad, with what is wrong."""
        assert self.spec is not None
        return self.spec.check(typed(text, self.spec))


def fields_of(session: Session, node: str) -> list[Field]:
    """The rows of a node: its inputs in the order of its class, those it does not have after them."""
    raw = session.nodes.get(node)
    if not isinstance(raw, dict):
        return []
    cls = session.cls(node)
    specs: Mapping[str, InputSpec] = cls.inputs if cls is not None else {}
    problems = {p.place.input: p for p in reversed(session.problems_of(node))}
    names = [*specs, *(name for name in raw if name not in specs and name not in RESERVED)]
    return [_input(session, node, name, specs.get(name), raw.get(name, ABSENT), problems.get(name)) for name in names]


def params_of(session: Session) -> list[Field]:
    """The rows of the workflow's params."""
    declared = session.data.get("params", {})
    return [_param(session, name, raw) for name, raw in declared.items()] if isinstance(declared, dict) else []


def _input(session: Session, node: str, name: str, spec: InputSpec | None, raw: Any, problem: Problem | None) -> Field:
    links: tuple[Link, ...] = ()
    param = ""
    value = raw
    if raw is ABSENT:
        value = ABSENT if spec is None or spec.default is REQUIRED else spec.default
    else:
        found = reference(raw)
        if isinstance(found, Link):
            links, value = (found,), ABSENT
        elif isinstance(found, ParamRef):
            param, value = found.name, _default(session, found.name)
        elif isinstance(raw, list):
            links = tuple(item for item in map(reference, raw) if isinstance(item, Link))
            value = [reference(item) if isinstance(item, str) else item for item in raw] if not links else ABSENT
        else:
            value = found
    about = spec.about if spec is not None else ""
    return Field(node, name, spec, _kind(spec), raw, value, links, param, problem, about)


def _param(session: Session, name: str, raw: Any) -> Field:
    problem = next(iter(session.problems_of(f"${name}")), None)
    about = str(raw.get("about", "")) if isinstance(raw, dict) else ""
    spec = param_spec(session, name)
    return Field("", name, spec, _kind(spec), raw, _default(session, name), (), "", problem, about)


def param_spec(session: Session, name: str) -> InputSpec | None:
    """What a param takes. In a workflow that is broken elsewhere: what the first input takes that it feeds."""
    if session.workflow is not None and name in session.workflow.params:
        return session.workflow.params[name].spec
    raw = session.data.get("params", {}).get(name)
    for spec in _fed(session, name):
        limits = {}
        if isinstance(raw, dict):
            given = {"ge": raw.get("min"), "le": raw.get("max")}
            limits = {k: v for k, v in given.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        return replace(spec, name=name, **limits)  # type: ignore[arg-type]
    return None


def _fed(session: Session, name: str) -> Iterator[InputSpec]:
    for node, raw in session.nodes.items():
        cls = session.cls(node)
        if cls is None or not isinstance(raw, dict):
            continue
        for key, value in raw.items():
            found = reference(value)
            if isinstance(found, ParamRef) and found.name == name and key in cls.inputs:
                yield cls.inputs[key]


def _default(session: Session, name: str) -> Any:
    declared = session.data.get("params", {})
    raw = declared.get(name, ABSENT) if isinstance(declared, dict) else ABSENT
    if isinstance(raw, dict):
        raw = raw.get("default", ABSENT)
    return reference(raw) if isinstance(raw, str) else raw


def _kind(spec: InputSpec | None) -> Kind:
    if spec is None:
        return "value"
    if not spec.literal:
        return "link"
    if spec.seed:
        return "seed"
    if spec.choices:
        return "choice"
    if spec.many or dict in spec.kinds:
        return "value"
    if str in spec.kinds:
        return "text"
    return "number" if float in spec.kinds else "integer" if int in spec.kinds else "flag"


def nudged(field: Field, steps: int) -> Any:
    """The value some steps up or down, within the range; for a choice the next one, for a flag the other. Raises Bad
    where there is nothing to nudge."""
    spec, value = field.spec, field.value
    if spec is None or not field.editable:
        raise Bad(Problem("E-TYPE", "not a value", "it comes from another node"))
    if field.kind == "choice":
        at = spec.choices.index(value) if value in spec.choices else -1 if steps > 0 else 0
        return spec.choices[(at + steps) % len(spec.choices)]
    if field.kind == "flag":
        return not value
    if field.kind not in ("integer", "number", "seed"):
        raise Bad(Problem("E-TYPE", "not a number", "enter edits it"))
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else spec.ge or 0
    step = step_of(spec, number)
    moved = number + steps * step
    if spec.multiple_of:
        moved = round(moved / spec.multiple_of) * spec.multiple_of
    if spec.ge is not None:
        moved = max(moved, spec.ge)
    if spec.le is not None:
        moved = min(moved, spec.le)
    return int(moved) if float not in spec.kinds else round(moved, 10)


def step_of(spec: InputSpec, value: float) -> float:
    """How far one nudge goes: 1 for whole numbers (or the step that the input needs); else a round number that takes
    about fifty nudges through the range, or a tenth of the value's own size where there is none."""
    if spec.multiple_of:
        return spec.multiple_of
    if float not in spec.kinds:
        return 1
    if spec.ge is not None and spec.le is not None and spec.le > spec.ge:
        rough = (spec.le - spec.ge) / 50
        power = 10.0 ** math.floor(math.log10(rough))
        return next(power * mark for mark in (1, 2, 5, 10) if power * mark >= rough * 0.999)
    return float(10.0 ** (math.floor(math.log10(abs(value))) - 1)) if value else 0.1


def sources_for(session: Session, node: str, name: str) -> list[Link]:
    """The outputs in the workflow that fit an input by type and would close no cycle, nearest above it first."""
    cls = session.cls(node)
    spec = cls.inputs.get(name) if cls is not None else None
    return fitting(session, spec, node) if spec is not None else []


def fitting(session: Session, spec: InputSpec, node: str = "") -> list[Link]:
    """The outputs that fit what an input takes: of a node that is there, nearest above it first; of one that is still
    to be added, latest first."""
    if spec.files:
        return []
    below = _below(session, node) if node else set()
    found = []
    for other in session.nodes:
        source = session.cls(other)
        if other not in below and source is not None:
            found += [Link(other, "" if source.single else out) for out in _outputs(source, spec)]
    names = list(session.nodes)
    at = names.index(node) if node else len(names)
    return sorted(found, key=lambda link: (names.index(link.node) > at, abs(names.index(link.node) - at)))


def targets_for(session: Session, node: str, output: str) -> list[tuple[str, str]]:
    """The (node, input) pairs that an output of a node could feed."""
    found = []
    for other in session.nodes:
        cls = session.cls(other)
        for name in cls.inputs if cls is not None and other != node else ():
            if any(link.node == node and link.output in ("", output) for link in sources_for(session, other, name)):
                found.append((other, name))
    return found


def _outputs(source: type[Node], spec: InputSpec) -> Iterator[str]:
    for name, (kind, may_be_none) in source.output_types.items():
        if not source.effect and spec.takes(kind) and not (may_be_none and not spec.optional and not spec.free):
            yield name


def _below(session: Session, node: str) -> set[str]:
    """A node and everything that it feeds, however far below."""
    feeds: dict[str, set[str]] = {}
    for other, raw in session.nodes.items():
        for value in raw.values() if isinstance(raw, dict) else ():
            for item in value if isinstance(value, list) else [value]:
                link = reference(item)
                if isinstance(link, Link):
                    feeds.setdefault(link.node, set()).add(other)
    found = {node}
    stack = [node]
    while stack:
        for other in feeds.get(stack.pop(), ()):
            if other not in found:
                found.add(other)
                stack.append(other)
    return found
