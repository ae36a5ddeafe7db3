"""The start: workflows opened lately, those that ship, and what this installation lacks."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text
from textual import work

from commands.common import shipped
from engine.errors import Problem, error
from tui import look
from tui.screens.lists import ListScreen
from tui.screens.modals import AskText


class StartScreen(ListScreen):
    """See the module."""

    NAME = "start"
    HEAD = "weft · workflows"
    SHOWS = frozenset({"session", "start"})

    def __init__(self) -> None:
        super().__init__()
        self._recent: list[tuple[Path, float]] = []
        self._titles: dict[str, str] = {}
        self._findings: list[tuple[str, str, str]] = []

    def on_mount(self) -> None:
        """Gather what takes a moment."""
        self._gather()

    @work(thread=True, exclusive=True, group="start", exit_on_error=False)
    def _gather(self) -> None:
        from commands.doctor import examine

        self._recent = self.desk.history().recent()
        self._titles = {name: _title(path) for name, path in shipped().items()}
        self.app.call_from_thread(self.desk_changed, frozenset({"start"}))
        self._findings = [(f.state, f.subject, f.text) for f in examine()]
        self.app.call_from_thread(self.desk_changed, frozenset({"start"}))

    def entries(self) -> Sequence[tuple[str, Text]]:
        """Recent files, shipped workflows, findings."""
        app = self.app
        dim, bold = look.style(app, "dim"), look.style(app, "text", bold=True)
        rows: list[tuple[str, Text]] = []
        if self._recent:
            rows.append(("", Text("recent", dim)))
            for path, at in self._recent:
                text = Text.assemble(("  " + look.safe(path.name, 40).ljust(34), bold), (_ago(at).ljust(16), dim),
                                     (look.safe(path.parent, 120), dim), no_wrap=True, overflow="ellipsis")  # fmt: skip
                rows.append((f"file {path}", text))
            rows.append(("", Text()))
        rows.append(("", Text("workflows that ship: each opens as a copy of your own", dim)))
        for name in shipped():
            title = (look.safe(self._titles.get(name, ""), 100), dim)
            rows.append((f"name {name}", Text.assemble((f"  {name:<24}", bold), title, no_wrap=True)))
        if self._findings:
            rows += [("", Text()), ("", Text("this installation", dim))]
            glyphs = {"ok": ("✓", "done"), "note": ("○", "stale"), "problem": ("✗", "failed")}
            for state, subject, told in self._findings:
                glyph, role = glyphs[state]
                rows.append(("", Text.assemble((f"  {glyph} ", look.style(app, role)), (f"{subject:<12}", dim),
                                               (look.safe(told), look.style(app, "text")), no_wrap=True)))  # fmt: skip
        return rows

    def action_start_open(self) -> None:
        """Open the selected one."""
        kind, _, name = self.chosen.partition(" ")
        if kind:
            self.weft.open_workflow(name)

    def on_option_list_option_selected(self) -> None:
        """Open the one that was clicked."""
        self.action_start_open()

    def action_start_path(self) -> None:
        """Ask for a path."""
        window = AskText("Open", "", "the path of a workflow file", _refuse_folder)
        self.app.push_screen(window, lambda got: self.weft.open_workflow(got) if got else None)


def _title(path: Path) -> str:
    """What a workflow calls itself."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("name", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _refuse_folder(text: str) -> None:
    if text and Path(text).expanduser().is_dir():
        raise error(Problem("E-NOTFILE", "a folder", "name a file in it"))


def _ago(at: float) -> str:
    passed = max(time.time() - at, 0)
    for seconds, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if passed >= seconds:
            count = int(passed // seconds)
            return f"{count} {word}{'s' if count > 1 else ''} ago"
    return "just now"
