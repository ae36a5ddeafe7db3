"""What happens to the nodes of a run, as a lock tells it: the digests of their outputs, and where they fell back."""

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from engine.cache import Cache, Held
from engine.context import Settings
from engine.plan import Plan, Task

if TYPE_CHECKING:
    from engine.share.lock import Lock

T = TypeVar("T")

PLAIN = (bool, int, float, str)
"""Values that are kept to the end of the run: what a text became, for those who write it down."""
_FALLBACKS = "fallbacks "


class Book:
    """One run's. Digests that the cache has already are not computed again."""

    def __init__(self, cache: Cache, settings: Settings) -> None:
        self.settings = settings
        self.cache = cache
        self._digests: dict[str, Mapping[str, str]] = {}
        self._fallbacks: dict[str, list[str]] = {}
        self._plain: dict[tuple[str, str], Any] = {}
        self._places: dict[tuple[int, str], Task] = {}
        self._found: dict[Hashable, Any] = {}
        self.plan: Plan | None = None

    def open(self, plan: Plan) -> None:
        """The plan that is being executed."""
        self.plan = plan
        self._places = {}

    def made(self, task: Task, held: Held) -> None:
        """A task has made its result."""
        self._digests[task.key] = held.digests
        for name, value in held.values.items():
            if type(value) in PLAIN:
                self._plain[task.key, name] = value
        if task.key in self._fallbacks:
            self.cache.tell(_FALLBACKS + task.key, json.dumps(self._fallbacks[task.key]))

    def fell_back(self, task: Task, what: str) -> None:
        """A task did other than it was asked to."""
        known = self._fallbacks.setdefault(task.key, [])
        if what not in known:
            known.append(what)

    def task(self, variant: int, node: str) -> Task:
        """The task behind a node of a variant. KeyError for one that is not in the plan."""
        if not self._places and self.plan is not None:
            self._places = {place: task for task in self.plan.tasks.values() for place in task.places}
        return self._places[variant, node]

    def digests(self, tasks: Sequence[Task]) -> dict[str, Mapping[str, str]]:
        """key -> digests of the outputs of these tasks, from this run or an earlier one."""
        unknown = [task.key for task in tasks if task.key not in self._digests and not task.node.cls.effect]
        return {**self._digests, **(self.cache.digests(unknown) if self.settings.use_cache else {})}

    def fallbacks(self, tasks: Sequence[Task]) -> dict[str, list[str]]:
        """key -> what these tasks did other than they were asked to, in this run or when they were made."""
        unknown = [_FALLBACKS + task.key for task in tasks if task.key not in self._digests]
        told = {key.removeprefix(_FALLBACKS): json.loads(text) for key, text in self.cache.told(unknown).items()}
        return {**told, **self._fallbacks}

    def fallen(self, plan: Plan) -> set[str]:
        """The keys of cached results that were made in another way than was asked for."""
        keys = [_FALLBACKS + task.key for task in plan.tasks.values() if task.status == "cached"]
        return {key.removeprefix(_FALLBACKS) for key in self.cache.told(keys)}

    def once(self, key: Hashable, find: Callable[[], T]) -> T:
        """What `find` gave when this run first asked for it by the key: for what each picture tells of its model."""
        if key not in self._found:
            self._found[key] = find()
        return cast(T, self._found[key])

    def value(self, variant: int, node: str, output: str) -> Any:
        """A text, number or truth value that an output had, made in this run or kept by the cache; None if it is
        neither."""
        task = self.task(variant, node)
        if (task.key, output) in self._plain:
            return self._plain[task.key, output]
        held = self.cache.load(task.key, task.node.cls, (output,)) if task.status == "cached" else None
        value = held.values.get(output) if held is not None else None
        return value if type(value) in PLAIN else None


@dataclass(frozen=True, slots=True)
class Page:
    """What a running node sees of the book: what is above it."""

    book: Book
    task: Task

    def fell_back(self, what: str) -> None:
        """Note that this node does other than it was asked to."""
        self.book.fell_back(self.task, what)

    def lock(self, pixels: Sequence[str] = ()) -> "Lock":
        """The lock of this node and of all that is above it; pixels: the digests of the pictures that it saves."""
        from engine.share.lock import lock_of

        return lock_of(self.book, self.task.variant, {self.task.node.id: list(pixels)})

    def document(self) -> Mapping[str, Any]:
        """The workflow with every value as it runs, as others may see it."""
        from engine.share.lock import document_of

        assert self.book.plan is not None
        return document_of(self.book.plan.graphs[self.task.variant])

    def value(self, node: str, output: str) -> Any:
        """See `Book.value`."""
        return self.book.value(self.task.variant, node, output)
