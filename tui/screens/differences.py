"""What differs: between the file, or a run, and the open workflow; or between two runs. A difference can be taken
back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.text import Text
from textual import work
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from engine.diff import Difference, compare
from engine.document import from_source
from engine.errors import WeftError
from engine.source import Source
from tui import look
from tui.desk import words_of
from tui.differing import Piece, pieces, taken_back
from tui.history import Past
from tui.origin import session_of
from tui.screens.lists import ListScreen, Rows
from tui.session import Session

ROLES = {"+": "done", "-": "failed", "~": "stale"}


class DiffScreen(ListScreen):
    """See the module. past: the run that comes first; without one, the file as it was last read or written, or with
    `disk` as it is now. other: the run that comes second; without one, what is open."""

    NAME = "diff"
    SHOWS = frozenset({"session", "diff"})
    DEFAULT_CSS = """
    DiffScreen VerticalScroll { height: auto; max-height: 50%; min-height: 2; background: $surface; padding: 0 1; }
    DiffScreen #about { height: auto; }
    """

    def __init__(self, past: Past | None = None, other: Past | None = None, *, disk: bool = False) -> None:
        super().__init__()
        self._disk = disk
        self._theirs: str | None = None
        self._past, self._other = past, other
        self._runs: dict[str, Mapping[str, Any]] = {}
        self._told = "reading…" if past is not None or disk else ""
        self._found: list[Difference] = []

    @property
    def HEAD(self) -> str:  # type: ignore[override]
        """What is compared."""
        file = "the file on disk" if self._disk else "the file"
        first = f"run {self._past.id}" if self._past is not None else file
        return f"Diff · {first} → {f'run {self._other.id}' if self._other is not None else 'what is open'}"

    def body(self) -> Iterable[Widget]:
        """The differences, and the selected one in full."""
        yield Rows(compact=True)
        yield VerticalScroll(Static(id="about"))

    def on_mount(self) -> None:
        """Read what ran."""
        if self._past is not None:
            self._read([past for past in (self._past, self._other) if past is not None])
        elif self._disk and self.desk.session is not None:
            self._read_disk(self.desk.session)

    @work(thread=True, exclusive=True, group="diff", exit_on_error=False)
    def _read_disk(self, session: Session) -> None:
        try:
            self._theirs = session.theirs()
        except (WeftError, OSError) as why:
            self._told = words_of(why)
        self.app.call_from_thread(self.desk_changed, frozenset({"diff"}))

    @work(thread=True, exclusive=True, group="diff", exit_on_error=False)
    def _read(self, runs: list[Past]) -> None:
        found: dict[str, Mapping[str, Any]] = {}
        told = ""
        for past in runs:
            try:
                document = session_of(past, self.desk.registry()).document
                found[past.id] = document.data if document is not None else {"nodes": {}}
            except WeftError as why:
                told = f"the workflow of run {past.id} cannot be read: {why.problems[0].what}"
        self.app.call_from_thread(self._take, found, told)

    def _take(self, found: dict[str, Mapping[str, Any]], told: str) -> None:
        self._runs, self._told = found, told
        self.desk_changed(frozenset({"diff"}))

    def _sides(self) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
        """(before, after); None where one of them is no workflow, or not read yet."""
        session = self.desk.session
        sides: list[Mapping[str, Any] | None] = [
            self._runs.get(past.id) if past is not None else None for past in (self._past, self._other)
        ]
        if session is not None and session.document is not None and self._other is None:
            sides[1] = session.document.data
        text = self._theirs if self._disk else session.saved if session is not None else None
        if text is not None and self._past is None:
            try:
                sides[0] = from_source(Source("the file", text), None).data
            except WeftError:
                self._told = "the file is no workflow"
        return (sides[0], sides[1]) if sides[0] is not None and sides[1] is not None else None

    def entries(self) -> Sequence[tuple[str, Text]]:
        """A difference a row."""
        sides, dim = self._sides(), look.style(self.app, "dim")
        self._found = compare(*sides) if sides is not None else []
        if sides is None:
            return [("", Text(look.safe(self._told or "nothing is open that could be compared"), dim))]
        rows = [(str(i), Text(str(d), look.style(self.app, ROLES[d.sign]), no_wrap=True, overflow="ellipsis"))
                for i, d in enumerate(self._found)]  # fmt: skip
        return rows or [("", Text("no difference", dim))]

    @property
    def difference(self) -> Difference | None:
        """The selected one."""
        at = self.chosen
        return self._found[int(at)] if at and int(at) < len(self._found) else None

    def facts(self) -> dict[str, Any]:
        """What is open can be changed, what ran cannot."""
        found = super().facts()
        return {**found, "file": bool(found["file"]) and self._other is None}

    def refresh_keys(self) -> None:
        """With another row goes another difference in full."""
        super().refresh_keys()
        if not self.is_mounted or not self.query("#about"):
            return
        text, found = Text(), self.difference
        for sign, side in zip("-+", pieces(found) if found is not None else ((), ()), strict=True):
            if side:
                text.append(f"{sign} ", look.style(self.app, ROLES[sign]))
                text.append_text(self._drawn(side)).append("\n")
        self.query_one("#about", Static).update(text)

    def _drawn(self, side: Sequence[Piece]) -> Text:
        styles = {
            "same": look.style(self.app, "text"),
            "gone": look.style(self.app, "failed", underline=True),
            "new": look.style(self.app, "done", underline=True),
        }
        return Text.assemble(*((look.safe(piece, 4000), styles[kind]) for kind, piece in side))

    def action_diff_take(self) -> None:
        """Take the selected difference back: the open workflow gets what the first has there."""
        session, found = self.desk.session, self.difference
        if session is None or found is None:
            return
        try:
            session.change(taken_back(session.text, session.data, found), f"take back {found.path}")
        except (KeyError, WeftError):
            self.weft.say("it cannot be taken back alone: what would hold it is gone", "warning")
            return
        self.desk.edited()
        self.weft.say(f"{found.path} is as it was; u on the graph brings the change again")

    def action_diff_copy(self) -> None:
        """Copy all differences."""
        self.app.copy_to_clipboard("\n".join(map(str, self._found)))
        self.weft.say("copied the differences")
