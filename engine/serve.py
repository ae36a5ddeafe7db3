"""An engine that another process drives: one JSON object a line in, one a line out.

Commands, by their "do":

    run     "run": a name for it, and what the shop's `prepare` takes; runs wait for each other in order
    plan    "id": anything, and as for run; of several that wait only the last is answered
    cancel  "run": which, or none for the one that runs: it stops within one step, one that waits is dropped
    free    let go of loaded models
    ping    answered by pong
    quit    as the end of the input: the run is cancelled, and the process ends

Events, by their "event": those of `weft run --jsonl`, each with its "run", and

    hello      versions, device; the first line        importing, ready   a library is loaded in the background
    plan       what will run, and why: "nodes"; or "problems". With the "id" of the command, or before a run
    memory     bytes in use, about once a second       error              a run could not begin: "problems"
    over       the run is over, the next may begin     pong, log          an answer; something that was said
"""

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from engine.api import graph_id
from engine.cache import Cache
from engine.context import CancelToken, Settings
from engine.errors import Problem, WeftError
from engine.events import Event, NodeFinished, NodeProgress, problem_json
from engine.executor import Executor
from engine.graph import Graph, Workflow
from engine.plan import Plan, explain, make_plan, task_json
from engine.text import visible

PROTOCOL = 1
"""Raised when an older client would misread what is sent."""
MEMORY_EVERY = 1.0
"""Seconds between two words about memory while a run goes on."""
GRACE = 5.0
"""Seconds that a run gets to stop when the input ends."""

Message = Mapping[str, Any]
Write = Callable[[Message], None]


class Job(Protocol):
    """What a run needs beside the cache."""

    @property
    def workflow(self) -> Workflow:
        """The workflow, checked."""

    @property
    def graphs(self) -> Sequence[Graph]:
        """One graph a variant."""

    @property
    def settings(self) -> Settings:
        """Device, dtype, folders."""


J = TypeVar("J", bound=Job)


class Shop(Protocol[J]):
    """What the engine itself does not know: node classes, devices, libraries."""

    def hello(self) -> dict[str, Any]:
        """Versions, device and dtype, for the first line."""

    def warm(self) -> str:
        """The library that is loaded in the background, and is loaded once this returns."""

    def prepare(self, command: Message) -> J:
        """The job that a command describes. Raises all that is wrong with it."""

    def after(self, command: Message, job: J, pictures: Mapping[int, str], write: Write) -> None:
        """Called at the end of a run that is done; pictures: the first file of each variant."""

    def cache(self) -> Cache:
        """The cache, opened for one run or plan."""

    def memory(self) -> dict[str, Any]:
        """Bytes in use."""

    def free(self) -> None:
        """Let go of what is loaded."""


