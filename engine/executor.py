"""Running a plan: each task once, sources first, results dropped after their last use."""

import contextlib
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from engine.aside import Aside, Job, Later, own
from engine.cache import Cache
from engine.context import CancelToken, Context, Settings
from engine.endings import Endings, resident_peak
from engine.errors import Cancelled, WeftError
from engine.events import Event, Listener, Warned
from engine.failure import Explain
from engine.graph import Graph, Link
from engine.outcome import Outcome, Recorder
from engine.plan import Plan, Task, make_plan
from engine.results import Lost, Results
from engine.share.book import Book, Page
from engine.together import Ready, Together


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
        self.record = Recorder(emit)
        self.book = Book(cache, settings)
        self._results = Results(cache)
        self._ends = Endings(cache, settings, self.record, self.book, self._results, explain, graph_id, memory)
        self._aside = Aside(self.token, settings.keep_going)
        self._together = Together(self.record, self.book, self._ends, explain, self._in_front)
        self._lost: set[str] = set()

    def run(self) -> Outcome:
        """Execute everything. What nodes do is in the outcome and the events; raised are only the problems of files
        that are not there before anything runs, and what the listener raises."""
        started = time.perf_counter()
        self.cache.let_go()
        plan = make_plan(self.graphs, self.cache, self.settings)
        outcome = self.record.outcome
        if self.settings.strict and (fallen := self.book.fallen(plan)):
            self._lost |= fallen  # made another way than was asked for; it is made again, and fails as it should
            plan = make_plan(self.graphs, self.cache, self.settings, lost=self._lost)
        self.cache.listen(lambda problem: self.record.send(Warned(problem)))
        try:
            self.record.begin(plan)
            if any(task.status == "run" and not task.node.cls.effect for task in plan.tasks.values()):
                self.settings.machine.begin(self.settings)
            plan = self._execute_all(plan)
        except (Cancelled, KeyboardInterrupt):
            # a node that failed aside ends the one that runs
            alone = self._ends.is_over and not self.token.cancelled and self.record.broken is None
            outcome.status = "done" if alone else "cancelled"
        except WeftError as why:  # a file that went away before a plan was made anew
            outcome.status = "failed"
            outcome.problems += why.problems
        finally:
            self._aside.stop()
            with contextlib.suppress(Cancelled):
                self._take_back(wait=True)
            self._aside.close()
            self._tidy()
        if outcome.saved and self.settings.metadata and outcome.status == "done":
            self._write_locks(outcome)
        if outcome.failed and outcome.status == "done":
            outcome.status = "failed"
        if outcome.status != "done":
            for task in plan.tasks.values():
                if task.status == "run" and task.id not in self._ends.over:
                    self._ends.skip(task, self._ends.blocked(task) or outcome.status)
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
            self._ends.remember()
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
                self._take_back(wait=True)
                self._lost.add(lost.task.key)
                self._results.drop(lost.task.id)
            plan = make_plan(
                self.graphs, self.cache, self.settings, have=self._results, over=self._ends.over, lost=self._lost
            )

    def _execute(self, plan: Plan) -> None:
        self._ends.expect(plan)
        self._results.expect(plan)
        self.book.open(plan)
        tasks = [t for t in plan.tasks.values() if t.status != "unneeded"]
        index = 0
        while index < len(tasks):
            if self.token.cancelled:
                raise Cancelled
            task = tasks[index]
            index += 1
            aside = task.status == "run" and task.node.cls.runs_aside(self.settings)
            # what is saved in this thread is saved after what was to be saved before
            self._take_back(wait=not aside and (self._awaits(task) or task.node.cls.effect))
            if self._ends.is_over:
                return
            if task.status == "cached":
                self.record.cached(task)
            elif cause := self._ends.blocked(task):
                self._ends.skip(task, cause)
            elif aside:
                self._hand_over(plan, task)
            else:
                batch = [task]
                while task.node.cls.batches and index < len(tasks) and len(batch) < self.settings.batch:
                    other = tasks[index]
                    same = other.node.id == task.node.id and other.status == "run"
                    if not same or self._ends.blocked(other) or self._awaits(other):
                        break
                    batch.append(other)
                    index += 1
                self._run(plan, batch)
            if self._ends.is_over:
                return
        self._take_back(wait=True)
        for variant, task_id in plan.targets:
            task = plan.tasks[task_id]
            if not task.node.cls.effect and task_id not in self._ends.failed:
                name = next(n for v, n in task.places if v == variant)
                self.record.outcome.values[variant, name] = self._results.get(task, tuple(task.node.cls.outputs)).values

    def _run(self, plan: Plan, batch: Sequence[Task]) -> None:
        """Run tasks of one node; together, where their batch keys allow it."""
        ready: dict[Hashable, list[Ready]] = {}
        for task in batch:
            inputs = self._inputs(plan, task)
            context = self._context(plan, task)
            try:
                node = task.node.cls(**inputs)
                key = node.batch_key() if len(batch) > 1 else None
            except Exception as why:
                self.record.started(task)
                self._ends.fail(plan, task, why)
                continue
            ready.setdefault(("alone", task.id) if key is None else ("together", key), []).append((task, node, context))
        for key, group in ready.items():
            self._together.run(plan, key, group)
        for task in batch:
            self._results.release(task)

    def _in_front(self, run: Callable[[], Any]) -> Any:
        """Run a node in this thread; once more, if memory ran out while another ran aside."""
        with self._aside.front():
            try:
                return run()
            except MemoryError:
                if not self._aside.jobs:
                    raise
        self._take_back(wait=True)
        with self._aside.front():
            return run()

    def _hand_over(self, plan: Plan, task: Task) -> None:
        """Let a task run aside, as soon as there are few enough."""
        while len(self._aside.jobs) >= max(4, 2 * self.settings.batch):
            self._take_back(first=True)
        self._aside.begin(Job(plan, task, self._context(plan, task), self._inputs(plan, task)))

    def _take_back(self, *, wait: bool = False, first: bool = False) -> None:
        """Keep and announce what was done aside, in the order in which it was handed over.

        wait: until all of it is done; first: until the first of it is.
        """
        jobs = self._aside.jobs
        while jobs:
            job = jobs[0]
            if wait or first:
                job.wait()
            first, over = False, job.over
            if job.began and not job.announced:
                job.announced = True
                self.record.started(job.task)
            while job.said:
                self.record.send(job.said.popleft())
            job.answer()
            if not over:
                return
            jobs.popleft()
            if job.values is not None:
                self._ends.finish(job.plan, job.task, job.output, job.seconds)
            elif job.why is not None and not isinstance(job.why, Cancelled):
                self._ends.fail(job.plan, job.task, job.why)
            elif cause := self._ends.blocked(job.task):
                self._ends.skip(job.task, cause)
                continue
            elif self.token.cancelled:
                raise Cancelled
            self._results.release(job.task)

    def _tell(self, event: Event) -> None:
        """Send what a node in this thread tells, and look after those aside. Raises Cancelled if one ended the run."""
        self.record.send(event)
        if self._aside.jobs:
            self._take_back()
            if self._ends.is_over:
                raise Cancelled

    def _awaits(self, task: Task) -> bool:
        """Whether an input of a task is still being made aside."""
        return any(job.task.id in task.sources.values() for job in self._aside.jobs)

    def _inputs(self, plan: Plan, task: Task) -> dict[str, Any]:
        """The values of all inputs. Objects and lists are the node's own: whatever it does to them stays there."""
        node = task.node
        inputs = {name: own(value) for name, value in node.literals.items()}

        def value(link: Link) -> Any:
            if job := self._aside.job_of(task.sources[link]):
                return Later(job, link.output)
            return own(self._results.get(plan.tasks[task.sources[link]], (link.output,)).values[link.output])

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
            emit=self._tell,
            token=self.token,
            scratch_of=lambda: self.cache.scratch(task.key),
            seconds_of=seconds,
            page=Page(self.book, task),
        )


__all__ = ["Executor", "Outcome", "resident_peak"]
