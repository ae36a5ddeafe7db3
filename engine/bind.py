"""Giving a workflow its values: params, literal inputs set from outside, and the seeds that nobody chose."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import Place, Problem, error
from engine.graph import Graph, Link, NodeDef, ParamRef, Workflow
from engine.spec import REQUIRED, Bad, InputSpec
from engine.templates import NAMES, template_problems, templates_of
from engine.text import did_you_mean, quoted

Draw = Callable[[], int]


def draw_seed() -> int:
    """A seed from the system's randomness, 0 … 2^32 - 1: short enough to be read out and typed."""
    return secrets.randbits(32)


def bind(workflow: Workflow, given: Mapping[str, Any] | None = None, draw: Draw = draw_seed) -> Graph:
    """The graph that a run executes. `given` sets params by name, and literal inputs as "node.input".

    Values are always literal, never links. Raises all problems at once: an unknown name, a value that the inputs it
    feeds do not take, a required param without one.
    """
    given = given or {}
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    overrides: dict[tuple[str, str], Any] = {}
    for name, value in given.items():
        param = workflow.params.get(name)
        if param is not None:
            values[name] = _checked(param.spec, value, Place(workflow.document.name, node=f"${name}"), problems)
            continue
        node, dot, key = name.partition(".")
        spec = workflow.nodes[node].cls.inputs.get(key) if dot and node in workflow.nodes else None
        if spec is None:
            problems.append(Problem("E-PARAM", *_unknown(workflow, name), Place(workflow.document.name)))
            continue
        place = Place(workflow.document.name, node=node, input=key)
        if not spec.literal:
            what = f"takes {spec.type_name}, which only a link can give"
            problems.append(Problem("E-PARAM", what, "set a param or a literal input", place))
        else:
            overrides[node, key] = _checked(spec, value, place, problems)
    for param in workflow.params.values():
        if param.name not in values:
            if param.required:
                hint = f"give it: {param.name}=…" + (f" ({param.about})" if param.about else "")
                place = Place(workflow.document.name, node=f"${param.name}")
                problems.append(Problem("E-MISSING", f"param {quoted(param.name)} has no value", hint, place))
                continue
            default = param.spec.default
            values[param.name] = None if default is REQUIRED else default
    if problems:
        raise error(problems)
    return _graph(workflow, values, overrides, draw)


def _graph(workflow: Workflow, values: dict[str, Any], overrides: dict[tuple[str, str], Any], draw: Draw) -> Graph:
    seeds: dict[str, int] = {}
    drawn: list[str] = []

    def seed(value: Any, name: str) -> int:
        if value is None or value == -1:
            value = draw()
            drawn.append(name)
        seeds[name] = value
        return int(value)

    for name, param in workflow.params.items():
        if param.spec.seed and not (param.spec.optional and values[name] is None):
            values[name] = seed(values[name], name)
    by_node: dict[str, dict[str, Any]] = {}
    for (node_id, key), value in overrides.items():
        by_node.setdefault(node_id, {})[key] = value
    nodes: dict[str, NodeDef] = {}
    problems: list[Problem] = []
    names = {**values, **dict.fromkeys(NAMES, 0)}
    place = workflow.document.placed
    for name, node in workflow.nodes.items():
        literals, lists = _from_params(node, values) if node.needs_values else ({}, {})
        literals.update(by_node.get(name, {}))
        for key in node.cls.seeds:
            fixed = {**node.literals, **literals}
            fed_by_param = key in node.params and (name, key) not in overrides
            if key in fixed and not fed_by_param and not (fixed[key] is None and node.cls.inputs[key].optional):
                literals[key] = seed(fixed[key], f"{name}.{key}")
                if literals[key] != fixed[key]:
                    overrides[name, key] = literals[key]
        if literals or lists:
            node = node.with_inputs(literals, lists)
            for found in node.cls.check(node.literals):
                key = found.place.input
                problems.append(place(found, ("nodes", name, key) if key else ("nodes", name)))
        for key, template in templates_of(node):
            problems += [place(found, ("nodes", name, key)) for found in template_problems(template, names)]
        nodes[name] = node
    if problems:
        raise error(problems)
    return Graph(workflow, nodes, values, seeds, tuple(drawn), overrides)


def _from_params(node: NodeDef, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    """(the literals that params give a node, its lists with params filled in)."""
    literals: dict[str, Any] = {}
    lists: dict[str, tuple[Any, ...]] = {}
    for key, param in node.params.items():
        value = values[param]
        literals[key] = _as(node, key, value)
    for key, items in node.lists.items():
        filled = tuple(_as(node, key, values[i.name]) if isinstance(i, ParamRef) else i for i in items)
        if any(isinstance(i, Link) for i in filled):
            lists[key] = filled
        else:
            literals[key] = list(filled)
    return literals, lists


def _as(node: NodeDef, key: str, value: Any) -> Any:
    """A param's value as this input takes it: an int made float where only a float will do."""
    kinds = node.cls.inputs[key].kinds
    if int in kinds or float not in kinds:
        return value
    if isinstance(value, list):
        return [float(item) if type(item) is int else item for item in value]
    return float(value) if type(value) is int else value


def _checked(spec: InputSpec, value: Any, place: Place, problems: list[Problem]) -> Any:
    try:
        return spec.check(value)
    except Bad as bad:
        problems.append(bad.problem.at(place))
        return None


def _unknown(workflow: Workflow, name: str) -> tuple[str, str]:
    node, dot, key = name.partition(".")
    if dot and node in workflow.nodes:
        cls = workflow.nodes[node].cls
        return f"{cls.__name__} has no input {quoted(key)}", did_you_mean(key, cls.inputs)
    if dot:
        return f"no node {quoted(node)}", did_you_mean(node, workflow.nodes)
    hint = did_you_mean(name, workflow.params) or ("" if workflow.params else "this workflow has no params")
    return f"no param {quoted(name)}", hint