@dataclass
class _Waiting:
    """The runs that wait, and the one that runs."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    commands: deque[Message] = field(default_factory=deque)
    running: str | None = None
    token: CancelToken = field(default_factory=CancelToken)
    over: bool = False

    def take(self) -> Message | None:
        """The next command, once there is one; None when there will be no more."""
        with self.changed:
            self.running = None
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.commands or self.over)
            if self.over:
                return None
            command = self.commands.popleft()
            self.running, self.token = str(command.get("run", "")), CancelToken()
            return command


class Server(Generic[J]):
    """Reads commands, runs workflows, writes events. Running, planning and loading have a thread each."""

    def __init__(self, shop: Shop[J], write: Write) -> None:
        self._shop = shop
        self._to = write
        self._lock = threading.Lock()
        self._runs = _Waiting()
        self._plans = _Waiting()
        self._loaded = threading.Event()
        self._told = 0.0

    def serve(self, lines: Iterable[str], *, lazy: bool = False) -> None:
        """Do what the lines say until they end. lazy: load libraries when a node needs them, not at once."""
        self.write({"event": "hello", "protocol": PROTOCOL, **self._shop.hello()})
        if lazy:
            self._loaded.set()
        threads = [threading.Thread(target=work, daemon=True) for work in (self._run_all, self._plan_all)]
        threads += [] if lazy else [threading.Thread(target=self._load, daemon=True)]
        for thread in threads:
            thread.start()
        for line in lines:
            if line.strip() and not self._obey(line):
                break
        for waiting in (self._runs, self._plans):
            with waiting.changed:
                waiting.over = True
                waiting.token.cancel()
                waiting.changed.notify_all()
        threads[0].join(GRACE)

    def write(self, message: Message) -> None:
        """Send one message; from any thread."""
        with self._lock:
            self._to(message)

    def _obey(self, line: str) -> bool:
        """Do one command; False for the last."""
        try:
            command = json.loads(line)
            do = command["do"]
        except (ValueError, TypeError, KeyError, RecursionError) as why:
            self._log(f"not a command: {visible(line, 80)} ({type(why).__name__})")
            return True
        if do == "run":
            with self._runs.changed:
                self._runs.commands.append(command)
                self._runs.changed.notify_all()
        elif do == "plan":
            with self._plans.changed:
                self._plans.commands.clear()
                self._plans.commands.append(command)
                self._plans.changed.notify_all()
        elif do == "cancel":
            self._cancel(command.get("run"))
        elif do == "free":
            self._shop.free()
            self.write({"event": "memory", **self._shop.memory()})
        elif do == "ping":
            self.write({"event": "pong"})
        elif do != "quit":
            self._log(f"unknown command: {visible(str(do), 80)}")
        return bool(do != "quit")

    def _cancel(self, run: str | None) -> None:
        runs = self._runs
        with runs.changed:
            if run is None or run == runs.running:
                runs.token.cancel()
                return
            dropped = [c for c in runs.commands if c.get("run") == run]
            for command in dropped:
                runs.commands.remove(command)
        for _ in dropped:
            self.write({"event": "over", "run": run, "status": "cancelled"})

    def _load(self) -> None:
        started = time.perf_counter()
        self.write({"event": "importing"})
        try:
            name = self._shop.warm()
        except Exception as why:  # whatever an import does; a run that needs it will say so at its node
            self._log(f"{type(why).__name__}: {why}")
            name = ""
        self._loaded.set()
        self.write({"event": "ready", "what": name, "seconds": time.perf_counter() - started})

    def _run_all(self) -> None:
        while (command := self._runs.take()) is not None:
            name = command.get("run")
            status = "error"
            try:
                status = self._run(command)
            except Exception as why:
                self.write({"event": "error", "run": name, "problems": [problem_json(p) for p in _problems(why)]})
            self.write({"event": "memory", **self._shop.memory()})
            self.write({"event": "over", "run": name, "status": status})

    def _run(self, command: Message) -> str:
        """Run one workflow; returns its status."""
        # Two threads that import one library at the same time may see it half loaded.
        self._loaded.wait()
        name = command.get("run")
        job = self._shop.prepare(command)
        pictures: dict[int, str] = {}

        def emit(event: Event) -> None:
            if isinstance(event, NodeFinished):
                for file in event.files:
                    if file["mime"].startswith("image/"):
                        pictures.setdefault(event.variant, file["path"])
            self.write({**event.to_json(), "run": name})
            if isinstance(event, NodeProgress | NodeFinished) and time.monotonic() > self._told + MEMORY_EVERY:
                self._told = time.monotonic()
                self.write({"event": "memory", **self._shop.memory()})

        cache = self._shop.cache()
        try:
            plan = make_plan(job.graphs, cache, job.settings)
            self.write({"event": "plan", "run": name, **_told(plan, cache, job)})
            graph = graph_id(job.workflow)
            executor = Executor(job.graphs, cache, job.settings, emit=emit, token=self._runs.token, graph_id=graph)
            outcome = executor.run()
        finally:
            cache.close()
        if outcome.status == "done" or (job.settings.keep_going and outcome.status == "failed"):
            self._shop.after(command, job, pictures, lambda message: self.write({**message, "run": name}))
        return outcome.status

    def _plan_all(self) -> None:
        while (command := self._plans.take()) is not None:
            try:
                job = self._shop.prepare(command)
                cache = self._shop.cache()
                try:
                    told = _told(make_plan(job.graphs, cache, job.settings), cache, job)
                finally:
                    cache.close()
            except Exception as why:
                told = {"problems": [problem_json(p) for p in _problems(why)]}
            self.write({"event": "plan", "id": command.get("id"), **told})

    def _log(self, text: str) -> None:
        self.write({"event": "log", "text": text})


def _told(plan: Plan, cache: Cache, job: Job) -> dict[str, Any]:
    reasons = explain(plan, cache, job.settings, graph_id(job.workflow))
    return {
        "total": len(plan.tasks),
        "will_run": plan.count("run"),
        "variants": len(job.graphs),
        "drawn": list(job.graphs[0].drawn),
        "nodes": [task_json(task, reasons[task.places[0]]) for task in plan.tasks.values()],
    }


def _problems(why: Exception) -> Sequence[Problem]:
    if isinstance(why, WeftError):
        return why.problems
    print(f"{type(why).__name__}: {why}", file=sys.stderr, flush=True)
    what = f"weft itself failed: {type(why).__name__}: {visible(str(why))}"
    return [Problem("E-RUN", what, "please report it", exit_code=1)]
