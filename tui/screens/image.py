"""A picture full screen with what it was made from; one picture after the other of those that were saved since the
start."""

import os
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import work
from textual.containers import Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from engine.errors import WeftError
from tui import look
from tui.board import Run
from tui.origin import Origin, facts, output_of, session_of, with_live
from tui.pixels import PIXELS, PixelView
from tui.screens.base import WeftScreen
from tui.screens.modals import Confirm
from tui.widgets.picture import PictureView, opened

if TYPE_CHECKING:
    from PIL.Image import Image

NAME = 10
"""Columns of a fact's name."""


class ImageScreen(WeftScreen):
    """See the module. path: the picture to begin with; the latest, if not given. among: the pictures to turn over, in
    place of all."""

    NAME = "image"
    HEAD = "Picture"
    DEFAULT_CSS = """
    ImageScreen #picture { width: 1fr; }
    ImageScreen #about { height: 1; background: $panel; padding: 0 1; }
    ImageScreen VerticalScroll { width: 44; background: $surface; padding: 0 1; display: none; }
    ImageScreen.-facts VerticalScroll { display: block; }
    ImageScreen.-facts.-narrow VerticalScroll { width: 1fr; }
    ImageScreen.-facts.-narrow #picture { display: none; }
    ImageScreen #facts { height: auto; }
    """

    def __init__(self, path: str = "", among: Sequence[str] = ()) -> None:
        super().__init__()
        self.path = path
        self._among = among
        self.origin: Origin | None = None

    def body(self) -> Iterable[Widget]:
        """The picture, what it was made from, and a line about it."""
        kind = self.weft.images
        view = PixelView(kind, "picture", "reading…") if kind in PIXELS else PictureView("picture", "reading…")
        yield Horizontal(view, VerticalScroll(Static(id="facts")))
        yield Static(id="about")

    def on_mount(self) -> None:
        """Show the picture."""
        self.set_class(self.app.size.width >= 100, "-facts")
        pictures = self._among or self.weft.pictures()
        if not self.path and pictures:
            self.path = pictures[-1]
        self._turn(0)

    def _turn(self, step: int) -> None:
        pictures = self._among or self.weft.pictures()
        if self.path in pictures:
            self.path = pictures[(pictures.index(self.path) + step) % len(pictures)]
        self.origin = None
        runs = reversed(self.desk.runs.values())
        self._read(self.path, next((run for run in runs if output_of(run.outputs, self.path) is not None), None))

    @work(thread=True, exclusive=True, group="image", exit_on_error=False)
    def _read(self, path: str, run: Run | None) -> None:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as why:
            self.app.call_from_thread(self._show, path, None, why.strerror or "cannot be read", 0)
            return
        picture = opened(data)
        wrong = "" if picture else "no picture that can be shown"
        self.app.call_from_thread(self._show, path, picture, wrong, len(data))
        self.app.call_from_thread(self._tell, path, self._find(path, run))

    def _find(self, path: str, run: Run | None) -> Origin | None:
        """What it was made from. Blocks."""
        history = self.desk.history()
        past = history.run(run.id) if run is not None else history.made(path)
        if past is not None and run is not None:
            past = with_live(past, run)
        output = output_of(past.outputs, path) if past is not None else None
        return Origin(past, output) if past is not None and output is not None else None

    def _show(self, path: str, picture: "Image | None", wrong: str, size: int) -> None:
        if path != self.path:
            return
        view = self.query_one("#picture")
        assert isinstance(view, PictureView | PixelView)
        view.show(picture, wrong)
        pictures = self._among or self.weft.pictures()
        parts = [look.safe(PurePath(path).name, 80)]
        if picture is not None:
            parts += [f"{picture.width} × {picture.height}", f"{size / 1024:.0f} KiB"]
        if path in pictures:
            parts.append(f"{pictures.index(path) + 1} of {len(pictures)}")
        self.query_one("#about", Static).update(Text(" · ".join(parts), look.style(self.app, "text")))

    def _tell(self, path: str, origin: Origin | None) -> None:
        if path != self.path:
            return
        self.origin = origin
        text, dim, plain = Text(), look.style(self.app, "dim"), look.style(self.app, "text")
        pairs = [("file", path), *(facts(origin) if origin is not None else ())]
        for name, value in pairs:
            shown = look.safe(name, 40)
            text.append(f"{shown:<{NAME}} " if len(shown) <= NAME else f"{shown}\n{'':<{NAME}} ", dim)
            text.append(f"{look.safe(value, 1000)}\n", plain)
        if origin is None:
            text.append("\nno run that is remembered has saved it", dim)
        self.query_one("#facts", Static).update(text)
        self.refresh_keys()

    def facts(self) -> dict[str, Any]:
        """There is a picture; what it was made from is known."""
        return {**super().facts(), "image": bool(self.path), "items": self.origin is not None}

    def action_image_facts(self) -> None:
        """Show what it was made from, or no longer."""
        self.toggle_class("-facts")

    def action_image_next(self) -> None:
        """The next picture."""
        self._turn(1)

    def action_image_previous(self) -> None:
        """The picture before."""
        self._turn(-1)

    def action_image_load(self) -> None:
        """Open the workflow that made it, with the values that made it, as a copy without a file."""
        if self.origin is not None:
            self._load(self.origin)

    @work(thread=True, exclusive=True, group="open", exit_on_error=False)
    def _load(self, origin: Origin) -> None:
        try:
            session = session_of(origin.past, self.desk.registry(), origin.output.get("variant"))
        except WeftError as why:
            self.app.call_from_thread(self.weft.tell_error, why)
            return
        self.app.call_from_thread(self.weft.open_session, session)

    def action_image_viewer(self) -> None:
        """In the system's viewer."""
        self.weft.open_outside(self.path)

    def action_image_copy(self) -> None:
        """Copy the path."""
        self.app.copy_to_clipboard(self.path)
        self.weft.say("copied the path")

    def action_image_delete(self) -> None:
        """Ask, and delete the file; the run that made it stays in the history, and can make it again."""
        path = self.path

        def take(got: str | None) -> None:
            if got != "d":
                return
            try:
                os.unlink(path)
            except OSError as why:
                self.weft.say(f"{PurePath(path).name} stays: {why.strerror}", "error")
                return
            for run in self.desk.runs.values():
                run.outputs = [output for output in run.outputs if output["path"] != path]
            self.weft.say(f"deleted {PurePath(path).name}")
            self.weft.back()

        said = f"{look.safe(PurePath(path).name, 80)} is deleted for good."
        self.app.push_screen(Confirm("Delete", said, [("d", "delete it")]), take)
