"""The graph for other programs: Mermaid (Markdown pages) and Graphviz dot.

Both formats read some characters as commands, so ids are numbered and every text from the file is escaped.
Wires that cannot be part of a drawing are dashed here: those that close a cycle, and those whose source is missing.
"""

from collections.abc import Iterable

from engine.text import visible
from engine.views.colours import colour
from engine.views.flow import Flow, flow
from engine.views.model import Box, Picture, Port, Wire

_LIMIT = 60


def mermaid(picture: Picture) -> str:
    """A Mermaid flowchart: boxes with id and type, wires labelled by the input they feed and coloured by socket."""
    drawn = flow(picture)
    names = _names(drawn)
    lines = ["flowchart LR"]
    for box in drawn.boxes:
        lines.append(f'  {names[box.id]}["{_mermaid(box.id)}<br>{_mermaid(box.type)}"]')
    for source in _missing(drawn):
        lines.append(f'  {names[source]}(["⚠ {_mermaid(source)} (missing)"])')
    by_colour: dict[str, list[int]] = {}
    for i, (wire, arrow) in enumerate(_arrows(drawn, "-->", "-.->")):
        label = f'|"{_mermaid(wire.input)}"|' if wire.input else ""
        lines.append(f"  {names[wire.source]} {arrow}{label} {names[wire.target]}")
        by_colour.setdefault(colour(drawn.kinds.get(wire.net, "")), []).append(i)
    for stroke, wires in by_colour.items():
        lines.append(f"  linkStyle {','.join(map(str, wires))} stroke:{stroke},stroke-width:2px")
    return "\n".join(lines) + "\n"


def dot(picture: Picture) -> str:
    """A Graphviz digraph: each box a table with its inputs left and its outputs right, wires coloured by socket."""
    drawn = flow(picture)
    names = _names(drawn)
    inputs = {(b.id, p.name): f"i{i}" for b in drawn.boxes for i, p in enumerate(b.inputs)}
    outputs = {(b.id, p.name): f"o{i}" for b in drawn.boxes for i, p in enumerate(b.outputs)}
    lines = [
        "digraph weft {",
        '  graph [rankdir=LR, nodesep=0.3, ranksep=0.9, bgcolor="transparent"]',
        '  node [shape=plain, fontname="Helvetica", fontsize=11]',
        "  edge [penwidth=1.6, arrowsize=0.6]",
    ]
    lines += [f"  {names[box.id]} [label=<{_table(box)}>]" for box in drawn.boxes]
    for source in _missing(drawn):
        lines.append(f'  {names[source]} [shape=box, style="dashed,rounded", label=<⚠ {_html(source)} (missing)>]')
    for wire, style in _arrows(drawn, "", ', style=dashed, constraint=false, label="⚠"'):
        start = f"{names[wire.source]}:{outputs[wire.net]}:e" if wire.net in outputs else names[wire.source]
        end = f"{names[wire.target]}:{inputs[wire.target, wire.input]}:w" if (wire.target, wire.input) in inputs else ""
        stroke = colour(drawn.kinds.get(wire.net, ""))
        lines.append(f'  {start} -> {end or names[wire.target]} [color="{stroke}"{style}]')
    return "\n".join([*lines, "}"]) + "\n"


def _names(drawn: Flow) -> dict[str, str]:
    """A name without special characters for each box, and for each end that is missing."""
    names = {box.id: f"n{i}" for i, box in enumerate(drawn.boxes)}
    return names | {source: f"x{i}" for i, source in enumerate(_missing(drawn))}


def _missing(drawn: Flow) -> list[str]:
    """The ends of wires at which no box stands."""
    known = {box.id for box in drawn.boxes}
    return list(dict.fromkeys(end for w in drawn.loose for end in (w.source, w.target) if end not in known))


def _arrows(drawn: Flow, whole: str, broken: str) -> Iterable[tuple[Wire, str]]:
    yield from ((wire, whole) for wire in drawn.wires)
    yield from ((wire, broken) for wire in (*drawn.cyclic, *drawn.loose))


def _table(box: Box) -> str:
    rows = [
        f'<TR><TD COLSPAN="2" BGCOLOR="#e8eaee"><B>{_html(box.id)}</B></TD></TR>',
        f'<TR><TD COLSPAN="2">{_html(box.type)}</TD></TR>',
    ]
    for i in range(max(len(box.inputs), len(box.outputs))):
        left = _cell(box.inputs, i, "i", "LEFT")
        rows.append(f"<TR>{left}{_cell(box.outputs, i, 'o', 'RIGHT')}</TR>")
    table = '<TABLE BORDER="1" CELLBORDER="0" CELLSPACING="0" CELLPADDING="4" STYLE="ROUNDED" BGCOLOR="#ffffff">'
    return f"{table}{''.join(rows)}</TABLE>"


def _cell(ports: tuple[Port, ...], i: int, side: str, align: str) -> str:
    if i >= len(ports):
        return "<TD></TD>"
    dot_of_kind = f'<FONT COLOR="{colour(ports[i].kind)}">●</FONT>'
    name = _html(ports[i].name)
    text = f"{dot_of_kind} {name}" if side == "i" else f"{name} {dot_of_kind}"
    return f'<TD PORT="{side}{i}" ALIGN="{align}">{text}</TD>'


def _mermaid(text: str) -> str:
    """Everything but letters, digits and harmless marks as a numbered entity; Mermaid has no other way to quote."""
    shown = visible(text, _LIMIT)
    return "".join(c if c.isalnum() or c in " _-.:/,…⟨⟩+" else f"#{ord(c)};" for c in shown)


def _html(text: str) -> str:
    shown = visible(text, _LIMIT).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return shown.replace('"', "&quot;") or " "
