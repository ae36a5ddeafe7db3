"""The log: what the engine and its libraries said, warnings and problems of runs."""

import time
from collections.abc import Iterable

from rich.text import Text
from textual.widget import Widget
from textual.widgets import RichLog

from tui import look
from tui.screens.base import WeftScreen


class LogScreen(WeftScreen):
    """See the module."""

    NAME = "log"
    HEAD = "Log"
    AUTO_FOCUS = "RichLog"
    DEFAULT_CSS = "LogScreen RichLog { height: 1fr; background: $background; padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._written = 0

    def body(self) -> Iterable[Widget]:
        """The lines."""
        yield RichLog(markup=False, highlight=False, wrap=True, max_lines=5000)

    def desk_changed(self, what: frozenset[str]) -> None:
        """Add the lines that are new."""
        shown = self.query_one(RichLog)
        new = self.desk.noted - self._written
        for at, text in list(self.desk.log)[-new:] if new else ():
            clock = time.strftime("%H:%M:%S ", time.localtime(at))
            shown.write(Text.assemble((clock, look.style(self.app, "dim")), look.safe(text, 2000)))
        self._written += new
        super().desk_changed(what)

    def action_log_copy(self) -> None:
        """Copy everything."""
        self.app.copy_to_clipboard("\n".join(text for _, text in self.desk.log))
        self.weft.say("copied the log")

    def action_log_bottom(self) -> None:
        """To the latest line."""
        self.query_one(RichLog).scroll_end(animate=False)
