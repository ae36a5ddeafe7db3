"""What differs: between the open workflow and its file, or between it and that of a run."""

import json
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from engine.diff import compare
from engine.document import from_source
from engine.errors import WeftError
from engine.source import Source
from tui import look
from tui.history import Past
from tui.screens.lists import ListScreen


class DiffScreen(ListScreen):
    """See the module. past: the run; without one, the file as it was last read or written."""

    NAME = "diff"

    def __init__(self, past: Past | None = None) -> None:
        super().__init__()
        self._past = past

    @property
    def HEAD(self) -> str:  # type: ignore[override]
        """What is compared."""
        if self._past is not None:
            return f"Diff · run {self._past.id} → what is open"
        return "Diff · the file → what is open"

    def entries(self) -> Sequence[tuple[str, Text]]:
        """A difference a row."""
        app, session = self.app, self.desk.session
        dim = look.style(app, "dim")
        if session is None or session.document is None:
            return [("", Text("nothing is open that could be compared", dim))]
        text = self._past.workflow if self._past is not None else session.saved
        try:
            before: dict[str, Any] = from_source(Source("before", text), None).data
        except (WeftError, json.JSONDecodeError) as why:
            return [("", Text(f"the other cannot be read: {look.safe(why)}", look.style(app, "failed")))]
        roles = {"+": "done", "-": "failed", "~": "stale"}
        found = compare(before, session.document.data)
        rows = [(str(i), Text(str(d), look.style(app, roles[d.sign]), no_wrap=True)) for i, d in enumerate(found)]
        return rows or [("", Text("no difference", dim))]
