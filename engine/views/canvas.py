"""Canvas: boxes with typed ports in layers from left to right, joined by wires drawn with box characters.

A wire that passes under another is broken there (─│─); where it branches, the glyph is a junction (┬ ├ ┼).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.views.cells import DOWN, GLYPHS, IDLE, LEFT, RIGHT, UP, Grid, Role, Span, plain, width
from engine.views.model import Box, Net, Picture
from engine.views.plan import Plan, Rect, plan, short


@dataclass(frozen=True, slots=True)
class CanvasView:
    """A graph laid out, ready to be drawn with any states. Rectangles and ports are in cells from the top left."""

    laid: Plan

    @property
    def rects(self) -> Mapping[str, Rect]:
        """Where each box stands, by node id."""
        return self.laid.rects

    @property
    def inputs(self) -> Mapping[tuple[str, str], tuple[int, int]]:
        """The cell (x, y) of each input port, by node id and name."""
        return self.laid.inputs

    @property
    def outputs(self) -> Mapping[tuple[str, str], tuple[int, int]]:
        """The cell (x, y) of each output port, by node id and name."""
        return self.laid.outputs

    def lines(self, states: Mapping[str, str] | None = None) -> list[tuple[Span, ...]]:
        """The drawing, then a line for each wire left out. states: the glyph of a node's state by id; default ○."""
        grid = Grid()
        flow = self.laid.flow
        linked = {(w.target, w.input) for w in flow.wires}
        feeding = {w.net for w in flow.wires}
        _draw_wires(grid, self.laid)
        for box in flow.boxes:
            _draw_box(grid, self.laid, box, (states or {}).get(box.id, IDLE), linked, feeding)
        for wire in (*flow.cyclic, *flow.loose):
            if at := self.laid.inputs.get((wire.target, wire.input)):
                grid.put(*at, Span("⚠", "note", box=wire.target))
        return [*grid.lines(), *((note,) for notes in flow.notes().values() for note in notes)]

    def text(self, states: Mapping[str, str] | None = None) -> str:
        """The same without colour, a newline behind each line."""
        return plain(self.lines(states))


def canvas(picture: Picture) -> CanvasView:
    """Lay a graph out as boxes and wires. A wire that closes a cycle or has an end missing is left out and noted."""
    return CanvasView(plan(picture))


def _draw_wires(grid: Grid, laid: Plan) -> None:
    cells: dict[tuple[int, int], tuple[int, Net]] = {}
    for run in laid.runs:
        for x in range(run.x1, run.x2 + 1) if run.y1 == run.y2 else ():
            bits = (LEFT if x > run.x1 else 0) | (RIGHT if x < run.x2 else 0)
            found, net = cells.get((x, run.y1), (0, run.net))
            # Where two nets cross, the vertical one is drawn and the other passes under it.
            if net == run.net or not found & (UP | DOWN):
                cells[x, run.y1] = (found | bits, net)
        for y in range(run.y1, run.y2 + 1) if run.y1 != run.y2 else ():
            bits = (UP if y > run.y1 else 0) | (DOWN if y < run.y2 else 0)
            found, net = cells.get((run.x1, y), (0, run.net))
            cells[run.x1, y] = (found | bits if net == run.net else bits, run.net)
    look = {net: [Span(glyph, "wire", net, kind) for glyph in GLYPHS] for net, kind in laid.flow.kinds.items()}
    for (x, y), (bits, net) in cells.items():
        grid.put(x, y, look[net][bits])


def _draw_box(grid: Grid, laid: Plan, box: Box, state: str, linked: set[tuple[str, str]], feeding: set[Net]) -> None:
    rect = laid.rects[box.id]
    right, bottom = rect.x + rect.w - 1, rect.y + rect.h - 1

    def put(x: int, y: int, text: str, role: Role, kind: str = "", net: Net | None = None) -> None:
        grid.put(x, y, Span(text, role, net, kind, box.id))

    title = short(box.id)
    put(rect.x, rect.y, "╭─ ", "border")
    put(rect.x + 3, rect.y, state, "state")
    put(rect.x + 4, rect.y, f" {title} ", "id")
    put(rect.x + 6 + width(title), rect.y, "─" * (rect.w - 7 - width(title)) + "╮", "border")
    for y in range(rect.y + 1, bottom):
        put(rect.x, y, "│", "border")
        put(rect.x + 1, y, " " * (rect.w - 2), "blank")
        put(right, y, "│", "border")
    put(rect.x, bottom, "╰" + "─" * (rect.w - 2) + "╯", "border")
    put(rect.x + 2, rect.y + 1, short(box.type), "type")
    for port in box.inputs:
        x, y = laid.inputs[box.id, port.name]
        put(x, y, "●" if (box.id, port.name) in linked else "○", "port", port.kind)
        put(x + 2, y, short(port.name), "port", port.kind)
    for port in box.outputs:
        net = (box.id, port.name)
        x, y = laid.outputs[net]
        put(x, y, "●" if net in feeding else "○", "port", port.kind, net)
        put(x - 1 - width(short(port.name)), y, short(port.name), "port", port.kind, net)
