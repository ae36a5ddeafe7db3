"""The params pane: what is wrong with the selected node, its inputs, the params of the workflow; one row selected."""

from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.text import plural
from engine.views.cells import padded, width
from tui import look
from tui.board import Board, State
from tui.fields import Field, fields_of, params_of
from tui.session import Session


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a field, or a text in a role."""

    text: str = ""
    role: str = "dim"
    field: Field | None = None


class ParamsPane(ScrollView, inherit_bindings=False):
    """See the module."""

    can_focus = True
    DEFAULT_CSS = "ParamsPane { overflow: hidden auto; scrollbar-size: 1 1; }"

    class Selected(Message):
        """A row was clicked. again: it was selected already."""

        def __init__(self, again: bool) -> None:
            super().__init__()
            self.again = again

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows: list[Row] = []
        self.marked: tuple[str, ...] = ()
        """The keys of fields that are marked, as axes of a comparison are, in the order of marking."""
        self.unfolded = False
        """Whether the traceback of a node that failed is shown."""
        self._at = 0
        self._node = ""
        self._name_width = 0
        self._seed_mode = "fixed"
        self._base = Style()

    @property
    def field(self) -> Field | None:
        """The selected row."""
        return self.rows[self._at].field if self._at < len(self.rows) else None

    def show(self, session: Session | None, board: Board, node: str, seed_mode: str) -> None:
        """Show a node. Of the node that was shown before the selected row stays selected."""
        before = self.field.key if self.field is not None else ""
        rows = _rows(session, board, node, self.unfolded) if session is not None else []
        if rows == self.rows and node == self._node and seed_mode == self._seed_mode:
            return
        self.rows, self._seed_mode = rows, seed_mode
        keys = [row.field.key if row.field is not None else "" for row in self.rows]
        if before in keys and before:
            self._at = keys.index(before)
        else:
            self._at = next((i for i, row in enumerate(self.rows) if row.field is not None), 0)
        if node != self._node:
            self._node = node
            self.scroll_home(animate=False)
        self._measure()

    def _measure(self) -> None:
        self._name_width = min(max((width(f.name) for r in self.rows if (f := r.field)), default=0), 20)
        self.virtual_size = Size(self.size.width, len(self.rows))
        self.refresh()

    def select(self, key: str) -> None:
        """Select a row by its key."""
        for index, row in enumerate(self.rows):
            if row.field is not None and row.field.key == key:
                self._at = index
                self.reveal()

    def move(self, rows: int) -> None:
        """Up (negative) or down by so many fields."""
        places = [i for i, row in enumerate(self.rows) if row.field is not None]
        if places:
            now = places.index(self._at) if self._at in places else 0
            self._at = places[max(0, min(now + rows, len(places) - 1))]
            self.reveal()

    def page(self) -> int:
        """The rows of a page."""
        return max(self.size.height - 2, 1)

    def reveal(self) -> None:
        """Bring the selected row into view."""
        self.scroll_to_region(Region(0, self._at, 1, 1), animate=False, force=True)
        self.refresh()

    def spots(self) -> dict[str, Offset]:
        """Where on the screen each field begins that is in view, by its key."""
        inside = self.content_region
        corner = inside.offset - self.scroll_offset
        places = {row.field.key: corner + Offset(0, y) for y, row in enumerate(self.rows) if row.field is not None}
        return {key: at for key, at in places.items() if inside.contains_point(at)}

    def on_click(self, event: events.Click) -> None:
        """Select what is under the mouse."""
        at = event.get_content_offset(self)
        row = at.y + self.scroll_offset.y if at is not None else -1
        if 0 <= row < len(self.rows) and self.rows[row].field is not None:
            again, self._at = row == self._at, row
            self.refresh()
            self.post_message(self.Selected(again))

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines in a part of the pane, its style found once for all of them."""
        self._base = self.rich_style
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One line of what is in view."""
        row = y + self.scroll_offset.y
        base = self._base
        segments = self._row(self.rows[row]) if row < len(self.rows) else []
        strip = Strip(segments).crop_extend(0, self.size.width, base).apply_style(base)
        if row == self._at and row < len(self.rows) and self.rows[row].field is not None:
            mark = look.behind(self.app, "cursor" if self.has_focus else "cursor_dim")
            strip = Strip([Segment(text, (style or Style()) + mark) for text, style, _ in strip], strip.cell_length)
        return strip

    def _row(self, row: Row) -> list[Segment]:
        app = self.app
        field = row.field
        if field is None:
            return [Segment(row.text, look.style(app, row.role))]
        name_role = "failed" if field.problem is not None else "dim"
        name = look.style(app, name_role)
        if field.kind == "link" and field.spec is not None and field.problem is None:
            name = look.wire(app, field.spec.type_name)
        mark = "◆" if (field.param or field.key) in self.marked else " "
        segments = [Segment(mark, look.style(app, "accent"))]
        segments.append(Segment(padded(look.safe(field.name, 20), self._name_width) + "  ", name))
        quiet = field.is_default or field.links
        segments.append(Segment(field.shown, look.style(app, "dim" if quiet else "text", bold=not quiet)))
        if field.param:
            segments.append(Segment(f"  ${field.param}", look.style(app, "accent")))
        if field.kind == "choice" and field.editable:
            segments.append(Segment(" ▾", look.style(app, "dim")))
        if field.kind == "seed" and field.editable:
            segments.append(Segment(f"  ⟳ {self._seed_mode}", look.style(app, "dim")))
        if field.problem is not None:
            segments.append(Segment(f"  ⚠ {field.problem.what}", look.style(app, "failed")))
        elif field.about:
            segments.append(Segment(f"  {look.safe(field.about)}", look.style(app, "faint")))
        return segments


def _rows(session: Session, board: Board, node: str, unfolded: bool) -> list[Row]:
    rows: list[Row] = []
    view = board.view(node)
    for problem in board.problems_at(node):
        at = f" {problem['input']}" if problem.get("input") else ""
        rows.append(Row(look.safe(f"{view.state.glyph} {problem['code']}{at}: {problem['what']}", 400), "failed"))
        if problem.get("hint"):
            rows.append(Row(look.safe(f"  → {problem['hint']}", 400), "stale"))
    if rows and (line := session.line_of(node)):
        rows.append(Row(f"  {look.safe(session.name, 60)}:{line}", "dim"))
    if lines := board.traceback_at(node).splitlines():
        rows.append(Row(f"  {'▾' if unfolded else '▸'} traceback, {plural(len(lines), 'line')}: t", "dim"))
        rows += [Row(f"    {look.safe(line, 400)}", "dim") for line in lines] if unfolded else []
        rows.append(Row())
    if view.why and view.state not in (State.FAILED, State.INVALID, State.MISSING, State.CACHED):
        rows.append(Row(look.safe(f"{view.state.glyph} {view.why}"), str(view.state)))
    about = session.nodes.get(node)
    text = about.get("about") if isinstance(about, dict) else None
    if isinstance(text, str) and text:
        rows.append(Row(look.safe(text), "dim"))
    rows += [Row(field=field) for field in fields_of(session, node)]
    if params := params_of(session):
        rows += [Row(), Row("params of the workflow", "dim")]
        rows += [Row(field=field) for field in params]
    return rows
