"""A run of the past, seen again from its events: the graph with its states, and the pictures as they came."""

from collections.abc import Iterable

from rich.text import Text
from textual import work
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Static

from engine.errors import WeftError
from engine.text import seconds
from tui import look
from tui.board import Board
from tui.history import Past
from tui.origin import session_of
from tui.player import Player
from tui.screens.base import WeftScreen
from tui.session import Session
from tui.widgets.graph import GraphView
from tui.widgets.picture import PictureView, opened

EVERY = 0.05
"""Seconds between two turns of the clock."""
BAR = 24
LEAP = 0.1
"""Of the whole, that a key goes on or back."""


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
        self.player = Player("", [])
        self.board = Board()
        self._session: Session | None = None
        self._shown: object = None

    def body(self) -> Iterable[Widget]:
        """The graph, the picture, and how far it is."""
        yield Horizontal(GraphView("graph"), PictureView("picture", "reading…"))
        yield Static(id="about")

    def on_mount(self) -> None:
        """Read the events, and begin."""
        self._read()
        self.set_interval(EVERY, self._turn)

    @work(thread=True, exclusive=True, group="replay", exit_on_error=False)
    def _read(self) -> None:
        past = self._past or next(iter(self.desk.history().runs(limit=1)), None)
        if past is None:
            self.app.call_from_thread(self.query_one("#picture", PictureView).show, None, "no run is remembered yet")
            return
        try:
            session = session_of(past, self.desk.registry())
        except WeftError as why:
            self.app.call_from_thread(self.weft.tell_error, why)
            return
        player = Player(past.id, list(self.desk.history().events(past.id)))
        self.app.call_from_thread(self._begin, session, player)

    def _begin(self, session: Session, player: Player) -> None:
        self._session, self.player = session, player
        types = {name: str(raw.get("type", "?")) for name, raw in session.nodes.items() if isinstance(raw, dict)}
        self.board.shape(types, session.problems, ())
        self.board.run = player.run
        self.query_one("#graph", GraphView).show(session, self.board)
        self.query_one("#picture", PictureView).show(None, "its events are gone" if player.over else "")
        self._draw()

    def _turn(self) -> None:
        was = self.player.clock
        if self.player.turn(EVERY) or self.player.clock != was:
            self._draw()

    def _draw(self) -> None:
        """Show what has happened."""
        player = self.player
        run = self.board.run = player.run
        self.board.plan = run.plan
        if self._session is None:
            return
        self.query_one("#graph", GraphView).states_changed()
        pictures = [str(o["path"]) for o in run.outputs if str(o.get("mime", "")).startswith("image/")]
        latest = pictures[-1] if pictures and not run.running() else run.preview
        if latest is not self._shown and latest != self._shown:
            self._shown = latest
            if isinstance(latest, str):
                self._open(latest)
            else:
                self.query_one("#picture", PictureView).show(opened(latest.data) if latest is not None else None)
        told = "paused" if player.paused else f"× {player.speed:g}"
        full, empty = look.bar(player.clock / player.whole if player.whole else 1.0, BAR)
        text = Text.assemble(
            (full, look.style(self.app, "running")), (empty, look.style(self.app, "faint")),
            (f"  {seconds(player.clock)} of {seconds(player.whole)}   {told}   {look.safe(run.status)}",
             look.style(self.app, "text")), no_wrap=True,
        )  # fmt: skip
        self.query_one("#about", Static).update(text)

    @work(thread=True, exclusive=True, group="saved", exit_on_error=False)
    def _open(self, path: str) -> None:
        try:
            with open(path, "rb") as file:
                picture = opened(file.read())
        except OSError:
            return
        if picture is not None and self._shown == path:
            self.app.call_from_thread(self.query_one("#picture", PictureView).show, picture)

    def _go_to(self, clock: float) -> None:
        self.player.seek(clock)
        self._draw()

    def action_replay_again(self) -> None:
        """From the start."""
        self._go_to(0.0)

    def action_replay_end(self) -> None:
        """To the end."""
        self._go_to(self.player.whole)

    def action_replay_forward(self) -> None:
        """A tenth on."""
        self._go_to(self.player.clock + LEAP * self.player.whole)

    def action_replay_back(self) -> None:
        """A tenth back."""
        self._go_to(self.player.clock - LEAP * self.player.whole)

    def action_replay_pause(self) -> None:
        """Stand still, or go on."""
        self.player.paused = not self.player.paused
        self._draw()

    def action_replay_faster(self) -> None:
        """Twice as fast."""
        self.player.faster(2.0)
        self._draw()

    def action_replay_slower(self) -> None:
        """Half as fast."""
        self.player.faster(0.5)
        self._draw()
