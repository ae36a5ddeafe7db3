"""A picture full screen; one picture after the other of those that were saved since the start."""

from collections.abc import Iterable
from pathlib import PurePath

from rich.text import Text
from textual import work
from textual.widget import Widget
from textual.widgets import Static

from tui import look
from tui.screens.base import WeftScreen
from tui.widgets.picture import PictureView, opened


class ImageScreen(WeftScreen):
    """See the module. path: the picture to begin with; the latest, if not given."""

    NAME = "image"
    HEAD = "Picture"
    DEFAULT_CSS = "ImageScreen #about { height: 1; background: $panel; padding: 0 1; }"

    def __init__(self, path: str = "") -> None:
        super().__init__()
        self.path = path

    def body(self) -> Iterable[Widget]:
        """The picture, and a line about it."""
        yield PictureView("picture", "reading…")
        yield Static(id="about")

    def on_mount(self) -> None:
        """Show the picture."""
        pictures = self.weft.pictures()
        if not self.path and pictures:
            self.path = pictures[-1]
        self._turn(0)

    def _turn(self, step: int) -> None:
        pictures = self.weft.pictures()
        if self.path in pictures:
            self.path = pictures[(pictures.index(self.path) + step) % len(pictures)]
        self._read(self.path)

    @work(thread=True, exclusive=True, group="image", exit_on_error=False)
    def _read(self, path: str) -> None:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as why:
            self.app.call_from_thread(self._show, path, None, why.strerror or "cannot be read", 0)
            return
        picture = opened(data)
        self.app.call_from_thread(
            self._show, path, picture, "" if picture else "no picture that can be shown", len(data)
        )

    def _show(self, path: str, picture: object, wrong: str, size: int) -> None:
        self.query_one("#picture", PictureView).show(picture, wrong)  # type: ignore[arg-type]
        pictures = self.weft.pictures()
        parts = [look.safe(PurePath(path).name, 80)]
        if picture is not None:
            parts += [f"{picture.width} × {picture.height}", f"{size / 1024:.0f} KiB"]  # type: ignore[attr-defined]
        if path in pictures:
            parts.append(f"{pictures.index(path) + 1} of {len(pictures)}")
        self.query_one("#about", Static).update(Text(" · ".join(parts), look.style(self.app, "text")))

    def action_image_next(self) -> None:
        """The next picture."""
        self._turn(1)

    def action_image_previous(self) -> None:
        """The picture before."""
        self._turn(-1)

    def action_image_viewer(self) -> None:
        """In the system's viewer."""
        self.weft.open_outside(self.path)

    def action_image_copy(self) -> None:
        """Copy the path."""
        self.app.copy_to_clipboard(self.path)
        self.weft.say("copied the path")
