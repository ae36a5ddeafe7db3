"""What a run tells others while it goes, as events, and what it leaves when it is over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import Cancelled, Problem
from engine.events import (
    Event,
    Listener,
    NodeCached,
    NodeFailed,
    NodeFinished,
    NodeSkipped,
    NodeStarted,
    RunFinished,
    RunStarted,
    Warned,
)
from engine.values import Saved

if TYPE_CHECKING:
    from engine.plan import Plan, Task


@dataclass(slots=True)
class Outcome:
    """What a run left: its status, the files saved by (variant, node), the values of targets, the problems."""

    status: str = "done"
    saved: dict[tuple[int, str], Saved] = field(default_factory=dict)
    values: dict[tuple[int, str], Mapping[str, Any]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    locks: dict[int, Path] = field(default_factory=dict)
    """The lock that was written beside what each variant saved."""
    seconds: float = 0.0
    ran: int = 0
    cached: int = 0
    failed: int = 0
    skipped: int = 0


class Recorder:
    """Counts what happens to tasks and tells the listener of it.

    A task stands for several places if variants of a sweep share it. Each place is told of once: the first as run,
    the others as cached or skipped.
    """

    def __init__(self, listener: Listener) -> None:
        self.outcome = Outcome()
        self.broken: BaseException | None = None
        """What the listener raised. It is told nothing more."""
        self._listener = listener
        self._shown: set[str] = set()

    def send(self, event: Event) -> None:
        """Tell the listener. If it raises, the run is over: nobody would hear of the rest."""
        if self.broken is None:
            try:
                self._listener(event)
            except BaseException as why:
                self.broken = why
        if self.broken is not None and not isinstance(event, RunFinished | NodeSkipped):
            raise Cancelled

    def begin(self, plan: "Plan") -> None:
        """The plan is made."""
        first = plan.graphs[0]
        seeds = tuple(dict(graph.seeds) for graph in plan.graphs)
        self.send(RunStarted(first.workflow.name, len(plan.graphs), plan.count("run"), plan.count("cached"), seeds))
        for name in first.drawn:
            what = f"drew {name} = {first.seeds[name]}"
            self.send(Warned(Problem("W-SEED", what, "give it to make this again")))

    def started(self, task: "Task") -> None:
        """A node begins."""
        self.send(NodeStarted(task.node.id, task.variant, task.node.cls.__name__, task.key))

    def cached(self, task: "Task", places: Sequence[tuple[int, str]] | None = None) -> None:
        """A task need not run, at these of its places or at all of them."""
        if task.id in self._shown:
            return
        self._shown.add(task.id)
        places = task.places if places is None else places
        self.outcome.cached += len(places)
        for variant, name in places:
            self.send(NodeCached(name, variant, task.node.cls.__name__, task.key))

    def finished(self, task: "Task", output: Any, digests: Mapping[str, str], seconds: float, peak_bytes: int) -> None:
        """A task ran."""
        self.outcome.ran += 1
        files: tuple[dict[str, str], ...] = ()
        text = ""
        if isinstance(output, Saved):
            self.outcome.saved[task.variant, task.node.id] = output
            files = tuple({"path": str(f.path), "digest": f.digest, "mime": f.mime} for f in output.files)
            text = output.text
        cls = task.node.cls.__name__
        self.send(
            NodeFinished(task.node.id, task.variant, cls, task.key, seconds, peak_bytes, dict(digests), files, text)
        )
        if len(task.places) > 1:
            self.cached(task, task.places[1:])
        self._shown.add(task.id)

    def failed(self, task: "Task", problems: Sequence[Problem], trace: str) -> None:
        """A task failed; so its other places do not run."""
        self.outcome.failed += 1
        self.outcome.problems += problems
        self.send(NodeFailed(task.node.id, task.variant, task.node.cls.__name__, tuple(problems), trace))
        self.skipped(task, task.node.id, task.places[1:])

    def skipped(self, task: "Task", because: str, places: Sequence[tuple[int, str]] | None = None) -> None:
        """A task does not run."""
        places = task.places if places is None else places
        self.outcome.skipped += len(places)
        for variant, name in places:
            self.send(NodeSkipped(name, variant, task.node.cls.__name__, because))

    def end(self, seconds: float) -> Outcome:
        """The run is over. Raises what the listener raised, if it did."""
        out = self.outcome
        out.seconds = seconds
        self.send(RunFinished(out.status, seconds, out.ran, out.cached, out.failed, out.skipped))
        if self.broken is not None:
            raise self.broken
        return out
