"""The line between two panes, which the mouse can drag."""

from textual import events
from textual.message import Message
from textual.widget import Widget


class Splitter(Widget):
    """See the module. It knows nothing of the panes: it says how far it was dragged."""

    DEFAULT_CSS = """
    Splitter { width: 1; height: 1fr; }
    Splitter:hover { background: $primary 40%; }
    Screen.-narrow Splitter, Screen.-single Splitter { display: none; }
    """

    class Dragged(Message):
        """Dragged by so many columns to the right (negative: to the left)."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def __init__(self) -> None:
        super().__init__()
        self._from: int | None = None

    def render(self) -> str:
        """Nothing to be seen but its background."""
        return ""

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """The drag begins."""
        self._from = int(event.screen_x)
        self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """The drag goes on."""
        if self._from is not None and (by := int(event.screen_x) - self._from):
            self._from = int(event.screen_x)
            self.post_message(self.Dragged(by))

    def on_mouse_up(self) -> None:
        """The drag is over."""
        self._from = None
        self.release_mouse()
