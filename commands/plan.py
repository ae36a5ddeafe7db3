"""weft plan: what a run would do and why. Nothing loads."""

import argparse
from typing import TYPE_CHECKING

from commands.common import known_nodes, print_json, say, table
from commands.inputs import Job, prepare
from commands.subjects import unpacked
from engine.api import graph_id
from engine.cache import Cache, default_root
from engine.plan import Task, explain, make_plan, task_json
from engine.text import plural, visible

if TYPE_CHECKING:
    from engine.registry import Registry

GLYPHS = {"run": "◌", "cached": "≡", "unneeded": "○"}
WORDS = {"run": "will run", "cached": "cached", "unneeded": "not needed"}


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Print the plan for FILE; returns the exit code."""
    with unpacked(args.file) as folder:
        return _plan(args, prepare(args, known_nodes(registry), folder))


def _plan(args: argparse.Namespace, job: Job) -> int:
    cache = Cache(default_root())
    try:
        plan = make_plan(job.graphs, cache, job.settings)
        reasons = explain(plan, cache, job.settings, graph_id(job.workflow))
    finally:
        cache.close()
    tasks = list(plan.tasks.values())
    run = plan.count("run")
    say(job.workflow.warnings)
    if args.json:
        rows = [task_json(task, reasons[task.places[0]]) for task in tasks]
        print_json({"run": run, "total": len(tasks), "variants": len(job.graphs), "nodes": rows})
        return 0
    for line in table([_row(task, reasons[task.places[0]], len(job.graphs)) for task in tasks]):
        print(line)
    drawn = job.graphs[0].drawn
    if drawn:
        print(f"{', '.join(drawn)}: drawn anew in each run")
    print(f"{run} of {plural(len(tasks), 'node')} will run")
    return 0


def _row(task: Task, reason: str, variants: int) -> tuple[str, ...]:
    name = visible(task.node.id)
    if variants > 1:
        numbers = sorted({variant + 1 for variant, _ in task.places})
        name += f" [{numbers[0]}/{variants}]" if len(numbers) == 1 else f" ×{len(numbers)}"
    why = "" if reason == WORDS[task.status] else reason
    return f"{GLYPHS[task.status]} {name}", task.node.cls.__name__, WORDS[task.status], why
