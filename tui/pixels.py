"""Finished pictures in real pixels, where the terminal can: sixel, or the graphics of kitty (called tgp).

Both come from textual-image, an optional extra. It asks the terminal what it can by writing to it as it is imported,
so it is imported before the app starts, and only where input and output are a terminal. numpy, which it would use to
encode, is kept out of this process: its own way without takes as long.
"""

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Container
from textual.widgets import Static

from engine.errors import Problem, error

if TYPE_CHECKING:
    from PIL.Image import Image

PIXELS = ("sixel", "tgp")


def drawn_as(wanted: str) -> str:
    """How finished pictures are drawn in this terminal: half, sixel, tgp or off. wanted: one of these, or auto.

    Raises E-CLI where pixels are asked for by name and textual-image is not installed.
    """
    if wanted in ("half", "off"):
        return wanted
    if find_spec("textual_image") is None:
        if wanted in PIXELS:
            raise error(Problem("E-CLI", f"{wanted} needs textual-image", "install weft[images], or take half"))
        return "half"
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    terminal = all(stream is not None and stream.isatty() for stream in (sys.__stdin__, sys.__stdout__))
    if plain or not terminal:
        return "half"
    found = _asked()
    return found if wanted == "auto" else wanted


def _asked() -> str:
    """What the terminal says that it can: half, sixel or tgp. It is asked once, and for the size of its cells too."""
    kept = sys.modules.pop("numpy", None)
    sys.modules["numpy"] = None  # type: ignore[assignment]
    try:
        from textual_image import renderable, widget
    except (ImportError, OSError, ValueError, ArithmeticError):  # a terminal of no size, or one that talks otherwise
        return "half"
    finally:
        del sys.modules["numpy"]
        if kept is not None:
            sys.modules["numpy"] = kept
    assert widget.Image is not None
    kinds = {renderable.SixelImage: "sixel", renderable.TGPImage: "tgp"}
    return kinds.get(renderable.Image, "half")


class PixelView(Container):
    """Shows one picture as large as it fits, or a text where there is none; kind: sixel or tgp."""

    DEFAULT_CSS = """
    PixelView { height: 1fr; align: center middle; }
    PixelView > * { width: auto; height: auto; }
    """

    def __init__(self, kind: str, id: str | None = None, empty: str = "") -> None:
        super().__init__(id=id)
        self._kind, self._empty = kind, empty
        self.picture: Image | None = None

    def show(self, picture: "Image | None", empty: str = "") -> None:
        """Show this picture, or the text."""
        self.picture, self._empty = picture, empty
        self.refresh(recompose=True)

    def compose(self) -> ComposeResult:
        """The picture, or the text."""
        if self.picture is None:
            yield Static(self._empty, markup=False)
            return
        if self._kind == "sixel":
            from tui.widgets.sixels import Sixels

            yield Sixels(self.picture)
        else:
            from textual_image.widget import TGPImage

            yield TGPImage(self.picture)
