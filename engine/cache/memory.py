"""Results in memory, between the runs of one process: bounded in bytes, the least recently used go first."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_OVERHEAD = 512
"""What an entry costs beside its values, so that many small ones are bounded too."""


@dataclass(frozen=True, slots=True)
class Held:
    """A result in memory: values and digests by output, the seconds it took to make, the bytes it takes."""

    values: Mapping[str, Any]
    digests: Mapping[str, str]
    seconds: float
    bytes: int


class Memory:
    """Results by key, at most `limit` bytes of them; 0 keeps none."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._held: OrderedDict[str, Held] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._held

    def get(self, key: str) -> Held | None:
        """The result, which now counts as used last."""
        held = self._held.get(key)
        if held is not None:
            self._held.move_to_end(key)
        return held

    def put(self, key: str, held: Held) -> None:
        """Hold a result; others go if it would be too much."""
        self.drop(key)
        cost = held.bytes + _OVERHEAD
        if cost > self.limit:
            return
        self._held[key] = held
        self.bytes += cost
        while self.bytes > self.limit:
            self.drop(next(iter(self._held)))

    def drop(self, key: str) -> None:
        """Forget a result."""
        held = self._held.pop(key, None)
        if held is not None:
            self.bytes -= held.bytes + _OVERHEAD
