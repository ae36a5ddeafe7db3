"""weft's own nodes. One module a subject; each node is a thin layer over diffusion/, which it imports when it runs.

`PACK` is the table by which the engine finds a node's module without importing the others.
"""

from engine.registry import Pack, Registry

PACK = Pack(
    "weft",
    {
        "nodes.values": ("Calculate", "Integer", "JoinText", "Number", "SaveText", "Text"),
    },
)


def registry() -> Registry:
    """weft's own nodes, and those of other installed packs where a name is not among them."""
    return Registry([PACK], entry_points=True)
