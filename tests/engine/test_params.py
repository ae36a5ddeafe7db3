"""Params: their types come from what they feed; their values from the file, then from outside; seeds are drawn."""

from typing import Any

import pytest
from toys import built, flow, good, told

from engine.bind import bind, draw_seed
from engine.errors import WeftError


def with_params(params: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**good(**changes), "params": params}


PARAMS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "not_declared": (
        good(sample__steps="$step"),
        ['E-PARAM wf sample.steps: param "step" is not declared; add it to "params"'],
    ),
    "misspelt": (
        with_params({"steps": 3}, sample__steps="$step"),
        ['E-PARAM wf sample.steps: param "step" is not declared; did you mean "steps"?'],
    ),
    "wrong_type": (
        with_params({"n": "3"}, sample__steps="$n"),
        ['E-TYPE wf $n: text "3"; expected an integer'],
    ),
    "out_of_range": (
        with_params({"n": {"default": 3, "min": 5}}, sample__steps="$n"),
        ["E-RANGE wf $n: 3 is outside 5…10000"],
    ),
    "feeds_nothing": (with_params({"n": 3}), ['W-PARAM wf $n: param "n" feeds nothing']),
    "feeds_a_template": (with_params({"n": 3}, save__path="x-{n}.png"), []),
    "an_int_and_a_float": (with_params({"n": 3}, sample__steps="$n", sample__scale="$n"), []),
    "an_int_and_a_float_take_no_half": (
        with_params({"n": 2.5}, sample__steps="$n", sample__scale="$n"),
        ["E-TYPE wf $n: 2.5 is not whole"],
    ),
    "a_number_and_a_text": (
        with_params({"n": 3}, sample__steps="$n", text__text="$n"),
        ["E-PARAM wf $n: feeds text.text (TEXT) and sample.steps (INT); a param has one type; use two params"],
    ),
    "a_list_and_one": (
        with_params({"n": 3}, r={"type": "Mix", "images": ["@decode"], "weights": "$n"}, sample__scale="$n"),
        ["E-PARAM wf $n: feeds sample.scale (NUMBER) and r.weights ([NUMBER]); a param has one type; use two params"],
    ),
    "one_element_of_a_list": (
        with_params({"w": 3}, r={"type": "Mix", "images": ["@decode"], "weights": ["$w", 1]}),
        [],
    ),
    "a_whole_list": (
        with_params({"w": [3, 0.5]}, r={"type": "Mix", "images": ["@decode"], "weights": "$w"}),
        [],
    ),
    "into_a_link": (
        with_params({"m": "x"}, sample__model="$m"),
        ["E-PARAM wf $m: feeds sample.model, which takes MODEL; use a link there"],
    ),
    "no_number_suits_all": (
        with_params({"n": {"default": 200, "min": 150}}, sample__scale="$n"),
        ["E-PARAM wf $n: no number is at least 150 and at most 100; use two params"],
    ),
    "min_of_a_text": (
        with_params({"t": {"default": "x", "min": 1}}, text__text="$t"),
        ["E-PARAM wf $t: min and max are for numbers, not for TEXT; remove them"],
    ),
    "min_is_text": (
        with_params({"n": {"default": 3, "min": "1"}}, sample__steps="$n"),
        ['E-TYPE wf $n: min is "1"; expected a number'],
    ),
    "a_default_is_no_link": (
        with_params({"t": "@base"}, text__text="$t"),
        ['E-PARAM wf $t: "@base" is a link; a param holds a value; for the text itself write "@@base"'],
    ),
    "a_default_is_no_param": (
        with_params({"t": {"default": "$u"}}, text__text="$t"),
        ['E-PARAM wf $t: "$u" is a param; a param holds a value; for the text itself write "$$u"'],
    ),
    "steps_that_both_suit": (
        with_params({"n": 12}, a={"type": "Empty", "width": "$n", "height": "$n"}),
        ["E-RANGE wf $n: 12 is outside 16…16384"],
    ),
    "bad_names": (
        with_params({"a b": 1, "__x": 2, "9": 3}),
        [
            f'E-ID wf ${name}: "{name}" cannot be the name of a param; '
            "names are 1–64 letters, digits and _, not starting with a digit or __"
            for name in ("a b", "__x", "9")
        ],
    ),
    "b24_unknown_keys": (
        with_params({"n": {"default": 3, "mim": 1}}, sample__steps="$n"),
        ['E-KEY wf $n: "mim" unknown in a param; did you mean "min"?'],
    ),
    "b54_controls": (
        with_params({"t": "a\x07"}, text__text="$t"),
        ["W-CTRL wf $t: 1 control character; shown escaped; remove what is not meant"],
    ),
    "a_choice": (
        with_params({"s": "eulr"}, sample__sampler="$s"),
        ['E-CHOICE wf $s: "eulr" is not a choice; did you mean "euler"? one of euler, heun, ddim'],
    ),
}


@pytest.mark.parametrize("case", PARAMS)
def test_param(case: str) -> None:
    source, expected = PARAMS[case]
    assert told(source) == expected


GIVEN: dict[str, tuple[dict[str, Any], list[str]]] = {
    "b6_unknown_param": ({"promt": "x", "prompt": "y"}, ['E-PARAM wf: no param "promt"; did you mean "prompt"?']),
    "b6_wrong_type": (
        {"prompt": 3, "steps": "4"},
        ["E-TYPE wf $prompt: number 3; expected text", 'E-TYPE wf $steps: text "4"; expected an integer'],
    ),
    "unknown_node": ({"prompt": "x", "sampel.steps": 3}, ['E-PARAM wf: no node "sampel"; did you mean "sample"?']),
    "unknown_input": (
        {"prompt": "x", "sample.step": 3},
        ['E-PARAM wf: Sample has no input "step"; did you mean "steps"?'],
    ),
    "required": ({}, ['E-MISSING wf $prompt: param "prompt" has no value; give it: prompt=… (what to draw)']),
    "range_of_the_param": ({"prompt": "x", "steps": 151}, ["E-RANGE wf $steps: 151 is outside 1…150"]),
}

