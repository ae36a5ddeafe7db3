"""weft run FILE --help: what a workflow is about and what it takes. Nothing runs."""

import argparse
from typing import TYPE_CHECKING

from commands.common import known_nodes, opened, shipped, table
from commands.report import shown
from engine.graph import Param, Workflow
from engine.text import quoted, visible

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Print the help of FILE; returns the exit code."""
    print(about(opened(args.file, known_nodes(registry)), args.file))
    return 0


def shipped_workflows() -> str:
    """The workflows that ship, a line each, for the end of `weft run --help`."""
    import json

    rows = []
    for name, path in shipped().items():
        data = json.loads(path.read_text("utf-8"))
        rows.append((f"  {name}", data["name"]))
    return "\n".join(["", "Shipped workflows (weft run NAME --help says more):", "", *table(rows), ""])


def about(workflow: Workflow, file: str) -> str:
    """The help of a workflow: its name, its own words, and its params in a table."""
    import textwrap

    values = " [name=value ...]" if workflow.params else ""
    blocks = [f"weft run {visible(file)}{values} [options]", visible(workflow.name)]
    if workflow.about:
        blocks.append("\n".join(w for line in shown(workflow.about) for w in textwrap.wrap(line, 100) or [""]))
    if workflow.params:
        head = ("param", "type", "default", "range", "about")
        blocks.append("\n".join(table([_row(p) for p in workflow.params.values()], head)))
    blocks.append("weft run --help lists the options.")
    return "\n\n".join(blocks)


def _row(param: Param) -> tuple[str, ...]:
    spec = param.spec
    if param.required:
        default = "required"
    else:
        drawn = spec.seed and spec.default in (None, -1)
        default = "drawn" if drawn else quoted(spec.default, 40)
    choices = ", ".join(spec.choices)
    return param.name, spec.type_name, default, choices or spec.range_text, " ".join(shown(param.about or spec.about))
