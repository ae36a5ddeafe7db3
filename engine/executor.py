"""Running a plan: each task once, sources first, results dropped after their last use."""

import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.cache import Cache, Held
from engine.context import CancelToken, Context, Settings
from engine.errors import Cancelled, Place, Problem, WeftError
from engine.events import (
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
from engine.graph import Graph, Link, NodeDef
from engine.keys import inputs_json
from engine.node import Node, output_type
from engine.plan import Plan, Task, make_plan
from engine.values import Saved

Explain = Callable[[Exception, NodeDef], Problem | None]
"""Turns an error of a library into a problem in words; None if it has no better ones."""


@dataclass(slots=True)
class Outcome:
    """What a run left: its status, the files saved by (variant, node), the values of targets, the problems."""

    status: str = "done"
    saved: dict[tuple[int, str], Saved] = field(default_factory=dict)
    values: dict[tuple[int, str], Mapping[str, Any]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    seconds: float = 0.0
    ran: int = 0
    cached: int = 0
    failed: int = 0
    skipped: int = 0


def resident_peak() -> int:
    """The most memory that this process has held so far, in bytes; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class _Lost(Exception):
    """A result that the plan counted on turned out to be gone or damaged."""


class Executor:
    """One run. The events it emits are all that anybody sees of it; a slow listener slows the run."""

    def __init__(
        self,
        graphs: Sequence[Graph],
        cache: Cache,
        settings: Settings,
        *,
        emit: Listener = lambda event: None,
        token: CancelToken | None = None,
        explain: Explain = lambda why, node: None,
        graph_id: str = "",
        memory: Callable[[], int] = resident_peak,
    ) -> None:
        self.graphs = graphs
        self.cache = cache
        self.settings = settings
        self.emit = emit
        self.token = token or CancelToken()
        self.explain = explain
        self.graph_id = graph_id
        self.memory = memory
        self.outcome = Outcome()
        self._held: dict[str, Held] = {}
        self._uses: dict[str, int] = {}
        self._failed: dict[str, str] = {}
        self._done: set[str] = set()
        self._shown: set[str] = set()
        self._ran: list[Task] = []

    def run(self) -> Outcome:
        """Execute everything. Never raises for what a node does: the outcome and the events say it."""
        started = time.perf_counter()
        self.cache.listen(lambda problem: self.emit(Warned(problem)))
        plan = make_plan(self.graphs, self.cache, self.settings)
        self._start(plan)
        try:
            while True:
                try:
                    self._execute(plan)
                    break
                except _Lost:
                    plan = make_plan(self.graphs, self.cache, self.settings, have=self._held)
        except Cancelled:
            self.outcome.status = "cancelled"
        finally:
            self._remember(plan)
            self.cache.flush()
        out = self.outcome
        out.seconds = time.perf_counter() - started
        if out.failed and out.status == "done":
            out.status = "failed"
        self._skip_rest(plan)
        self.emit(RunFinished(out.status, out.seconds, out.ran, out.cached, out.failed, out.skipped))
        return out

    def _start(self, plan: Plan) -> None:
        run = plan.count("run")
        seeds = tuple(dict(graph.seeds) for graph in self.graphs)
        name = self.graphs[0].workflow.name
        self.emit(RunStarted(name, len(self.graphs), run, plan.count("cached"), seeds))
        for name in self.graphs[0].drawn:
            problem = Problem("W-SEED", f"drew {name} = {self.graphs[0].seeds[name]}", "give it to make this again")
            self.emit(Warned(problem))

    def _execute(self, plan: Plan) -> None:
        self._count_uses(plan)
        waiting = [t for t in plan.tasks.values() if t.status != "unneeded" and t.id not in self._done]
        index = 0
        while index < len(waiting):
            if self.token.cancelled:
                raise Cancelled
            task = waiting[index]
            index += 1
            if task.status == "cached":
                if task.id not in self._shown:
                    self._show_cached(task, task.places)
            elif cause := self._blocked(task):
                self._skip(task, cause)
            else:
                batch = [task]
                while task.node.cls.batches and index < len(waiting) and len(batch) < self.settings.batch:
                    other = waiting[index]
                    if other.node.id != task.node.id or other.status != "run" or self._blocked(other):
                        break
                    batch.append(other)
                    index += 1
                self._run(plan, batch)
                if self._failed and not self.settings.keep_going:
                    return
        for variant, task_id in plan.targets:
            if task_id in self._held:
                name = next(n for v, n in plan.tasks[task_id].places if v == variant)
                self.outcome.values[variant, name] = self._held[task_id].values

    def _count_uses(self, plan: Plan) -> None:
        """How many tasks that will run still read each result. Targets that are not effects are held to the end."""
        self._uses = {}
        for task in plan.tasks.values():
            if task.status == "run" and task.id not in self._done:
                for source in task.sources.values():
                    self._uses[source] = self._uses.get(source, 0) + 1
        for _, target in plan.targets:
            task = plan.tasks[target]
            if not task.node.cls.effect:
                self._uses[target] = self._uses.get(target, 0) + 1
                if task.status == "cached":
                    self._value(task, tuple(task.node.cls.outputs))

    def _value(self, task: Task, names: Sequence[str]) -> Held:
        """These outputs of a task: held, or read from the cache."""
        held = self._held.get(task.id)
        if held is None or any(name not in held.values for name in names):
            more = self.cache.load(task.key, task.node.cls, names)
            if more is None:
                raise _Lost(task.id)
            held = Held({**(held.values if held else {}), **more.values}, more.digests, more.seconds, more.bytes)
            self._held[task.id] = held
        return held

    def _run(self, plan: Plan, batch: Sequence[Task]) -> None:
        """Run tasks of one node class; together, where their batch keys allow it."""
        ready: dict[object, list[tuple[Task, Node, Context]]] = {}
        for task in batch:
            context = self._context(plan, task)
            try:
                node = task.node.cls(**self._inputs(plan, task))
                key = node.batch_key() if len(batch) > 1 else None
            except (_Lost, Cancelled):
                raise
            except Exception as why:
                self._fail(task, why)
                continue
            ready.setdefault(("alone", task.id) if key is None else key, []).append((task, node, context))
        for group in ready.values():
            if len(group) > 1 and self._run_together(plan, group):
                continue
            for task, node, context in group:
                self._run_one(plan, task, node, context)
        for task in batch:
            self._release(task)

    def _run_together(self, plan: Plan, group: Sequence[tuple[Task, Node, Context]]) -> bool:
        """Run a group as one. False if that failed; then each runs alone, so that only the guilty one fails."""
        for task, _, _ in group:
            self._announce(task)
        started = time.perf_counter()
        try:
            outputs = type(group[0][1]).run_batch([n for _, n, _ in group], [c for _, _, c in group])
        except Cancelled:
            raise
        except Exception:
            return False
        each = (time.perf_counter() - started) / len(group)
        for (task, _, _), output in zip(group, outputs, strict=True):
            self._finish(plan, task, output, each)
        return True

    def _run_one(self, plan: Plan, task: Task, node: Node, context: Context) -> None:
        self._announce(task)
        started = time.perf_counter()
        try:
            output = node.run(context)
        except Cancelled:
            raise
        except Exception as why:
            self._fail(task, why)
            return
        self._finish(plan, task, output, time.perf_counter() - started)

    def _announce(self, task: Task) -> None:
        self.emit(NodeStarted(task.node.id, task.variant, task.node.cls.__name__, task.key))

    def _finish(self, plan: Plan, task: Task, output: Any, seconds: float) -> None:
        """Check, keep and announce what a node returned."""
        cls = task.node.cls
        values = {next(iter(cls.outputs)): output} if cls.single else dict(zip(cls.outputs, output, strict=True))
        try:
            _check_types(cls, values)
            keep = self.settings.use_cache and task.node.cache
            held = self.cache.store(task.key, cls, values, seconds, lambda: self._inputs_json(plan, task), keep=keep)
        except Exception as why:
            self._fail(task, why)
            return
        self._done.add(task.id)
        self._ran.append(task)
        self.outcome.ran += 1
        if self._uses.get(task.id):
            self._held[task.id] = held
        files: tuple[dict[str, str], ...] = ()
        text = ""
        if cls.effect and isinstance(output, Saved):
            self.outcome.saved[task.variant, task.node.id] = output
            files = tuple({"path": str(f.path), "digest": f.digest, "mime": f.mime} for f in output.files)
            text = output.text
        self.emit(
            NodeFinished(task.node.id, task.variant, cls.__name__, task.key, seconds, self.memory(),
                         dict(held.digests), files, text)
        )  # fmt: skip
        if len(task.places) > 1:
            self._show_cached(task, task.places[1:])

    def _show_cached(self, task: Task, places: Sequence[tuple[int, str]]) -> None:
        self._shown.add(task.id)
        self.outcome.cached += len(places)
        for variant, name in places:
            self.emit(NodeCached(name, variant, task.node.cls.__name__, task.key))

    def _fail(self, task: Task, why: Exception) -> None:
        problems = _problems(why, task.node, self.explain)
        self._failed[task.id] = task.node.id
        self._done.add(task.id)
        self.outcome.failed += 1
        self.outcome.problems += problems
        trace = "".join(traceback.format_exception(why))
        self.emit(NodeFailed(task.node.id, task.variant, task.node.cls.__name__, tuple(problems), trace))

    def _blocked(self, task: Task) -> str:
        """The node whose failure keeps this task from running, or nothing."""
        return next((self._failed[s] for s in task.sources.values() if s in self._failed), "")

    def _skip(self, task: Task, because: str) -> None:
        self._failed[task.id] = because
        self._done.add(task.id)
        for variant, name in task.places:
            self.outcome.skipped += 1
            self.emit(NodeSkipped(name, variant, task.node.cls.__name__, because))

    def _skip_rest(self, plan: Plan) -> None:
        """What did not run because the run ended early."""
        if self.outcome.status != "done":
            for task in plan.tasks.values():
                if task.status == "run" and task.id not in self._done:
                    self._skip(task, self._blocked(task) or self.outcome.status)

    def _release(self, task: Task) -> None:
        """Drop the results that nothing else will read."""
        for source in task.sources.values():
            left = self._uses.get(source, 0) - 1
            self._uses[source] = left
            if left <= 0:
                self._held.pop(source, None)

    def _inputs(self, plan: Plan, task: Task) -> dict[str, Any]:
        node = task.node
        inputs = dict(node.literals)

        def value(link: Link) -> Any:
            return self._value(plan.tasks[task.sources[link]], (link.output,)).values[link.output]

        for name, link in node.links.items():
            inputs[name] = value(link)
        for name, items in node.lists.items():
            inputs[name] = [value(i) if isinstance(i, Link) else i for i in items]
        return inputs

    def _context(self, plan: Plan, task: Task) -> Context:
        graph = plan.graphs[task.variant]

        def seconds(name: str) -> float:
            links = [task.node.links[name]] if name in task.node.links else []
            held = [self._held.get(task.sources[link]) for link in links]
            return sum(h.seconds for h in held if h is not None)

        return Context(
            node=task.node.id,
            variant=task.variant,
            settings=self.settings,
            values=graph.values,
            emit=self.emit,
            token=self.token,
            scratch_of=lambda: self.cache.scratch(task.key),
            seconds_of=seconds,
            resolve=lambda: graph.workflow.document.resolved(graph.values, graph.overrides),
        )

    def _inputs_json(self, plan: Plan, task: Task) -> dict[str, Any]:
        known = {link.node: plan.tasks[source].key for link, source in task.sources.items()}
        return inputs_json(task.node, known, plan.digest_files)

    def _remember(self, plan: Plan) -> None:
        """Keep what each node ran with, so that the next plan can say what changed."""
        if self.graph_id and self._ran:
            ran = [t for t in self._ran if not t.node.cls.effect]
            self.cache.remember(self.graph_id, [(t.node.id, t.key, self._inputs_json(plan, t)) for t in ran])


def _check_types(cls: type[Node], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        kind, may_be_none = output_type(cls, name)
        if (
            not isinstance(value, kind)
            and not (value is None and may_be_none)
            and not (kind is float and type(value) is int)
        ):
            raise TypeError(f"{cls.__name__} returned {type(value).__name__} for {name}, but declares {kind.__name__}")


def _problems(why: Exception, node: NodeDef, explain: Explain) -> list[Problem]:
    """An exception as problems at the node, in words."""
    if isinstance(why, WeftError):
        return [p.at(replace(p.place, node=node.id)) for p in why.problems]
    found = explain(why, node)
    if found is None:
        if isinstance(why, MemoryError):
            found = Problem("E-MEMORY", "out of memory", "make it smaller: size, batch or steps", exit_code=1)
        elif isinstance(why, ValueError):
            found = Problem("E-RUN", str(why) or "failed", exit_code=1)
        else:
            found = Problem("E-RUN", f"{type(why).__name__}: {why}", "--debug shows the traceback", exit_code=1)
    return [found.at(Place(node=node.id, input=found.place.input))]
