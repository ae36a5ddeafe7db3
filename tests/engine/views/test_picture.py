"""From documents to pictures, broken ones too."""

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.context import Context
from engine.document import from_value
from engine.node import Input, Node
from engine.registry import Registry
from engine.views import Box, Port, Wire, canvas, dot, mermaid, rails, svg
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


REFERENCES = st.sampled_from(["@a", "@b", "@a.text", "@b.gone", "@zz", "@", "@.x", "@a.", "$p", "@@a", "", "x"])
VALUES = st.one_of(
    REFERENCES,
    st.none(),
    st.integers(0, 9),
    st.lists(REFERENCES, max_size=3),
    st.dictionaries(st.text("ab\u00e9", max_size=2), st.none()),
)
NODES = st.one_of(
    st.none(),
    st.text("ab@$", max_size=3),
    st.fixed_dictionaries(
        {"type": st.one_of(st.sampled_from(["Make", "Use", "Use@9", "Nope", ""]), st.none(), st.integers(0, 9))},
        optional={"one": VALUES, "many": VALUES, "odd": VALUES, "about": VALUES, "\x1b[1m": VALUES},
    ),
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "c", "", "\u202e", "x" * 90]), NODES, max_size=5))
def test_whatever_a_document_holds_it_is_drawn(nodes):
    found = drawn(**nodes)
    for text in (rails(found).text(), canvas(found).text(), mermaid(found), dot(found), svg(found)):
        assert "\x1b" not in text
        assert "\u202e" not in text
