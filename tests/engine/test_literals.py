"""What an input takes: literals of the wrong type, out of range, too large, in the exact words."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from toys import built, flow, good, told

from engine.bind import bind
from engine.errors import WeftError

TEN_MB = "x" * 10_000_000


def sample(**inputs: object) -> dict[str, Any]:
    return good(**{f"sample__{name}": value for name, value in inputs.items()})


def empty(**inputs: object) -> dict[str, Any]:
    return flow(
        {
            "2": {"type": "Empty", **inputs},
            "d": {"type": "Decode", "latent": "@2"},
            "s": {"type": "Save", "image": "@d"},
        }
    )


def mix(**inputs: object) -> dict[str, Any]:
    return good(m={"type": "Mix", "images": ["@decode"], **inputs})


VALUES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "b19_seed_too_large": (
        sample(seed=2**64),
        ["E-RANGE wf sample.seed: 18446744073709551616 is outside 0…18446744073709551615"],
    ),
    "b19_seed_of_minus_two": (
        sample(seed=-2),
        ["E-RANGE wf sample.seed: −2 is outside 0…18446744073709551615"],
    ),
    "b19_the_largest_seed": (sample(seed=2**64 - 1), []),
    "b41_text": (sample(steps="20"), ['E-TYPE wf sample.steps: text "20"; expected an integer']),
    "b42_true": (sample(steps=True), ["E-TYPE wf sample.steps: boolean true; expected an integer"]),
    "b42_true_is_no_number": (sample(scale=False), ["E-TYPE wf sample.scale: boolean false; expected a number"]),
    "b42_one_is_not_true": (
        good(m={"type": "Maybe", "sure": 1}),
        ["E-TYPE wf m.sure: number 1; expected true or false"],
    ),
    "b43_not_whole": (sample(steps=20.5), ["E-TYPE wf sample.steps: 20.5 is not whole"]),
    "b43_whole_but_written_as_a_float": (
        sample(steps=20.0),
        ["E-TYPE wf sample.steps: 20.0 is not an integer; write 20"],
    ),
    "b44_zero": (sample(steps=0), ["E-RANGE wf sample.steps: 0 is outside 1…10000"]),
    "b45_a_million": (sample(steps=1_000_000), ["E-RANGE wf sample.steps: 1000000 is outside 1…10000"]),
    "b46_negative": (empty(width=-512), ["E-RANGE wf 2.width: −512 is outside 16…16384"]),
    "b47_none": (empty(width=0), ["E-RANGE wf 2.width: 0 is outside 16…16384"]),
    "b48_no_multiple": (
        empty(width=513),
        ["E-STEP wf 2.width: 513 is not a multiple of 8; nearest: 512, 520"],
    ),
    "b48_no_multiple_near_the_end": (
        empty(width=16383, height=17),
        [
            "E-STEP wf 2.width: 16383 is not a multiple of 8; nearest: 16376, 16384",
            "E-STEP wf 2.height: 17 is not a multiple of 8; nearest: 16, 24",
        ],
    ),
    "b48_floats": (
        good(x={"type": "Scale", "image": "@decode", "factor": 0.25}),
        ["E-STEP wf x.factor: 0.25 is not a multiple of 0.1; nearest: 0.2, 0.3"],
    ),
    "b48_three_times_a_tenth": (good(x={"type": "Scale", "image": "@decode", "factor": 0.3}), []),
    "b49_too_large_before_anything_is_allocated": (
        empty(width=16384, height=16384, batch=64),
        ["E-LIMIT wf 2.width: needs about 0.2 TB; limit 10 GB; make it smaller"],
    ),
    "b50_nan_as_text": (sample(scale="nan"), ['E-TYPE wf sample.scale: text "nan"; expected a number']),
    "b50_a_number_of_python": (sample(scale="1_0"), ['E-TYPE wf sample.scale: text "1_0"; expected a number']),
    "b51_no_choice": (
        sample(sampler="eulerr"),
        ['E-CHOICE wf sample.sampler: "eulerr" is not a choice; did you mean "euler"? one of euler, heun, ddim'],
    ),
    "b51_nothing_like_it": (
        sample(sampler="qqq"),
        ['E-CHOICE wf sample.sampler: "qqq" is not a choice; known: euler, heun, ddim'],
    ),
    "b51_a_number": (sample(sampler=1), ["E-TYPE wf sample.sampler: number 1; expected one of euler, heun, ddim"]),
    "b52_null": (good(text__text=None), ["E-TYPE wf text.text: null; expected text"]),
    "b52_a_list": (good(text__text=["a"]), ["E-TYPE wf text.text: a list; expected text"]),
    "b52_an_object": (good(text__text={"a": 1}), ["E-TYPE wf text.text: an object; expected text"]),
    "b54_controls": (
        good(text__text="a\x00b\x1b[31m"),
        ["W-CTRL wf text.text: 2 control characters; shown escaped; remove what is not meant"],
    ),
    "b54_lines_and_tabs_are_none": (good(text__text="a\tb\r\nc"), []),
    "b54_one_in_a_list": (
        mix(labels=["a", "b\x07"]),
        ["W-CTRL wf m.labels: 1 control character; shown escaped; remove what is not meant"],
    ),
    "b56_markup_is_text": (good(text__text="[@click=app.quit]x[/]"), []),
    "b57_broken_markup_is_text": (good(text__text="[/boom] [bold"), []),
    "list_elements_are_each_checked": (
        mix(weights=[1, "a", 2.5, None], labels=["x", 3, "$n"]),
        [
            'E-TYPE wf m.weights: text "a"; expected a number',
            "E-TYPE wf m.weights: null; expected a number",
            "E-TYPE wf m.labels: number 3; expected text",
            'E-PARAM wf m.labels: param "n" is not declared; add it to "params"',
        ],
    ),
    "a_list_must_be_one": (mix(weights=1), ["E-TYPE wf m.weights: number 1; expected a list of a number"]),
    "links_beside_literals_are_checked_too": (
        good(
            r={"type": "Ratio", "value": 1}, m={"type": "Mix", "images": ["@decode"], "weights": ["@r", "x", "@text"]}
        ),
        [
            'E-TYPE wf m.weights: text "x"; expected a number',
            "E-TYPE wf m.weights: gets LATENT from text, expects [NUMBER]",
        ],
    ),
    "a_huge_message_is_cut": (
        sample(steps=list(range(1000))),
        ["E-TYPE wf sample.steps: a list; expected an integer"],
    ),
}


@pytest.mark.parametrize("case", VALUES)
def test_value(case: str) -> None:
    source, expected = VALUES[case]
    assert told(source) == expected
    assert len(told(json.dumps(source))) == len(expected)


def test_b53_a_prompt_of_ten_megabytes() -> None:
    assert told(good(text__text=TEN_MB)) == ["E-SIZE wf text.text: text of 9.5 MiB, limit 64.0 KiB; make it shorter"]
    assert told(good(text__text="é" * 32768)) == []
    assert told(good(text__text="é" * 32769)) == [
        "E-SIZE wf text.text: text of 64.0 KiB, limit 64.0 KiB; make it shorter"
    ]


def test_b55_half_a_character() -> None:
    text = json.dumps(good(text__text="a fox in snow\ud800"))
    (line,) = told(text)
    assert line.startswith("E-ENC wf.json:1:")
    assert " text.text: not valid Unicode at character 14" in line


GIVEN: dict[str, tuple[str, object, str]] = {
    "b55_half_a_character": (
        "text.text",
        "a fox in snow\ud800",
        "E-ENC wf text.text: not valid Unicode at character 14; remove it",
    ),
    "b53_too_long": ("text.text", TEN_MB, "E-SIZE wf text.text: text of 9.5 MiB, limit 64.0 KiB; make it shorter"),
    "b14_nan": ("sample.scale", math.nan, "E-NUM wf sample.scale: NaN is not a number a workflow can hold"),
    "b15_infinity": ("sample.scale", -math.inf, "E-NUM wf sample.scale: -Infinity is not a number a workflow can hold"),
    "b17_too_many_digits": ("sample.steps", 10**5000, "E-NUM wf sample.steps: an integer of 5001 digits, limit 20"),
    "b17_too_many_digits_for_a_float": (
        "sample.scale",
        10**400,
        "E-NUM wf sample.scale: an integer of 401 digits, limit 20",
    ),
    "b41_text": ("sample.steps", "20", 'E-TYPE wf sample.steps: text "20"; expected an integer'),
    "b42_true": ("sample.steps", True, "E-TYPE wf sample.steps: boolean true; expected an integer"),
    "b44_zero": ("sample.steps", 0, "E-RANGE wf sample.steps: 0 is outside 1…10000"),
    "b49_too_large": ("e.batch", 64, "E-LIMIT wf e.width: needs about 0.2 TB; limit 10 GB; make it smaller"),
    "a_python_object": ("sample.steps", Path("x"), "E-TYPE wf sample.steps: a Python PosixPath; expected an integer"),
    "an_object_with_nan": (
        "m.values",
        {"a": math.nan},
        "E-TYPE wf m.values: an object with something in it that JSON cannot hold; "
        "use text, finite numbers, true, false, null, lists and objects",
    ),
    "a_link_can_not_be_given": (
        "decode.latent",
        "@text",
        "E-PARAM wf decode.latent: takes LATENT, which only a link can give; set a param or a literal input",
    ),
}


@pytest.mark.parametrize("case", GIVEN)
def test_a_value_from_outside_is_held_to_the_same_rules(case: str) -> None:
    name, value, expected = GIVEN[case]
    extra = {"e": {"type": "Empty", "width": 16384, "height": 16384}, "m": {"type": "Mix", "images": ["@decode"]}}
    with pytest.raises(WeftError) as caught:
        bind(built(good(**extra)), {name: value})
    assert [str(p) for p in caught.value.problems] == [expected]


def test_what_is_given_is_never_a_link() -> None:
    graph = bind(built(good()), {"text.text": "@base.clip", "base.name": "$seed"})
    assert graph.nodes["text"].literals["text"] == "@base.clip"
    assert graph.nodes["base"].literals["name"] == "$seed"


def test_an_integer_becomes_a_float_where_only_a_float_will_do() -> None:
    nodes = built(mix(weights=[1, 2.5])).nodes
    assert [type(v) for v in nodes["m"].literals["weights"]] == [float, float]
    assert type(bind(built(good()), {"sample.scale": 3}).nodes["sample"].literals["scale"]) is float
    assert type(built(sample(scale=3)).nodes["sample"].literals["scale"]) is float
