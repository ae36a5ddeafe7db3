"""Progress on standard error: a live line for what runs on a terminal, a few plain lines elsewhere."""

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, Self

from commands.pace import Pace
from commands.report import shown
from engine.events import (
    Event,
    NodeCached,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeSaid,
    NodeSkipped,
    NodeStarted,
    RunFinished,
    RunStarted,
    Warned,
)
from engine.text import plural, seconds, visible

if TYPE_CHECKING:
    from rich.text import Text

STOPPING = "stopping after this step; again to stop at once"
SLOW = 1.0
"""Seconds from which a node is worth a line where there is no terminal."""
EVERY = 30.0
"""Seconds between two lines about one slow node where there is no terminal."""
MANY = 40
"""With more tasks than this, quick and cached ones get no line of their own."""
BAR = 24

_STYLES = {"✓": "green", "≡": "dim", "✗": "bold red", "⊘": "yellow", "▶": "cyan"}


class Display(Protocol):
    """Shows a run."""

    def __call__(self, event: Event) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *why: object) -> None: ...
    def stopping(self) -> None:
        """Say that the person asked the run to stop. Called from a signal handler."""


def display(quiet: bool) -> Display:
    """The display that suits standard error."""
    if quiet:
        return Quiet()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return Live()
    return Lines()


class Quiet:
    """Warnings alone."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Warned):
            self.line(str(event.problem), "yellow")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        pass

    def line(self, text: str, style: str = "") -> None:
        """Show one line that stays; where there are colours, in this style or that of its glyph."""
        print(text, file=sys.stderr, flush=True)

    def stopping(self) -> None:
        """See Display."""
        # A signal may come in the middle of a write to sys.stderr, which must not be entered twice.
        os.write(2, f"{STOPPING}\n".encode())


class Lines(Quiet):
    """Few plain lines: what is slow, what fails, and how it ended."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pace: dict[tuple[int, str], Pace] = {}
        self._types: dict[str, str] = {}
        self._due: dict[tuple[int, str], float] = {}
        self.variants = 1
        self.tasks = 0

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        now = self._clock()
        match event:
            case RunStarted():
                self.variants, self.tasks = event.variants, event.total + event.cached
                variants = f", {event.variants} variants" if event.variants > 1 else ""
                self.line(f"{visible(event.name)}: {event.total} of {plural(self.tasks, 'node')} will run{variants}")
            case NodeStarted():
                at = event.variant, event.node
                self._types[event.node] = event.type
                self._pace[at], self._due[at] = Pace(now), now + SLOW
            case NodeProgress():
                at = event.variant, event.node
                pace = self._pace.setdefault(at, Pace(now))
                pace.tick(now, event.step, event.total)
                self.step(event, pace, now)
            case NodeCached() if self.tasks <= MANY:
                self.cached(event)
            case NodeSaid():
                for text in shown(event.text):
                    self.line(f"  {self.named(event.variant, event.node)}: {text}")
            case NodeFinished():
                self.over(event.variant, event.node)
                for text in shown(event.text) if event.files else ():
                    self.line(f"  {text}")
                self.finished(event)
            case NodeFailed():
                self.over(event.variant, event.node)
                self.line(self.row("✗", event.variant, event.node, event.type, "failed"))
            case NodeSkipped():
                self.skipped(event)
            case RunFinished():
                self.line(summary(event))

    def row(self, glyph: str, variant: int, node: str, kind: str, rest: str) -> str:
        """One line about one node: glyph, name, type, and a word that says the same as the glyph."""
        return f"{glyph} {self.named(variant, node)} {kind} {rest}"

    def named(self, variant: int, node: str) -> str:
        """A node's name, and which variant of it where there are several."""
        return visible(node) + (f" [{variant + 1}/{self.variants}]" if self.variants > 1 else "")

    def skipped(self, event: NodeSkipped) -> None:
        """Show a node that did not run; of a run that was stopped only the one that was running."""
        started = (event.variant, event.node) in self._pace
        self.over(event.variant, event.node)
        if event.because == "cancelled":
            if started:
                self.line(self.row("⊘", event.variant, event.node, event.type, "cancelled"))
        elif self.tasks <= MANY:
            because = f"skipped: {visible(event.because)}" if event.because else "skipped"
            self.line(self.row("⊘", event.variant, event.node, event.type, because))

    def over(self, variant: int, node: str) -> None:
        """Forget a node that no longer runs."""
        self._pace.pop((variant, node), None)
        self._due.pop((variant, node), None)

    def step(self, event: NodeProgress, pace: Pace, now: float) -> None:
        """Show a step, if it is time to."""
        at = event.variant, event.node
        if now >= self._due.get(at, now + SLOW):
            self._due[at] = now + EVERY
            self.line(self.running(event, pace, now))

    def running(self, event: NodeProgress, pace: Pace, now: float) -> str:
        """The line of a node that runs."""
        told = [f"running {event.step}/{event.total}", pace.text(now), visible(event.message)]
        return self.row("▶", event.variant, event.node, self._types.get(event.node, ""), ", ".join(filter(None, told)))

    def cached(self, event: NodeCached) -> None:
        """Show a node that need not run. In a log there is no use for that."""

    def finished(self, event: NodeFinished) -> None:
        """Show a node that is done."""
        if event.seconds >= SLOW:
            self.line(self.row("✓", event.variant, event.node, event.type, f"done {seconds(event.seconds)}"))


