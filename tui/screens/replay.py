"""A run of the past, seen again from its events: the graph with its states, and the pictures as they came."""

from collections.abc import Iterable
from typing import Any

from rich.text import Text
from textual import work
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Static

from engine.text import seconds
from tui import look
from tui.board import Board, Run
from tui.history import Past
from tui.origin import session_of
from tui.screens.base import WeftScreen
from tui.session import Session
from tui.widgets.graph import GraphView
from tui.widgets.picture import PictureView, opened

EVERY = 0.05
"""Seconds between two turns of the clock."""
PAUSE = 1.0
"""Seconds that a pause in the events lasts at most: waiting for a model to load is no pleasure twice."""
FASTEST, SLOWEST = 64.0, 0.125


class ReplayScreen(WeftScreen):
    """See the module. past: the run; the latest, if not given."""

    NAME = "replay"
    HEAD = "Replay"
    AUTO_FOCUS = "GraphView"
    DEFAULT_CSS = """
    ReplayScreen GraphView { width: 1fr; }
    ReplayScreen PictureView { width: 40%; }
    ReplayScreen #about { height: 1; background: $panel; padding: 0 1; }
    """

    def __init__(self, past: Past | None = None) -> None:
        super().__init__()
        self._past = past
        self._events: list[dict[str, Any]] = []
        self._next = 0
        self._clock = 0.0
        self.speed = 1.0
        self.paused = False
        self.board = Board()
        self._session: Session | None = None

    def body(self) -> Iterable[Widget]:
        """The graph, the picture, and how far it is."""
        yield Horizontal(GraphView("graph"), PictureView("picture"))
        yield Static(id="about")

    def on_mount(self) -> None:
        """Read the events, and begin."""
        self._read()
        self.set_interval(EVERY, self._turn)

    @work(thread=True, exclusive=True, group="replay", exit_on_error=False)
    def _read(self) -> None:
        past = self._past or next(iter(self.desk.history().runs(limit=1)), None)
        if past is None:
            return
        session = session_of(past, self.desk.registry())
        events = _without_pauses(list(self.desk.history().events(past.id)))
        self.app.call_from_thread(self._begin, past, session, events)

    def _begin(self, past: Past, session: Session, events: list[dict[str, Any]]) -> None:
        self._past, self._session, self._events = past, session, events
        types = {name: str(raw.get("type", "?")) for name, raw in session.nodes.items() if isinstance(raw, dict)}
        self.board.shape(types, session.problems, ())
        self.action_replay_again()

    def action_replay_again(self) -> None:
        """From the start."""
        if self._past is None:
            return
        self._next, self._clock = 0, 0.0
        self.board.run = Run(self._past.id)
        empty = "" if self._events else "its events are gone"
        self.query_one("#picture", PictureView).show(None, empty)
        if self._session is not None:
            self.query_one("#graph", GraphView).show(self._session, self.board)

    def _turn(self) -> None:
        run = self.board.run
        if run is None or self.paused or self._next >= len(self._events):
            return
        self._clock += EVERY * self.speed
        before = run.preview
        while self._next < len(self._events) and self._events[self._next]["at"] <= self._clock:
            run.apply(self._events[self._next], self._events[self._next]["at"])
            self._next += 1
        self.query_one("#graph", GraphView).states_changed()
        if run.preview is not None and run.preview is not before:
            self.query_one("#picture", PictureView).show(opened(run.preview.data))
        whole = self._events[-1]["at"]
        told = "paused" if self.paused else f"× {self.speed:g}"
        line = f"{seconds(min(self._clock, whole))} of {seconds(whole)}   {told}   {run.status}"
        self.query_one("#about", Static).update(Text(line, look.style(self.app, "text")))

    def action_replay_pause(self) -> None:
        """Stand still, or go on."""
        self.paused = not self.paused

    def action_replay_faster(self) -> None:
        """Twice as fast."""
        self.speed = min(self.speed * 2, FASTEST)

    def action_replay_slower(self) -> None:
        """Half as fast."""
        self.speed = max(self.speed / 2, SLOWEST)


def _without_pauses(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events with "at" counted from the first, and long pauses shortened."""
    found: list[dict[str, Any]] = []
    clock, last = 0.0, events[0]["at"] if events else 0.0
    for event in events:
        clock += max(0.0, min(event["at"] - last, PAUSE))
        last = event["at"]
        found.append({**event, "at": clock})
    return found
