import pytest
from view_pictures import drawn

from engine.views import Box, Picture, Port, Wire, canvas
from engine.views.flow import flow


def test_an_input_with_a_list_of_links_gets_a_port_for_each():
    grid = Box("grid", "ImageGrid", (Port("columns", "INT"), Port("images", "IMAGE")))
    boxes = (Box("a", "Load", (), (Port("image", "IMAGE"),)), grid)
    found = flow(Picture(boxes, (Wire("a", "image", "grid", "images"), Wire("a", "image", "grid", "images"))))
    assert [port.name for port in found.boxes[1].inputs] == ["columns", "images[0]", "images[1]"]
    assert [wire.input for wire in found.wires] == ["images[0]", "images[1]"]


def test_a_port_that_is_missing_takes_the_socket_of_the_other_end():
    found = flow(
        Picture((Box("a", "Unknown"), Box("b", "Unknown", (Port("x", "LATENT"),))), (Wire("a", "o", "b", "x"),))
    )
    assert found.boxes[0].outputs == (Port("o", "LATENT"),)
    assert found.kinds["a", "o"] == "LATENT"


def test_of_boxes_with_one_id_the_first_counts():
    assert [box.type for box in flow(Picture((Box("a", "First"), Box("a", "Second")))).boxes] == ["First"]


@pytest.mark.parametrize(
    ("lines", "cyclic"),
    [
        (["a A x=a.x -> x"], ["a"]),
        (["a A x=b.x -> x", "b B x=a.x -> x"], ["b"]),
        (["a A x=c.x -> x", "b B x=a.x -> x", "c C x=b.x -> x", "d D x=c.x"], ["a"]),
    ],
)
def test_one_wire_of_a_cycle_is_left_out(lines, cyclic):
    found = flow(drawn(*lines))
    assert [wire.target for wire in found.cyclic] == cyclic
    assert len(found.wires) == sum("=" in line for line in lines) - 1


def test_a_chain_of_10000_nodes_needs_no_recursion():
    chain = drawn("n0 A -> x", *(f"n{i} A x=n{i - 1}.x -> x" for i in range(1, 10_000)))
    found = flow(Picture(chain.boxes[::-1], chain.wires))
    assert [box.id for box in found.boxes] == [f"n{i}" for i in range(10_000)]


def test_a_short_branch_is_pulled_towards_its_consumer():
    lines = ["a A -> x", "b B x=a.x -> x", "c C x=b.x -> x", "lone L -> x", "side S x=lone.x -> x"]
    view = canvas(drawn(*lines, "end E x=c.x y=side.x"))
    assert view.rects["side"].x == view.rects["c"].x
    assert view.rects["lone"].x == view.rects["b"].x
