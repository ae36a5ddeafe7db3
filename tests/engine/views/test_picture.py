"""From documents to pictures, broken ones too."""

from engine.context import Context
from engine.document import from_value
from engine.node import Input, Node
from engine.registry import Registry
from engine.views import Box, Port, Wire
from engine.views.picture import picture


class Make(Node):
    """Make a text."""

    version = 1

    def run(self, ctx: Context) -> str:
        return ""


class Use(Node):
    """Use texts."""

    version = 1
    one: str = Input("", about="one")
    many: list[str] = Input([], about="several")
    count: int = Input(1, about="a literal")

    def run(self, ctx: Context) -> str:
        return ""


def drawn(**nodes):
    registry = Registry()
    registry.add(Make, Use)
    return picture(from_value({"format": 1, "nodes": nodes}), registry)


def test_links_become_wires_between_named_ports():
    found = drawn(a={"type": "Make"}, b={"type": "Use@1", "one": "@a", "many": ["@a.text", "x", "@@a"], "count": "$n"})
    assert found.boxes == (
        Box("a", "Make", (), (Port("text", "TEXT"),)),
        Box("b", "Use@1", (Port("one", "TEXT"), Port("many", "[TEXT]")), (Port("text", "TEXT"),)),
    )
    assert found.wires == (Wire("a", "text", "b", "one"), Wire("a", "text", "b", "many"))


def test_what_is_not_understood_is_drawn_as_it_is_written():
    found = drawn(a={"type": "Nope", "in": "@b.out"}, b=7, c={"type": 3, "x": "@gone"}, d={"type": "Use", "odd": "@a"})
    assert [(box.id, box.type) for box in found.boxes] == [("a", "Nope"), ("b", "?"), ("c", "?"), ("d", "Use")]
    assert found.boxes[3].inputs == (Port("odd"),)
    assert found.wires == (Wire("b", "out", "a", "in"), Wire("gone", "", "c", "x"), Wire("a", "", "d", "odd"))
