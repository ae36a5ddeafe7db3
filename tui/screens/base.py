"""What all screens share: keys from the table, the header and the footer, and being told what is new."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker

from tui.desk import Desk
from tui.keys import Action, Situation, live
from tui.keytable import TABLES
from tui.screens import SCREENS
from tui.widgets.bars import FooterBar, HeaderBar

if TYPE_CHECKING:
    from tui.app import WeftApp


SMALLEST = (60, 16)
WIDE, EXTRA_WIDE, TALL = 100, 160, 30
"""Columns and rows from which there is room for more."""


def bindings(name: str) -> list[Binding]:
    """The bindings of a screen, from the table; the footer is our own, so none is shown by Textual."""
    actions = [action for action in TABLES[name] if action.keys]
    return [Binding(action.keys, action.call, action.about, show=False, id=action.id) for action in actions]


class WeftScreen(Screen[Any]):
    """A full screen. A subclass sets NAME, yields its panes in `body`, and may override `situation`, `desk_changed`."""

    NAME: ClassVar[str] = ""
    HEAD: ClassVar[str] = ""
    """What the header says in place of the file."""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide"), (EXTRA_WIDE, "-xwide")]  # noqa: RUF012 - Textual's own
    VERTICAL_BREAKPOINTS = [(0, "-short"), (TALL, "-tall")]  # noqa: RUF012
    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    WeftScreen #too-small { display: none; width: 1fr; height: 1fr; content-align: center middle; }
    WeftScreen.-small > * { display: none; }
    WeftScreen.-small > #too-small { display: block; }
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if cls.NAME in TABLES:
            cls.BINDINGS = [*bindings(cls.NAME)]
        super().__init_subclass__(**kwargs)

    @property
    def weft(self) -> "WeftApp":
        """The app."""
        return cast("WeftApp", self.app)

    @property
    def desk(self) -> Desk:
        """Everything that is open and goes on."""
        return self.weft.desk

    def compose(self) -> ComposeResult:
        """The header, the panes, the footer."""
        yield HeaderBar(self.desk, self.HEAD)
        yield from self.body()
        yield FooterBar([action for action in TABLES.get(self.NAME, ()) if self.can(action)])
        yield Static(Text(f"too small: {SMALLEST[0]} × {SMALLEST[1]} at least"), id="too-small")

    def body(self) -> Iterable[Widget]:
        """The panes."""
        return ()

    def situation(self) -> Situation:
        """What decides which keys are live."""
        return Situation(**self.facts())

    def facts(self) -> dict[str, Any]:
        """What is the same on all screens."""
        desk = self.desk
        session = desk.session
        return {
            "file": session is not None,
            "running": desk.queue.current is not None,
            "engine": desk.client.alive,
            "fetching": desk.puller.busy,
            "image": any(str(o.get("mime", "")).startswith("image/") for r in desk.runs.values() for o in r.outputs),
        }

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether an action is live; Textual asks before it does anything that a key stands for."""
        call = f"show('{parameters[0]}')" if action == "show" and parameters else action
        found = next((a for a in TABLES.get(self.NAME, ()) if a.call == call), None)
        return found is None or (self.can(found) and found.live(self.situation()))

    def can(self, action: Action) -> bool:
        """Whether there is something that does it: a method here or of the app, or a screen of that name."""
        area, _, verb = action.id.partition(".")
        if area == "screen" and verb != "back":
            return verb in SCREENS
        method = f"action_{action.method}"
        return hasattr(self, method) or hasattr(self.app, method)

    def refresh_keys(self) -> None:
        """The situation may have changed: the footer shows what is live now."""
        for bar in self.query(FooterBar):
            now = self.situation()
            if bar.now != now:
                bar.now = now
                bar.refresh()

    def desk_changed(self, what: frozenset[str]) -> None:
        """Something on the desk is new (see `tui.desk` for the words). An override calls this, too."""
        for bar in self.query(HeaderBar):
            bar.refresh()
        self.refresh_keys()

    def on_mount(self) -> None:
        """Show everything once."""
        self.desk_changed(frozenset({"session", "board", "run", "queue", "engine", "log"}))

    def on_resize(self, event: events.Resize) -> None:
        """Nothing fits into less than the smallest size."""
        self.set_class(event.size.width < SMALLEST[0] or event.size.height < SMALLEST[1], "-small")

    def on_paste(self, event: events.Paste) -> None:
        """A file dropped on the terminal comes as the text of its path: it is opened."""
        try:
            words = shlex.split(event.text.strip().splitlines()[0]) if event.text.strip() else []
        except ValueError:
            words = []
        if len(words) == 1 and Path(words[0].removeprefix("file://")).is_file():
            event.stop()
            self.weft.open_workflow(words[0].removeprefix("file://"))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """The app tells of what went wrong in the background."""
        self.weft.on_worker_state_changed(event)

    def on_screen_resume(self) -> None:
        """Back from another screen: much may have changed, the keys too."""
        if self.is_mounted:
            for bar in self.query(FooterBar):
                bar.refresh()
            self.desk_changed(frozenset({"session", "board", "run", "queue", "engine", "log"}))

    def live_actions(self) -> list[Action]:
        """Everything that can be done here now."""
        return [action for action in live(TABLES.get(self.NAME, ()), self.situation()) if self.can(action)]

    def action_show(self, name: str) -> None:
        """Open a screen by its name."""
        self.weft.show_screen(name)

    def action_screen_back(self) -> None:
        """To the screen from which this one was opened."""
        self.weft.back()
