"""What the open workflow reads: the models and other files that its inputs name, found or missing. Reads headers, so it
may block."""

import contextlib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import Problem, WeftError
from engine.graph import NodeDef, Workflow

_COMMAND = re.compile("get (?:it|them) with (.+?)(?:, (?:or|and) .*)?$")
"""A hint that says which command fetches what is missing."""
PULL = "weft models pull "


@dataclass(frozen=True, slots=True)
class Need:
    """An input that names files. files: what was found; problem: why there is nothing."""

    node: str
    input: str
    source: str
    files: Sequence[Path] = ()
    problem: Problem | None = None

    @property
    def key(self) -> str:
        """Its place in the workflow."""
        return f"{self.node}.{self.input}"

    @property
    def command(self) -> str:
        """The command that fetches it; empty where none is known."""
        found = _COMMAND.search(self.problem.hint) if self.problem is not None else None
        return found[1] if found else ""

    @property
    def pull(self) -> Sequence[str]:
        """The words after `weft models pull` that fetch it; none where weft cannot."""
        if not self.command.startswith(PULL):
            return ()
        with contextlib.suppress(ValueError):
            return shlex.split(self.command.removeprefix(PULL))
        return ()


def needs(workflow: Workflow) -> list[Need]:
    """Every input that names files as a literal or by a param's default, in the order of the file."""
    found: list[Need] = []
    for node in workflow.nodes.values():
        for name, spec in node.cls.inputs.items():
            source = _value(workflow, node, name)
            if spec.files is None or not isinstance(source, str):
                continue
            literals = {other: _value(workflow, node, other) for other in (name, *spec.beside)}
            try:
                files = spec.find_files(literals, workflow.document.folder, ())
                found.append(Need(node.id, name, source, files))
            except WeftError as why:
                found.append(Need(node.id, name, source, problem=why.problems[0]))
            except OSError as why:
                problem = Problem("E-NOTFOUND", f"cannot be read: {why.strerror}", exit_code=3)
                found.append(Need(node.id, name, source, problem=problem))
    return found


def _value(workflow: Workflow, node: NodeDef, name: str) -> Any:
    if name in node.params:
        return workflow.params[node.params[name]].spec.default
    return node.literals.get(name)
