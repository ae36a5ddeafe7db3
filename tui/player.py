"""A run that is watched again: a clock over its events, which can stand, go faster, and be set. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from tui.board import Run

PAUSE = 1.0
"""Seconds that a pause in the events lasts at most: waiting for a model to load is no pleasure twice."""
LEAD = 0.05
"""Seconds before the first event, so that there is a time at which nothing has happened."""
FASTEST, SLOWEST = 64.0, 0.125


class Player:
    """events: of one run, with "at" in seconds. `run` is the run as far as the clock has got."""

    def __init__(self, run: str, events: Sequence[Mapping[str, Any]]) -> None:
        self._id = run
        self._events = without_pauses(events)
        self._next = 0
        self.clock = 0.0
        self.speed = 1.0
        self.paused = False
        self.run = Run(run)

    @property
    def whole(self) -> float:
        """Seconds that all of it takes at the speed it had."""
        return self._events[-1]["at"] if self._events else 0.0

    @property
    def over(self) -> bool:
        """Whether everything has happened."""
        return self._next >= len(self._events)

    def turn(self, seconds: float) -> bool:
        """So many seconds have passed on the wall; whether something has happened."""
        if self.paused or self.over:
            return False
        self.clock = min(self.clock + seconds * self.speed, self.whole)
        return self._play()

    def seek(self, clock: float) -> None:
        """Set the clock; what has happened by then has happened, what has not has not. At 0 nothing has."""
        clock = max(0.0, min(clock, self.whole))
        if clock < self.clock:
            self._next, self.run = 0, Run(self._id)
        self.clock = clock
        self._play()

    def faster(self, times: float) -> None:
        """Go so many times as fast as now, within limits."""
        self.speed = max(SLOWEST, min(self.speed * times, FASTEST))

    def _play(self) -> bool:
        before = self._next
        while not self.over and self._events[self._next]["at"] <= self.clock:
            self.run.apply(self._events[self._next], self._events[self._next]["at"])
            self._next += 1
        return self._next > before


def without_pauses(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The events with "at" counted from `LEAD` before the first, and long pauses shortened."""
    found: list[Mapping[str, Any]] = []
    clock, last = LEAD, events[0]["at"] if events else 0.0
    for event in events:
        clock += max(0.0, min(event["at"] - last, PAUSE))
        last = event["at"]
        found.append({**event, "at": clock})
    return found
