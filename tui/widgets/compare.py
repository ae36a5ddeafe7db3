"""The grid of pictures of a comparison, with labels; one of them is selected."""

from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.views.cells import width
from tui import look
from tui.board import Run, State
from tui.sheet import Progress, Sheet, progress_of
from tui.widgets.picture import grey_cells, half_cells

if TYPE_CHECKING:
    from PIL.Image import Image

LABEL = 12
"""Columns of the labels of rows."""
NARROWEST = 18
"""Columns of a cell at least, its border among them."""
LOWEST = 9
"""Rows of a cell at least where there are many."""


_CHOSEN, _PLAIN = ("━", "┃", "┏┓┗┛"), ("─", "│", "╭╮╰╯")


class CompareGrid(ScrollView, inherit_bindings=False):
    """See the module."""

    can_focus = True
    DEFAULT_CSS = "CompareGrid { overflow: auto; height: 1fr; background: $background; }"

    class Chosen(Message):
        """A picture was clicked. again: it was selected already."""

        def __init__(self, again: bool) -> None:
            super().__init__()
            self.again = again

    def __init__(self, sheet: Sheet, run: Run) -> None:
        super().__init__()
        self.sheet, self.run = sheet, run
        self.at = 0
        """The selected variant."""
        self.marked = -1
        """The variant that is compared with others; negative: none."""
        self.pictures: dict[int, Image] = {}
        self._drawn: dict[int, tuple[object, list[list[Segment]]]] = {}
        self._progress: dict[int, Progress] = {}
        self._cell = (NARROWEST, NARROWEST // 2)
        self._base = Style()

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.sheet.shape(max((self.size.width or 80) // (NARROWEST + 6), 1))

    def show(self) -> None:
        """Show how far everything is."""
        self._progress = {variant: progress_of(self.run, variant) for variant in range(self.sheet.count)}
        self._measure()

    def states(self) -> list[State]:
        """Of all variants, as far as they were shown."""
        return [progress.state for progress in self._progress.values()]

    def put(self, variant: int, picture: "Image") -> None:
        """Show the picture of a variant."""
        self.pictures[variant] = picture
        self.refresh()

    def on_resize(self) -> None:
        """Cells have another size now."""
        self._measure()

    def _measure(self) -> None:
        rows, columns = self.shape
        room = self.size.width - (LABEL if self.sheet.row_label(0) else 0)
        wide = max(NARROWEST, room // columns)
        # All rows in view, if that leaves pictures that can be told apart.
        high = min((wide - 2) // 2 + 2, max(self.size.height - 1, 6), max((self.size.height - 1) // rows, LOWEST))
        if (wide, high) != self._cell:
            self._cell = wide, high
            self._drawn.clear()
        label = LABEL if self.sheet.row_label(0) else 0
        self.virtual_size = Size(label + columns * wide, (1 if label else 0) + rows * high)
        self.refresh()

    def move(self, down: int, across: int) -> None:
        """Select another one."""
        rows, columns = self.shape
        row, column = divmod(self.at, columns)
        row, column = max(0, min(row + down, rows - 1)), max(0, min(column + across, columns - 1))
        self.at = min(row * columns + column, self.sheet.count - 1)
        wide, high = self._cell
        top = 1 if self.sheet.row_label(0) else 0
        left = LABEL if top else 0
        self.scroll_to_region(Region(left + column * wide, top + row * high, wide, high), animate=False, force=True)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Select what is under the mouse."""
        at = event.get_content_offset(self)
        if at is None:
            return
        wide, high = self._cell
        top = 1 if self.sheet.row_label(0) else 0
        column = (at.x + self.scroll_offset.x - (LABEL if top else 0)) // wide
        variant = (at.y + self.scroll_offset.y - top) // high * self.shape[1] + column
        if 0 <= variant < self.sheet.count and 0 <= column < self.shape[1]:
            again, self.at = variant == self.at, variant
            self.refresh()
            self.post_message(self.Chosen(again))

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines in a part of the pane, its style found once for all of them."""
        self._base = self.rich_style
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One line of what is in view."""
        line = y + self.scroll_offset.y
        labels = bool(self.sheet.row_label(0))
        wide, high = self._cell
        rows, columns = self.shape
        segments: list[Segment] = []
        if labels and line == 0:
            segments.append(Segment(" " * LABEL))
            for column in range(columns):
                text = look.safe(self.sheet.column_label(column), wide - 2)
                segments.append(Segment(text.center(wide), look.style(self.app, "accent")))
        else:
            row, inside = divmod(line - (1 if labels else 0), high)
            if row < rows:
                if labels:
                    text = look.safe(self.sheet.row_label(row), LABEL - 1) if inside == high // 2 else ""
                    segments.append(Segment(text.ljust(LABEL), look.style(self.app, "accent")))
                for column in range(columns):
                    variant = row * columns + column
                    if variant < self.sheet.count:
                        segments += self._cell_line(variant, inside)
        left = self.scroll_offset.x
        return Strip(segments).crop_extend(left, left + self.size.width, self._base).apply_style(self._base)

    def _cell_line(self, variant: int, inside: int) -> list[Segment]:
        wide, high = self._cell
        progress = self._progress.get(variant, Progress(State.QUEUED, "queued"))
        chosen = variant == self.at
        role = "accent" if chosen else str(progress.state) if progress.state is not State.DONE else "faint"
        style = look.style(self.app, role, bold=chosen)
        across, down, corners = _CHOSEN if chosen else _PLAIN
        if inside in (0, high - 1):
            star = "★ " if variant == self.marked else ""
            text = star + self.sheet.title(variant) if inside == 0 else f"{progress.state.glyph} {progress.detail}"
            text = look.safe(f" {text} ", wide - 4)
            first, last = (corners[0], corners[1]) if inside == 0 else (corners[2], corners[3])
            fill = across * max(wide - 3 - width(text), 0)
            return [Segment(f"{first}{across}{text}{fill}{last}", style)]
        lines = self._picture(variant)
        top = inside - 1 - (high - 2 - len(lines)) // 2
        room = wide - 2
        middle: list[Segment] = []
        if 0 <= top < len(lines):
            used = sum(len(s.text) for s in lines[top])
            before = (room - used) // 2
            middle = [Segment(" " * before), *lines[top], Segment(" " * (room - used - before))]
        elif not lines and inside == high // 2:
            middle = [Segment(progress.detail.center(room), look.style(self.app, str(progress.state)))]
        else:
            middle = [Segment(" " * room)]
        return [Segment(down, style), *middle, Segment(down, style)]

    def _picture(self, variant: int) -> list[list[Segment]]:
        picture = self.pictures.get(variant)
        if picture is None or getattr(self.app, "images", "half") == "off":
            return []
        known = self._drawn.get(variant)
        if known is None or known[0] is not picture:
            draw = grey_cells if self.app.no_color else half_cells
            known = self._drawn[variant] = (picture, draw(picture, self._cell[0] - 2, self._cell[1] - 2))
        return known[1]
