"""The single lines: the header, the bar of the run, the footer."""

from collections.abc import Sequence

from rich.text import Text
from textual.widget import Widget

from engine.text import seconds
from tui import look
from tui.board import Run, State
from tui.desk import Desk
from tui.keys import Action, Situation, footer, shown

BAR = 24
GIB = 1 << 30


class HeaderBar(Widget):
    """The file, and on the right the device with its memory, the engine, the runs."""

    DEFAULT_CSS = "HeaderBar { height: 1; dock: top; background: $panel; }"

    def __init__(self, desk: Desk, title: str = "") -> None:
        super().__init__()
        self._desk = desk
        self.title = title
        """What stands on the left in place of the file."""

    def render(self) -> Text:
        """The line."""
        left = self._file()
        right = Text(" · ").join(
            [part for part in (self._pull(), self._device(), self._engine(), self._runs()) if part]
        )
        room = self.size.width - right.cell_len - 2
        if left.cell_len > room:
            left.truncate(max(room, 8), overflow="ellipsis")
        gap = max(self.size.width - left.cell_len - right.cell_len - 1, 1)
        return Text.assemble(left, " " * gap, right, no_wrap=True, overflow="crop", end="")

    def _file(self) -> Text:
        app, session = self.app, self._desk.session
        if self.title:
            return Text(look.safe(self.title), look.style(app, "title", bold=True))
        if session is None:
            return Text("weft", look.style(app, "title", bold=True))
        text = Text(look.safe(session.name, 60), look.style(app, "title", bold=True))
        if session.modified:
            text.append(" ● modified", look.style(app, "accent"))
        elif session.path is None:
            text.append(" ○ not saved", look.style(app, "dim"))
        return text

    def _device(self) -> Text:
        desk = self._desk
        device = str(desk.client.hello.get("device", ""))
        if not device:
            return Text()
        memory = desk.memory
        if "total" in memory:
            device += f" {memory['used'] / GIB:.1f}/{memory['total'] / GIB:.0f} GB"
        elif "held" in memory:
            device += f" {memory['held'] / GIB:.1f} GB"
        return Text(device, look.style(self.app, "dim"))

    def _engine(self) -> Text:
        client = self._desk.client
        waited = f" {desk_seconds(self._desk, client.since)} s"
        told = {
            "off": ("engine off", "dim"),
            "starting": (f"engine starting…{waited}", "stale"),
            "importing": (f"engine: importing torch…{waited}", "stale"),
            "dead": ("engine gone", "failed"),
        }.get(client.status)
        return Text(told[0], look.style(self.app, told[1])) if told else Text()

    def _pull(self) -> Text:
        puller = self._desk.puller
        told = f"{State.MISSING.glyph} {100 * puller.flow.part:.0f} %"
        return Text(told if puller.status == "fetching" else "", look.style(self.app, "running"))

    def _runs(self) -> Text:
        queue = self._desk.queue
        count = len(self._desk.runs)
        parts = [f"run {count}"] if count else []
        if len(queue):
            parts.append(f"queue {len(queue)}{' paused' if queue.paused else ''}")
        return Text(" · ".join(parts), look.style(self.app, "text"))


def desk_seconds(desk: Desk, since: float) -> int:
    """Whole seconds since a time on the desk's clock."""
    return int(desk.clock() - since)


