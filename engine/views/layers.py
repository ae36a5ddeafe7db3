"""Layers of the canvas: which column a box stands in, which wires pass a column, and who stands above whom.

This is the method of Sugiyama, Tagawa and Toda (1981): longest-path layers, dummies where a wire passes a layer, and
barycentre sweeps that keep the order with the fewest crossings seen.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from engine.views.flow import Flow
from engine.views.model import Box, Net

FIRST_PORT = 2
"""The row of a box's first port: below its border and its type."""

PULLS = 3
SWEEPS = 12
PATIENCE = 4


@dataclass(eq=False, slots=True)
class Vertex:
    """Something that stands in a layer: a box, or a dummy one row high where a wire passes.

    layer: its column, from 0. rank: its place in the column, from the top. y: its first row, once it is placed.
    """

    layer: int
    box: Box | None = None
    height: int = 1
    rank: int = 0
    y: int = 0
    left: list["Edge"] = field(default_factory=list)
    right: list["Edge"] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Edge:
    """A wire's piece from one layer to the next. start_row, end_row: the rows of its pins inside the two vertices."""

    net: Net
    start: Vertex
    start_row: int
    end: Vertex
    end_row: int


def layered(flow: Flow) -> list[list[Vertex]]:
    """The vertices in layers from left to right, each layer ordered from top to bottom, joined by their edges."""
    layer = _layer_of(flow)
    boxes = {b.id: Vertex(layer[b.id], b, FIRST_PORT + 1 + max(len(b.inputs), len(b.outputs))) for b in flow.boxes}
    layers: list[list[Vertex]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for box in flow.boxes:
        layers[layer[box.id]].append(boxes[box.id])
    output_row = {(b.id, p.name): FIRST_PORT + i for b in flow.boxes for i, p in enumerate(b.outputs)}
    input_row = {(b.id, p.name): FIRST_PORT + i for b in flow.boxes for i, p in enumerate(b.inputs)}
    chains: dict[Net, list[Vertex]] = {}
    for wire in flow.wires:
        target = boxes[wire.target]
        chain = chains.setdefault(wire.net, [boxes[wire.source]])
        while chain[-1].layer < target.layer - 1:
            dummy = Vertex(chain[-1].layer + 1)
            layers[dummy.layer].append(dummy)
            _join(wire.net, chain[-1], output_row[wire.net] if len(chain) == 1 else 0, dummy, 0)
            chain.append(dummy)
        depth = target.layer - 1 - chain[0].layer
        start_row = output_row[wire.net] if depth == 0 else 0
        _join(wire.net, chain[depth], start_row, target, input_row[wire.target, wire.input])
    _untangle(layers)
    return layers


def _join(net: Net, start: Vertex, start_row: int, end: Vertex, end_row: int) -> None:
    edge = Edge(net, start, start_row, end, end_row)
    start.right.append(edge)
    end.left.append(edge)


def _layer_of(flow: Flow) -> dict[str, int]:
    """Each box one layer right of its last source, then moved right towards its consumers where that is no loss."""
    layer: dict[str, int] = {}
    entering: dict[str, dict[Net, None]] = {box.id: {} for box in flow.boxes}
    leaving: dict[str, dict[Net, list[str]]] = {box.id: {} for box in flow.boxes}
    for wire in flow.wires:
        entering[wire.target][wire.net] = None
        leaving[wire.source].setdefault(wire.net, []).append(wire.target)
    for box in flow.boxes:
        layer[box.id] = max((layer[source] + 1 for source, _ in entering[box.id]), default=0)

    def follows(source: str, target: str) -> bool:
        """Whether moving the target moves the source too: it has no inputs and feeds nothing else."""
        return not entering[source] and all(t == target for ends in leaving[source].values() for t in ends)

    for _ in range(PULLS):
        for box in reversed(flow.boxes):
            ends = [layer[t] for targets in leaving[box.id].values() for t in targets]
            right = min(ends, default=0) - 1
            if right <= layer[box.id]:
                continue
            gain = len(leaving[box.id]) * (right - layer[box.id])
            loss = sum(
                max(0, right - max(layer[t] for t in leaving[net[0]][net]))
                for net in entering[box.id]
                if not follows(net[0], box.id)
            )
            if gain >= loss:
                layer[box.id] = right
    return layer


def _untangle(layers: Sequence[list[Vertex]]) -> None:
    """Sweep right and left by barycentres; keep the order with the fewest crossings."""
    _number(layers)
    best, kept = crossings(layers), [list(layer) for layer in layers]
    stale = 0
    for sweep in range(SWEEPS):
        if not best or stale == PATIENCE:
            break
        rightwards = sweep % 2 == 0
        for layer in layers[1:] if rightwards else layers[-2::-1]:
            _sort(layer, rightwards)
        count = crossings(layers)
        stale += 1
        if count < best:
            best, kept, stale = count, [list(layer) for layer in layers], 0
    for layer, order in zip(layers, kept, strict=True):
        layer[:] = order
    _number(layers)


def _number(layers: Iterable[list[Vertex]]) -> None:
    for layer in layers:
        for rank, vertex in enumerate(layer):
            vertex.rank = rank


def _sort(layer: list[Vertex], rightwards: bool) -> None:
    """Order a layer by the mean position of each vertex's pins in the layer before; one without any stays put."""
    mean: dict[Vertex, float] = {}
    for vertex in layer:
        edges = vertex.left if rightwards else vertex.right
        if edges:
            mean[vertex] = sum(_start(e) if rightwards else _end(e) for e in edges) / len(edges)
    slots = [v.rank for v in layer if v in mean]
    for slot, vertex in zip(slots, sorted(mean, key=mean.__getitem__), strict=True):
        layer[slot] = vertex
    _number([layer])


def _start(edge: Edge) -> float:
    return edge.start.rank + edge.start_row / edge.start.height


def _end(edge: Edge) -> float:
    return edge.end.rank + edge.end_row / edge.end.height


def crossings(layers: Iterable[Iterable[Vertex]]) -> int:
    """How many pairs of edges between neighbouring layers cross."""
    count = 0
    for layer in layers:
        ends: list[float] = []
        for _, end in sorted((_start(e), _end(e)) for v in layer for e in v.right):
            count += len(ends) - bisect_right(ends, end)
            insort(ends, end)
    return count
