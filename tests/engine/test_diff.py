"""What differs between two workflows."""

import pytest

from engine.diff import compare

BASE = {
    "format": 1,
    "name": "n",
    "params": {"steps": 20, "seed": {"default": 7, "about": "s"}},
    "nodes": {"a": {"type": "A", "x": 1, "y": [1, 2]}, "b": {"type": "B", "in": "@a"}},
}
B = BASE["nodes"]["b"]


def changed(**parts):
    return {**BASE, **parts}


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (changed(), []),
        (changed(nodes=dict(reversed(BASE["nodes"].items()))), []),
        (changed(params={"steps": {"default": 20.0}, "seed": {"about": "s", "default": 7}}), []),
        (changed(name="m"), ['~ name: "n" → "m"']),
        (changed(about="x\x1b"), ['+ about: "x⟨U+001B⟩"']),
        (changed(params={"seed": 7}), ["- param $steps = 20", '- $seed.about: "s"']),
        (changed(params={**BASE["params"], "cfg": {"about": "w"}}), ["+ param $cfg"]),
        (changed(nodes={"a": {"type": "A", "x": True, "y": [1, 2]}, "b": B}), ["~ a.x: 1 → true"]),
        (changed(nodes={"a": {"type": "A", "x": 1, "y": [1, 3]}, "b": B}), ["~ a.y: [1, 2] → [1, 3]"]),
        (changed(nodes={"a": {"type": "Z", "y": [1, 2]}, "b": B}), ['~ a.type: "A" → "Z"', "- a.x: 1"]),
        (changed(nodes={"a": BASE["nodes"]["a"], "c": B}), ["- node b (B)", "+ node c (B)"]),
        (changed(nodes={**BASE["nodes"], "q": 3}), ["+ node q ()"]),
    ],
)  # fmt: skip
def test_every_difference_is_named_down_to_the_input(other, expected):
    assert [str(d) for d in compare(BASE, other)] == expected


def test_the_other_way_round_every_sign_is_turned():
    other = changed(nodes={"a": {"type": "A", "x": 2, "z": 1}}, params={"steps": 1})
    there, back = compare(BASE, other), compare(other, BASE)
    turned = {(d.path, {"+": "-", "-": "+", "~": "~"}[d.sign]) for d in back}
    assert turned == {(d.path, d.sign) for d in there}
    assert len(there) == 6