ASKS = with_params(
    {"prompt": {"about": "what to draw"}, "steps": {"default": 30, "max": 150}},
    text__text="$prompt",
    sample__steps="$steps",
)


@pytest.mark.parametrize("case", GIVEN)
def test_given(case: str) -> None:
    given, expected = GIVEN[case]
    with pytest.raises(WeftError) as caught:
        bind(built(ASKS), given)
    assert [str(p) for p in caught.value.problems] == expected
    assert caught.value.exit_code == 2


def test_b5_values_land_in_the_right_input() -> None:
    graph = bind(built(ASKS), {"prompt": "x", "sample.scale": 2, "sample.steps": 9})
    assert graph.nodes["text"].literals["text"] == "x"
    assert graph.nodes["sample"].literals["scale"] == 2.0
    assert graph.nodes["sample"].literals["steps"] == 9
    assert graph.values == {"prompt": "x", "steps": 30}
    assert graph.overrides == {("sample", "scale"): 2.0, ("sample", "steps"): 9}


def test_a_value_may_take_the_place_of_a_link() -> None:
    source = good(n={"type": "Count", "value": 3}, sample__steps="@n")
    node = bind(built(source), {"sample.steps": 5}).nodes["sample"]
    assert node.literals["steps"] == 5
    assert "n" not in {link.node for link in node.sources}


def test_one_workflow_is_bound_many_times() -> None:
    workflow = built(ASKS)
    before = {name: dict(node.literals) for name, node in workflow.nodes.items()}
    bind(workflow, {"prompt": "x", "sample.scale": 2})
    assert {name: dict(node.literals) for name, node in workflow.nodes.items()} == before


def test_an_element_of_a_list_is_made_a_float() -> None:
    source = with_params({"w": 3}, r={"type": "Mix", "images": ["@decode"], "weights": ["$w", 1]})
    graph = bind(built(source))
    assert [(type(v), v) for v in graph.nodes["r"].literals["weights"]] == [(float, 3.0), (float, 1.0)]


SEEDS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, int], tuple[str, ...]]] = {
    "b18_absent": ({"seed": ...}, {}, {"sample.seed": 99}, ("sample.seed",)),
    "b18_null": ({"seed": None}, {}, {"sample.seed": 99}, ("sample.seed",)),
    "b18_minus_one": ({"seed": -1}, {}, {"sample.seed": 99}, ("sample.seed",)),
    "b18_given": ({"seed": 5}, {}, {"sample.seed": 5}, ()),
    "b18_zero": ({"seed": 0}, {}, {"sample.seed": 0}, ()),
    "b18_minus_one_from_outside": ({"seed": 5}, {"sample.seed": -1}, {"sample.seed": 99}, ("sample.seed",)),
    "b18_param": ({"seed": "$s"}, {}, {"s": 99}, ("s",)),
    "b18_param_from_outside": ({"seed": "$s"}, {"s": 2**64 - 1}, {"s": 2**64 - 1}, ()),
    "b18_input_that_a_param_feeds": ({"seed": "$s"}, {"s": 3, "sample.seed": 4}, {"s": 3, "sample.seed": 4}, ()),
    "optional_absent": ({"seed": 1, "second_seed": ...}, {}, {"sample.seed": 1}, ()),
    "optional_null": ({"seed": 1, "second_seed": None}, {}, {"sample.seed": 1}, ()),
    "optional_minus_one": (
        {"seed": 1, "second_seed": -1},
        {},
        {"sample.seed": 1, "sample.second_seed": 99},
        ("sample.second_seed",),
    ),
    "one_param_for_both": ({"seed": "$s", "second_seed": "$s"}, {}, {"s": 99}, ("s",)),
}


@pytest.mark.parametrize("case", SEEDS)
def test_seed(case: str) -> None:
    inputs, given, seeds, drawn = SEEDS[case]
    source = with_params({"s": {"default": -1}} if "$s" in inputs.values() else {})
    sample = source["nodes"]["sample"]
    del sample["seed"]
    sample.update({name: value for name, value in inputs.items() if value is not ...})
    graph = bind(built(source), given, draw=lambda: 99)
    assert (graph.seeds, graph.drawn) == (seeds, drawn)
    literals = graph.nodes["sample"].literals
    assert literals["seed"] == seeds.get("sample.seed", seeds.get("s"))
    assert literals["second_seed"] == seeds.get("sample.second_seed", 99 if "one_param" in case else None)


def test_b18_a_drawn_seed_is_short_and_recorded() -> None:
    source = good()
    del source["nodes"]["sample"]["seed"]
    workflow = built(source)
    graph = bind(workflow)
    assert 0 <= graph.seeds["sample.seed"] < 2**32
    resolved = workflow.document.resolved(graph.values, graph.overrides)
    assert resolved["nodes"]["sample"]["seed"] == graph.seeds["sample.seed"]
    assert draw_seed() != draw_seed() or draw_seed() != draw_seed()


def test_a_param_that_is_used_nowhere_needs_no_value() -> None:
    assert bind(built(flow({**good()["nodes"]}, {"n": {"about": "idle"}}))).values == {"n": None}
