"""Small windows over a screen, each of which asks for one thing and gives back what it was told, or None."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from engine.errors import WeftError
from engine.spec import Bad
from tui import look
from tui.fields import Field
from tui.widgets.typed import Line

T = TypeVar("T")
MOST = 200
"""Rows of a list to choose from; of what is beyond, only the number is told."""


class Window(ModalScreen[T], Generic[T]):
    """A window with a title. Escape closes it with None."""

    AUTO_FOCUS: ClassVar[str | None] = "Input, OptionList"
    BINDINGS: ClassVar[list[Any]] = [Binding("escape", "leave", "Back", show=False)]
    DEFAULT_CSS = """
    Window { align: center middle; background: $background 60%; }
    Window > Vertical {
        width: 76; max-width: 94%; height: auto; max-height: 88%;
        border: round $primary; border-title-color: $foreground; background: $surface; padding: 0 1;
    }
    Window Input { background: $panel; }
    Window OptionList {
        border: none; padding: 0; height: auto; max-height: 18; background: $surface;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    Window Static { height: auto; }
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self._window_title = title

    def compose(self) -> ComposeResult:
        """The window and what is in it."""
        with Vertical() as box:
            box.border_title = Text(look.safe(self._window_title, 70))
            yield from self.inside()

    def inside(self) -> ComposeResult:
        """What is in the window."""
        yield from ()

    def action_leave(self) -> None:
        """Close without an answer."""
        self.dismiss(None)


def wrong_with(text: str, check: Callable[[str], object] | None) -> str:
    """What a check says of a text, in one line; nothing if it is right."""
    try:
        if check is not None:
            check(text)
    except (Bad, WeftError) as why:
        problem = why.problem if isinstance(why, Bad) else why.problems[0]
        return f"{problem.what}{f'; {problem.hint}' if problem.hint else ''}"
    return ""


class AskText(Window[str]):
    """Asks for a line of text. check: raises WeftError or Bad with what is wrong with it; shown as it is typed."""

    def __init__(
        self, title: str, value: str = "", hint: str = "", check: Callable[[str], object] | None = None
    ) -> None:
        super().__init__(title)
        self._value, self._hint, self._check_text = value, hint, check

    def inside(self) -> ComposeResult:
        """An input, and below it what may be typed or what is wrong."""
        yield Line(self._value)
        yield Static(Text(look.safe(self._hint, 400)), id="said")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say at once what is wrong."""
        wrong = wrong_with(event.value, self._check_text)
        told = Text(look.safe(f"⚠ {wrong}", 400), look.style(self.app, "failed")) if wrong else Text(
            look.safe(self._hint, 400), look.style(self.app, "dim"))  # fmt: skip
        self.query_one("#said", Static).update(told)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it, if it is right."""
        if not wrong_with(event.value, self._check_text):
            self.dismiss(event.value)


def ask_value(field: Field) -> Window[str]:
    """The window that asks for the value of a field: of several lines for a text, of one for everything else."""
    value = field.value
    text = value if isinstance(value, str) else "" if not _plain(value) else _json(value)
    about = " · ".join(filter(None, [field.about, field.range_text]))
    spec = field.spec
    long = field.kind == "text" and spec is not None and not (spec.files or spec.template)
    if long:
        from tui.screens.lines import AskLines

        return AskLines(field.key, text, about, field.read)
    return AskText(field.key, text, about, field.read)


def _plain(value: object) -> bool:
    return isinstance(value, bool | int | float | list | dict)


def _json(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


class Choose(Window[str]):
    """Asks for one of several; typing narrows them. options: (id, what is shown, more about it)."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("down", "step(1)", show=False, priority=True),
        Binding("up", "step(-1)", show=False, priority=True),
        Binding("pagedown", "step(10)", show=False, priority=True),
        Binding("pageup", "step(-10)", show=False, priority=True),
    ]

    def __init__(self, title: str, options: Sequence[tuple[str, str, str]], chosen: str = "") -> None:
        super().__init__(title)
        self._options, self._chosen = options, chosen
        self.narrowed: list[str] = []
        """The ids of those that are shown."""

    def inside(self) -> ComposeResult:
        """An input that narrows, and the list."""
        yield Input(placeholder="type to narrow", compact=True)
        yield OptionList(compact=True)

    def on_mount(self) -> None:
        """Show all."""
        self._fill("")

    def _fill(self, words: str) -> None:
        wanted = words.lower().split()
        shown = self.query_one(OptionList)
        shown.clear_options()
        self.narrowed = []
        column = min(max((len(label) for _, label, _ in self._options), default=0), 32)
        rows: list[Option] = []
        at = 0
        for index, (id_, label, about) in enumerate(self._options):
            if all(word in f"{label} {about}".lower() for word in wanted):
                self.narrowed.append(id_)
                if len(rows) < MOST:
                    at = len(rows) if id_ == self._chosen and not words else at
                    text = Text.assemble(look.safe(label, 60).ljust(column), (f"  {look.safe(about, 200)}", "dim"),
                                         no_wrap=True, overflow="ellipsis")  # fmt: skip
                    rows.append(Option(text, id=f"o{index}"))
        more = len(self.narrowed) - len(rows)
        rows += [Option(Text(f"and {more} more: type more of it", "dim"), disabled=True)] if more else []
        shown.add_options(rows)
        if self.narrowed:
            shown.highlighted = at

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the list."""
        self._fill(event.value)

    def on_input_submitted(self) -> None:
        """Take the highlighted one."""
        shown = self.query_one(OptionList)
        if shown.highlighted is not None:
            self._take(shown.get_option_at_index(shown.highlighted).id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the one that was clicked."""
        self._take(event.option.id)

    def _take(self, id_: str | None) -> None:
        self.dismiss(self._options[int((id_ or "o0")[1:])][0])

    def action_step(self, rows: int) -> None:
        """Move the highlight while the input keeps the keys."""
        shown = self.query_one(OptionList)
        if self.narrowed:
            now = shown.highlighted or 0
            shown.highlighted = max(0, min(now + rows, min(len(self.narrowed), MOST) - 1))


class Confirm(Window[str]):
    """Asks which of a few things to do, each with a letter. answers: (letter, what it does)."""

    def __init__(self, title: str, text: str, answers: Sequence[tuple[str, str]]) -> None:
        super().__init__(title)
        self._said, self._answers = text, answers

    def inside(self) -> ComposeResult:
        """The question and the letters."""
        yield Static(Text(self._said))
        line = Text()
        for letter, what in self._answers:
            line.append(f" {letter} ", look.style(self.app, "accent", bold=True))
            line.append(f"{what}   ")
        yield Static(line.append("esc leave it", look.style(self.app, "dim")))

    def on_key(self, event: Any) -> None:
        """A letter answers."""
        if event.character and any(event.character.lower() == letter for letter, _ in self._answers):
            event.stop()
            self.dismiss(event.character.lower())


class AskKey(Window[str]):
    """Asks for a key to be pressed, and gives back what Textual calls it. Escape leaves, so it cannot be chosen."""

    def inside(self) -> ComposeResult:
        """What to do."""
        yield Static(Text("press the key · esc leaves it", look.style(self.app, "dim")))

    def on_key(self, event: events.Key) -> None:
        """Take it."""
        if event.key != "escape":
            event.stop()
            self.dismiss(event.key)


class Tell(Window[None]):
    """Shows a text, such as an error in full. Enter or escape closes it."""

    BINDINGS: ClassVar[list[Any]] = [Binding("enter,q", "leave", show=False), Binding("y", "copy", show=False)]

    def __init__(self, title: str, text: str) -> None:
        super().__init__(title)
        self._said = text

    def inside(self) -> ComposeResult:
        """The text."""
        from textual.containers import VerticalScroll

        with VerticalScroll() as box:
            box.styles.height = "auto"
            box.styles.max_height = 24
            yield Static(Text("\n".join(look.safe(line, 1000) for line in self._said.splitlines())))
        yield Static(Text("y copies it · esc closes", look.style(self.app, "dim")))

    def action_copy(self) -> None:
        """Copy the text."""
        self.app.copy_to_clipboard(self._said)
