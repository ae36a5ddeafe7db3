"""A screen with a list: rows of text, one selected."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.text import Text
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.screens.base import WeftScreen


class Rows(OptionList, inherit_bindings=False):
    """The list itself; keys are the screen's."""

    BINDINGS = [*(b for b in OptionList.BINDINGS if "enter" not in str(b))]  # noqa: RUF012 - Textual's own
    DEFAULT_CSS = """
    Rows {
        height: 1fr; border: none; background: $background; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """


class ListScreen(WeftScreen):
    """Shows `entries` and keeps the selected one selected when they change."""

    AUTO_FOCUS = "Rows"

    def __init__(self) -> None:
        super().__init__()
        self._ids: list[str] = []

    def body(self) -> Iterable[Widget]:
        """The list."""
        yield Rows(compact=True)

    def entries(self) -> Sequence[tuple[str, Text]]:
        """(id, what is shown) of every row; an id of "" cannot be selected."""
        return ()

    @property
    def chosen(self) -> str:
        """The id of the selected row, or nothing."""
        at = self.query_one(Rows).highlighted if self.is_mounted else None
        return self._ids[at] if at is not None and at < len(self._ids) else ""

    def fill(self) -> None:
        """Show the entries as they are now."""
        rows = self.query_one(Rows)
        before, at = self.chosen, rows.highlighted
        entries = self.entries()
        self._ids = [id_ for id_, _ in entries]
        rows.clear_options()
        rows.add_options([Option(text, disabled=not id_) for id_, text in entries])
        if before in self._ids and before:
            rows.highlighted = self._ids.index(before)
        elif entries:
            start = min(at or 0, len(entries) - 1)
            rows.highlighted = next((i for i in range(start, len(entries)) if self._ids[i]), None)
        self.refresh_keys()

    def facts(self) -> dict[str, Any]:
        """A row is selected."""
        return {**super().facts(), "items": bool(self.chosen)}

    def desk_changed(self, what: frozenset[str]) -> None:
        """Show what is new."""
        if what & self.SHOWS:
            self.fill()
        super().desk_changed(what)

    SHOWS = frozenset({"session"})
    """The words at which the list is filled anew."""

    def on_option_list_option_highlighted(self) -> None:
        """Other keys may be live."""
        self.refresh_keys()
