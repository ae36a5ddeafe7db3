"""Bypassed nodes hand on what they got; muted ones take along whatever needs them."""

from typing import Any

import pytest
from toys import REGISTRY

from engine.rewire import passes, without

NODES: dict[str, Any] = {
    "load": {"type": "Load"},
    "text": {"type": "Encode", "clip": "@load.clip", "text": "a"},
    "first": {"type": "Sample", "model": "@load.model", "latent": "@text", "steps": 1},
    "second": {"type": "Sample", "model": "@load.model", "latent": "@first", "steps": 1},
    "decode": {"type": "Decode", "latent": "@second"},
    "scale": {"type": "Scale", "image": "@decode"},
    "mix": {"type": "Mix", "images": ["@scale", "@decode"]},
    "count": {"type": "Count", "value": "$n"},
    "save": {"type": "Save", "image": "@mix"},
    "save_2": {"type": "Save", "image": "@scale"},
}
DATA = {"format": 1, "params": {"n": 3}, "nodes": NODES}


def left(bypassed: str = "", muted: str = "") -> tuple[dict[str, Any], set[str]]:
    found, out = without(DATA, REGISTRY, bypassed.split(), muted.split())
    assert found["params"] == {"n": 3}
    return found["nodes"], out


def test_nothing_out_of_the_way_is_the_same_workflow() -> None:
    assert left() == (NODES, set())


def test_a_bypassed_node_hands_on_its_first_input_of_the_type() -> None:
    nodes, out = left("scale")
    assert out == {"scale"}
    assert nodes["save_2"]["image"] == "@decode"
    assert nodes["mix"]["images"] == ["@decode", "@decode"]


def test_several_in_a_row_hand_on_what_the_first_got() -> None:
    nodes, out = left("first second")
    assert nodes["decode"]["latent"] == "@text"
    assert out == {"first", "second"}


def test_of_a_list_the_first_is_handed_on() -> None:
    assert left("mix")[0]["save"]["image"] == "@scale"


def test_where_nothing_fits_what_needs_it_goes_too() -> None:
    assert left("decode")[1] == {"decode", "scale", "mix", "save", "save_2"}
    assert left("load")[1] == NODES.keys() - {"count"}


def test_a_muted_node_takes_what_needs_it_along() -> None:
    nodes, out = left(muted="scale")
    assert out == {"scale", "mix", "save", "save_2"}
    assert nodes["decode"] == NODES["decode"]


def test_muting_wins_over_bypassing() -> None:
    assert left("scale", "scale")[1] == left("", "scale")[1]


def test_a_circle_of_bypassed_nodes_ends() -> None:
    nodes = {"a": {"type": "Scale", "image": "@b"}, "b": {"type": "Scale", "image": "@a"},
             "save": {"type": "Save", "image": "@b"}}  # fmt: skip
    assert without({"nodes": nodes}, REGISTRY, ["a", "b"])[1] == {"a", "b", "save"}


def test_what_is_broken_is_left_as_it_is() -> None:
    nodes = {"a": 3, "b": {"type": "Nope", "x": "@a"}, "c": {"type": ["Load"]}, "d": {"type": "Save", "image": "@c"}}
    found, out = without({"nodes": nodes}, REGISTRY, ["b", "ghost"])
    assert out == {"b"}
    assert found["nodes"]["d"] == nodes["d"]
    assert found["nodes"]["a"] == 3


@pytest.mark.parametrize(
    ("kind", "output", "name"),
    [("Scale", "", "image"), ("Mix", "", "images"), ("Load", "model", ""), ("Count", "", "value"), ("Scale", "x", "")],
)
def test_which_input_is_handed_on(kind: str, output: str, name: str) -> None:
    cls = REGISTRY.get(kind)
    assert cls is not None
    assert passes(cls, output) == name