class RunBar(Widget):
    """What runs and how far it is; between runs what would run, or what came of the last."""

    DEFAULT_CSS = "RunBar { height: 1; background: $panel; }"

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk

    def render(self) -> Text:
        """The line."""
        run = self._desk.current
        text = self._under_way(run) if run is not None else self._between()
        return Text.assemble(" ", text, no_wrap=True, overflow="ellipsis", end="")

    def _under_way(self, run: Run) -> Text:
        app, desk = self.app, self._desk
        at = run.running()
        if not run.active or at is None:
            waiting = "waiting for the engine" if desk.client.status in ("starting", "importing") else "beginning"
            return Text(f"· {waiting}…", look.style(app, "queued"))
        cell = run.cells[at]
        name = look.safe(at[1], 40) + (f" [{at[0] + 1}/{run.variants}]" if run.variants > 1 else "")
        text = Text.assemble(("▶ ", look.style(app, "running")), (name + " ", look.style(app, "text", bold=True)))
        if cell.total:
            full, empty = look.bar(cell.step / cell.total, BAR if self.size.width > 100 else BAR // 2)
            text.append(full, look.style(app, "running"))
            text.append(empty, look.style(app, "faint"))
            parts = [f"{cell.step}/{cell.total}"]
            pace = run.paces.get(at)
            if pace is not None and pace.rate:
                rate = pace.rate
                parts.append(f"{rate:.1f} it/s" if rate >= 1 else f"{seconds(1 / rate)}/it")
            text.append(" " + " · ".join(parts), look.style(app, "text"))
        else:
            text.append(seconds(max(desk.clock() - cell.started, 0.0)), look.style(app, "text"))
        left = desk.left()
        if left is not None:
            text.append(f" · ETA {left}", look.style(app, "text"))
        over = run.count(State.DONE, State.CACHED, State.FAILED, State.CANCELLED)
        text.append(f"   nodes {over}/{max(run.total, over)}", look.style(app, "dim"))
        if cached := run.count(State.CACHED):
            text.append(f" · {cached} cached", look.style(app, "dim"))
        if cell.message:
            text.append(f"   {look.safe(cell.message, 60)}", look.style(app, "dim"))
        return text

    def _between(self) -> Text:
        app, desk, board = self.app, self._desk, self._desk.board
        session, run = desk.session, board.run
        if session is None:
            return Text("no workflow is open: W lists some, O opens a file", look.style(app, "dim"))
        if errors := session.errors:
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            line = str(errors[0]).partition("\n")[0]
            return Text(look.safe(f"⚠ {line}{more}", 400), look.style(app, "invalid"))
        if board.plan_problems:
            problem = board.plan_problems[0]
            glyph = State.MISSING.glyph if problem["exit_code"] == 3 else State.INVALID.glyph
            hint = f"; {problem['hint']}" if problem["hint"] else ""
            return Text(
                look.safe(f"{glyph} {problem['where']}: {problem['what']}{hint}", 400), look.style(app, "invalid")
            )
        text = Text()
        if run is not None and run.status in _ENDED:
            glyph, role = _ENDED[run.status]
            text.append(f"{glyph} {run.status}", look.style(app, role))
            if run.status == "done":
                paths = [str(output["path"]) for output in run.outputs]
                told = f" in {seconds(run.seconds)}" + (f": {', '.join(paths[:2])}" if paths else "")
                text.append(look.safe(told, 120), look.style(app, "text"))
                text.append(" …" if len(paths) > 2 else "")
            elif run.problems:
                problem = run.problems[-1]
                text.append(look.safe(f": {problem['what']}; {problem.get('hint', '')}", 300), look.style(app, role))
            text.append("   ")
        if board.total:
            text.append(f"{board.will_run} of {board.total} will run", look.style(app, "dim"))
        return text


_ENDED = {"done": ("✓", "done"), "failed": ("✗", "failed"), "cancelled": ("⊘", "cancelled"), "error": ("✗", "failed"),
          "died": ("✗", "failed")}  # fmt: skip


_AT_THE_END = {"app.palette": "palette", "app.keys": "keys"}


class FooterBar(Widget):
    """The keys that are live now."""

    DEFAULT_CSS = "FooterBar { height: 1; dock: bottom; background: $panel; }"

    def __init__(self, actions: Sequence[Action]) -> None:
        super().__init__()
        self._actions = actions
        self.now = Situation()

    def render(self) -> Text:
        """The line: as many as fit, and on the right where all the others are."""
        app = self.app
        keymap = getattr(app, "keymap_shown", {})
        ends = [action for action in self._actions if action.id in _AT_THE_END]
        right = Text(" ")
        for action in ends:
            key, label = shown(keymap.get(action.id, action.keys).split(",")[0]), _AT_THE_END[action.id]
            right.append(f" {key}", look.style(app, "accent", bold=True))
            right.append(label, look.style(app, "dim"))
        others = [action for action in self._actions if action not in ends]
        pairs = footer(others, self.now, self.size.width - right.cell_len - 1, keymap)
        text = Text(no_wrap=True, overflow="crop", end="")
        for index, (key, label) in enumerate(pairs):
            text.append("  " if index else "")
            text.append(key, look.style(app, "accent", bold=True))
            text.append(label, look.style(app, "text"))
        gap = max(self.size.width - text.cell_len - right.cell_len, 0)
        return text.append(" " * gap).append_text(right)
