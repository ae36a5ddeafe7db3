"""The graph pane: the workflow as rails, as a canvas, or as its text; one node of it is selected."""

import re
from typing import Literal

from rich.segment import Segment
from rich.style import Style
from textual import events, work
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.text import visible
from engine.views import CanvasView, RailsView, Span, canvas, rails
from engine.views.cells import padded, width
from engine.views.model import Picture
from engine.views.picture import picture
from tui import look
from tui.board import Board, State, View
from tui.session import Session

Drawing = Literal["rails", "canvas", "json"]
DRAWINGS: tuple[Drawing, ...] = ("rails", "canvas", "json")
BAR = 8
DETAIL = 15
"""Columns kept for the words about a state."""
AT_ONCE = 100
"""Nodes up to which a canvas is laid out at once; more of them (0.3 s for 2,000) are laid out beside the event loop."""
_JSON = re.compile(r'("(?:[^"\\]|\\.)*"?)(\s*:)?|(-?\d[\d.eE+-]*|true|false|null)')


class GraphView(ScrollView, inherit_bindings=False):
    """See the module. The screen moves the selection by keys; a click does here."""

    can_focus = True
    DEFAULT_CSS = "GraphView { overflow: auto; scrollbar-size: 1 1; }"

    class Selected(Message):
        """A node, or in the text a line, was clicked. again: it was selected already."""

        def __init__(self, node: str, again: bool) -> None:
            super().__init__()
            self.node = node
            self.again = again

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.drawing: Drawing = "rails"
        self.selected = ""
        self.line = 0
        """The line of the cursor, from 0, where the text is shown."""
        self.found: frozenset[str] = frozenset()
        """The nodes that a search found."""
        self._session: Session | None = None
        self._version = -1
        self._board = Board()
        self._drawn: Picture | None = None
        self._rails: RailsView | None = None
        self.order: tuple[str, ...] = ()
        """The nodes from top to bottom."""
        self._canvas: CanvasView | None = None
        self._canvas_lines: list[tuple[Span, ...]] = []
        self._glyphs: dict[str, str] = {}
        self._views: dict[str, View] = {}
        self._text: list[str] = []
        self._problems: dict[int, bool] = {}
        self._columns = (0, 0, 0)
        self._base = Style()

    # What is shown

    def show(self, session: Session, board: Board) -> None:
        """Show a workflow, anew after every change of it. The selection stays where it can."""
        if (session, session.version, board) == (self._session, self._version, self._board):
            self.states_changed()
            return
        self._session, self._version, self._board = session, session.version, board
        drawn = picture(session.document, session.registry) if session.document is not None else None
        if drawn is None or drawn != self._drawn:
            self._rails, self._canvas = rails(drawn) if drawn is not None else None, None
            self.order = self._rails.order if self._rails is not None else ()
        self._drawn = drawn
        if drawn is None:
            self.drawing = "json"
        elif self.drawing == "canvas":
            self._lay_out()
        self._glyphs, self._views = {}, {}
        self._text = [visible(line.replace("\t", "    "), 4000) for line in session.text.split("\n")]
        self._problems = {p.place.line - 1: p.is_warning for p in reversed(session.problems) if p.place.line}
        if self.selected not in session.nodes:
            self.selected = self.order[0] if self.order else ""
        if session.document is None and session.errors:
            self.line = session.errors[0].place.line - 1
        self.line = max(0, min(self.line, len(self._text) - 1))
        self._measure()
        if session.document is None:
            self.call_after_refresh(self.reveal)

    def states_changed(self) -> None:
        """The board tells other states than before. Only the rows in view that look otherwise are drawn anew: while a
        node runs that is one row, ten times a second."""
        top = self.scroll_offset.y if self.drawing == "rails" else 0
        seen = self.order[top : top + self.size.height] if self.drawing == "rails" else self.order
        before, self._views = self._views, {name: self._board.view(name) for name in seen}
        if self._views == before:
            return
        if self.drawing == "canvas":
            self._draw_canvas()
            self.refresh()
        elif self.drawing == "rails":
            for row, name in enumerate(seen, top):
                if self._views[name] != before.get(name):
                    self.refresh_line(row)

    def draw_as(self, drawing: Drawing) -> None:
        """Take another of the three drawings; a text that is no workflow has only one."""
        if self._rails is None or self._session is None:
            return
        self.drawing = drawing
        if drawing == "canvas":
            self._lay_out()
        if drawing == "json" and self._session.document is not None and self.selected:
            self.line = self._line_of(self.selected)
        self._measure()
        self.reveal()

    def _lay_out(self) -> None:
        """Have the canvas of the workflow as it is drawn now, or get it soon."""
        self._canvas_lines = []
        if self._canvas is None and self._drawn is not None:
            if len(self.order) <= AT_ONCE:
                self._canvas = canvas(self._drawn)
            else:
                self._lay_out_beside(self._drawn)

    @work(thread=True, exclusive=True, group="canvas", exit_on_error=False)
    def _lay_out_beside(self, drawn: Picture) -> None:
        made = canvas(drawn)
        self.app.call_from_thread(self._laid_out, drawn, made)

    def _laid_out(self, drawn: Picture, made: CanvasView) -> None:
        if drawn is self._drawn:
            self._canvas = made
            self._measure()
            self.reveal()

    def _measure(self) -> None:
        if self.drawing == "json":
            self.virtual_size = Size(max(map(width, self._text), default=0) + 7, len(self._text))
        elif self.drawing == "canvas":
            self._draw_canvas()
        elif self._rails is not None:
            rows = self._rails.rows
            ids = min(max((width(r.label) for r in rows), default=0), 28)
            types = min(max((width(r.type) for r in rows), default=0), 20)
            room = self.size.width - self._rails.columns - 2 - DETAIL
            # Where it is narrow the types go first, then the end of long ids.
            if ids + types + 4 > room:
                types = 0 if ids + 10 > room else min(types, room - ids - 4)
                ids = min(ids, max(room - 2 - (types + 2 if types else 0), 8))
            self._columns = (ids, types, 0)
            longest = max((len(r.notes) for r in rows), default=0)
            columns = self._rails.columns + 2 + ids + 2 + (types + 2 if types else 0) + (60 if longest else DETAIL)
            self.virtual_size = Size(columns, len(rows) + len(self._rails.notes))
        self.refresh()

    def on_resize(self) -> None:
        """Columns are shared out anew."""
        self._measure()

    def _draw_canvas(self) -> None:
        if self._canvas is None:
            return
        glyphs = {name: self._board.view(name).state.glyph for name in self.order}
        if glyphs != self._glyphs or not self._canvas_lines:
            self._glyphs = glyphs
            self._canvas_lines = self._canvas.lines(glyphs)
            columns = max((sum(width(s.text) for s in line) for line in self._canvas_lines), default=0)
            self.virtual_size = Size(columns, len(self._canvas_lines))

    # Selecting

    def select(self, node: str) -> None:
        """Select a node and bring it into view."""
        if node in self.order:
            self.selected = node
            if self.drawing == "json":
                self.line = self._line_of(node)
            self.reveal()

    def move(self, rows: int) -> None:
        """The selection up (negative) or down by so many rows; in the text, the cursor by so many lines."""
        if self.drawing == "json":
            self.line = max(0, min(self.line + rows, len(self._text) - 1))
            self.selected = self._node_at_line(self.line) or self.selected
            self.reveal()
        elif self.order:
            order = self._by_place(self._canvas) if self.drawing == "canvas" and self._canvas else list(self.order)
            at = order.index(self.selected) if self.selected in order else 0
            self.select(order[max(0, min(at + rows, len(order) - 1))])

    def _by_place(self, drawn: CanvasView) -> list[str]:
        """The nodes of a canvas column by column, each from top to bottom."""
        return sorted(drawn.rects, key=lambda node: (drawn.rects[node].x, drawn.rects[node].y))

    def page(self) -> int:
        """The rows of a page."""
        return max(self.size.height - 2, 1)

    def reveal(self) -> None:
        """Bring the selection into view."""
        region = self._place(self.selected)
        if region is not None:
            self.scroll_to_region(region, animate=False, force=True)
        self.refresh()

    def _place(self, node: str) -> Region | None:
        if self.drawing == "json":
            return Region(0, self.line, 1, 1)
        if self.drawing == "canvas" and self._canvas is not None and node in self._canvas.rects:
            rect = self._canvas.rects[node]
            return Region(rect.x, rect.y, rect.w, rect.h)
        return Region(0, self.order.index(node), 1, 1) if node in self.order else None

    def spots(self) -> dict[str, Offset]:
        """Where on the screen each node stands that is in view: at its glyph, its box or its line."""
        inside = self.content_region
        found = {}
        for node in self.order:
            at = Offset(5, self._line_of(node)) if self.drawing == "json" else self._corner(node)
            at += inside.offset - self.scroll_offset
            if inside.contains_point(at):
                found[node] = at
        return found

    def _corner(self, node: str) -> Offset:
        place = self._place(node)
        columns = self._rails.columns if self.drawing == "rails" and self._rails is not None else 1
        return place.offset + Offset(columns, 0) if place is not None else Offset(-1, -1)

    def _line_of(self, node: str) -> int:
        json = self._session.document.json if self._session is not None and self._session.document is not None else None
        return json.locate(("nodes", node), key=True)[0] - 1 if json is not None else 0

    def _node_at_line(self, line: int) -> str:
        starts = sorted((self._line_of(name), name) for name in self.order)
        return next((name for start, name in reversed(starts) if start <= line), "")

    def on_click(self, event: events.Click) -> None:
        """Select what is under the mouse."""
        at = event.get_content_offset(self)
        if at is None:
            return
        x, y = at.x + self.scroll_offset.x, at.y + self.scroll_offset.y
        node = ""
        if self.drawing == "json":
            self.line = min(y, max(len(self._text) - 1, 0))
            node = self._node_at_line(self.line)
        elif self.drawing == "rails":
            node = self.order[y] if y < len(self.order) else ""
        elif self._canvas is not None:
            rects = self._canvas.rects.items()
            node = next((n for n, r in rects if r.x <= x < r.x + r.w and r.y <= y < r.y + r.h), "")
        if node:
            again, self.selected = node == self.selected, node
            self.post_message(self.Selected(node, again))
        self.refresh()

    # Drawing

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines in a part of the pane. Its style takes long to find, so it is found once for all of them."""
        self._base = self.rich_style
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One line of what is in view."""
        row = y + self.scroll_offset.y
        base = self._base
        if self.drawing == "json":
            segments = self._json_line(row)
        elif self.drawing == "canvas":
            segments = self._canvas_line(row)
        else:
            segments = self._rails_line(row)
        left = self.scroll_offset.x
        strip = Strip(segments).crop_extend(left, left + self.size.width, base).apply_style(base)
        here = self.drawing == "rails" and row < len(self.order) and self.order[row] == self.selected
        if here or (self.drawing == "json" and row == self.line):
            # The cursor's background counts more than the base below it.
            mark = look.behind(self.app, "cursor" if self.has_focus else "cursor_dim")
            strip = Strip([Segment(text, (style or Style()) + mark) for text, style, _ in strip], strip.cell_length)
        return strip

    def _rails_line(self, row: int) -> list[Segment]:
        if self._rails is None or row >= len(self._rails.rows) + len(self._rails.notes):
            return []
        app = self.app
        if row >= len(self._rails.rows):
            return [Segment(self._rails.notes[row - len(self._rails.rows)].text, look.style(app, "failed"))]
        one = self._rails.rows[row]
        view = self._board.view(one.id)
        ids, types, _ = self._columns
        chosen = one.id == self.selected
        segments = [Segment(s.text, look.span_style(app, s, None, chosen=False)) for s in one.lanes]
        segments.append(Segment(view.state.glyph + " ", look.style(app, str(view.state), bold=True)))
        name = look.style(
            app, "dim" if view.state is State.BYPASSED else "text", bold=chosen, underline=one.id in self.found
        )
        segments.append(Segment(padded(_cut(one.label, ids), ids), name))
        segments.append(Segment("  "))
        if types:
            segments.append(Segment(padded(_cut(one.type, types), types) + "  ", look.style(app, "dim")))
        segments += self._detail(view)
        segments += [Segment("  " + note.text, look.style(app, "failed")) for note in one.notes]
        return segments

    def _detail(self, view: View) -> list[Segment]:
        style = look.style(self.app, str(view.state))
        if view.state is State.RUNNING and view.part >= 0:
            full, empty = look.bar(view.part, BAR)
            return [
                Segment(full, style),
                Segment(empty, look.style(self.app, "faint")),
                Segment(f" {view.detail}", style),
            ]
        return [Segment(view.detail, style)]

    def _canvas_line(self, row: int) -> list[Segment]:
        if self._canvas is None and row == 0:
            return [Segment("laying out …", look.style(self.app, "dim"))]
        if row >= len(self._canvas_lines):
            return []
        segments = []
        for span in self._canvas_lines[row]:
            state = self._board.view(span.box).state if span.box and span.role in ("state", "id", "border") else None
            style = look.span_style(self.app, span, state, chosen=span.box == self.selected and bool(span.box))
            if span.role == "id" and span.box in self.found:
                style += Style(underline=True)
            segments.append(Segment(span.text, style))
        return segments

    def _json_line(self, row: int) -> list[Segment]:
        if row >= len(self._text):
            return []
        text, app = self._text[row], self.app
        mark, role = (
            (" ", "faint") if row not in self._problems else ("⚠", "stale" if self._problems[row] else "failed")
        )
        segments = [Segment(f"{mark}{row + 1:>4}  ", look.style(app, role))]
        at = 0
        for found in _JSON.finditer(text):
            segments.append(Segment(text[at : found.start()], look.style(app, "dim")))
            piece = found.group(1) or ""
            if found.group(2) is not None:
                segments += [Segment(piece, look.style(app, "text")), Segment(found.group(2), look.style(app, "dim"))]
            elif piece:
                role = "cached" if piece.startswith('"@') else "accent" if piece.startswith('"$') else "done"
                segments.append(Segment(piece, look.style(app, role)))
            else:
                segments.append(Segment(found.group(3), look.style(app, "queued")))
            at = found.end()
        segments.append(Segment(text[at:], look.style(app, "dim")))
        return segments


def _cut(text: str, columns: int) -> str:
    """Text in so many columns, its end an ellipsis where it was longer."""
    if width(text) <= columns:
        return text
    while text and width(text) >= columns:
        text = text[:-1]
    return text + "…"
