"""From any picture to one that can be drawn: no cycle, every port there, boxes in the order of the value's flow."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.text import visible
from engine.views.cells import Span
from engine.views.model import Box, Net, Picture, Port, Wire


@dataclass(frozen=True, slots=True)
class Flow:
    """A picture made drawable.

    boxes: every source before its targets; depth first from the outputs, the larger sub-tree first.
    wires: those that can be drawn. cyclic: those that would close a cycle. loose: those with an end that is missing.
    kinds: the socket of each net.
    """

    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    cyclic: tuple[Wire, ...]
    loose: tuple[Wire, ...]
    kinds: Mapping[Net, str]

    def notes(self) -> dict[str, list[Span]]:
        """What is wrong with the wires that are not drawn, by the box at which each of them ends."""
        notes: dict[str, list[Span]] = {}
        for wires, why in ((self.cyclic, "cycle"), (self.loose, "missing")):
            for wire in wires:
                source, output, target, name = (
                    visible(part, 40) for part in (wire.source, wire.output, wire.target, wire.input)
                )
                text = f"⚠ {target}.{name} ← {source}.{output} ({why})"
                notes.setdefault(wire.target, []).append(Span(text, "note", box=wire.target))
        return notes


def flow(picture: Picture) -> Flow:
    """Make a picture drawable. Of boxes with the same id the first counts; an input with n wires becomes n inputs."""
    boxes: dict[str, Box] = {}
    for box in picture.boxes:
        boxes.setdefault(box.id, box)
    boxes, all_wires = _one_wire_an_input(boxes, picture.wires)
    wires: list[Wire] = []
    loose: list[Wire] = []
    for wire in all_wires:
        (wires if wire.source in boxes and wire.target in boxes else loose).append(wire)
    boxes = _with_all_ports(boxes, wires)
    rank = {(b.id, p.name): i for b in boxes.values() for i, p in enumerate(b.inputs)}
    wires.sort(key=lambda w: rank[w.target, w.input])
    sources: dict[str, list[str]] = {name: [] for name in boxes}
    for wire in wires:
        sources[wire.target].append(wire.source)
    order = _order(sources, {w.source for w in wires if w.source != w.target})
    place = {name: i for i, name in enumerate(order)}
    kinds = {(b.id, p.name): p.kind for b in boxes.values() for p in b.outputs}
    return Flow(
        boxes=tuple(boxes[name] for name in order),
        wires=tuple(w for w in wires if place[w.source] < place[w.target]),
        cyclic=tuple(w for w in wires if place[w.source] >= place[w.target]),
        loose=tuple(loose),
        kinds=kinds,
    )


def _one_wire_an_input(boxes: Mapping[str, Box], wires: Sequence[Wire]) -> tuple[dict[str, Box], list[Wire]]:
    """An input that takes a list of links as one port a link: images[0], images[1], …"""
    count = Counter((w.target, w.input) for w in wires)
    names = {end: [f"{end[1]}[{i}]" for i in range(n)] if n > 1 else [end[1]] for end, n in count.items()}
    split = {
        box.id: replace(
            box,
            inputs=tuple(replace(p, name=name) for p in box.inputs for name in names.get((box.id, p.name), [p.name])),
        )
        for box in boxes.values()
    }
    rest = {end: iter(found) for end, found in names.items()}
    return split, [replace(w, input=next(rest[w.target, w.input])) for w in wires]


def _with_all_ports(boxes: Mapping[str, Box], wires: Iterable[Wire]) -> dict[str, Box]:
    """The boxes with a port for every wire: a node of an unknown type declares none."""
    outputs = {name: {p.name: p for p in box.outputs} for name, box in boxes.items()}
    inputs = {name: {p.name: p for p in box.inputs} for name, box in boxes.items()}
    for wire in wires:
        known = inputs[wire.target].get(wire.input)
        source = outputs[wire.source].setdefault(wire.output, Port(wire.output, known.kind if known else ""))
        inputs[wire.target].setdefault(wire.input, Port(wire.input, source.kind))
    return {
        name: replace(box, inputs=tuple(inputs[name].values()), outputs=tuple(outputs[name].values()))
        for name, box in boxes.items()
    }


def _order(sources: Mapping[str, Sequence[str]], feeding: set[str]) -> list[str]:
    """Depth first from the boxes that feed nothing, the box with most boxes above it first.

    Finishing a large sub-tree before a small one is begun keeps few values alive at once (Sethi & Ullman, 1970).
    """
    above: dict[str, int] = {}
    index = {name: i for i, name in enumerate(sources)}
    for name in _postorder(sources, sources):
        above[name] = 1 << index[name]
        for source in sources[name]:
            above[name] |= above.get(source, 0)
    size = {name: bits.bit_count() for name, bits in above.items()}
    largest_first = {name: sorted(found, key=lambda s: -size[s]) for name, found in sources.items()}
    ends = sorted((name for name in sources if name not in feeding), key=lambda s: -size[s])
    return _postorder([*ends, *sources], largest_first)


def _postorder(roots: Iterable[str], sources: Mapping[str, Sequence[str]]) -> list[str]:
    """Every box once, its sources before it except where they stand in a cycle. Depth is bounded by memory only."""
    order: list[str] = []
    seen: set[str] = set()
    for root in roots:
        if root in seen:
            continue
        seen.add(root)
        stack = [(root, iter(sources[root]))]
        while stack:
            name, rest = stack[-1]
            for source in rest:
                if source not in seen:
                    seen.add(source)
                    stack.append((source, iter(sources[source])))
                    break
            else:
                stack.pop()
                order.append(name)
    return order
