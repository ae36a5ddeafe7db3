"""Events made few enough to be shown: of a node's steps the newest counts, and previews come a few times a second.

Pure: it is told the time. Order is kept but for steps, which move to where the newest one stands.
"""

import math
from collections.abc import Mapping
from typing import Any

PROGRESS_EVERY = 0.1
PREVIEW_EVERY = 0.25
SOON = 0.02
"""Seconds that other events wait, so that several that come at once are shown at once."""

Message = Mapping[str, Any]


class Coalescer:
    """Takes events in, and gives out what is to be shown when it is time to."""

    def __init__(self) -> None:
        self._waiting: list[Message] = []
        self._due = math.inf
        self._last_progress = -math.inf
        self._last_preview = -math.inf

    def add(self, event: Message, now: float) -> None:
        """Take in an event."""
        if event.get("event") != "node_progress":
            self._waiting.append(event)
            self._due = min(self._due, now + SOON)
            return
        for index in range(len(self._waiting) - 1, -1, -1):
            other = self._waiting[index]
            if _at(other) != _at(event):
                continue
            if other["event"] == "node_progress":
                del self._waiting[index]
                if not event.get("preview") and other.get("preview"):
                    event = {**event, "preview": other["preview"]}
            break
        self._waiting.append(event)
        self._due = min(self._due, max(self._last_progress + PROGRESS_EVERY, now))

    @property
    def due(self) -> float:
        """The time at which `take` has something; infinite if nothing waits."""
        return self._due

    def take(self, now: float) -> list[Message]:
        """What is to be shown now: everything that waits; a preview that comes too soon stays for the next time."""
        if now < self._due:
            return []
        over = {_at(event) for event in self._waiting if event.get("event") in _ENDS}
        taken: list[Message] = []
        kept: list[Message] = []
        for event in self._waiting:
            if event.get("event") == "node_progress":
                self._last_progress = now
                if event.get("preview"):
                    # The last preview of a node is what stays of it if it was stopped.
                    if now < self._last_preview + PREVIEW_EVERY and _at(event) not in over:
                        kept.append(event)
                        event = {**event, "preview": ""}
                    else:
                        self._last_preview = now
            taken.append(event)
        self._waiting = kept
        self._due = self._last_preview + PREVIEW_EVERY if kept else math.inf
        return taken


def _at(event: Message) -> tuple[Any, ...]:
    return event.get("run"), event.get("variant"), event.get("node")


_ENDS = ("node_finished", "node_failed", "node_skipped")
