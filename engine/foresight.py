"""What can be told of a workflow's wires before anything runs: which model it is, and so what does not go together.

A node class that knows says it in `Node.foresee`, from its literals and from what the nodes before it have said. One
that says nothing, and whose inputs of its output's type all say the same, hands that on.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import Problem, WeftError
from engine.graph import Graph, Link, NodeDef, Workflow
from engine.inputs import before_a_run

if TYPE_CHECKING:
    from engine.node import Node

Told = dict[tuple[str, str], Any]
"""What is known of outputs, by node and output."""


def foresee(workflow: Workflow, skip: Collection[str] = ()) -> list[Problem]:
    """What does not go together in a workflow, as far as its literals and the defaults of its params tell.

    skip: nodes that have problems already; nothing is known of what they make.
    """
    known = {
        name: {key: value for key in node.cls.inputs if (value := before_a_run(workflow, node, key)) is not ...}
        for name, node in workflow.nodes.items()
    }
    return _walk(workflow, workflow.nodes, known, workflow.document.folder, {}, skip)


def foresee_runs(graphs: Sequence[Graph], folder: Path) -> list[Problem]:
    """The same for what is about to run, with every value given."""
    found: dict[Problem, None] = {}
    memo: dict[object, Any] = {}
    for graph in graphs:
        known = {name: node.literals for name, node in graph.nodes.items()}
        found.update(dict.fromkeys(_walk(graph.workflow, graph.nodes, known, folder, memo, ())))
    return list(found)


def _walk(
    workflow: Workflow,
    nodes: Mapping[str, NodeDef],
    literals: Mapping[str, Mapping[str, Any]],
    folder: Path,
    memo: dict[object, Any],
    skip: Collection[str],
) -> list[Problem]:
    problems: list[Problem] = []
    told: Told = {}
    for name in workflow.order:
        node = nodes[name]
        if name in skip:
            continue
        linked = {key: value for key, link in node.links.items() if (value := _of(told, nodes, link)) is not ...}
        try:
            outputs = _outputs(node, literals[name], linked, folder, memo)
        except WeftError as why:
            for problem in why.problems:
                where = problem.place.input
                path = ("nodes", name, where) if where in node.links or where in node.literals else ("nodes", name)
                problems.append(workflow.document.placed(problem, path))
            continue
        told.update({(name, output): value for output, value in outputs.items()})
    return problems


def _outputs(
    node: NodeDef, literals: Mapping[str, Any], linked: Mapping[str, Any], folder: Path, memo: dict[object, Any]
) -> Mapping[str, Any]:
    cls = node.cls
    if not cls.foresees:
        return _handed_on(cls, linked) if linked else {}
    known = {**literals, **linked}
    key = (cls, repr(sorted(known.items(), key=lambda item: item[0])))
    if key not in memo:
        memo[key] = cls.foresee(known, folder)
    found: Mapping[str, Any] = memo[key]
    return found


def _handed_on(cls: "type[Node]", linked: Mapping[str, Any]) -> dict[str, Any]:
    """For each output what the inputs of its type say, where all that are known say the same."""
    found = {}
    for output, (kind, _) in cls.output_types.items():
        said = [value for key, value in linked.items() if kind in cls.inputs[key].kinds]
        if said and all(value == said[0] for value in said):
            found[output] = said[0]
    return found


def _of(told: Told, nodes: Mapping[str, NodeDef], link: Link) -> Any:
    output = nodes[link.node].cls.output_named(link.output)
    return told.get((link.node, output or ""), ...)
