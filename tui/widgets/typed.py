"""Where text is typed that a file may have brought along: what a terminal would obey is shown as a sign of one cell.

The text itself stays as it is; only what is drawn differs, one character for one, so that the cursor stands where it
belongs.
"""

from rich.highlighter import Highlighter
from rich.text import Text
from textual.widgets import Input

from engine.text import visible


def signs(text: str) -> str:
    """`text` with each control character as its picture (␛), and each bidirectional or zero-width one as ¤."""
    if visible(text, len(text) + 1) == text:
        return text
    return "".join(c if c == "\t" or visible(c) == c else _sign(c) for c in text)


def _sign(character: str) -> str:
    code = ord(character)
    return chr(0x2400 + code) if code < 0x20 else "¤"


class _Signs(Highlighter):
    def __call__(self, text: str | Text) -> Text:
        return Text(signs(str(text)), no_wrap=True, overflow="ignore", end="")

    def highlight(self, text: Text) -> None:
        """Nothing more."""


class Line(Input):
    """One line of text."""

    def __init__(self, value: str = "", *, placeholder: str = "", select_on_focus: bool = True) -> None:
        super().__init__(
            value, placeholder=placeholder, highlighter=_Signs(), select_on_focus=select_on_focus, compact=True
        )
