"""How long a run will still take: the pace of what runs, and what nodes like the others took before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine.graph import Workflow, upstream
from engine.text import seconds as seconds_text
from tui.board import Run, State

SIZES = ("width", "height", "batch", "steps")
"""The inputs by which the time of the nodes below them grows."""
SHORT = 0.05
"""Seconds under which a node is taken as done at once."""

Took = Callable[[str], float | None]
"""From a signature to the seconds that such a node takes, as a rule; None where none was seen yet."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds that are left. sure: whether nothing had to be guessed or left out."""

    seconds: float
    sure: bool

    def __str__(self) -> str:
        return ("" if self.sure else "≈ ") + seconds_text(self.seconds)


def signature(workflow: Workflow, node: str, device: str) -> str:
    """What the time of a node depends on: its type, the sizes above it, and the device."""
    needed = upstream(workflow.nodes, [node])
    sizes: dict[str, int] = {}
    for name in (n for n in workflow.nodes if n in needed):
        one = workflow.nodes[name]
        values = {**one.literals, **{k: workflow.params[p].spec.default for k, p in one.params.items()}}
        for key in SIZES:
            if type(value := values.get(key)) is int:
                sizes[key] = max(sizes.get(key, 0), value)
    told = " ".join(f"{key}={value}" for key, value in sorted(sizes.items()))
    return f"{workflow.nodes[node].cls.__name__} {device} {told}".rstrip()


def estimate(run: Run, now: float, signatures: Mapping[str, str], took: Took) -> Estimate | None:
    """What is left of a run at the time `now`; None while nothing is known.

    signatures: of the nodes by id. The pace is that of the last steps; a node without steps takes what such nodes took.
    """
    left, known, sure = 0.0, False, True
    for (variant, node), cell in run.cells.items():
        if cell.state not in (State.QUEUED, State.RUNNING):
            continue
        usual = took(signatures.get(node, ""))
        pace = run.paces.get((variant, node))
        if cell.state is State.RUNNING and pace is not None and pace.rate:
            left += pace.left(now)
            known, sure = True, sure and pace.sure
        elif usual is None:
            sure = False
        else:
            left += max(usual - (now - cell.started), 0.0) if cell.state is State.RUNNING else usual
            known = known or usual > SHORT
    return Estimate(left, sure) if known else None
