"""The window that asks for a text of several lines. A file of its own: Textual's editor takes a while to import, and
the first screen does without it."""

from collections.abc import Callable
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import Static, TextArea

from tui import look
from tui.screens.modals import Window, wrong_with
from tui.widgets.typed import signs


class Lines(TextArea):
    """Several."""

    def get_line(self, line_index: int) -> Text:
        """A line as it is drawn."""
        return Text(signs(self.document.get_line(line_index)), end="", no_wrap=True)


class AskLines(Window[str]):
    """Asks for a text that may be long and have several lines. Enter takes it; alt+enter or ctrl+j begins a line."""

    AUTO_FOCUS: ClassVar[str | None] = "TextArea"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("enter", "take", show=False, priority=True),
        Binding("alt+enter,ctrl+j,shift+enter", "newline", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    AskLines TextArea { height: auto; min-height: 3; max-height: 14; background: $panel; }
    """

    def __init__(
        self, title: str, value: str = "", hint: str = "", check: Callable[[str], object] | None = None
    ) -> None:
        super().__init__(title)
        self._value, self._hint, self._check_text = value, hint, check

    def inside(self) -> ComposeResult:
        """The text, and below it what may be typed or what is wrong."""
        yield Lines(self._value, soft_wrap=True, compact=True, highlight_cursor_line=False, tab_behavior="focus")
        yield Static(Text(look.safe(self._hint, 400), look.style(self.app, "dim")), id="said")
        yield Static(Text("⏎ takes it · ^j begins a line", look.style(self.app, "faint")))

    def on_mount(self) -> None:
        """The cursor stands behind the text."""
        area = self.query_one(TextArea)
        area.move_cursor(area.document.end)

    def action_take(self) -> None:
        """Take it, if it is right."""
        text = self.query_one(TextArea).text
        if wrong := wrong_with(text, self._check_text):
            self.query_one("#said", Static).update(Text(look.safe(f"⚠ {wrong}", 400), look.style(self.app, "failed")))
        else:
            self.dismiss(text)

    def action_newline(self) -> None:
        """Begin a line."""
        self.query_one(TextArea).insert("\n")
