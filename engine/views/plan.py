"""From a graph to cells: where each box, port and wire of the canvas lies. The text and the svg are drawn from this."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from engine.text import visible
from engine.views.cells import width
from engine.views.flow import Flow, flow
from engine.views.layers import FIRST_PORT, Vertex, layered
from engine.views.model import Box, Net, Picture
from engine.views.place import place
from engine.views.route import Track, tracks

MARGIN = 2
"""Columns between a layer and the nearest track."""


@dataclass(frozen=True, slots=True)
class Rect:
    """Where a box stands, in cells from the top left."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True)
class Run:
    """A straight piece of a net, from (x1, y1) to (x2, y2), ends included; x1 <= x2 and y1 <= y2."""

    net: Net
    x1: int
    y1: int
    x2: int
    y2: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A graph laid out, in cells.

    inputs, outputs: the cell of each port, by (node id, port name). runs: the straight pieces of all wires.
    hops: of each net, where it enters and leaves every gap and layer on its way, for drawing it smoothly.
    """

    flow: Flow
    rects: Mapping[str, Rect]
    inputs: Mapping[tuple[str, str], tuple[int, int]]
    outputs: Mapping[tuple[str, str], tuple[int, int]]
    runs: tuple[Run, ...]
    hops: Mapping[Net, Sequence[tuple[int, int, int, int]]]


def plan(picture: Picture) -> Plan:
    """Lay a graph out. Wires that close a cycle or have an end missing are left out (see `Flow`)."""
    drawn = flow(picture)
    layers = layered(drawn)
    place(layers)
    rows = max((v.y + v.height for layer in layers for v in layer), default=0)
    rects: dict[str, Rect] = {}
    inputs: dict[tuple[str, str], tuple[int, int]] = {}
    outputs: dict[tuple[str, str], tuple[int, int]] = {}
    runs: list[Run] = []
    hops: dict[Net, list[tuple[int, int, int, int]]] = {}
    x = 0
    for layer in layers:
        right = x + max((_box_width(v.box) for v in layer if v.box), default=1) - 1
        for vertex in layer:
            if box := vertex.box:
                rects[box.id] = Rect(x, vertex.y, right - x + 1, vertex.height)
                inputs.update({(box.id, p.name): (x, vertex.y + FIRST_PORT + i) for i, p in enumerate(box.inputs)})
                outputs.update(
                    {(box.id, p.name): (right, vertex.y + FIRST_PORT + i) for i, p in enumerate(box.outputs)}
                )
            else:
                net = vertex.left[0].net
                runs.append(Run(net, x, vertex.y, right, vertex.y))
                hops[net].append((x, vertex.y, right, vertex.y))
        pins = _pins(layer)
        found, columns = tracks(((net, start, ends) for net, (start, ends) in pins.items()), rows)
        step = 2 if columns <= 6 else 1
        end = right + 1 + 2 * MARGIN + max(step * (columns - 1) + 1, 1)
        tracked = {track.net for track in found}
        runs += [Run(net, right, start, end, start) for net, (start, _) in pins.items() if net not in tracked]
        seconds = {track.following for track in found}
        for track in found:
            if track not in seconds:
                runs += _runs(track, right, right + 1 + MARGIN, step, end)
        for net, (start, ends) in pins.items():
            hops.setdefault(net, []).extend((right, start, end, row) for row in dict.fromkeys(ends))
        x = end
    return Plan(drawn, rects, inputs, outputs, tuple(runs), hops)


def _pins(layer: list[Vertex]) -> dict[Net, tuple[int, list[int]]]:
    """Of each net that leaves a layer to the right: its row there, and its rows at the next layer."""
    pins: dict[Net, tuple[int, list[int]]] = {}
    for vertex in layer:
        for edge in vertex.right:
            pins.setdefault(edge.net, (vertex.y + edge.start_row, []))[1].append(edge.end.y + edge.end_row)
    return pins


def _runs(track: Track, left: int, first: int, step: int, right: int) -> Iterator[Run]:
    """One net's runs in a gap between the columns `left` and `right`; `first` is the column of track 0."""
    column = first + step * track.column
    end = first + step * track.following.column if track.following else right
    yield Run(track.net, left, track.start, column, track.start)
    yield Run(track.net, column, track.top, column, track.bottom)
    for row in track.ends:
        yield Run(track.net, column, row, end, row)
    if track.following:
        yield from _runs(track.following, column, first, step, right)


def _box_width(box: Box) -> int:
    width_of = [[width(short(p.name)) for p in ports] for ports in (box.inputs, box.outputs)]
    rows = (
        left + right + 7 if left and right else left + right + 4 for left, right in zip_longest(*width_of, fillvalue=0)
    )
    return max(width(short(box.id)) + 7, width(short(box.type)) + 4, *rows)


def short(text: str) -> str:
    """A name as the canvas shows it: made visible, and cut so that no box is absurdly wide."""
    return visible(text, 32)
