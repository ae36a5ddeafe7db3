import time

import pytest
from view_goldens import check
from view_pictures import PICTURES, SDXL, drawn, layered_grid

from engine.views import Box, Picture, Port, canvas
from engine.views.cells import width


@pytest.mark.parametrize("name", PICTURES)
def test_canvas_golden(name):
    check(f"{name}.canvas.txt", canvas(PICTURES[name]).text())


@pytest.mark.parametrize("name", [*PICTURES, "grid of 200"])
def test_boxes_do_not_overlap_and_hold_their_ports(name):
    view = canvas(PICTURES.get(name) or layered_grid(200))
    cells = [(x, y) for r in view.rects.values() for x in range(r.x, r.x + r.w) for y in range(r.y, r.y + r.h)]
    assert len(cells) == len(set(cells))
    for (box, _), (x, y) in view.inputs.items():
        rect = view.rects[box]
        assert (x, rect.y + 1 < y < rect.y + rect.h - 1) == (rect.x, True)
    for (box, _), (x, y) in view.outputs.items():
        rect = view.rects[box]
        assert (x, rect.y + 1 < y < rect.y + rect.h - 1) == (rect.x + rect.w - 1, True)


def test_spans_cover_the_text_and_carry_wire_socket_and_node():
    view = canvas(SDXL)
    assert "".join("".join(s.text for s in line).rstrip() + "\n" for line in view.lines()) == view.text()
    spans = [span for line in view.lines() for span in line]
    assert {s.kind for s in spans if s.role == "wire" and s.net == ("base", "vae")} == {"VAE"}
    assert {s.box for s in spans if s.role == "border"} == {box.id for box in SDXL.boxes}
    assert {s.text.strip() for s in spans if s.role == "id" and s.box == "denoise"} == {"denoise"}


def test_linked_and_free_ports_differ_without_colour():
    lines = canvas(PICTURES["one"]).text().splitlines()
    assert lines[2].endswith("latent ○")
    assert "● image" in canvas(PICTURES["chain"]).text()


def test_states_take_the_place_of_the_idle_glyph():
    assert "─ ▶ denoise ─" in canvas(SDXL).text({"denoise": "▶"})


def test_a_source_stands_next_to_its_consumer():
    view = canvas(SDXL)
    assert view.rects["noise"].x == view.rects["guide"].x > view.rects["positive"].x


def test_broken_wires_mark_the_port_and_are_noted_below():
    view = canvas(PICTURES["cycle"])
    lines = view.text().splitlines()
    marked = [port for port, (x, y) in view.inputs.items() if lines[y][x] == "⚠"]
    assert sorted(marked) == [("b", "latent"), ("b", "vae"), ("c", "image")]
    assert lines[-3:] == [
        "⚠ b.latent ← a.latent (cycle)",
        "⚠ b.vae ← gone.vae (missing)",
        "⚠ c.image ← c.latent (cycle)",
    ]


def test_ports_of_an_unknown_type_are_those_its_wires_need():
    view = canvas(drawn("a Unknown", "b Save image=a.image"))
    assert set(view.outputs) == {("a", "image")}


def test_text_from_a_file_cannot_act_on_the_terminal_or_break_a_box():
    ports = (Port("ima\x00ge\u202e"), Port("絵" * 500), Port("e\u0301" * 40))
    text = canvas(Picture((Box("a\x1b]0;x\x07", "B\n\x9b31m", ports, ports),))).text()
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "⟨U+001B⟩" in text
    assert len({width(row) for row in text.splitlines()}) == 1
    assert width(text.splitlines()[0]) < 300


def test_12_nodes_are_drawn_at_once_and_200_without_a_wait():
    """The limits allow for a slow and busy machine: they catch a change of order, not of speed."""
    for picture, limit in ((PICTURES["refiner"], 0.25), (layered_grid(200), 3.0)):
        started = time.perf_counter()
        canvas(picture).text()
        assert time.perf_counter() - started < limit
