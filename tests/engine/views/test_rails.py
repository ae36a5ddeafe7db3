import pytest
from view_goldens import check
from view_pictures import PICTURES, drawn, layered_grid

from engine.views import rails


@pytest.mark.parametrize("name", PICTURES)
def test_rails_golden(name):
    check(f"{name}.rails.txt", rails(PICTURES[name]).text())


@pytest.mark.parametrize("name", PICTURES)
def test_there_is_one_row_a_node_and_all_lanes_are_equally_wide(name):
    view = rails(PICTURES[name])
    assert sorted(view.order) == sorted(box.id for box in PICTURES[name].boxes)
    assert {sum(len(span.text) for span in row.lanes) for row in view.rows} <= {view.columns}


def test_42_nodes_fit_80_columns():
    text = rails(PICTURES["large"]).text()
    assert len(PICTURES["large"].boxes) == 42
    assert max(map(len, text.splitlines())) <= 80


def test_200_nodes_take_200_rows():
    assert len(rails(layered_grid(200)).text().splitlines()) == 200


def test_sources_stand_above_their_targets_whatever_the_order_in_the_file():
    lines = ["save S image=c.image", "c C image=b.image -> image", "b B image=a.image -> image", "a A -> image"]
    assert rails(drawn(*lines)).order == ("a", "b", "c", "save")


def test_the_larger_sub_tree_comes_first():
    small_first = drawn(
        "end E small=s.x big=b2.x",
        "s S -> x",
        "b1 B -> x",
        "b2 B x=b1.x -> x",
    )
    assert rails(small_first).order == ("b1", "b2", "s", "end")


def test_spans_carry_wire_and_socket_for_colour():
    row = rails(PICTURES["multi-edges"]).rows[0]
    marked = {(span.net, span.kind) for span in row.lanes if span.net}
    assert marked == {
        (("base", "model"), "MODEL"),
        (("base", "text_encoder"), "TEXT ENCODER"),
        (("base", "vae"), "VAE"),
    }


def test_a_line_has_no_colour_where_it_carries_two_values():
    last = rails(PICTURES["diamond"]).rows[-1]
    assert [(s.text, s.net and s.net[0]) for s in last.lanes] == [
        ("  ", None),
        ("╰─", "left"),
        ("┴", "right"),
        ("─", None),
    ]


def test_states_take_the_place_of_the_idle_glyph():
    text = rails(PICTURES["chain"]).text({"photo": "✓", "edges": "▶"})
    assert [line.split()[0][-1] for line in text.splitlines()] == ["✓", "▶", "○", "○"]


def test_broken_wires_are_noted_in_words_where_they_end():
    notes = {row.id: [span.text for span in row.notes] for row in rails(PICTURES["cycle"]).rows}
    assert notes == {
        "seed": [],
        "a": [],
        "b": ["⚠ b.latent ← a.latent (cycle)", "⚠ b.vae ← gone.vae (missing)"],
        "c": ["⚠ c.image ← c.latent (cycle)"],
    }


def test_text_from_a_file_cannot_act_on_the_terminal():
    text = rails(drawn("a\x1b[31m \u202eB -> x", "c D x=gone\x07.x")).text()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\x07" not in text
    assert "⟨U+001B⟩" in text


def test_wide_letters_keep_the_columns_straight():
    lines = rails(drawn("絵 Load -> image", "save Save image=絵.image")).text().splitlines()
    assert lines == ["╭─○ 絵    Load", "╰─○ save  Save"]
