"""Rows of the canvas: every vertex as near as possible to its neighbours' pins, in its order, with no overlap.

For one layer with wanted rows t_i, weights w_i and heights h_i:

    minimise  sum_i w_i |y_i - t_i|   such that   y_{i+1} >= y_i + h_i + gap_i

With the offset above each vertex taken off, z_i = y_i - sum_{j<i} (h_j + gap_j), the constraint is that z never falls.
That is isotonic regression in L1: neighbours that violate it are pooled, and a pool gets its weighted median.
"""

from collections.abc import Sequence

from engine.views.layers import Edge, Vertex

ROUNDS = 2
_DUMMY_WEIGHT = 2


def place(layers: Sequence[Sequence[Vertex]]) -> None:
    """Set `y` of every vertex; the smallest is 0."""
    for layer in layers:
        y = 0
        for above, vertex in zip([None, *layer], layer, strict=False):
            y += gap(above, vertex) if above else 0
            vertex.y = y
            y += vertex.height
    for _ in range(ROUNDS):
        for layer in layers[1:]:
            _align(layer, [v.left for v in layer])
        for layer in layers[-2::-1]:
            _align(layer, [v.right for v in layer])
    for layer in layers:
        _align(layer, [v.left + v.right for v in layer])
    top = min((v.y for layer in layers for v in layer), default=0)
    for layer in layers:
        for vertex in layer:
            vertex.y -= top


def gap(above: Vertex, below: Vertex) -> int:
    """Empty rows between two vertices: one between boxes, none beside a passing wire."""
    return 1 if above.box and below.box else 0


def _align(layer: Sequence[Vertex], edges: Sequence[Sequence[Edge]]) -> None:
    offset = 0
    wanted: list[tuple[int, int]] = []
    offsets: list[int] = []
    for i, vertex in enumerate(layer):
        if i:
            offset += layer[i - 1].height + gap(layer[i - 1], vertex)
        offsets.append(offset)
        rows = sorted(_wanted_row(vertex, e) for e in edges[i])
        row = rows[(len(rows) - 1) // 2] if rows else vertex.y
        weight = len(rows) * (1 if vertex.box else _DUMMY_WEIGHT)
        # A vertex that nothing pulls gives way to every one that something does.
        wanted.append((row - offset, weight * 16 or 1))
    for vertex, z, offset in zip(layer, isotonic(wanted), offsets, strict=True):
        vertex.y = z + offset


def _wanted_row(vertex: Vertex, edge: Edge) -> int:
    """The y at which this edge would be a straight line."""
    if edge.end is vertex:
        return edge.start.y + edge.start_row - edge.end_row
    return edge.end.y + edge.end_row - edge.start_row


def isotonic(wanted: Sequence[tuple[int, int]]) -> list[int]:
    """The non-decreasing values nearest to those wanted, by weighted absolute distance. Items are (value, weight)."""
    pools: list[tuple[int, list[tuple[int, int]]]] = []
    for item in wanted:
        median, members = item[0], [item]
        while pools and pools[-1][0] > median:
            members = pools.pop()[1] + members
            median = _median(members)
        pools.append((median, members))
    return [median for median, members in pools for _ in members]


def _median(members: Sequence[tuple[int, int]]) -> int:
    """The lower weighted median."""
    half = sum(weight for _, weight in members) / 2
    total = 0
    for value, weight in sorted(members):
        total += weight
        if total >= half:
            return value
    raise ValueError("no members")
