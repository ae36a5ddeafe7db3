"""Jump mode: every place in view gets letters, and typing them goes there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.geometry import Offset
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.screens.panes import PANES, Panes

LETTERS = "asdfghjklqwertyuiopzxcvbnm"
"""The easiest to reach come first."""


def codes(count: int, letters: str = LETTERS) -> list[str]:
    """So many different codes, the shortest first, of which none begins another: one letter where these suffice, and
    two for the rest. At most the square of the number of letters."""
    many = len(letters)
    pairs = next((n for n in range(many + 1) if many - n + n * many >= count), many)
    single = letters[: many - pairs]
    return [*single, *(a + b for a in letters[many - pairs :] for b in letters)][:count]


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere to go. at: on the screen; node: in the graph; key: a row among the values."""

    at: Offset
    pane: str
    node: str = ""
    key: str = ""


class Jump(ModalScreen[Place]):
    """Shows the letters over the screen below, and gives back the place whose letters were typed; anything else closes
    it."""

    BINDINGS: ClassVar[list[Any]] = [Binding("escape", "leave", "Back", show=False)]
    DEFAULT_CSS = """
    Jump { background: $background 30%; }
    Jump > .letters {
        position: absolute; width: auto; height: 1; background: $accent; color: $background; text-style: bold;
    }
    Jump:ansi > .letters { background: ansi_default; color: ansi_default; text-style: bold reverse; }
    """

    def __init__(self, places: Sequence[Place]) -> None:
        super().__init__()
        self.places = dict(zip(codes(len(places)), places, strict=False))
        """By their letters."""
        self._typed = ""

    def compose(self) -> ComposeResult:
        """The letters, each where it leads."""
        for code, place in self.places.items():
            letters = Static(Text(code), classes="letters")
            letters.styles.offset = (place.at.x, place.at.y)
            yield letters

    def on_key(self, event: events.Key) -> None:
        """A letter: go there, or wait for the second one."""
        if event.key == "escape":
            return
        event.stop()
        self._typed += (event.character or "\0").lower()
        if self._typed in self.places:
            self.dismiss(self.places[self._typed])
        elif not any(code.startswith(self._typed) for code in self.places):
            self.dismiss(None)

    def on_click(self) -> None:
        """The mouse needs no letters."""
        self.dismiss(None)

    def action_leave(self) -> None:
        """Go nowhere."""
        self.dismiss(None)


class Jumping(Panes):
    """Part of the main screen."""

    def action_jump_mode(self) -> None:
        """Give letters to the panes, nodes and values in view, and go where they say."""
        nodes = [Place(at, "graph", node=node) for node, at in self.graph.spots().items()]
        values = [Place(at, "params", key=key) for key, at in self.params.spots().items()]
        panes = [Place(w.region.offset, name) for name in PANES if (w := self.query_one(f"#{name}")).region]
        self.app.push_screen(Jump([*nodes, *values, *panes]), self._jump)

    def _jump(self, place: Place | None) -> None:
        if place is None:
            return
        self._to_pane(place.pane)
        if place.node:
            self.graph.select(place.node)
            self.selected()
        elif place.key:
            self.params.select(place.key)
            self.refresh_keys()
