"""What becomes of tasks: results are checked and kept, failures told of, and what depends on these is skipped."""

import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from engine.cache import Cache
from engine.context import Settings
from engine.errors import Cancelled, Place, Problem
from engine.events import Warned
from engine.failure import Explain, outputs, problems_of
from engine.keys import inputs_text
from engine.outcome import Recorder
from engine.plan import Plan, Task, models_from_files
from engine.results import Results
from engine.share.book import Book

_QUICK = 0.001
"""Seconds under which a node is not asked for its peak memory: asking costs more than it could have used."""


def resident_peak() -> int:
    """The most memory that this process has held so far, in bytes; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Endings:
    """Of one run. failed: by task id, the node whose failure it was. over: ids of tasks that need not run any more."""

    def __init__(
        self,
        cache: Cache,
        settings: Settings,
        record: Recorder,
        book: Book,
        results: Results,
        explain: Explain,
        graph_id: str,
        memory: Callable[[], int],
    ) -> None:
        self.failed: dict[str, str] = {}
        self.over: set[str] = set()
        self._cache = cache
        self._settings = settings
        self._record = record
        self._book = book
        self._results = results
        self._explain = explain
        self._graph_id = graph_id
        self._memory = memory
        self._unsure: set[str] = set()
        self._made: list[tuple[str, str, str]] = []
        self._peak = 0
        self._models: Mapping[str, frozenset[str]] = {}

    def expect(self, plan: Plan) -> None:
        """These are the tasks from now on."""
        self._models = models_from_files(plan)

    def remember(self) -> None:
        """Note what was made, so that the next plan can say what changed since."""
        if self._graph_id and self._made:
            self._cache.remember(self._graph_id, self._made)

    @property
    def is_over(self) -> bool:
        """Whether a failure ends the run."""
        return bool(self.failed) and not self._settings.keep_going

    def finish(self, plan: Plan, task: Task, output: Any, seconds: float) -> None:
        """Check, keep and announce what a node returned."""
        cls = task.node.cls
        keep = not self._is_unsure(plan, task) and self._settings.use_cache and task.node.cache
        try:
            values = outputs(cls, output)
            inputs = "" if cls.effect else self._inputs_text(plan, task)
            held = self._cache.store(task.key, cls, values, seconds, inputs, keep=keep)
            if self._graph_id and not cls.effect:
                self._made.append((task.node.id, task.key, inputs))
        except Cancelled:
            raise
        except Exception as why:
            self.fail(plan, task, why)
            return
        if cls.effect:
            self.over.add(task.id)
        task.status = "cached"
        self._results.put(task, held)
        self._book.made(task, held)
        if seconds > _QUICK or not self._peak:
            self._peak = self._memory()
        self._record.finished(task, output, held.digests, seconds, self._peak)

    def _is_unsure(self, plan: Plan, task: Task) -> bool:
        """Whether a file behind this result is no longer the one that its key names."""
        if self._unsure and any(source in self._unsure for source in task.sources.values()):
            self._unsure.add(task.id)
        for behind in (task.id, *self._models.get(task.id, ())):
            if behind not in self._unsure and (name := plan.digest_files.changed(plan.tasks[behind].node)):
                self._unsure |= {behind, task.id}
                place = Place(node=plan.tasks[behind].node.id, input=name)
                what = "a file changed while it was in use"
                self._record.send(Warned(Problem("W-CACHE", what, "nothing made from it is kept; run again", place)))
        return task.id in self._unsure

    def fail(self, plan: Plan, task: Task, why: BaseException) -> None:
        """Note and announce what a node raised."""
        self.failed[task.id] = task.node.id
        self.over.add(task.id)
        problems = problems_of(why, task.node, plan.graphs[task.variant].nodes, self._explain)
        self._record.failed(task, problems, "".join(traceback.format_exception(why)))

    def blocked(self, task: Task) -> str:
        """The node whose failure keeps this task from running, or nothing."""
        return next((self.failed[s] for s in task.sources.values() if s in self.failed), "")

    def skip(self, task: Task, because: str) -> None:
        """Note and announce that a task does not run."""
        self.failed[task.id] = because
        self.over.add(task.id)
        self._record.skipped(task, because)
        self._results.release(task)

    def _inputs_text(self, plan: Plan, task: Task) -> str:
        known = {link.node: plan.tasks[source].key for link, source in task.sources.items()}
        return inputs_text(task.node, known, plan.digest_files)
