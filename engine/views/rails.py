"""Rails: one row a node, one lane a live value.

A lane opens in the row of the node that makes the value (┬), is tapped where a node uses it (┼), and ends at its last
use (┴). In each row a line runs from the leftmost lane concerned to the node; a lane that it passes under is not
concerned (─│─). So the drawing also shows how long every value has to be kept.

    ╭─┬─────○ top     Load
    │ ├─┬───○ left    Blur
    │ ╰─│─┬─○ right   Sharpen
    ╰───┴─┴─○ bottom  Blend
"""

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

from engine.text import visible
from engine.views.cells import DOWN, GLYPHS, IDLE, LEFT, RIGHT, UP, Span, merged, padded, plain, width
from engine.views.flow import Flow, flow
from engine.views.model import Net, Picture


@dataclass(frozen=True, slots=True)
class RailsRow:
    """One node: its lanes (all rows' lanes have the same width), id and type fit to show, and what is wrong with it."""

    id: str
    lanes: tuple[Span, ...]
    label: str
    type: str
    notes: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class RailsView:
    """The rows from top to bottom. `order` is the order of the nodes; `columns` the width of the lanes."""

    rows: tuple[RailsRow, ...]
    columns: int
    notes: tuple[Span, ...] = ()
    """What is wrong with wires that end at no box at all."""

    @property
    def order(self) -> tuple[str, ...]:
        """The ids of the nodes from top to bottom: every source above its targets."""
        return tuple(row.id for row in self.rows)

    def lines(self, states: Mapping[str, str] | None = None) -> list[tuple[Span, ...]]:
        """Each row whole: lanes, the glyph of the node's state (by id; default ○), id, type, notes."""
        states = states or {}
        labels = max((width(row.label) for row in self.rows), default=0)
        types = max((width(row.type) for row in self.rows if row.notes), default=0)
        lines = []
        for row in self.rows:
            spans = [
                *row.lanes,
                Span(states.get(row.id, IDLE), "state", box=row.id),
                Span(f" {padded(row.label, labels)}  ", "id", box=row.id),
                Span(padded(row.type, types) if row.notes else row.type, "type", box=row.id),
            ]
            for note in row.notes:
                spans += [Span("  "), note]
            lines.append(merged(spans))
        return [*lines, *((note,) for note in self.notes)]

    def text(self, states: Mapping[str, str] | None = None) -> str:
        """The drawing without colour, a newline behind each row."""
        return plain(self.lines(states))


def rails(picture: Picture) -> RailsView:
    """Draw a graph as rails. A wire that closes a cycle or has an end missing is left out and noted at its target."""
    drawn = flow(picture)
    cells, count = _allocated(drawn)
    notes = drawn.notes()
    rows = tuple(
        RailsRow(
            box.id,
            _lanes(line, count, drawn.kinds),
            visible(box.id, 40),
            visible(box.type, 40),
            tuple(notes.pop(box.id, ())),
        )
        for box, line in zip(drawn.boxes, cells, strict=True)
    )
    return RailsView(rows, 2 * count, tuple(note for left in notes.values() for note in left))


def _allocated(drawn: Flow) -> tuple[list[dict[int, tuple[int, Net]]], int]:
    """For each row its live lanes, each with the directions of its cell and its net; and the number of lanes in all."""
    row_of = {box.id: i for i, box in enumerate(drawn.boxes)}
    last_use: dict[Net, int] = {}
    taps: list[set[Net]] = [set() for _ in drawn.boxes]
    for wire in drawn.wires:
        row = row_of[wire.target]
        last_use[wire.net] = max(last_use.get(wire.net, 0), row)
        taps[row].add(wire.net)

    free: list[int] = []
    count = 0
    live: dict[int, Net] = {}
    lane_of: dict[Net, int] = {}
    cells: list[dict[int, tuple[int, Net]]] = []
    for row, box in enumerate(drawn.boxes):
        # New lanes are taken before ended ones are given back: no cell ends one value and starts another.
        opened = [(box.id, p.name) for p in box.outputs if (box.id, p.name) in last_use]
        # The longest-lived goes leftmost, where the fewest rows have to pass under it.
        for net in sorted(opened, key=lambda n: -last_use[n]):
            if not free:
                heappush(free, count)
                count += 1
            lane_of[net] = heappop(free)
            live[lane_of[net]] = net
        line: dict[int, tuple[int, Net]] = {}
        for lane, net in live.items():
            if net in taps[row]:
                line[lane] = (UP | RIGHT | (DOWN if last_use[net] > row else 0), net)
            else:
                line[lane] = (RIGHT | DOWN if net[0] == box.id else UP | DOWN, net)
        cells.append(line)
        for net in taps[row]:
            if last_use[net] == row:
                heappush(free, lane_of[net])
                del live[lane_of[net]]
    return cells, count


def _lanes(line: Mapping[int, tuple[int, Net]], count: int, kinds: Mapping[Net, str]) -> tuple[Span, ...]:
    """One row's lanes, two columns each. The line to the node has a colour only while it carries a single value."""
    spans = []
    filler = Span("  ")
    carried = 0
    for lane in range(count):
        if lane not in line:
            spans.append(filler)
            continue
        bits, net = line[lane]
        own = Span("", "wire", net, kinds[net])
        if bits & RIGHT:
            glyph = GLYPHS[bits | LEFT if carried else bits]
            carried += 1
            filler = own.reading("──") if carried == 1 else Span("──", "wire")
            spans += [own.reading(glyph), filler.reading("─")]
        elif carried:
            spans += [own.reading(GLYPHS[bits]), filler.reading("─")]
        else:
            spans.append(own.reading(GLYPHS[bits] + " "))
    return merged(spans)
