"""Short ways to write workflows of the toy nodes in run_nodes.py and to run them, noting everything that happens."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from run_nodes import CALLS, REGISTRY

from engine import api
from engine.bind import bind
from engine.cache import Cache
from engine.context import CancelToken, Settings
from engine.events import Event, NodeCached, NodeFailed, NodeFinished, NodeSkipped, NodeStarted, Warned
from engine.executor import Executor
from engine.graph import Workflow
from engine.outcome import Outcome
from engine.sweep import Sweep


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    """One node as a file writes it."""
    return {"type": kind, **inputs}


def flow(params: Mapping[str, Any] | None = None, targets: Iterable[str] = (), **nodes: dict[str, Any]) -> Workflow:
    """A checked workflow of these nodes."""
    return api.load(
        {"format": 1, "params": dict(params or {}), "nodes": nodes}, registry=REGISTRY, targets=tuple(targets)
    )


@dataclass
class Ran:
    """What a run did."""

    outcome: Outcome
    events: list[Event]
    calls: list[str] = field(default_factory=list)

    def nodes(self, kind: type[Event]) -> list[str]:
        """The ids of the nodes that an event of this kind tells of, in order."""
        return [e.node for e in self.events if isinstance(e, kind)]  # type: ignore[attr-defined]

    @property
    def ran(self) -> list[str]:
        return self.nodes(NodeFinished)

    @property
    def cached(self) -> list[str]:
        return self.nodes(NodeCached)

    @property
    def failed(self) -> list[str]:
        return self.nodes(NodeFailed)

    @property
    def skipped(self) -> list[str]:
        return self.nodes(NodeSkipped)

    @property
    def warnings(self) -> list[str]:
        return [e.problem.what for e in self.events if isinstance(e, Warned)]

    @property
    def digests(self) -> dict[str, dict[str, str]]:
        """The digests of every node that ran."""
        return {e.node: e.digests for e in self.events if isinstance(e, NodeFinished) and e.digests}

    def value(self, name: str, variant: int = 0) -> Any:
        """The one output of a target."""
        (value,) = self.outcome.values[variant, name].values()
        return value


def execute(
    workflow: Workflow,
    cache: Cache | None = None,
    *,
    sweep: Sweep | None = None,
    given: Mapping[str, Any] | None = None,
    token: CancelToken | None = None,
    listener: Callable[[Event], object] = lambda event: None,
    **settings: Any,
) -> Ran:
    """Run a workflow and note everything. Every run is held to the order in which events may come."""
    graphs = [bind(workflow, {**(given or {}), **variant}) for variant in sweep] if sweep else [bind(workflow, given)]
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        listener(event)

    CALLS.clear()
    settings.setdefault("folder", workflow.document.folder)
    executor = Executor(
        graphs, cache or Cache(), Settings(**settings), emit=listen, token=token, graph_id="test", memory=lambda: 0
    )
    outcome = executor.run()
    check_events(events, outcome)
    return Ran(outcome, events, list(CALLS))


def check_events(events: list[Event], outcome: Outcome) -> None:
    """What holds of every run: it begins and ends with its own events, and what starts ends in one way."""
    names = [type(e).__name__ for e in events]
    assert names[-1] == "RunFinished"
    assert names.count("RunFinished") == 1
    assert "RunStarted" in names[:2] or "Warned" in names[:1]
    running: set[tuple[str, int]] = set()
    for event in events:
        if isinstance(event, NodeStarted):
            assert (event.node, event.variant) not in running
            running.add((event.node, event.variant))
        elif isinstance(event, NodeFinished | NodeFailed):
            running.remove((event.node, event.variant))
        elif isinstance(event, NodeSkipped) and outcome.status != "done":
            running.discard((event.node, event.variant))
    assert not running
    counted = [
        len([e for e in events if isinstance(e, k)]) for k in (NodeFinished, NodeCached, NodeFailed, NodeSkipped)
    ]
    assert counted == [outcome.ran, outcome.cached, outcome.failed, outcome.skipped]
