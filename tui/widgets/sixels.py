"""A picture in sixels, encoded beside the event loop: without numpy that takes up to half a second.

Imports textual-image, an optional extra, whose own widget encodes as it is drawn.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.control import Control
from rich.segment import ControlType, Segment
from rich.style import Style
from textual import work
from textual.app import ComposeResult
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget
from textual_image._sixel import image_to_sixels
from textual_image._terminal import get_cell_size
from textual_image.widget import SixelImage

if TYPE_CHECKING:
    from PIL.Image import Image

PLAIN = Style()


class Sixels(SixelImage, Renderable=SixelImage._Renderable):
    """As large as the picture fits; what is in it is drawn by `Encoded`."""

    def __init__(self, picture: "Image") -> None:
        super().__init__(picture)
        self._picture = picture

    def compose(self) -> ComposeResult:
        """The picture itself."""
        yield Encoded(self._picture)


class Encoded(Widget, can_focus=False):
    """A picture over the whole widget, of which a thread encodes the part that is in view; blank until it has."""

    DEFAULT_CSS = "Encoded { width: 100%; height: 100%; }"

    def __init__(self, picture: "Image") -> None:
        super().__init__()
        self._picture = picture
        self._part: tuple[Size, Region] | None = None
        self._sixels = ""

    def render_lines(self, crop: Region) -> list[Strip]:
        """All of the picture at the last line, as one escape sequence that moves no text."""
        if not self.screen.is_active:  # a window above would be painted over
            return []
        part = self.size, crop
        if part != self._part:
            self._part, self._sixels = part, ""
            self._encode(*part)
        if not self._sixels:
            return [Strip.blank(crop.width, self.rich_style)] * crop.height
        return [Strip([])] * (crop.height - 1) + [Strip(self._drawn(), cell_length=crop.width)]

    def _drawn(self) -> Sequence[Segment]:
        at = self.screen.find_widget(self).visible_region
        return [
            Segment(Control.move_to(at.x, at.y).segment.text, PLAIN),
            Segment(self._sixels, PLAIN, ((ControlType.CURSOR_FORWARD, 0),)),
            Segment(Control.move_to(at.right, at.bottom).segment.text, PLAIN),
        ]

    @work(thread=True, exclusive=True, group="sixels", exit_on_error=False)
    def _encode(self, size: Size, crop: Region) -> None:
        cell = get_cell_size()
        whole = self._picture.resize((size.width * cell.width, size.height * cell.height))
        box = crop.x * cell.width, crop.y * cell.height, crop.right * cell.width, crop.bottom * cell.height
        sixels = image_to_sixels(whole.crop(box))
        self.app.call_from_thread(self._take, (size, crop), sixels)

    def _take(self, part: tuple[Size, Region], sixels: str) -> None:
        if part == self._part:
            self._sixels = sixels
            self.refresh()
