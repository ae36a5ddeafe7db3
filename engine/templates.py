"""File name templates (`Input(template=True)`) before anything runs: the names in them, and where they lead."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from engine.errors import Problem, WeftError
from engine.graph import NodeDef
from engine.paths import expand_template, resolve_output
from engine.report import Report

NAMES = ("index", "variant")
"""What a template may hold beside params: the picture's number in its batch, and the run's in its sweep."""

NO_VALUE = "0000"
"""Stands for a value that is not known yet: it makes neither a device's name (com1) nor one that is too long."""


def check_templates(report: Report, nodes: Mapping[str, NodeDef]) -> None:
    """Report the templates written in the file that no values could make a good file name of."""
    values = dict.fromkeys((*report.document.params, *NAMES), NO_VALUE)
    for node in nodes.values():
        for name, template in templates_of(node):
            for found in template_problems(template, values):
                report.place(found, ("nodes", node.id, name))


def templates_of(node: NodeDef) -> Iterable[tuple[str, str]]:
    """(input, template) of every template that a node has as a literal."""
    for name in node.cls.templates:
        template = node.literals.get(name)
        if isinstance(template, str):
            yield name, template


def template_problems(template: str, values: Mapping[str, object]) -> tuple[Problem, ...]:
    """What is wrong with the file name that a template makes of these values: E-TEMPLATE, E-NAME, E-PATH."""
    try:
        resolve_output(expand_template(template, values), Path("out"))
    except WeftError as why:
        return why.problems
    return ()