class Live(Lines):
    """Lines in colour for what is done, and below them a moving one for what runs."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live as RichLive

        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._now: dict[tuple[int, str], NodeProgress | NodeStarted] = {}
        self._stopping = False
        self._live = RichLive(
            console=self._console, get_renderable=self.moving, refresh_per_second=10, transient=True,
            redirect_stdout=sys.stdout.isatty(), redirect_stderr=False,
        )  # fmt: skip

    def __call__(self, event: Event) -> None:
        match event:
            case NodeStarted() | NodeProgress():
                self._now[event.variant, event.node] = event
            case NodeFinished() | NodeFailed() | NodeSkipped():
                self._now.pop((event.variant, event.node), None)
        super().__call__(event)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *why: object) -> None:
        self._live.stop()

    def stopping(self) -> None:
        """See Display: the moving line says it at its next refresh."""
        self._stopping = True

    def line(self, text: str, style: str = "") -> None:
        """Show one line that stays, above the moving one."""
        self._console.print(text, style=style or _STYLES.get(text[:1], ""))

    def moving(self) -> "Text":
        """What is below the lines that stay."""
        from rich.text import Text

        now = self._clock()
        lines = [self.bar(event, now) for event in list(self._now.values())[:4]]
        if self._stopping:
            lines.append(STOPPING)
        return Text("\n".join(lines), style="cyan", no_wrap=True, overflow="ellipsis")

    def bar(self, event: NodeProgress | NodeStarted, now: float) -> str:
        """The moving line of one node."""
        kind = self._types.get(event.node, "")
        if isinstance(event, NodeStarted):
            return self.row("▶", event.variant, event.node, kind, "running")
        full = round(BAR * event.step / event.total) if event.total else 0
        pace = self._pace.get((event.variant, event.node))
        told = ["━" * full + "╌" * (BAR - full), f"{event.step}/{event.total}", pace.text(now) if pace else ""]
        rest = "  ".join(filter(None, [*told, visible(event.message)]))
        return self.row("▶", event.variant, event.node, kind, rest)

    def step(self, event: NodeProgress, pace: Pace, now: float) -> None:
        """The moving line shows it."""

    def cached(self, event: NodeCached) -> None:
        """Show a node that need not run."""
        self.line(self.row("≡", event.variant, event.node, event.type, "cached"))

    def finished(self, event: NodeFinished) -> None:
        """Show a node that is done, unless there are many and this one was quick."""
        if self.tasks <= MANY or event.seconds >= SLOW:
            self.line(self.row("✓", event.variant, event.node, event.type, f"done {seconds(event.seconds)}"))


def summary(event: RunFinished) -> str:
    """The last line: "✓ done: 3 ran, 9 cached, 4.2 s"."""
    glyph = {"done": "✓", "failed": "✗"}.get(event.status, "⊘")
    counts = [(event.ran, "ran"), (event.cached, "cached"), (event.failed, "failed"), (event.skipped, "skipped")]
    told = [f"{count} {word}" for i, (count, word) in enumerate(counts) if count or i < 2]
    return f"{glyph} {event.status}: {', '.join(told)}, {seconds(event.seconds)}"
