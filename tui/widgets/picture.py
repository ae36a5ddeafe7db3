"""Pictures in half cells: ▀ with the upper pixel's colour in front and the lower one's behind it."""

import io
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui import look

if TYPE_CHECKING:
    from PIL.Image import Image

RAMP = " .:-=+*#%@"
"""Grey levels, for a terminal without colours."""
MEGAPIXELS = 64
"""Of the largest picture that is opened."""


def opened(data: bytes) -> "Image | None":
    """The picture in these bytes (PNG, JPEG or WebP) in RGB; None if it is damaged or too large."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture:
            if picture.width * picture.height > MEGAPIXELS * 1e6:
                return None
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def fitted(size: tuple[int, int], columns: int, rows: int) -> tuple[int, int]:
    """The (width, height) in pixels of a picture shown in so many cells, each of which is 1 pixel wide and 2 high.

    The sides keep their proportion; at least one pixel, and a whole number of cells high.
    """
    width, height = size
    scale = min(columns / width, 2 * rows / height)
    return max(1, round(width * scale)), max(2, 2 * round(height * scale / 2))


def half_cells(picture: "Image", columns: int, rows: int) -> list[list[Segment]]:
    """The picture in at most so many cells, a list of segments a row. Small pictures are enlarged pixel by pixel."""
    from PIL import Image

    width, height = fitted(picture.size, columns, rows)
    grown = width >= picture.width and height >= picture.height
    small = picture.resize((width, height), Image.Resampling.NEAREST if grown else Image.Resampling.BOX)
    data = small.convert("RGB").tobytes()
    lines: list[list[Segment]] = []
    for top in range(0, height, 2):
        line: list[Segment] = []
        last: tuple[bytes, bytes] | None = None
        run = 0
        for x in range(width):
            at = 3 * (top * width + x)
            pair = data[at : at + 3], data[at + 3 * width : at + 3 * width + 3]
            if pair != last and last is not None:
                line.append(Segment("▀" * run, _pair(*last)))
                run = 0
            last, run = pair, run + 1
        if last is not None:
            line.append(Segment("▀" * run, _pair(*last)))
        lines.append(line)
    return lines


def grey_cells(picture: "Image", columns: int, rows: int) -> list[list[Segment]]:
    """The same in letters of growing darkness, for a terminal without colours."""
    from PIL import Image

    width, height = fitted(picture.size, columns, rows)
    data = picture.convert("L").resize((width, height // 2), Image.Resampling.BOX).tobytes()
    levels = len(RAMP)
    return [
        [Segment("".join(RAMP[value * levels // 256] for value in data[row * width : (row + 1) * width]))]
        for row in range(height // 2)
    ]


@lru_cache(65536)
def _pair(upper: bytes, lower: bytes) -> Style:
    return Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))


class PictureView(Widget):
    """Shows one picture as large as it fits, or a text where there is none."""

    DEFAULT_CSS = "PictureView { height: 1fr; }"

    def __init__(self, id: str | None = None, empty: str = "") -> None:
        super().__init__(id=id)
        self.picture: Image | None = None
        self._empty = empty
        self._cells: list[list[Segment]] = []
        self._made: tuple[object, int, int, bool] | None = None

    def show(self, picture: "Image | None", empty: str = "") -> None:
        """Show this picture, or the text."""
        self.picture, self._empty = picture, empty
        self.refresh()

    def _lines(self) -> list[list[Segment]]:
        if self.picture is None or getattr(self.app, "images", "half") == "off":
            return []
        grey = self.app.no_color
        made = (self.picture, self.size.width, self.size.height, grey)
        if self._made != made and self.size.width and self.size.height:
            draw = grey_cells if grey else half_cells
            self._cells = draw(self.picture, self.size.width, self.size.height)
            self._made = made
        return self._cells

    def render_line(self, y: int) -> Strip:
        """One row, the picture in the middle."""
        base = self.rich_style
        columns = self.size.width
        lines = self._lines()
        if not lines:
            text = self._empty if y == self.size.height // 2 else ""
            segments = [Segment(" " * max((columns - len(text)) // 2, 0)), Segment(text, look.style(self.app, "dim"))]
            return Strip(segments).crop_extend(0, columns, base).apply_style(base)
        row = y - (self.size.height - len(lines)) // 2
        if not 0 <= row < len(lines):
            return Strip.blank(columns, base)
        wide = sum(len(s.text) for s in lines[row])
        segments = [Segment(" " * ((columns - wide) // 2)), *lines[row]]
        return Strip(segments).crop_extend(0, columns, base).apply_style(base)
