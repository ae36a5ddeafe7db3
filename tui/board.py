"""What is known of every node: from checking, from the plan, and from the events of the run.

A reducer: it is told things, with the time at which they happened, and asked for states. It has no clock, no screen
and no engine, so a run can be replayed through it from its log.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from commands.pace import Pace
from engine.errors import Problem
from engine.events import problem_json
from engine.text import seconds as seconds_text
from engine.text import visible

Message = Mapping[str, Any]


class State(StrEnum):
    """What a node is doing. The value is the word that is shown beside its glyph."""

    IDLE = "idle"
    STALE = "stale"
    CACHED = "cached"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    BYPASSED = "bypassed"
    INVALID = "invalid"
    MISSING = "missing model"

    @property
    def glyph(self) -> str:
        """One cell that says it without colour."""
        return _GLYPHS[self]


_GLYPHS = dict(zip(State, "○◌≡·▶✓✗⊘⤼⚠⇩", strict=True))
_GRAVEST = (State.RUNNING, State.FAILED, State.CANCELLED, State.QUEUED, State.DONE, State.CACHED)
"""Of several variants of a node, the state that it shows: the first of these that one of them has."""

OVER = ("done", "failed", "cancelled", "error", "died")


@dataclass(slots=True)
class Cell:
    """One node of one variant in a run."""

    state: State
    step: int = 0
    total: int = 0
    message: str = ""
    seconds: float = 0.0
    started: float = 0.0
    peak_bytes: int = 0
    because: str = ""
    problems: Sequence[Message] = ()
    traceback: str = ""
    files: Sequence[Mapping[str, str]] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """A small picture of what a node has made so far."""

    variant: int
    node: str
    step: int
    total: int
    data: bytes


@dataclass(slots=True)
class Run:
    """A run as far as it has got. `cells` by (variant, node)."""

    id: str
    status: str = "queued"
    began: float = 0.0
    seconds: float = 0.0
    variants: int = 1
    seeds: Sequence[Mapping[str, int]] = ()
    plan: dict[str, Message] = field(default_factory=dict)
    keys: dict[str, set[str]] = field(default_factory=dict)
    total: int = 0
    """Nodes to be dealt with, those that are cached among them."""
    cells: dict[tuple[int, str], Cell] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    problems: list[Message] = field(default_factory=list)
    warnings: list[Message] = field(default_factory=list)
    said: list[tuple[int, str, str]] = field(default_factory=list)
    """(variant, node, text) of what nodes told."""
    outputs: list[dict[str, Any]] = field(default_factory=list)
    """The files that were saved: path, digest, mime, node, variant."""
    previews: dict[int, Preview] = field(default_factory=dict)
    """The latest of each variant."""
    preview: Preview | None = None
    """The latest of all."""
    paces: dict[tuple[int, str], Pace] = field(default_factory=dict)
    _known: dict[str, tuple[Cell, int, int]] = field(default_factory=dict)
    """What `of` found, until an event of that node."""

    @property
    def active(self) -> bool:
        """Whether it has begun and is not over."""
        return self.status == "running"

    def running(self) -> tuple[int, str] | None:
        """The (variant, node) that runs now."""
        return next((at for at, cell in reversed(self.cells.items()) if cell.state is State.RUNNING), None)

    def count(self, *states: State) -> int:
        """How many cells are in one of these states."""
        return sum(cell.state in states for cell in self.cells.values())

    def apply(self, event: Message, now: float) -> None:
        """Take in one event of this run."""
        kind = event["event"]
        if kind.startswith("node_"):
            self._node(kind, event, now)
        elif kind == "plan":
            self._planned(event)
        elif kind == "run_started":
            self.status, self.began = "running", now
            self.variants, self.seeds = event["variants"], event.get("seeds", ())
            self._known.clear()
            self.total = event["total"] + event["cached"]
        elif kind == "warning":
            self.warnings.append(event["problem"])
        elif kind == "grid":
            self.outputs.append({**event, "node": "", "variant": None})
        elif kind == "run_finished":
            self.status, self.seconds = event["status"], event["seconds"]
        elif kind == "error":
            self.status = "error"
            self.problems += event["problems"]
        elif kind == "over" and self.status not in OVER:
            self.status = event["status"]

    def died(self, reason: str) -> None:
        """The engine is gone: what ran has failed, and what waited does not run."""
        problem = {"code": "E-RUN", "what": reason, "hint": "F5 starts the engine again"}
        for (_, node), cell in self.cells.items():
            if cell.state is State.RUNNING:
                cell.state, cell.problems = State.FAILED, [{**problem, "node": node}]
            elif cell.state is State.QUEUED:
                cell.state = State.CANCELLED
        self.problems.append(problem)
        self.status = "died"
        self._known.clear()

    def _planned(self, event: Message) -> None:
        self._known.clear()
        for row in event.get("nodes", ()):
            for name in (row["node"], *row.get("also", ())):
                self.plan[name] = row
                self.keys.setdefault(name, set()).add(row["key"])
                self.types[name] = row["type"]
                if row["status"] == "run":
                    for variant in row["variants"]:
                        self.cells.setdefault((variant, name), Cell(State.QUEUED))

    def _node(self, kind: str, event: Message, now: float) -> None:
        at = event["variant"], event["node"]
        cell = self.cells.setdefault(at, Cell(State.QUEUED))
        self._known.pop(event["node"], None)
        if "type" in event:
            self.types[event["node"]] = event["type"]
        if "key" in event:
            self.keys.setdefault(event["node"], set()).add(event["key"])
        match kind:
            case "node_started":
                cell.state, cell.started = State.RUNNING, now
                self.paces[at] = Pace(now)
            case "node_cached":
                cell.state = State.CACHED
            case "node_progress":
                cell.state = State.RUNNING
                cell.step, cell.total, cell.message = event["step"], event["total"], event.get("message", "")
                if at in self.paces:
                    self.paces[at].tick(now, cell.step, cell.total)
                if data := event.get("preview"):
                    self.preview = Preview(at[0], at[1], cell.step, cell.total, _bytes(data))
                    self.previews[at[0]] = self.preview
            case "node_said":
                self.said.append((at[0], at[1], event["text"]))
            case "node_finished":
                cell.state, cell.seconds, cell.peak_bytes = State.DONE, event["seconds"], event["peak_bytes"]
                cell.files, cell.text = event.get("files", ()), event.get("text", "")
                self.outputs += [{**file, "node": at[1], "variant": at[0]} for file in cell.files]
            case "node_failed":
                cell.state, cell.problems = State.FAILED, event["problems"]
                cell.traceback = event.get("traceback", "")
                self.problems += event["problems"]
            case "node_skipped":
                cell.state, cell.because = State.CANCELLED, event["because"]
        if kind in ("node_finished", "node_failed", "node_skipped"):
            self.paces.pop(at, None)

    def of(self, node: str) -> tuple[Cell, int, int] | None:
        """(the cell that stands for a node, variants of it that are over, variants of it), or None."""
        if node not in self._known:
            cells = [c for v in range(self.variants) if (c := self.cells.get((v, node))) is not None]
            if not cells:
                return None
            over = sum(cell.state not in (State.QUEUED, State.RUNNING) for cell in cells)
            self._known[node] = min(cells, key=lambda cell: _GRAVEST.index(cell.state)), over, len(cells)
        return self._known[node]


@dataclass(frozen=True, slots=True)
class View:
    """One node as it is shown: its state, a few words, and how far it is (0 … 1; negative where that is not known)."""

    state: State
    detail: str = ""
    part: float = -1.0
    why: str = ""


class Board:
    """The states of the open workflow's nodes."""

    def __init__(self) -> None:
        self.types: dict[str, str] = {}
        self.problems: dict[str, list[Message]] = {}
        """By node: what checking and planning found."""
        self.out: frozenset[str] = frozenset()
        """Nodes that are bypassed, muted, or left out with them."""
        self.plan: dict[str, Message] = {}
        self.plan_problems: Sequence[Message] = ()
        self.will_run = 0
        self.total = 0
        self.drawn: Sequence[str] = ()
        self.run: Run | None = None

    def shape(self, types: Mapping[str, str], problems: Iterable[Problem], out: Iterable[str]) -> None:
        """The workflow changed: its nodes with their types, what is wrong, what is left out. The plan is kept until
        the next one comes, so that nothing flickers."""
        self.types = dict(types)
        self.out = frozenset(out)
        self.problems = {}
        for problem in problems:
            if not problem.is_warning and problem.place.node:
                self.problems.setdefault(problem.place.node, []).append(problem_json(problem))

    def planned(self, message: Message) -> None:
        """What the engine answers to "plan"."""
        self.plan_problems = message.get("problems", ())
        self.plan = {}
        for row in message.get("nodes", ()):
            for name in (row["node"], *row.get("also", ())):
                if name not in self.plan or row["status"] == "run":
                    self.plan[name] = row
        self.will_run, self.total = message.get("will_run", 0), message.get("total", 0)
        self.drawn = message.get("drawn", ())

    def begin(self, run: str) -> None:
        """A run of this workflow was handed to the engine."""
        self.run = Run(run)

    def apply(self, event: Message, now: float) -> None:
        """An event; those of other runs are passed over."""
        if self.run is not None and event.get("run") == self.run.id:
            self.run.apply(event, now)

    def view(self, node: str) -> View:
        """The state of a node, with a few words about it."""
        if node in self.out:
            return View(State.BYPASSED, "bypassed")
        if found := self.problems.get(visible(node, 64)):
            return View(State.INVALID, found[0]["code"], why=found[0]["what"])
        run = self.run
        if run is not None and run.active and (found_cell := run.of(node)) is not None:
            return _cell_view(*found_cell)
        for problem in self.plan_problems:
            if problem["node"] == node:
                state = State.MISSING if problem["exit_code"] == 3 else State.INVALID
                return View(state, problem["code"], why=problem["what"])
        row = self.plan.get(node)
        if run is not None and (row is None or row["key"] in run.keys.get(node, ())):
            found_cell = run.of(node)
            if found_cell is not None and found_cell[0].state is not State.CACHED:
                return _cell_view(*found_cell)
        if row is None:
            return View(State.IDLE)
        state = {"run": State.STALE, "cached": State.CACHED}.get(row["status"], State.IDLE)
        why = row["why"]
        return View(state, {State.STALE: "will run", State.CACHED: "cached"}.get(state, ""), why=why)

    def problems_at(self, node: str) -> list[Message]:
        """Everything that is wrong at a node: as a workflow, as a plan, in the run."""
        found = list(self.problems.get(visible(node, 64), ()))
        found += [p for p in self.plan_problems if p["node"] == node]
        if self.run is not None and self.view(node).state is State.FAILED:
            found += [p for (_, name), cell in self.run.cells.items() if name == node for p in cell.problems]
        return found

    def traceback_at(self, node: str) -> str:
        """Of a node that failed, where in the code: for whoever writes nodes. Empty where nothing is known."""
        if self.run is None or self.view(node).state is not State.FAILED:
            return ""
        return next((c.traceback for (_, name), c in self.run.cells.items() if name == node and c.traceback), "")


def _cell_view(cell: Cell, over: int, count: int) -> View:
    of_all = f" · {over}/{count}" if count > 1 else ""
    match cell.state:
        case State.RUNNING:
            part = cell.step / cell.total if cell.total else -1.0
            text = f"{cell.step}/{cell.total}" if cell.total else "running"
            return View(cell.state, text + of_all, part, visible(cell.message))
        case State.DONE:
            return View(cell.state, seconds_text(cell.seconds) + of_all)
        case State.FAILED:
            what = cell.problems[0]["what"] if cell.problems else ""
            return View(cell.state, "failed" + of_all, why=what)
        case State.CANCELLED:
            because = cell.because
            if because in ("", "cancelled", "died"):
                return View(cell.state, "cancelled" + of_all)
            why = "the run ended before it" if because == "failed" else f"{visible(because)} failed"
            return View(cell.state, "skipped" + of_all, why=why)
    return View(cell.state, str(cell.state) + of_all)


def _bytes(data: str | bytes) -> bytes:
    import base64

    return base64.b64decode(data) if isinstance(data, str) else data
