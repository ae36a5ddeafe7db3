"""Running a plan: each task once, sources first, results dropped after their last use."""

import contextlib
import copy
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.cache import Cache
from engine.context import CancelToken, Context, Settings
from engine.errors import Cancelled, Place, Problem, WeftError
from engine.events import Listener, Warned
from engine.failure import Explain, outputs, problems_of
from engine.graph import Graph, Link
from engine.keys import inputs_text
from engine.node import Node
from engine.outcome import Outcome, Recorder
from engine.plan import Plan, Task, make_plan, models_from_files
from engine.results import Lost, Results
from engine.share.book import Book, Page

_QUICK = 0.001
"""Seconds under which a node is not asked for its peak memory: asking costs more than it could have used."""

Ready = tuple[Task, Node, Context]


def resident_peak() -> int:
    """The most memory that this process has held so far, in bytes; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Executor:
    """One run. The events it emits are all that anybody sees of it; a slow listener slows the run, and one that
    raises ends it: what it raised comes out of `run` once everything is tidied up."""

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
        self.token = token or CancelToken()
        self.explain = explain
        self.graph_id = graph_id
        self.memory = memory
        self.record = Recorder(emit)
        self.book = Book(cache, settings)
        self._results = Results(cache)
        self._failed: dict[str, str] = {}
        self._over: set[str] = set()
        self._lost: set[str] = set()
        self._unsure: set[str] = set()
        self._made: list[tuple[str, str, str]] = []
        self._peak = 0
        self._models: Mapping[str, frozenset[str]] = {}

    def run(self) -> Outcome:
        """Execute everything. What nodes do is in the outcome and the events; raised are only the problems of files
        that are not there before anything runs, and what the listener raises."""
        started = time.perf_counter()
        self.cache.let_go()
        plan = make_plan(self.graphs, self.cache, self.settings)
        outcome = self.record.outcome
        self.cache.listen(lambda problem: self.record.send(Warned(problem)))
        try:
            self.record.begin(plan)
            if any(task.status == "run" and not task.node.cls.effect for task in plan.tasks.values()):
                self.settings.machine.begin(self.settings)
            plan = self._execute_all(plan)
        except (Cancelled, KeyboardInterrupt):
            outcome.status = "cancelled"
        except WeftError as why:  # a file that went away before a plan was made anew
            outcome.status = "failed"
            outcome.problems += why.problems
        finally:
            self._tidy()
        if outcome.saved and self.settings.metadata and outcome.status == "done":
            self._write_locks(outcome)
        if outcome.failed and outcome.status == "done":
            outcome.status = "failed"
        if outcome.status != "done":
            for task in plan.tasks.values():
                if task.status == "run" and task.id not in self._over:
                    self._skip(task, self._blocked(task) or outcome.status)
        return self.record.end(time.perf_counter() - started)

    def _write_locks(self, outcome: Outcome) -> None:
        """A lock beside what each variant saved. That it cannot be written is told, and ends nothing."""
        from engine.share.beside import write_lock

        for variant in sorted({variant for variant, _ in outcome.saved}):
            saved = {name: files for (v, name), files in outcome.saved.items() if v == variant}
            try:
                outcome.locks[variant] = write_lock(self.book, variant, saved)
            except WeftError as why:
                outcome.status = "failed"
                outcome.problems += why.problems

    def _tidy(self) -> None:
        with contextlib.suppress(Cancelled):  # nobody listens any more
            if self.graph_id and self._made:
                self.cache.remember(self.graph_id, self._made)
            self.cache.flush()
        self.cache.listen(None)

    def _execute_all(self, plan: Plan) -> Plan:
        """Execute the plan, and others after it as long as results turn out to be lost. Each key is lost once at most:
        from then on it is made, not read. Returns the last plan."""
        while True:
            try:
                self._execute(plan)
                return plan
            except Lost as lost:
                self._lost.add(lost.task.key)
                self._results.drop(lost.task.id)
            plan = make_plan(
                self.graphs, self.cache, self.settings, have=self._results, over=self._over, lost=self._lost
            )

    def _execute(self, plan: Plan) -> None:
        self._models = models_from_files(plan)
        self._results.expect(plan)
        self.book.open(plan)
        tasks = [t for t in plan.tasks.values() if t.status != "unneeded"]
        index = 0
        while index < len(tasks):
            if self.token.cancelled:
                raise Cancelled
            task = tasks[index]
            index += 1
            if task.status == "cached":
                self.record.cached(task)
            elif cause := self._blocked(task):
                self._skip(task, cause)
            else:
                batch = [task]
                while task.node.cls.batches and index < len(tasks) and len(batch) < self.settings.batch:
                    other = tasks[index]
                    if other.node.id != task.node.id or other.status != "run" or self._blocked(other):
                        break
                    batch.append(other)
                    index += 1
                self._run(plan, batch)
                if self._failed and not self.settings.keep_going:
                    return
        for variant, task_id in plan.targets:
            task = plan.tasks[task_id]
            if not task.node.cls.effect and task_id not in self._failed:
                name = next(n for v, n in task.places if v == variant)
                self.record.outcome.values[variant, name] = self._results.get(task, tuple(task.node.cls.outputs)).values

    def _run(self, plan: Plan, batch: Sequence[Task]) -> None:
        """Run tasks of one node; together, where their batch keys allow it."""
        ready: dict[object, list[Ready]] = {}
        for task in batch:
            inputs = self._inputs(plan, task)
            context = self._context(plan, task)
            try:
                node = task.node.cls(**inputs)
                key = node.batch_key() if len(batch) > 1 else None
            except Exception as why:
                self.record.started(task)
                self._fail(plan, task, why)
                continue
            ready.setdefault(("alone", task.id) if key is None else ("together", key), []).append((task, node, context))
        for group in ready.values():
            for task, _, _ in group:
                self.record.started(task)
            if len(group) == 1 or not self._run_together(plan, group):
                for task, node, context in group:
                    self._run_one(plan, task, node, context)
        for task in batch:
            self._results.release(task)

    def _run_together(self, plan: Plan, group: Sequence[Ready]) -> bool:
        """Run a group as one. False if that failed; then each runs alone, so that only the guilty one fails."""
        started = time.perf_counter()
        try:
            found = list(type(group[0][1]).run_batch([n for _, n, _ in group], [c for _, _, c in group]))
            if len(found) != len(group):
                raise ValueError(f"run_batch returned {len(found)} outputs for {len(group)} nodes")
        except (Cancelled, KeyboardInterrupt):
            raise
        except Exception as why:
            node = group[0][0].node
            text = problems_of(why, node, {}, self.explain)[0].what
            what = f"{len(group)} variants did not run together: {text}"
            problem = Problem("W-BATCH", what, "they run one by one", Place(node=node.id))
            self.record.send(Warned(problem))
            for task, _, _ in group:
                self.book.fell_back(task, "run alone, where its batch failed")
            return False
        each = (time.perf_counter() - started) / len(group)
        for (task, _, _), output in zip(group, found, strict=True):
            self._finish(plan, task, output, each)
        return True

    def _run_one(self, plan: Plan, task: Task, node: Node, context: Context) -> None:
        started = time.perf_counter()
        try:
            output = node.run(context)
        except (Cancelled, KeyboardInterrupt):
            raise
        except BaseException as why:
            self._fail(plan, task, why)
            return
        self._finish(plan, task, output, time.perf_counter() - started)

    def _finish(self, plan: Plan, task: Task, output: Any, seconds: float) -> None:
        """Check, keep and announce what a node returned."""
        cls = task.node.cls
        keep = not self._is_unsure(plan, task) and self.settings.use_cache and task.node.cache
        try:
            values = outputs(cls, output)
            inputs = "" if cls.effect else self._inputs_text(plan, task)
            held = self.cache.store(task.key, cls, values, seconds, inputs, keep=keep)
            if self.graph_id and not cls.effect:
                self._made.append((task.node.id, task.key, inputs))
        except Cancelled:
            raise
        except Exception as why:
            self._fail(plan, task, why)
            return
        if cls.effect:
            self._over.add(task.id)
        task.status = "cached"
        self._results.put(task, held)
        self.book.made(task, held)
        if seconds > _QUICK or not self._peak:
            self._peak = self.memory()
        self.record.finished(task, output, held.digests, seconds, self._peak)

    def _is_unsure(self, plan: Plan, task: Task) -> bool:
        """Whether a file behind this result is no longer the one that its key names."""
        if self._unsure and any(source in self._unsure for source in task.sources.values()):
            self._unsure.add(task.id)
        for behind in (task.id, *self._models.get(task.id, ())):
            if behind not in self._unsure and (name := plan.digest_files.changed(plan.tasks[behind].node)):
                self._unsure |= {behind, task.id}
                place = Place(node=plan.tasks[behind].node.id, input=name)
                what = "a file changed while it was in use"
                self.record.send(Warned(Problem("W-CACHE", what, "nothing made from it is kept; run again", place)))
        return task.id in self._unsure

    def _fail(self, plan: Plan, task: Task, why: BaseException) -> None:
        self._failed[task.id] = task.node.id
        self._over.add(task.id)
        problems = problems_of(why, task.node, plan.graphs[task.variant].nodes, self.explain)
        self.record.failed(task, problems, "".join(traceback.format_exception(why)))

    def _blocked(self, task: Task) -> str:
        """The node whose failure keeps this task from running, or nothing."""
        return next((self._failed[s] for s in task.sources.values() if s in self._failed), "")

    def _skip(self, task: Task, because: str) -> None:
        self._failed[task.id] = because
        self._over.add(task.id)
        self.record.skipped(task, because)
        self._results.release(task)

    def _inputs(self, plan: Plan, task: Task) -> dict[str, Any]:
        """The values of all inputs. Objects and lists are the node's own: whatever it does to them stays there."""
        node = task.node
        inputs = {name: _own(value) for name, value in node.literals.items()}

        def value(link: Link) -> Any:
            return _own(self._results.get(plan.tasks[task.sources[link]], (link.output,)).values[link.output])

        for name, link in node.links.items():
            inputs[name] = value(link)
        for name, items in node.lists.items():
            inputs[name] = [value(i) if isinstance(i, Link) else i for i in items]
        return inputs

    def _context(self, plan: Plan, task: Task) -> Context:
        graph = plan.graphs[task.variant]

        def seconds(name: str) -> float:
            return self._results.seconds(task.sources[task.node.links[name]]) if name in task.node.links else 0.0

        return Context(
            node=task.node.id,
            variant=task.variant,
            settings=self.settings,
            values=graph.values,
            emit=self.record.send,
            token=self.token,
            scratch_of=lambda: self.cache.scratch(task.key),
            seconds_of=seconds,
            page=Page(self.book, task),
        )

    def _inputs_text(self, plan: Plan, task: Task) -> str:
        known = {link.node: plan.tasks[source].key for link, source in task.sources.items()}
        return inputs_text(task.node, known, plan.digest_files)


def _own(value: Any) -> Any:
    return copy.deepcopy(value) if type(value) in (dict, list) else value


__all__ = ["Executor", "Outcome", "resident_peak"]
