"""The outputs pane: the files that runs have saved since the start, the latest first."""

from collections.abc import Iterable
from pathlib import PurePath

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widget import Widget

from tui import look
from tui.board import Run

KEPT = 200


class OutputsPane(Widget):
    """See the module."""

    class Chosen(Message):
        """A file was clicked."""

        def __init__(self, path: str) -> None:
            super().__init__()
            self.path = path

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.paths: list[str] = []

    def show(self, runs: Iterable[Run]) -> None:
        """Show the files of these runs."""
        found = [str(output["path"]) for run in runs for output in run.outputs]
        paths = list(dict.fromkeys(reversed(found)))[:KEPT]
        if paths != self.paths:
            self.paths = paths
            self.refresh()

    def render(self) -> Text:
        """A name a line."""
        if not self.paths:
            return Text("nothing saved yet", look.style(self.app, "dim"))
        names = [look.safe(PurePath(path).name, 80) for path in self.paths[: self.size.height]]
        return Text("\n".join(names), look.style(self.app, "text"), no_wrap=True, overflow="ellipsis")

    def on_click(self, event: events.Click) -> None:
        """Open what is under the mouse."""
        at = event.get_content_offset(self)
        if at is not None and 0 <= at.y < len(self.paths):
            self.post_message(self.Chosen(self.paths[at.y]))
