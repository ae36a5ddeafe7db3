"""How things look: themes, the colour of each role, and text made safe to show.

Roles are what a piece of text is (a node's id, a state, a key); a theme gives each a colour. Widgets draw text
themselves, never through markup, and everything from a file goes through `safe`.
"""

from functools import lru_cache
from typing import Any

from rich.style import Style
from textual.app import App
from textual.theme import Theme

from engine.text import visible
from engine.views import Span, colour
from tui.board import State

DARK = {
    "text": "#d8dee6", "dim": "#7d8794", "faint": "#4b5460", "accent": "#e0a458", "title": "#d8dee6",
    "idle": "#7d8794", "stale": "#c9b27c", "cached": "#5fb3a8", "queued": "#8fa3bf", "running": "#e0a458",
    "done": "#8cb369", "failed": "#e86a6a", "cancelled": "#c98a5b", "bypassed": "#9a86c4", "invalid": "#e86a6a",
    "missing model": "#d97fae", "cursor": "#173a5a", "cursor_dim": "#232a33", "found": "#3d3a1f",
}  # fmt: skip
LIGHT = {
    "text": "#20262e", "dim": "#646e7b", "faint": "#a9b2bd", "accent": "#9a5b00", "title": "#20262e",
    "idle": "#646e7b", "stale": "#7a6412", "cached": "#0f766e", "queued": "#4a6285", "running": "#9a5b00",
    "done": "#3f7a1c", "failed": "#b3261e", "cancelled": "#95500f", "bypassed": "#6a4fa3", "invalid": "#b3261e",
    "missing model": "#a1346f", "cursor": "#cfe3f7", "cursor_dim": "#e6eaef", "found": "#f3ecc2",
}  # fmt: skip
ANSI = {
    "text": "default", "dim": "bright_black", "faint": "bright_black", "accent": "yellow", "title": "default",
    "idle": "default", "stale": "yellow", "cached": "cyan", "queued": "blue", "running": "bright_yellow",
    "done": "green", "failed": "red", "cancelled": "yellow", "bypassed": "magenta", "invalid": "red",
    "missing model": "magenta", "cursor": "", "cursor_dim": "", "found": "",
}  # fmt: skip
_ANSI_KINDS = {
    "MODEL": "magenta", "TEXT ENCODER": "yellow", "VAE": "red", "CONDITIONING": "bright_red",
    "LATENT": "bright_magenta", "IMAGE": "blue", "MASK": "green",
}  # fmt: skip

THEMES = (
    Theme("weft-dark", primary="#4c8dc9", secondary="#5fb3a8", accent="#e0a458", foreground="#d8dee6",
          background="#14171b", surface="#1b1f25", panel="#222831", success="#8cb369", warning="#e0a458",
          error="#e86a6a", dark=True),
    Theme("weft-light", primary="#2466a8", secondary="#0f766e", accent="#9a5b00", foreground="#20262e",
          background="#f6f7f9", surface="#ffffff", panel="#e9edf2", success="#3f7a1c", warning="#9a5b00",
          error="#b3261e", dark=False),
)  # fmt: skip
_ROLES = {"weft-dark": DARK, "weft-light": LIGHT, "ansi-dark": ANSI, "ansi-light": ANSI}
_NAMES = {"ansi": "ansi-dark"}


def use(app: App[Any], theme: str) -> None:
    """Give the app one of the themes of the settings."""
    for known in THEMES:
        if known.name not in app.available_themes:
            app.register_theme(known)
    app.theme = _NAMES.get(theme, theme)


@lru_cache(512)
def _style(theme: str, role: str, bold: bool, underline: bool) -> Style:
    roles = _ROLES.get(theme, DARK)
    return Style(color=roles[role] or None, bold=bold or None, underline=underline or None)


def style(app: App[Any], role: str, *, bold: bool = False, underline: bool = False) -> Style:
    """The style of a role under the app's theme: a key of the tables above, or a state's word."""
    return _style(app.theme, role, bold, underline)


@lru_cache(64)
def _behind(theme: str, role: str) -> Style:
    found = _ROLES.get(theme, DARK)[role]
    return Style(bgcolor=found) if found else Style(reverse=True) if role == "cursor" else Style(bold=True)


def behind(app: App[Any], role: str) -> Style:
    """The background of a role: cursor, cursor_dim, found. Without colours of its own a theme reverses."""
    return _behind(app.theme, role)


@lru_cache(256)
def _wire(theme: str, kind: str) -> Style:
    name = _ANSI_KINDS.get(kind.strip("[]").upper(), "default") if theme.startswith("ansi") else colour(kind)
    return Style(color=name)


def wire(app: App[Any], kind: str) -> Style:
    """The colour of a kind of wire."""
    return _wire(app.theme, kind)


def span_style(app: App[Any], span: Span, state: State | None, *, chosen: bool) -> Style:
    """How a piece of a drawing looks. state: of the node that it belongs to; chosen: whether that is selected."""
    match span.role:
        case "state":
            return style(app, str(state or State.IDLE), bold=True)
        case "id":
            return style(app, "text" if state is not State.BYPASSED else "dim", bold=chosen)
        case "type":
            return style(app, "dim")
        case "border":
            named = "accent" if chosen else str(state) if state in _SHOWN_BY_BORDER else "faint"
            return style(app, named, bold=chosen)
        case "note":
            return style(app, "failed")
    return wire(app, span.kind) if span.kind else style(app, "dim")


_SHOWN_BY_BORDER = (State.RUNNING, State.FAILED, State.INVALID, State.MISSING, State.CACHED, State.DONE)


def safe(text: object, limit: int = 200) -> str:
    """Text from a file, or about one, as it may be shown: control, bidirectional and zero-width characters as codes,
    on one line, cut to `limit` characters."""
    return visible(" ".join(str(text).splitlines()) if "\n" in str(text) else str(text), limit)


def bar(part: float, cells: int) -> tuple[str, str]:
    """(the full, the empty) part of a progress bar; all empty where `part` is negative: it is not known."""
    full = round(max(0.0, min(part, 1.0)) * cells)
    return "━" * full, "╌" * (cells - full)
