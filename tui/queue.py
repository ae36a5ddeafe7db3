"""Runs that wait for the engine, in an order that can be changed. The queue is here and not in the engine, so that it
outlives it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Order:
    """A run as it was ordered. command: what the engine is told; about: in a few words, what is special about it."""

    id: str
    command: Mapping[str, Any]
    name: str = ""
    about: str = ""
    purpose: str = "run"
    """run, or compare: who shows it."""


@dataclass(slots=True)
class Queue:
    """One run that the engine has, and those that wait."""

    waiting: list[Order] = field(default_factory=list)
    current: Order | None = None
    paused: bool = False
    """While it is, nothing new begins: after a run was stopped by hand, or the engine was lost."""

    def __len__(self) -> int:
        return len(self.waiting)

    def add(self, order: Order) -> None:
        """At the end."""
        self.waiting.append(order)

    def next(self) -> Order | None:
        """The run that is to begin now, if there is one."""
        if self.current is not None or self.paused or not self.waiting:
            return None
        self.current = self.waiting.pop(0)
        return self.current

    def over(self, run: str) -> None:
        """The engine is done with a run."""
        if self.current is not None and self.current.id == run:
            self.current = None

    def move(self, run: str, by: int) -> bool:
        """Earlier (negative) or later by so many places; whether it moved."""
        at = self._index(run)
        to = min(max(at + by, 0), len(self.waiting) - 1)
        if at < 0 or to == at:
            return False
        self.waiting.insert(to, self.waiting.pop(at))
        return True

    def remove(self, run: str) -> bool:
        """Take one out that waits; whether there was one."""
        at = self._index(run)
        if at >= 0:
            del self.waiting[at]
        return at >= 0

    def clear(self) -> int:
        """Take all out that wait; how many there were."""
        count = len(self.waiting)
        self.waiting.clear()
        return count

    def _index(self, run: str) -> int:
        return next((i for i, order in enumerate(self.waiting) if order.id == run), -1)


def about(values: Mapping[str, Any], sweeps: Sequence[Mapping[str, Sequence[Any]]] = ()) -> str:
    """What is special about a run: "seed 7, steps × 3"."""
    parts = [f"{name} {value}" for name, value in values.items()]
    parts += [f"{name} × {len(items)}" for sweep in sweeps for name, items in sweep.items()]
    return ", ".join(parts)
