"""Wires of the canvas between two layers: one vertical track a net, in columns where no two nets are ever confused.

In the gap between two layers a net comes in at one row on the left and leaves at one or more rows on the right. It runs
right to its track, along the track, and right again. Two nets may cross, but never share a cell otherwise:

- if A comes in at the row where B leaves, A's track must be left of B's, or both would lie on that row;
- where such demands form a cycle, one net first steps aside to a free row (a dogleg), which breaks it;
- nets whose rows do not overlap may share a column.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from engine.views.model import Net

_MANY = 150
"""Above this number of tracks in one gap their order is not refined pair by pair."""


@dataclass(eq=False, slots=True)
class Track:
    """One vertical piece of a net. start: the row at which it comes in; ends: the rows at which it leaves."""

    net: Net
    start: int
    ends: list[int]
    column: int = 0
    after: set["Track"] = field(default_factory=set)
    """Tracks that must be left of this one."""
    following: "Track | None" = None
    """The second piece of a dogleg, which comes in at the row where this one leaves."""

    @property
    def top(self) -> int:
        """Its first row."""
        return min(self.start, *self.ends)

    @property
    def bottom(self) -> int:
        """Its last row."""
        return max(self.start, *self.ends)


def tracks(pins: Iterable[tuple[Net, int, Sequence[int]]], rows: int) -> tuple[list[Track], int]:
    """The tracks of one gap with their columns (0 is leftmost), and how many columns they take.

    pins: for each net the row at which it comes in and those at which it leaves; a net that goes straight on needs no
    track but keeps its row. rows: the height of the drawing; doglegs may go just below it.
    """
    found: list[Track] = []
    taken: set[int] = set()
    for net, start, ends in pins:
        taken |= {start, *ends}
        if set(ends) != {start}:
            found.append(Track(net, start, sorted(set(ends))))
    _demand(found)
    while cycle := _cycle(found):
        track = min(cycle, key=lambda t: t.bottom - t.top)
        middle = (track.top + track.bottom) // 2
        row = min((r for r in range(rows + len(taken) + 1) if r not in taken), key=lambda r: (abs(r - middle), r))
        taken.add(row)
        track.following = Track(track.net, row, track.ends)
        track.ends = [row]
        found.append(track.following)
        _demand(found)
    return found, _pack(_arranged(found))


def _demand(found: Sequence[Track]) -> None:
    """Fill in `after`: who comes in at a row stands left of who leaves there."""
    entering = {track.start: track for track in found}
    for track in found:
        track.after = {entering[row] for row in track.ends if row in entering and not track.following} - {track}
    for track in found:
        if track.following:
            track.following.after.add(track)


def _cycle(found: Sequence[Track]) -> list[Track]:
    """The tracks of one cycle of demands, or none."""
    done: set[Track] = set()
    for first in found:
        path: list[Track] = []
        on_path: set[Track] = set()
        stack: list[tuple[Track, bool]] = [(first, False)]
        while stack:
            track, leaving = stack.pop()
            if leaving:
                on_path.discard(path.pop())
                done.add(track)
            elif track in on_path:
                return path[path.index(track) :]
            elif track not in done:
                path.append(track)
                on_path.add(track)
                stack.append((track, True))
                stack += [(t, False) for t in sorted(track.after, key=_natural)]
    return []


def _natural(track: Track) -> tuple[int, int, int]:
    """Without demands: nets going up in the order of their rows, then nets going down in the reverse."""
    down = track.bottom > track.start and track.start - track.top <= track.bottom - track.start
    return (down, -track.start if down else track.start, track.top)


def _crossings(left: Track, right: Track) -> int:
    """How many cells the two nets cross in, with these sides."""
    count = int(left.top < right.start < left.bottom)
    return count + sum(right.top < row < right.bottom for row in left.ends)


def _arranged(found: Sequence[Track]) -> list[Track]:
    """The tracks from left to right: every demand kept, then neighbours exchanged while that saves crossings."""
    order: list[Track] = []
    placed: set[Track] = set()
    waiting = sorted(found, key=_natural)
    while waiting:
        track = next(t for t in waiting if t.after <= placed)
        waiting.remove(track)
        placed.add(track)
        order.append(track)
    if len(order) > _MANY:
        return order
    for _ in order:
        changed = False
        for i in range(len(order) - 1):
            a, b = order[i : i + 2]
            if a not in b.after and _crossings(b, a) < _crossings(a, b):
                order[i : i + 2] = b, a
                changed = True
        if not changed:
            break
    return order


def _pack(order: Sequence[Track]) -> int:
    """Give each track the leftmost column right of every earlier one that it touches."""
    columns = 0
    for i, track in enumerate(order):
        track.column = 0
        for other in order[:i]:
            if other.top <= track.bottom + 1 and track.top <= other.bottom + 1:
                track.column = max(track.column, other.column + 1)
        columns = max(columns, track.column + 1)
    return columns
