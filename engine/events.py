"""What happens in a run, as one stream of frozen events. The command line, the TUI and any server read these alone."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, fields

from engine.errors import Problem


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""

    def to_json(self) -> dict[str, object]:
        """The event as one JSON object: its name under "event", then its fields."""
        out: dict[str, object] = {"event": EVENT_NAMES[type(self)]}
        for field in fields(self):
            out[field.name] = _plain(getattr(self, field.name))
        return out


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """The plan is made; nodes run next."""

    name: str
    variants: int
    total: int
    """Nodes that will run."""
    cached: int
    """Nodes that need not run."""
    seeds: tuple[dict[str, int], ...] = ()
    """For each variant the seeds that feed it, by param or node.input."""


@dataclass(frozen=True, slots=True)
class NodeStarted(Event):
    """A node begins. `key` names its result in the cache."""

    node: str
    variant: int
    type: str
    key: str


@dataclass(frozen=True, slots=True)
class NodeCached(Event):
    """A node need not run: its result is in the cache, or another node of this run has just made it."""

    node: str
    variant: int
    type: str
    key: str


@dataclass(frozen=True, slots=True)
class NodeProgress(Event):
    """A step of a long node is done."""

    node: str
    variant: int
    step: int
    total: int
    message: str = ""
    preview: bytes = b""
    """A small JPEG or PNG, or nothing."""


@dataclass(frozen=True, slots=True)
class NodeSaid(Event):
    """A node that runs tells what it made of its inputs, such as the text that a template became."""

    node: str
    variant: int
    text: str


@dataclass(frozen=True, slots=True)
class NodeFinished(Event):
    """A node is done. `digests` holds one digest for each output that has bytes."""

    node: str
    variant: int
    type: str
    key: str
    seconds: float
    peak_bytes: int
    digests: dict[str, str]
    files: tuple[dict[str, str], ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class NodeFailed(Event):
    """A node failed; the problems say why."""

    node: str
    variant: int
    type: str
    problems: tuple[Problem, ...]
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class NodeSkipped(Event):
    """A node did not run, because one that it needs failed or the run was stopped."""

    node: str
    variant: int
    type: str
    because: str


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something a person should know; nothing stops."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """The last event. status: done, failed or cancelled."""

    status: str
    seconds: float
    ran: int
    cached: int
    failed: int
    skipped: int


EVENT_NAMES: dict[type, str] = {
    RunStarted: "run_started",
    NodeStarted: "node_started",
    NodeCached: "node_cached",
    NodeProgress: "node_progress",
    NodeSaid: "node_said",
    NodeFinished: "node_finished",
    NodeFailed: "node_failed",
    NodeSkipped: "node_skipped",
    Warned: "warning",
    RunFinished: "run_finished",
}

Listener = Callable[[Event], None]


def problem_json(problem: Problem) -> dict[str, object]:
    """A problem as JSON: code, what, hint, where and the exit code it stands for."""
    return {
        "code": problem.code,
        "what": problem.what,
        "hint": problem.hint,
        "where": str(problem.place),
        "line": problem.place.line,
        "column": problem.place.column,
        "node": problem.place.node,
        "input": problem.place.input,
        "exit_code": problem.exit_code,
    }


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Problem):
        return problem_json(value)
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value
