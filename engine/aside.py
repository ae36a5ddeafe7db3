"""Nodes that run aside: in a thread of their own, one after another, while the nodes after them run.

Decoding and saving a picture need not be over before the next one begins. A node says by `Node.runs_aside` that it may
run so. This thread calls `run` and nothing else: results are kept, counted and told of by the executor, in order, and
what a node asks of the run (`Context.in_front`) is done in the executor's thread.
"""

import contextlib
import copy
import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.context import CancelToken, Context
from engine.errors import Cancelled
from engine.events import Event
from engine.failure import outputs

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from engine.plan import Plan, Task

_LOOK = 0.02
"""Seconds between two looks at what a job asks for, while it keeps the executor's thread from going on."""


@dataclass(slots=True, eq=False)
class Job:
    """A task that was handed over.

    inputs: the values of its inputs; `Later` where one is still being made. said: what it told of while it ran.
    asked: what it wants to have done in the executor's thread. turned: set when it asks, and when it is over.
    """

    plan: "Plan"
    task: "Task"
    context: Context
    inputs: dict[str, Any]
    said: deque[Event] = field(default_factory=deque)
    asked: deque[tuple[Callable[[], Any], "Future[Any]"]] = field(default_factory=deque)
    turned: threading.Event = field(default_factory=threading.Event)
    began: bool = False
    announced: bool = False
    over: bool = False
    seconds: float = 0.0
    output: Any = None
    values: Mapping[str, Any] | None = None
    """What it made, by output; None as long as it has made nothing."""
    why: BaseException | None = None
    """What it failed of."""

    def answer(self) -> None:
        """Do what it asked for so far."""
        while self.asked:
            work, found = self.asked.popleft()
            try:
                found.set_result(work())
            except BaseException as why:
                found.set_exception(why)

    def wait(self) -> None:
        """Until it is over, doing what it asks for."""
        while not self.over:
            self.turned.wait()
            self.turned.clear()
            self.answer()


@dataclass(frozen=True, slots=True, eq=False)
class Later:
    """An input that a job before makes."""

    job: Job
    output: str


class Lacking(Exception):
    """A job before this one made nothing, so it cannot run."""


class Aside:
    """The jobs that were handed over and not yet taken back, in order.

    token, keep_going: with a cancelled token, and after a failure that ends the run, no further job begins.
    """

    def __init__(self, token: CancelToken, keep_going: bool) -> None:
        self.jobs: deque[Job] = deque()
        self._front = threading.Lock()
        self._fronts = 0
        self._token, self._keep_going = token, keep_going
        self._stopped = self._closed = False
        self._pool: ThreadPoolExecutor | None = None

    def job_of(self, task_id: str) -> Job | None:
        """The job that makes the result of a task, if one does."""
        return next((job for job in self.jobs if job.task.id == task_id), None)

    def begin(self, job: Job) -> None:
        """Hand a job over. It runs after those that were handed over before."""
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(1, "weft-aside")
        job.context.emit = job.said.append
        job.context.hand = functools.partial(self._ask, job)
        self.jobs.append(job)
        self._pool.submit(self._work, job)

    @contextlib.contextmanager
    def front(self) -> Iterator[None]:
        """Around a node that runs in the executor's thread."""
        while not self._front.acquire(timeout=_LOOK):
            if self.jobs:
                self.jobs[0].answer()
        try:
            self._fronts += 1
            yield
        finally:
            self._front.release()

    def stop(self) -> None:
        """Let no further job begin."""
        self._stopped = True

    def close(self) -> None:
        """Wait for the job that runs, if one still does; what it asks for is not done any more."""
        self._stopped = self._closed = True
        for job in self.jobs:
            while job.asked:
                job.asked.popleft()[1].set_exception(Cancelled())
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _ask(self, job: Job, work: Callable[[], Any]) -> Any:
        from concurrent.futures import Future

        if self._closed:
            raise Cancelled
        found: Future[Any] = Future()
        job.asked.append((work, found))
        job.turned.set()
        while True:
            try:
                return found.result(timeout=1.0)
            except TimeoutError:
                if self._closed and not found.done():
                    raise Cancelled from None

    def _work(self, job: Job) -> None:
        try:
            self._do(job)
        finally:
            job.inputs = {}
            job.over = True
            job.turned.set()

    def _do(self, job: Job) -> None:
        if self._stopped or self._token.cancelled:
            return
        started = time.perf_counter()
        try:
            inputs = {name: _made(value) for name, value in job.inputs.items()}
            job.began = True
            job.output = self._run(job, inputs)
            job.values = outputs(job.task.node.cls, job.output)
        except Lacking:
            pass
        except BaseException as why:
            job.why = why
            self._stopped = self._stopped or not self._keep_going
        finally:
            job.seconds = time.perf_counter() - started

    def _run(self, job: Job, inputs: dict[str, Any]) -> Any:
        node = job.task.node.cls(**inputs)
        fronts, beside = self._fronts, self._front.locked()
        try:
            return node.run(job.context)
        except MemoryError:
            if not beside and not self._front.locked() and fronts == self._fronts:
                raise
        # two nodes at once needed more than there is; by itself it gets what it would have got in its turn
        with self._front:
            return node.run(job.context)


def _made(value: Any) -> Any:
    """A value with what the jobs before have made filled in. Raises Lacking."""
    if isinstance(value, Later):
        if value.job.values is None:
            raise Lacking
        return own(value.job.values[value.output])
    return [_made(item) for item in value] if type(value) is list else value


def own(value: Any) -> Any:
    """The value; of an object or a list a copy, so that a node may do with it what it likes."""
    return copy.deepcopy(value) if type(value) in (dict, list) else value
