from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from view_pictures import layered_grid

from engine.views.flow import flow
from engine.views.layers import crossings, layered
from engine.views.model import Picture
from engine.views.place import isotonic
from engine.views.route import tracks


def column_of(pins, net):
    return next(t.column for t in tracks(pins, 20)[0] if t.net == (net, ""))


def pins(**nets):
    return [((net, ""), start, ends) for net, (start, ends) in nets.items()]


@pytest.mark.parametrize(
    ("nets", "columns"),
    [
        ({}, 0),
        ({"a": (3, [3])}, 0),
        ({"a": (3, [5])}, 1),
        ({"a": (3, [3, 5, 9])}, 1),
        ({"a": (0, [2]), "b": (5, [9])}, 1),
        ({"a": (0, [5]), "b": (2, [9])}, 2),
    ],
)
def test_a_net_takes_one_track_and_shares_its_column_with_nets_on_other_rows(nets, columns):
    assert tracks(pins(**nets), 20)[1] == columns


def test_who_comes_in_at_a_row_stands_left_of_who_leaves_there():
    for nets in ({"a": (4, [9]), "b": (0, [4])}, {"b": (0, [4]), "a": (4, [9])}):
        assert column_of(pins(**nets), "a") < column_of(pins(**nets), "b")


def test_nets_that_need_not_cross_do_not():
    down = pins(a=(0, [5]), b=(1, [6]))
    assert column_of(down, "b") < column_of(down, "a")
    up = pins(a=(5, [0]), b=(6, [1]))
    assert column_of(up, "a") < column_of(up, "b")


def test_two_nets_that_change_places_get_past_each_other_by_a_dogleg():
    found, columns = tracks(pins(a=(2, [6]), b=(6, [2])), 20)
    assert columns == len(found) == 3
    first = next(t for t in found if t.following)
    second = first.following
    assert first.ends == [second.start]
    assert second.start not in (2, 6)
    other = next(t for t in found if t not in (first, second))
    assert first.column < other.column < second.column


@st.composite
def gaps(draw):
    """Pins of nets that come in at different rows and leave at different rows, as ports do."""
    starts = draw(st.lists(st.integers(0, 12), unique=True, max_size=8))
    rows = draw(st.permutations(range(13)))
    sizes = [draw(st.integers(1, 2)) for _ in starts]
    if sum(sizes) > len(rows):
        sizes = [1] * len(starts)
    ends = iter(rows)
    nets = [(f"n{i}", "") for i in range(len(starts))]
    return [(net, start, [next(ends) for _ in range(k)]) for net, start, k in zip(nets, starts, sizes, strict=True)]


@settings(deadline=None, derandomize=True)
@given(gaps())
def test_no_two_nets_ever_share_a_piece_of_line(gap):
    found, columns = tracks(gap, 13)
    seconds = {t.following for t in found}
    cells = {}
    for track in found:
        left = next((t.column for t in found if t.following is track), -1)
        right = track.following.column if track.following else columns
        lines = [("h", x, track.start) for x in range(2 * left + 1, 2 * track.column)]
        lines += [("h", x, row) for row in track.ends for x in range(2 * track.column + 1, 2 * right)]
        lines += [("v", track.column, y) for y in range(track.top, track.bottom + 1)]
        assert track in seconds or left == -1
        for line in lines:
            assert cells.setdefault(line, track.net) == track.net
    for net, start, ends in gap:
        if ends == [start]:
            for x in range(-1, 2 * columns):
                assert ("h", x, start) not in cells, net


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3)), min_size=1, max_size=5))
def test_isotonic_is_the_nearest_sequence_that_never_falls(wanted):
    found = isotonic(wanted)
    assert found == sorted(found)

    def cost(values):
        return sum(w * abs(v - t) for v, (t, w) in zip(values, wanted, strict=True))

    best = min(cost(v) for v in product(range(6), repeat=len(wanted)) if list(v) == sorted(v))
    assert cost(found) == best


def test_crossings_are_counted_pair_by_pair():
    layers = layered(flow(layered_grid(40)))
    pairs = 0
    for layer in layers:
        edges = [((e.start.rank, e.start_row), (e.end.rank, e.end_row)) for v in layer for e in v.right]
        pairs += sum((a[0] < b[0] and a[1] > b[1]) or (a[0] > b[0] and a[1] < b[1]) for a, b in combinations(edges, 2))
    assert crossings(layers) == pairs > 0


def test_an_empty_picture_has_no_layers():
    assert layered(flow(Picture())) == []
