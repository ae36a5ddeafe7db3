"""The gallery: the pictures of all runs that are remembered, the latest first."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import work
from textual.widget import Widget
from textual.widgets import Static

from tui import look
from tui.history import Past
from tui.origin import values_of
from tui.screens.base import WeftScreen
from tui.screens.modals import AskText
from tui.widgets.gallery import GalleryView
from tui.widgets.picture import opened

if TYPE_CHECKING:
    from PIL.Image import Image

MOST = 1000
THUMB = 128
"""Pixels a side at most of a picture that is kept."""


class GalleryScreen(WeftScreen):
    """See the module. words: which runs, as the history is filtered."""

    NAME = "gallery"
    HEAD = "Gallery"
    AUTO_FOCUS = "GalleryView"
    DEFAULT_CSS = "GalleryScreen #about { height: 1; background: $panel; padding: 0 1; }"

    def __init__(self, words: str = "") -> None:
        super().__init__()
        self._words = words
        self._made: dict[str, tuple[Past, int | None]] = {}

    def body(self) -> Iterable[Widget]:
        """The pictures, and a line about the selected one."""
        yield GalleryView()
        yield Static(id="about")

    @property
    def gallery(self) -> GalleryView:
        """The pictures."""
        return self.query_one(GalleryView)

    def on_mount(self) -> None:
        """Read the history."""
        self._gather(self._words)

    @work(thread=True, exclusive=True, group="past", exit_on_error=False)
    def _gather(self, words: str) -> None:
        self.app.call_from_thread(self._take, pictures_of(self.desk.history().runs(words, limit=MOST)))

    def _take(self, made: dict[str, tuple[Past, int | None]]) -> None:
        self._made = made
        self.gallery.show([(path, _line(past, variant)) for path, (past, variant) in made.items()])
        self._describe()

    def on_gallery_view_wanted(self, event: GalleryView.Wanted) -> None:
        """Pictures came into view."""
        self._read(list(event.paths))

    @work(thread=True, exclusive=True, group="thumbs", exit_on_error=False)
    def _read(self, paths: list[str]) -> None:
        from textual.worker import get_current_worker

        worker = get_current_worker()
        for path in paths:
            if worker.is_cancelled:
                return
            picture: Image | None = None
            try:
                with open(path, "rb") as file:
                    picture = opened(file.read())
            except OSError:
                pass
            if picture is not None:
                picture.thumbnail((THUMB, THUMB))
            self.app.call_from_thread(self.gallery.put, path, picture)

    def _describe(self) -> None:
        path = self.gallery.path
        if path:
            past, variant = self._made[path]
            values = "   ".join(f"{name} {value}" for name, value in values_of(past, variant).items())
            told = f"{self.gallery.at + 1} of {len(self._made)}   {past.name}   {values}   {path}"
        else:
            told = f"no picture of a run with {self._words}" if self._words else "no picture is remembered yet"
        self.query_one("#about", Static).update(Text(look.safe(told, 400), look.style(self.app, "text"), no_wrap=True))
        self.refresh_keys()

    def facts(self) -> dict[str, Any]:
        """A picture is selected."""
        return {**super().facts(), "items": self.is_mounted and bool(self.gallery.path)}

    def _move(self, down: int, across: int) -> None:
        self.gallery.move(down, across)
        self._describe()

    def action_gallery_up(self) -> None:
        """The picture above."""
        self._move(-1, 0)

    def action_gallery_down(self) -> None:
        """The picture below."""
        self._move(1, 0)

    def action_gallery_left(self) -> None:
        """The picture before."""
        self._move(0, -1)

    def action_gallery_right(self) -> None:
        """The next picture."""
        self._move(0, 1)

    def action_gallery_image(self) -> None:
        """The selected picture full screen, with what it was made from."""
        self.weft.show_screen("image", path=self.gallery.path)

    def action_gallery_find(self) -> None:
        """Ask for words."""

        def take(words: str | None) -> None:
            if words is not None:
                self._words = words
                self._gather(words)

        self.app.push_screen(AskText("Filter", self._words, "words of name, file, prompt, values, status"), take)

    def on_gallery_view_chosen(self, event: GalleryView.Chosen) -> None:
        """A picture was clicked; twice: open it."""
        self._describe()
        if event.again:
            self.action_gallery_image()


def pictures_of(runs: Iterable[Past]) -> dict[str, tuple[Past, int | None]]:
    """path -> (run, variant) of the pictures that runs saved, each once, by the first of these runs that did."""
    found: dict[str, tuple[Past, int | None]] = {}
    for past in runs:
        for output in past.outputs:
            if str(output["mime"]).startswith("image/"):
                found.setdefault(str(output["path"]), (past, output["variant"]))
    return found


def _line(past: Past, variant: int | None) -> str:
    """What tells a picture from the others: what was swept, or its seed."""
    if variant is None:
        return past.name
    values = values_of(past, variant)
    special = [str(value) for name, value in values.items() if name in past.sets] or [str(v) for v in values.values()]
    return " · ".join([*special[:3], past.name])
