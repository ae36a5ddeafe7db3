"""The history: runs that were, with their pictures; a run's workflow can be opened again, compared, or watched."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import work
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from engine.errors import WeftError
from engine.text import seconds
from tui import look
from tui.history import Past
from tui.origin import session_of, sets_of, values_of
from tui.queue import about
from tui.screens.lists import ListScreen, Rows
from tui.screens.modals import AskText
from tui.widgets.picture import PictureView, opened

if TYPE_CHECKING:
    from PIL.Image import Image

GLYPHS = {"done": ("✓", "done"), "cancelled": ("⊘", "cancelled"), "running": ("▶", "running"),
          "unfinished": ("⊘", "cancelled")}  # fmt: skip


class HistoryScreen(ListScreen):
    """See the module."""

    NAME = "history"
    HEAD = "History"
    SHOWS = frozenset({"past"})
    DEFAULT_CSS = """
    HistoryScreen Rows { width: 1fr; }
    HistoryScreen Vertical { width: 45%; background: $surface; padding: 0 1; }
    HistoryScreen #about { height: auto; max-height: 50%; }
    HistoryScreen.-narrow Vertical { width: 34; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._words = ""
        self._marked = ""
        self._past: list[Past] = []
        self._shown = ""
        self._turned = 0
        """Pictures before the latest one of the run."""

    def body(self) -> Iterable[Widget]:
        """The runs, and what is known of the selected one."""
        yield Horizontal(Rows(compact=True), Vertical(PictureView("thumb"), Static(id="about")))

    @work(thread=True, exclusive=True, group="past", exit_on_error=False)
    def _gather(self) -> None:
        found = self.desk.history().runs(self._words)
        self.app.call_from_thread(self._take, found)

    def _take(self, found: list[Past]) -> None:
        self._past, self._shown = found, ""
        self.desk_changed(frozenset({"past"}))

    def entries(self) -> Sequence[tuple[str, Text]]:
        """A run a row, newest first."""
        app = self.app
        dim = look.style(app, "dim")
        rows: list[tuple[str, Text]] = []
        if self._words:
            rows.append(("", Text(f"with {look.safe(self._words)}", look.style(app, "accent"))))
        for past in self._past:
            glyph, role = GLYPHS.get(self._status(past), ("✗", "failed"))
            when = time.strftime("%d %b %H:%M", time.localtime(past.began))
            line = Text.assemble(
                (_marks(past, self._marked), look.style(app, "accent")), (f"{glyph} ", look.style(app, role)),
                (f"{when}  ", dim), (f"{look.safe(past.name, 28):<28}  ", look.style(app, "text")),
                (f"{seconds(past.seconds):>7}  ", dim), (look.safe(_special(past), 120), dim), no_wrap=True,
            )  # fmt: skip
            rows.append((past.id, line))
        if not self._past:
            rows.append(("", Text("no such run" if self._words else "no run is remembered yet", dim)))
        return rows

    @property
    def past(self) -> Past | None:
        """The selected run."""
        return next((past for past in self._past if past.id == self.chosen), None)

    @property
    def output(self) -> Mapping[str, Any] | None:
        """What was noted about the picture that is shown."""
        pictures = _pictures(self.past)
        return pictures[-1 - self._turned % len(pictures)] if pictures else None

    def desk_changed(self, what: frozenset[str]) -> None:
        """A run that is over has more to tell."""
        if "queue" in what:
            self.desk.in_background(lambda: self.app.call_from_thread(self._gather))
        super().desk_changed(what)

    def refresh_keys(self) -> None:
        """With another row go another picture and description."""
        super().refresh_keys()
        past = self.past if self.is_mounted else None
        if not self.query("#about") or (past is not None and past.id == self._shown):
            return
        self._shown, self._turned = past.id if past is not None else "", 0
        if past is None:
            self.query_one("#about", Static).update("")
            self.query_one("#thumb", PictureView).show(None)
            return
        self._describe(past)

    def _status(self, past: Past) -> str:
        """What became of it. One that goes on, but not here, was begun by a weft that is gone, or by another one."""
        return "unfinished" if past.status == "running" and past.id not in self.desk.runs else past.status

    def _describe(self, past: Past) -> None:
        output, pictures, swept = self.output, _pictures(past), sets_of(past)[1]
        variant = output["variant"] if output is not None else None
        values = {**(swept if variant is None else {}), **values_of(past, variant)}
        text = Text()
        pairs = [("status", self._status(past)), ("problem", past.problem), ("workflow", past.file or past.name),
                 ("device", past.device), ("took", seconds(past.seconds)), ("ran", f"{past.ran}, cached {past.cached}"),
                 *values.items()]  # fmt: skip
        if output is not None:
            at = pictures.index(output) + 1
            pairs += [("picture", f"{at} of {len(pictures)}" if len(pictures) > 1 else ""), ("file", output["path"])]
        else:
            pairs += [("file", other["path"]) for other in past.outputs[:6]]
        for name, value in pairs:
            if value != "":
                text.append(f"{look.safe(name, 24):<10} ", look.style(self.app, "dim"))
                text.append(look.safe(value, 200) + "\n", look.style(self.app, "text"))
        self.query_one("#about", Static).update(text)
        self._read(past.id, str(output["path"]) if output is not None else "")

    def _turn(self, step: int) -> None:
        if (past := self.past) is not None:
            self._turned -= step
            self._describe(past)

    def action_past_next(self) -> None:
        """The next picture of the run."""
        self._turn(1)

    def action_past_previous(self) -> None:
        """The picture before."""
        self._turn(-1)

    @work(thread=True, exclusive=True, group="thumb", exit_on_error=False)
    def _read(self, run: str, path: str) -> None:
        picture = None
        if path:
            try:
                with open(path, "rb") as file:
                    picture = opened(file.read())
            except OSError:
                pass
        self.app.call_from_thread(self._show, run, picture, "its picture is gone" if path else "it saved no picture")

    def _show(self, run: str, picture: "Image | None", empty: str) -> None:
        if run == self._shown:
            self.query_one("#thumb", PictureView).show(picture, "" if picture is not None else empty)

    def action_past_find(self) -> None:
        """Ask for words."""

        def take(words: str | None) -> None:
            if words is not None:
                self._words = words
                self._gather()

        self.app.push_screen(AskText("Filter", self._words, "words of name, file, prompt, values, status"), take)

    def action_past_load(self) -> None:
        """Open its workflow with the values and seeds of the picture that is shown, as a copy without a file."""
        past, output = self.past, self.output
        if past is not None:
            self._load(past, output["variant"] if output is not None else None)

    def on_option_list_option_selected(self) -> None:
        """The one that was clicked."""
        self.action_past_load()

    @work(thread=True, exclusive=True, group="open", exit_on_error=False)
    def _load(self, past: Past, variant: int | None) -> None:
        try:
            session = session_of(past, self.desk.registry(), variant)
        except WeftError as why:
            self.app.call_from_thread(self.weft.tell_error, why)
            return
        self.app.call_from_thread(self.weft.open_session, session)

    def action_past_replay(self) -> None:
        """Watch it again."""
        if (past := self.past) is not None:
            self.weft.show_screen("replay", past=past)

    def action_past_diff(self) -> None:
        """What differs between the marked run and it, or between it and the open workflow."""
        if (past := self.past) is not None:
            marked = next((other for other in self._past if other.id == self._marked), None)
            if marked is not None and marked is not past:
                self.weft.show_screen("diff", past=marked, other=past)
            elif self.desk.session is not None:
                self.weft.show_screen("diff", past=past)
            else:
                self.weft.say("m marks a run to compare with; no workflow is open")

    def action_past_gallery(self) -> None:
        """The pictures of these runs."""
        self.weft.show_screen("gallery", words=self._words)

    def action_past_mark(self) -> None:
        """Mark it for a diff with another, or no longer."""
        self._marked = "" if self._marked == self.chosen else self.chosen
        self.fill()

    def action_past_image(self) -> None:
        """Its picture."""
        if (output := self.output) is not None:
            self.weft.show_screen("image", path=str(output["path"]))

    def action_past_star(self) -> None:
        """Keep it, or no longer."""
        if (past := self.past) is not None:
            self._change(lambda: self.desk.history().star(past.id, not past.starred))

    def action_past_delete(self) -> None:
        """Forget it."""
        if (past := self.past) is not None:
            self._change(lambda: self.desk.history().delete(past.id))

    def _change(self, change: Callable[[], object]) -> None:
        self.desk.in_background(change)
        self.desk.in_background(lambda: self.app.call_from_thread(self._gather))


def _pictures(past: Past | None) -> list[Mapping[str, Any]]:
    return [o for o in past.outputs if str(o["mime"]).startswith("image/")] if past is not None else []


def _marks(past: Past, marked: str) -> str:
    """Two cells: whether it is kept for good, and whether it is the marked one."""
    return ("★" if past.starred else " ") + ("◆" if past.id == marked else " ")


def _special(past: Past) -> str:
    single, swept = sets_of(past)
    return about(single, [swept] if swept else []) or past.problem
