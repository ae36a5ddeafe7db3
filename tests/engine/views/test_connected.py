"""Every wire is drawn connected: the glyphs alone, followed from an output, lead to its targets and nowhere else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from view_pictures import PICTURES, layered_grid

from engine.views import Box, Picture, Port, Wire, canvas, dot, mermaid, rails, svg
from engine.views.cells import DOWN, GLYPHS, LEFT, RIGHT, UP
from engine.views.flow import flow

STEP = {UP: (0, -1), DOWN: (0, 1), LEFT: (-1, 0), RIGHT: (1, 0)}
OPPOSITE = {UP: DOWN, DOWN: UP, LEFT: RIGHT, RIGHT: LEFT}


@st.composite
def pictures(draw, broken=False):
    """Random graphs in random file order; `broken` ones may hold cycles and links to nodes that are not there."""
    count = draw(st.integers(0, 14))
    outputs = draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
    boxes, wires = [], []
    for i in range(count):
        others = count + 1 if broken else i
        links = draw(st.lists(st.integers(0, others - 1), max_size=5)) if others else []
        lists = draw(st.booleans())
        for k, source in enumerate(links):
            output = draw(st.integers(0, outputs[source] - 1)) if source < count else 0
            wires.append(Wire(f"n{source}", f"o{output}", f"n{i}", "list" if lists and k % 2 else f"i{k}"))
        inputs = tuple(Port(f"i{k}", "LATENT") for k in range(len(links)))
        boxes.append(Box(f"n{i}", "Node", inputs, tuple(Port(f"o{k}", "LATENT") for k in range(outputs[i]))))
    return Picture(tuple(draw(st.permutations(boxes))), tuple(wires))


def rails_links(picture):
    """The (source, targets) of each lane in the text, as a sorted list."""
    view = rails(picture)
    lines = view.text().splitlines()
    column = {y: line.index("○") for y, line in enumerate(lines)}
    links = []
    for y, line in enumerate(lines):
        for x in range(0, view.columns, 2):
            bits = GLYPHS.index(line[x])
            if bits & DOWN and not bits & UP:
                assert reaches_node(line, x, column[y])
                links.append((view.order[y], tuple(sorted(lane_targets(view, lines, column, x, y)))))
    return sorted(links)


def lane_targets(view, lines, column, x, y):
    """The nodes of all rows that tap the lane which opens at (x, y)."""
    while True:
        y += 1
        bits = GLYPHS.index(lines[y][x])
        assert bits & UP
        if bits & RIGHT:
            assert reaches_node(lines[y], x, column[y])
            yield view.order[y]
        if not bits & DOWN:
            return


def reaches_node(line, x, end):
    """Whether a line runs from column x to the node's glyph, under the lanes that are not concerned."""
    return all(GLYPHS.index(c) & LEFT or c == "│" for c in line[x + 1 : end]) and line[end - 1] == "─"


def canvas_targets(view, lines, start):
    """The cells of all input ports that are reached from an output port's cell."""
    ports = set(view.inputs.values())
    found, seen, todo = set(), set(), [(*start, RIGHT)]
    while todo:
        x, y, heading = todo.pop()
        x, y = x + STEP[heading][0], y + STEP[heading][1]
        if (x, y) in ports:
            assert heading == RIGHT
            found.add((x, y))
            continue
        bits = GLYPHS.index(lines[y][x])
        if bits == UP | DOWN and heading in (LEFT, RIGHT):
            todo.append((x, y, heading))
            continue
        assert bits & OPPOSITE[heading], f"the line breaks off at column {x}, row {y}"
        if (x, y) not in seen:
            seen.add((x, y))
            todo += [(x, y, way) for way in STEP if bits & way and way != OPPOSITE[heading]]
    return found


def assert_connected(picture):
    drawn = flow(picture)
    nets = {}
    for wire in drawn.wires:
        nets.setdefault(wire.net, []).append(wire)
    lanes = sorted((net[0], tuple(sorted({w.target for w in wires}))) for net, wires in nets.items())
    assert rails_links(picture) == lanes
    view = canvas(picture)
    lines = [line.ljust(1) for line in view.text().splitlines()]
    for net, wires in nets.items():
        expected = {view.inputs[w.target, w.input] for w in wires}
        assert canvas_targets(view, lines, view.outputs[net]) == expected, net


@settings(max_examples=150, deadline=None, derandomize=True)
@given(pictures())
def test_every_wire_of_a_random_graph_is_drawn_connected(picture):
    assert not flow(picture).cyclic
    assert_connected(picture)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(pictures(broken=True))
def test_a_broken_graph_draws_what_can_be_drawn_and_notes_the_rest(picture):
    assert_connected(picture)
    drawn = flow(picture)
    broken = len(drawn.cyclic) + len(drawn.loose)
    assert len(drawn.wires) + broken == len(picture.wires)
    assert sum(len(row.notes) for row in rails(picture).rows) == broken
    assert canvas(picture).text().count(" ← ") == broken
    for draw in (mermaid, dot, svg):
        assert draw(picture).endswith("\n")


@pytest.mark.parametrize("name", [*PICTURES, "grid of 200"])
def test_every_wire_of_the_shown_graphs_is_drawn_connected(name):
    assert_connected(PICTURES.get(name) or layered_grid(200))
