"""Many pictures side by side, each with a line below it; one of them is selected."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.views.cells import padded
from tui import look
from tui.widgets.picture import grey_cells, half_cells

if TYPE_CHECKING:
    from PIL.Image import Image

WIDE, HIGH = 24, 12
"""Columns and rows of a picture's place; its line is the last of the rows."""
KEPT = 300
"""Pictures that stay in memory."""


class GalleryView(ScrollView, inherit_bindings=False):
    """See the module. Whoever shows it is asked for the pictures that come into view by `Wanted`, and gives them with
    `put`."""

    can_focus = True
    DEFAULT_CSS = "GalleryView { overflow: auto; height: 1fr; background: $background; }"

    class Chosen(Message):
        """A picture was clicked. again: it was selected already."""

        def __init__(self, again: bool) -> None:
            super().__init__()
            self.again = again

    class Wanted(Message):
        """These pictures are in view and not there yet."""

        def __init__(self, paths: Sequence[str]) -> None:
            super().__init__()
            self.paths = paths

    def __init__(self) -> None:
        super().__init__()
        self.items: Sequence[tuple[str, str]] = ()
        """(path, the line below it)."""
        self.at = 0
        self._pictures: OrderedDict[str, Image | None] = OrderedDict()
        self._drawn: dict[str, list[list[Segment]]] = {}
        self._base = Style()

    @property
    def columns(self) -> int:
        """Pictures side by side."""
        return max(self.size.width // WIDE, 1)

    @property
    def path(self) -> str:
        """The selected picture, or nothing."""
        return self.items[self.at][0] if self.at < len(self.items) else ""

    def show(self, items: Sequence[tuple[str, str]]) -> None:
        """Show these. The selected one stays selected if it is among them."""
        before = self.path
        self.items = items
        self.at = next((i for i, (path, _) in enumerate(items) if path == before), 0)
        self._measure()

    def put(self, path: str, picture: "Image | None") -> None:
        """A picture that was wanted; None: it is gone, or is none."""
        self._pictures[path] = picture
        while len(self._pictures) > KEPT:
            old, _ = self._pictures.popitem(last=False)
            self._drawn.pop(old, None)
        self._drawn.pop(path, None)
        self.refresh()

    def on_resize(self) -> None:
        """Another number of them fits side by side."""
        self._measure()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Others are in view."""
        super().watch_scroll_y(old_value, new_value)
        self._ask()

    def _measure(self) -> None:
        rows = -(-len(self.items) // self.columns)
        self.virtual_size = Size(self.columns * WIDE, rows * HIGH)
        self.refresh()
        self._ask()

    def _ask(self) -> None:
        first = int(self.scroll_offset.y) // HIGH * self.columns
        count = (self.size.height // HIGH + 2) * self.columns
        wanted = [path for path, _ in self.items[first : first + count] if path not in self._pictures]
        if wanted:
            self.post_message(self.Wanted(wanted))

    def move(self, down: int, across: int) -> None:
        """Select another one."""
        if not self.items:
            return
        self.at = max(0, min(self.at + down * self.columns + across, len(self.items) - 1))
        row, column = divmod(self.at, self.columns)
        self.scroll_to_region(Region(column * WIDE, row * HIGH, WIDE, HIGH), animate=False, force=True)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Select what is under the mouse."""
        at = event.get_content_offset(self)
        if at is None or at.x // WIDE >= self.columns:
            return
        chosen = (at.y + int(self.scroll_offset.y)) // HIGH * self.columns + at.x // WIDE
        if chosen < len(self.items):
            again, self.at = chosen == self.at, chosen
            self.refresh()
            self.post_message(self.Chosen(again))

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines in a part of the pane, its style found once for all of them."""
        self._base = self.rich_style
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One line of what is in view."""
        row, inside = divmod(y + int(self.scroll_offset.y), HIGH)
        segments: list[Segment] = []
        for at in range(row * self.columns, min((row + 1) * self.columns, len(self.items))):
            segments += self._line_of(at, inside)
        return Strip(segments).crop_extend(0, self.size.width, self._base).apply_style(self._base)

    def _line_of(self, at: int, inside: int) -> list[Segment]:
        path, told = self.items[at]
        chosen = at == self.at
        if inside == HIGH - 1:
            text = f"{'▸' if chosen else ' '}{padded(look.safe(told, WIDE - 2), WIDE - 2)} "
            style = look.style(self.app, "accent" if chosen else "dim", bold=chosen)
            return [Segment(text, style + look.behind(self.app, "cursor") if chosen else style)]
        lines = self._cells(path)
        if not lines:
            missing = path in self._pictures and inside == HIGH // 2
            return [Segment(("gone" if missing else "").center(WIDE), look.style(self.app, "faint"))]
        top = inside - (HIGH - 1 - len(lines)) // 2
        if not 0 <= top < len(lines):
            return [Segment(" " * WIDE)]
        used = sum(len(s.text) for s in lines[top])
        before = (WIDE - used) // 2
        return [Segment(" " * before), *lines[top], Segment(" " * (WIDE - used - before))]

    def _cells(self, path: str) -> list[list[Segment]]:
        picture = self._pictures.get(path)
        if picture is None or getattr(self.app, "images", "half") == "off":
            return []
        if path not in self._drawn:
            draw = grey_cells if self.app.no_color else half_cells
            self._drawn[path] = draw(picture, WIDE - 2, HIGH - 2)
        return self._drawn[path]
