"""weft graph: a workflow as a drawing."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from commands.common import colours, known_nodes, read
from engine.views import Span, canvas, colour, dot, mermaid, rails, svg
from engine.views.picture import picture

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Draw FILE; returns the exit code. A broken workflow is drawn with what is wrong marked."""
    graph = picture(read(args.file), known_nodes(registry))
    if args.format in ("text", "canvas"):
        drawn = rails(graph) if args.format == "text" else canvas(graph)
        sys.stdout.write(painted(drawn.lines(), in_colour=colours(sys.stdout)))
    else:
        sys.stdout.write({"mermaid": mermaid, "dot": dot, "svg": svg}[args.format](graph))
    return 0


def painted(lines: Iterable[Sequence[Span]], *, in_colour: bool) -> str:
    """The drawing as text, a newline behind each line; in colour for a terminal that has 24-bit colours."""
    return "".join("".join(_paint(s) if in_colour else s.text for s in line).rstrip() + "\n" for line in lines)


def _paint(span: Span) -> str:
    if span.role == "id":
        return f"\x1b[1m{span.text}\x1b[0m"
    if span.role in ("type", "border"):
        return f"\x1b[2m{span.text}\x1b[0m"
    if span.role == "note":
        return f"\x1b[31m{span.text}\x1b[0m"
    if span.kind:
        red, green, blue = (int(colour(span.kind)[i : i + 2], 16) for i in (1, 3, 5))
        return f"\x1b[38;2;{red};{green};{blue}m{span.text}\x1b[0m"
    return span.text
