"""How fast a node's steps go, and how long it will still take."""

import statistics
from collections import deque

from engine.text import seconds

WINDOW = 8
"""Steps that the pace is taken from: enough to be steady, few enough to follow a change."""
SURE = 3
"""Steps that must be seen before the time left is shown without ≈."""


class Pace:
    """The median time of the last steps of one node."""

    def __init__(self, started: float) -> None:
        self._last = started
        self._step = 0
        self._total = 0
        self._each: deque[float] = deque(maxlen=WINDOW)

    def tick(self, now: float, step: int, total: int) -> None:
        """Note that `step` of `total` was done at the time `now` in seconds. A node may skip steps it does not tell.

        A node whose first word is of a later step went on from an earlier run: how fast that was is not known.
        """
        done = step - self._step
        if done > 0 and (self._step or step == 1):
            self._each.append((now - self._last) / done)
        self._last, self._step, self._total = now, step, total

    @property
    def rate(self) -> float:
        """Steps a second; 0 while it is not known."""
        each = statistics.median(self._each) if self._each else 0.0
        return 1 / each if each > 0 else 0.0

    @property
    def sure(self) -> bool:
        """Whether enough steps were seen to trust it."""
        return len(self._each) >= SURE

    def left(self, now: float) -> float:
        """Seconds until the last step; 0 while it is not known."""
        if not self.rate:
            return 0.0
        return max((self._total - self._step) / self.rate - (now - self._last), 0.0)

    def text(self, now: float) -> str:
        """Pace and time left as a line shows them: "3.1 it/s, 12 s left"; a slow step as "4.0 s/it"."""
        rate = self.rate
        if not rate:
            return ""
        speed = f"{rate:.1f} it/s" if rate >= 1 else f"{seconds(1 / rate)}/it"
        if self._step >= self._total:
            return speed
        about = "" if self.sure else "≈ "
        return f"{speed}, {about}{seconds(self.left(now))} left"
