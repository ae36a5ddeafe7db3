"""weft check: everything that is wrong with a workflow, before anything runs."""

import argparse
from typing import TYPE_CHECKING

from commands.common import find, known_nodes, print_json, read, say
from engine.compile import check
from engine.errors import error
from engine.events import problem_json
from engine.foresight import foresee
from engine.graph import Param, Workflow
from engine.inputs import check_files
from engine.opening import kind_of
from engine.places import allowed
from engine.text import plural, quoted, visible

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Check FILE; exit code 0 if a run could begin."""
    workflow, problems = check(read(args.file), known_nodes(registry), args.target)
    if workflow is not None:
        if kind_of(find(args.file)) != "bundle":  # what one brings was compared with its digests when it was read
            problems += check_files(workflow, allowed(args.allow, workflow.document.folder))
        problems += foresee(workflow, {problem.place.node for problem in problems if not problem.is_warning})
    errors = [p for p in problems if not p.is_warning]
    say(problems)
    if args.json:
        found = [problem_json(p) for p in errors]
        warnings = [problem_json(p) for p in problems if p.is_warning]
        print_json({"status": "error" if errors else "ok", "problems": found, "warnings": warnings})
    elif workflow is not None and not errors:
        print(describe(workflow))
    return error(errors).exit_code if errors else 0


def describe(workflow: Workflow) -> str:
    """A good workflow in one line: its name, how many nodes, its params, and what it makes."""
    parts = [plural(len(workflow.nodes), "node")]
    if workflow.params:
        parts.append("params " + ", ".join(map(_param, workflow.params.values())))
    made = ", ".join(f"{name} ({workflow.nodes[name].cls.__name__})" for name in workflow.targets[:6])
    more = len(workflow.targets) - 6
    parts.append(f"makes {made}" + (f" and {more} more" if more > 0 else ""))
    return f"{visible(workflow.name)}: {'; '.join(parts)}"


def _param(param: Param) -> str:
    return param.name if param.required else f"{param.name}={quoted(param.spec.default, 30)}"
