"""How fast a node's steps go, or bytes come, and how long it will still take."""

import statistics
from collections import deque

from engine.text import seconds, size

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


class Flow:
    """Bytes that come, of a number that is known, by their mean pace in the last few seconds."""

    OVER = 10.0
    """Seconds."""

    def __init__(self, total: int) -> None:
        self.at, self.total = 0, total
        self._seen: deque[tuple[float, int]] = deque()

    def tick(self, now: float, at: int) -> None:
        """Note that `at` bytes are here at the time `now` in seconds."""
        self.at = at
        self._seen.append((now, at))
        while len(self._seen) > 2 and self._seen[1][0] < now - self.OVER:
            self._seen.popleft()

    @property
    def part(self) -> float:
        """How much of all is here, 0 to 1."""
        return self.at / self.total if self.total else 1.0

    @property
    def rate(self) -> float:
        """Bytes a second; 0 while it is not known."""
        (began, first), (ended, last) = (self._seen[0], self._seen[-1]) if self._seen else ((0.0, 0), (0.0, 0))
        return (last - first) / (ended - began) if ended > began else 0.0

    def __str__(self) -> str:
        """ "34 %  2.1 GiB of 6.5 GiB  52.0 MiB/s, 1:25 left", what is not known left out."""
        told = f"{100 * self.part:3.0f} %  {size(self.at)} of {size(self.total)}"
        rate = self.rate
        if not rate or self.at >= self.total:
            return told
        return f"{told}  {size(rate)}/s, {seconds((self.total - self.at) / rate)} left"
