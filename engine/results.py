"""The results that a run has at hand: each from when it is made or read until nothing else will read it."""

from collections.abc import Sequence

from engine.cache import Cache, Held
from engine.plan import Plan, Task


class Lost(Exception):
    """A result that the plan counted on turned out to be gone or damaged."""

    def __init__(self, task: Task) -> None:
        super().__init__(task.id)
        self.task = task


class Results:
    """Results by task id. `in` says whether one is at hand."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._held: dict[str, Held] = {}
        self._uses: dict[str, int] = {}

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._held

    def expect(self, plan: Plan) -> None:
        """Count how many tasks will read each result. Targets that save nothing are held to the end."""
        self._uses = {}
        for task in plan.tasks.values():
            if task.status == "run":
                for source in task.sources.values():
                    self._uses[source] = self._uses.get(source, 0) + 1
        for _, target in plan.targets:
            if not plan.tasks[target].node.cls.effect:
                self._uses[target] = self._uses.get(target, 0) + 1

    def get(self, task: Task, names: Sequence[str]) -> Held:
        """These outputs of a task: at hand, or read from the cache. Raises Lost."""
        held = self._held.get(task.id)
        if held is None or any(name not in held.values for name in names):
            more = self._cache.load(task.key, task.node.cls, names) if task.status == "cached" else None
            if more is None:
                raise Lost(task)
            held = Held({**(held.values if held else {}), **more.values}, more.digests, more.seconds, more.bytes)
            self._held[task.id] = held
        return held

    def put(self, task: Task, held: Held) -> None:
        """A task has made its result, which is held if anything will read it."""
        if self._uses.get(task.id):
            self._held[task.id] = held

    def seconds(self, task_id: str) -> float:
        """How long it took to make a result; 0 if it is not at hand."""
        held = self._held.get(task_id)
        return held.seconds if held is not None else 0.0

    def release(self, task: Task) -> None:
        """A task will not read its sources any more; those that nothing else will read are dropped."""
        for source in task.sources.values():
            left = self._uses.get(source, 0) - 1
            self._uses[source] = left
            if left <= 0:
                self.drop(source)

    def drop(self, task_id: str) -> None:
        """Let a result go."""
        self._held.pop(task_id, None)
