"""Everything that is open and goes on, without a screen: the workflow, its states, the engine, the queue, the history.

Screens call what is here and show what it holds. Whoever made the desk is told what changed, as a set of words: session
(the text, its problems), board (states of nodes), run (steps and pictures of what runs), queue, engine, log, took, pull
(a model that is fetched). All methods are for the event loop; what may block goes to a thread of its own.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from commands.common import find
from engine.errors import Problem, WeftError, error
from engine.registry import Registry
from engine.text import visible
from tui.board import OVER, Board, Run, State
from tui.client import Client
from tui.config import Config
from tui.eta import SHORT, Estimate, estimate, signature
from tui.history import History, new_id
from tui.pulling import Puller
from tui.queue import Order, Queue, about
from tui.seeds import Mode, next_seeds
from tui.session import Session

PLAN_AFTER = 0.05
"""Seconds without another change after which the engine is asked what would run."""
LOG_LINES = 5000
RUNS_KEPT = 50
PREVIEWS = 4

Message = Mapping[str, Any]
Changed = Callable[[frozenset[str]], None]


class Desk:
    """See the module."""

    def __init__(
        self,
        registry: Callable[[], Registry],
        config: Config,
        history: Callable[[], History],
        changed: Changed,
        client: Callable[[Callable[[list[Message]], None]], Client] = Client,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`registry`, `history`: called once, in a thread, because both take a moment."""
        self.config = config
        self.clock = clock
        self.session: Session | None = None
        self.board = Board()
        self.queue = Queue()
        self.runs: dict[str, Run] = {}
        """The runs since the start, by id; the oldest go."""
        self.orders: dict[str, Order] = {}
        """What each of them was."""
        self.client = client(self._hear)
        self.puller = Puller(self._pulled)
        self.log: deque[tuple[float, str]] = deque(maxlen=LOG_LINES)
        """(seconds since 1970, text)."""
        self.noted = 0
        """Lines that were ever written to the log; the oldest of them are gone."""
        self.memory: Message = {}
        self.took: Mapping[str, float] = {}
        self.seed_mode: Mode = config.seed  # type: ignore[assignment]
        self._make_registry, self._make_history = registry, history
        self._lock = threading.Lock()
        self._registry: Registry | None = None
        self._history: History | None = None
        self._tell = changed
        self._io = ThreadPoolExecutor(1, "history")
        self._plan_id = 0
        self._plan_timer: asyncio.TimerHandle | None = None
        self._signatures: dict[str, dict[str, str]] = {}
        self._closed = False

    # Opening

    def load(self, name: str) -> Session:
        """The session of a workflow file, or of a shipped workflow by its name. Blocks; raises what prevents it."""
        path = find(name)
        return Session.open(path, self.registry(), "" if path == Path(name) else f"{name}.json")

    def registry(self) -> Registry:
        """The node classes. Blocks the first time."""
        with self._lock:
            if self._registry is None:
                self._registry = self._make_registry()
            return self._registry

    def history(self) -> History:
        """The history. Blocks the first time, and so does most of what it does: call it from a thread."""
        with self._lock:
            if self._history is None:
                self._history = self._make_history()
            return self._history

    def take(self, session: Session) -> None:
        """Work on this workflow from now on."""
        self.session = session
        self.board = Board()
        if session.path is not None:
            path = session.path
            self.in_background(lambda: self.history().opened(path))
        self.edited()

    def edited(self) -> None:
        """The session changed: everything that depends on it is brought up to date."""
        session = self.session
        if session is not None:
            types = {name: _type(raw) for name, raw in session.nodes.items()}
            self.board.shape(types, session.problems, session.left_out())
            self.replan()
        self._tell(frozenset({"session", "board"}))

    def replan(self) -> None:
        """Ask the engine in a moment what would run."""
        if self._plan_timer is not None:
            self._plan_timer.cancel()
        self._plan_timer = asyncio.get_running_loop().call_later(PLAN_AFTER, self._ask_plan)

    def _ask_plan(self) -> None:
        self._plan_timer = None
        session = self.session
        self._plan_id += 1
        if session is None or session.errors or not session.nodes:
            self.board.planned({})
            self._tell(frozenset({"board"}))
        elif self.client.status != "dead":
            self.client.send("plan", id=self._plan_id, **session.command(), **self._where())

    def _where(self) -> dict[str, Any]:
        return {"device": self.config.device, "dtype": self.config.dtype}

    # Running

    def run(
        self,
        targets: Sequence[str] = (),
        values: Mapping[str, Any] | None = None,
        sweep: Mapping[str, Sequence[Any]] | None = None,
        *,
        purpose: str = "run",
        grid: bool = False,
    ) -> Order:
        """Queue a run of the workflow as it is now; values and sweep: as of weft run. Raises what prevents it."""
        session = self.session
        if session is None:
            raise error(Problem("E-CLI", "no workflow is open", "open one first"))
        if session.errors:
            raise error(session.errors)
        last = next((run for run in reversed(self.runs.values()) if run.seeds), None)
        seeds = next_seeds(session, self.seed_mode, last.seeds[0] if last is not None else {})
        if seeds and not (sweep and seeds.keys() & sweep.keys()) and session.set_values(seeds, "seed"):
            self.edited()
        command = {
            **session.command(),
            **self._where(),
            "set": dict(values or {}),
            "sweep": {name: list(items) for name, items in (sweep or {}).items()},
            "targets": list(targets),
            "out": self.config.out,
            "keep_going": self.config.keep_going == "yes",
            "previews": PREVIEWS,
            "grid": grid,
        }
        to = {"to": ", ".join(targets)} if targets else {}
        told = about({**to, **(values or {})}, [sweep] if sweep else [])
        order = Order(new_id(), command, session.name, told, purpose)
        self.queue.paused = False
        self.queue.add(order)
        self._begin_next()
        self._tell(frozenset({"queue"}))
        return order

    def _begin_next(self) -> None:
        order = self.queue.next()
        if order is None:
            return
        run = Run(order.id)
        self.runs[order.id], self.orders[order.id] = run, order
        for old in list(self.runs)[:-RUNS_KEPT]:
            del self.runs[old], self.orders[old]
            self._signatures.pop(old, None)
        self.board.run = run
        device = str(self.client.hello.get("device", self.config.device))
        session, command = self.session, order.command
        text = command["text"] if "text" in command else _as_text(command["document"])
        file = str(command.get("path", ""))
        sets = {**command["set"], **{name: list(items) for name, items in command["sweep"].items()}}
        workflow = session.workflow if session is not None and session.name == order.name else None

        def note() -> None:
            self.history().begin(order.id, file, order.name, text, sets, device)
            if workflow is not None:
                self._signatures[order.id] = {n: signature(workflow, n, device) for n in workflow.nodes}

        self.in_background(note)
        self.client.send("run", run=order.id, **command)

    @property
    def current(self) -> Run | None:
        """The run that the engine has."""
        return self.runs.get(self.queue.current.id) if self.queue.current is not None else None

    def stop(self) -> None:
        """Stop the run within one step. What waits does not begin until something is queued again."""
        if self.queue.current is not None:
            self.queue.paused = len(self.queue) > 0
            self.client.send("cancel", run=self.queue.current.id)
            self._tell(frozenset({"queue"}))

    async def kill(self) -> None:
        """End the engine at once and start another."""
        self.queue.paused = len(self.queue) > 0
        await self.client.restart()

    def free(self) -> None:
        """Let go of the models in memory."""
        self.client.send("free")

    def go_on(self) -> None:
        """Begin what waits."""
        self.queue.paused = False
        self._begin_next()
        self._tell(frozenset({"queue"}))

    def left(self) -> Estimate | None:
        """How long the run will still take."""
        run = self.current
        if run is None or not run.active:
            return None
        return estimate(run, self.clock(), self._signatures.get(run.id, {}), self.took.get)

    # What the engine says

    def _hear(self, events: list[Message]) -> None:
        if self._closed:
            return
        changed: set[str] = set()
        # First the log: the end of a run closes it.
        for run in dict.fromkeys(event.get("run") for event in events):
            if run is not None:
                told = [event for event in events if event.get("run") == run]
                self.in_background(lambda run=run, told=told: self.history().log(run, told))  # type: ignore[misc]
        for event in events:
            kind = event["event"]
            run = event.get("run")
            if run is not None:
                changed |= self._hear_run(str(run), event)
            elif kind == "plan":
                if event.get("id") == self._plan_id:
                    self.board.planned(event)
                    changed.add("board")
            elif kind == "memory":
                self.memory = event
                changed.add("engine")
            elif kind == "log":
                self.note(event["text"])
                changed.add("log")
            elif kind == "exited":
                changed |= self._hear_end(event)
            elif kind in ("started", "hello", "importing", "ready"):
                changed.add("engine")
                if kind == "hello":
                    self._refresh_took()
                    self.replan()
        if changed:
            self._tell(frozenset(changed))

    def _hear_run(self, name: str, event: Message) -> set[str]:
        run = self.runs.get(name)
        if run is None:
            return set()
        run.apply(event, self.clock())
        if event["event"] == "warning":
            self.note(problem_line(event["problem"]))
        elif event["event"] in ("node_failed", "error"):
            for problem in event["problems"]:
                self.note(problem_line(problem))
        if event["event"] == "node_progress":
            return {"run"}
        if event["event"] != "over":
            return {"run", "board"}
        self._finish(run)
        return {"run", "board", "queue"}

    def _hear_end(self, event: Message) -> set[str]:
        reason = "the engine was stopped" if event["wanted"] else event["reason"]
        self.note(reason)
        run = self.current
        if run is not None and run.status not in OVER:
            run.died(reason)
            self.queue.paused = len(self.queue) > 0
        if run is not None:
            self._finish(run)
        self.memory = {}
        return {"engine", "run", "board", "queue", "log"}

    def _finish(self, run: Run) -> None:
        signatures = self._signatures.get(run.id, {})
        times: dict[str, list[float]] = {}
        for (_, node), cell in run.cells.items():
            if cell.state is State.DONE and cell.seconds >= SHORT and node in signatures:
                times.setdefault(signatures[node], []).append(cell.seconds)
        self.in_background(lambda: self.history().finish(run, times))
        self._refresh_took()
        self.queue.over(run.id)
        self._begin_next()
        self.replan()

    def _pulled(self) -> None:
        if self._closed:
            return
        if self.puller.status == "done":
            self.replan()
        self._tell(frozenset({"pull"}))

    def note(self, text: str) -> None:
        """A line for the log."""
        self.log.append((time.time(), text))
        self.noted += 1

    def _refresh_took(self) -> None:
        def read() -> None:
            self.took = self.history().took()

        self.in_background(read)

    def in_background(self, work: Callable[[], object]) -> None:
        """Do something that may block in a thread, after everything else that was asked for."""

        def guarded() -> None:
            try:
                work()
            except Exception as why:  # the history is a convenience: a run must not suffer from it
                self.note(f"history: {type(why).__name__}: {visible(str(why))}")

        if not self._closed:
            self._io.submit(guarded)

    async def close(self) -> None:
        """End the engine and finish writing."""
        self._closed = True
        if self._plan_timer is not None:
            self._plan_timer.cancel()
        await self.puller.stop()
        await self.client.close()
        history = self._history
        await asyncio.to_thread(self._io.shutdown)
        if history is not None:
            history.close()


def problem_lines(problems: Iterable[Problem]) -> str:
    """Problems as a person reads them, one a line."""
    return "\n".join(str(problem).partition("\n")[0] for problem in problems)


def words_of(why: Exception) -> str:
    """What went wrong, in one line."""
    if isinstance(why, WeftError):
        return problem_lines(why.problems[:1])
    return f"{type(why).__name__}: {visible(str(why))}"


def problem_line(problem: Message) -> str:
    """A problem as events tell it, as a person reads it."""
    where = f" {problem['where']}" if problem.get("where") else ""
    hint = f"; {problem['hint']}" if problem.get("hint") else ""
    return f"{problem['code']}{where}: {problem['what']}{hint}"


def _type(raw: Any) -> str:
    kind = raw.get("type") if isinstance(raw, dict) else None
    return kind if isinstance(kind, str) else "?"


def _as_text(document: Any) -> str:
    import json

    return json.dumps(document, ensure_ascii=False, indent=2)
