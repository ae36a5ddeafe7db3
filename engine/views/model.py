"""What is drawn: boxes with ports, and wires between them. A broken graph is a picture too."""

from dataclasses import dataclass

Net = tuple[str, str]
"""The (node id, output name) whose value a wire carries."""


@dataclass(frozen=True, slots=True)
class Port:
    """One end that a wire may hold on to. kind: the socket's name, such as LATENT; empty if it is not known."""

    name: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """One node: its id, its type, and its ports from top to bottom."""

    id: str
    type: str
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class Wire:
    """One link: the output of one box to an input of another."""

    source: str
    output: str
    target: str
    input: str

    @property
    def net(self) -> Net:
        """The value that travels: all wires of one output share it, and are drawn as one branching line."""
        return (self.source, self.output)


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph to draw, in file order. Wires may form cycles or lead to boxes that are not there."""

    boxes: tuple[Box, ...] = ()
    wires: tuple[Wire, ...] = ()
