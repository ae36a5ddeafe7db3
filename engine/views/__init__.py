"""Drawing a graph: pure functions from a `Picture` to text, spans a screen can colour, mermaid, dot and svg.

    rails(picture)    one row a node, one lane a live value; fits 80 columns
    canvas(picture)   boxes with ports and wires, in layers from left to right
    mermaid, dot, svg the same graph for documents and browsers

Only the standard library is imported, so that a command that draws starts as fast as one that does not.
"""

from engine.views.canvas import CanvasView, canvas
from engine.views.cells import Span
from engine.views.colours import colour
from engine.views.exports import dot, mermaid
from engine.views.model import Box, Picture, Port, Wire
from engine.views.rails import RailsRow, RailsView, rails
from engine.views.svg import svg

__all__ = [
    "Box",
    "CanvasView",
    "Picture",
    "Port",
    "RailsRow",
    "RailsView",
    "Span",
    "Wire",
    "canvas",
    "colour",
    "dot",
    "mermaid",
    "rails",
    "svg",
]
