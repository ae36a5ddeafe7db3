"""The canvas as a picture for the web: one SVG file with no scripts, no fonts and no links in it.

It is the canvas's own layout, one cell 8 by 18 px, with smooth wires. Its colours follow the reader's light or dark
scheme; a viewer that knows no schemes shows the light one.
"""

from html import escape

from engine.text import visible
from engine.views.colours import colour
from engine.views.model import Box, Picture, Port
from engine.views.plan import Plan, Rect, plan

CELL_W, CELL_H = 8, 18
_EDGE = 16
"""The empty margin around the drawing, in px."""

_STYLE = """\
text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #24292f; }
.id { font-weight: bold; }
.type, .port { fill: #59636e; }
.box { fill: #ffffff; stroke: #afb8c1; }
.head { fill: #eef1f4; }
.wire { fill: none; stroke-width: 2; }
.halo { fill: none; stroke: #ffffff; stroke-width: 4; }
.open { fill: #ffffff; stroke-width: 2; }
.note { fill: #b35900; }
.page { fill: #ffffff; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .type, .port { fill: #9aa4af; }
  .box { fill: #1c2128; stroke: #4b535d; }
  .head { fill: #2a313a; }
  .halo { stroke: #0d1117; }
  .open { fill: #1c2128; }
  .note { fill: #f0a45d; }
  .page { fill: #0d1117; }
}"""


def svg(picture: Picture, title: str = "workflow") -> str:
    """Draw a graph as an SVG document; `title` is what a screen reader says of it."""
    laid = plan(picture)
    rects = laid.rects.values()
    notes = [note.text for found in laid.flow.notes().values() for note in found]
    rows = max((r.y + r.h for r in rects), default=0)
    rows = max([rows, *(run.y2 + 1 for run in laid.runs)])
    width = max([*((r.x + r.w) * CELL_W for r in rects), *(len(note) * CELL_W for note in notes), 0]) + 2 * _EDGE
    height = (rows + len(notes)) * CELL_H + 2 * _EDGE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="{-_EDGE} {-_EDGE} {width} {height}" role="img">',
        f"<title>{_text(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="page" x="{-_EDGE}" y="{-_EDGE}" width="{width}" height="{height}" rx="8"/>',
        *_wires(laid),
    ]
    fed = {(w.target, w.input) for w in laid.flow.wires}
    feeding = {w.net for w in laid.flow.wires}
    for box in laid.flow.boxes:
        parts += _box(box, laid.rects[box.id])
        for port in box.inputs:
            parts.append(_port(port, laid.inputs[box.id, port.name], (box.id, port.name) in fed))
        for port in box.outputs:
            parts.append(_port(port, laid.outputs[box.id, port.name], (box.id, port.name) in feeding, out=True))
    for i, note in enumerate(notes):
        parts.append(f'<text class="note" x="0" y="{(rows + i) * CELL_H + 14}">{escape(note)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _text(text: str) -> str:
    return escape(visible(text, 32))


def _x(column: int) -> int:
    return column * CELL_W + CELL_W // 2


def _y(row: int) -> int:
    return row * CELL_H + CELL_H // 2


def _wires(laid: Plan) -> list[str]:
    """Each net's runs as one path. A halo keeps wires that cross apart: the later one passes over."""
    parts = []
    for net, hops in laid.hops.items():
        pieces = []
        for x1, y1, x2, y2 in hops:
            a, b, c, d = _x(x1), _y(y1), _x(x2), _y(y2)
            bend = (c - a) / 2
            pieces.append(f"M{a} {b}H{c}" if b == d else f"M{a} {b}C{a + bend:g} {b} {c - bend:g} {d} {c} {d}")
        path = "".join(pieces)
        parts.append(f'<path class="halo" d="{path}"/>')
        parts.append(f'<path class="wire" stroke="{colour(laid.flow.kinds[net])}" d="{path}"/>')
    return parts


def _box(box: Box, rect: Rect) -> list[str]:
    x, y = _x(rect.x), _y(rect.y) - CELL_H // 2
    w, h = (rect.w - 1) * CELL_W, rect.h * CELL_H - 10
    return [
        f'<rect class="box" x="{x}" y="{y}" width="{w}" height="{h}" rx="7"/>',
        f'<path class="head" d="M{x + 1} {y + 20}v-13a6 6 0 0 1 6-6h{w - 14}a6 6 0 0 1 6 6v13z"/>',
        f'<text class="id" x="{x + 10}" y="{y + 15}">{_text(box.id)}</text>',
        f'<text class="type" x="{x + 10}" y="{y + CELL_H + 15}">{_text(box.type)}</text>',
    ]


def _port(port: Port, at: tuple[int, int], linked: bool, out: bool = False) -> str:
    x, y, stroke = _x(at[0]), _y(at[1]), colour(port.kind)
    mark = f'class="open" stroke="{stroke}"' if not linked else f'fill="{stroke}" stroke="{stroke}"'
    anchor, dx = ("end", -10) if out else ("start", 10)
    return (
        f'<circle {mark} cx="{x}" cy="{y}" r="4.5"><title>{_text(port.kind)}</title></circle>'
        f'<text class="port" text-anchor="{anchor}" x="{x + dx}" y="{y + 4}">{_text(port.name)}</text>'
    )
