"""Sweeps: zip inside, product outside, counted before anything is made."""

import time
from typing import Any

import pytest
from toys import built, flow, good

from engine.bind import bind
from engine.errors import WeftError
from engine.sweep import Sweep

Axes = dict[str, Any]

SWEEPS: dict[str, tuple[Axes, Axes, list[tuple[Any, ...]]]] = {
    "b1_product": ({"a": [1, 2], "b": [3, 4]}, {}, [(1, 3), (1, 4), (2, 3), (2, 4)]),
    "b1_zip": ({}, {"a": [1, 2], "b": [3, 4]}, [(1, 3), (2, 4)]),
    "b1_zip_inside_product_outside": (
        {"a": [1, 2]},
        {"b": [3, 4], "c": ["x", "y"]},
        [(1, 3, "x"), (1, 4, "y"), (2, 3, "x"), (2, 4, "y")],
    ),
    "b2_nothing_is_one_run": ({}, {}, [()]),
    "s12_the_order_is_lexicographic": (
        {"b": [2, 1], "a": [9, 8, 7]},
        {},
        [(2, 9), (2, 8), (2, 7), (1, 9), (1, 8), (1, 7)],
    ),
    "one_value": ({"a": [5]}, {}, [(5,)]),
    "values_of_many_kinds": (
        {"a": [1, 1.0, "1", True, None, [1]]},
        {},
        [(1,), (1.0,), ("1",), (True,), (None,), ([1],)],
    ),
}


@pytest.mark.parametrize("case", SWEEPS)
def test_sweep(case: str) -> None:
    products, zips, expected = SWEEPS[case]
    sweep = Sweep(products, zips)
    variants = list(sweep)
    assert [tuple(v.values()) for v in variants] == expected
    assert [list(map(type, v.values())) for v in variants] == [list(map(type, e)) for e in expected]
    assert all(list(v) == [*products, *zips] for v in variants)
    assert len(sweep) == len(expected)
    assert list(sweep) == variants


WRONG: dict[str, tuple[Axes, Axes, list[str]]] = {
    "b6_unequal_lengths": (
        {},
        {"a": [1, 2], "b": [1]},
        ["E-SWEEP: zipped lists differ in length: a has 2, b has 1; give as many values to each"],
    ),
    "b6_the_same_param_twice": ({"a": [1]}, {"a": [2]}, ['E-SWEEP: "a" is swept twice; name it once']),
    "no_values": ({"a": []}, {}, ['E-SWEEP: "a" has no values; write a=a,b,c']),
    "a_text_is_no_list": ({"a": "abc"}, {}, ['E-SWEEP: "a" needs a list of values; "abc" is none']),
    "all_at_once": (
        {"a": [], "b": [1]},
        {"b": [2], "c": [1, 2]},
        [
            'E-SWEEP: "b" is swept twice; name it once',
            'E-SWEEP: "a" has no values; write a=a,b,c',
            "E-SWEEP: zipped lists differ in length: b has 1, c has 2; give as many values to each",
        ],
    ),
    "b3_the_cap": ({"a": range(10_001)}, {}, ["E-LIMIT: would run 10001 times, limit 10000; sweep fewer values"]),
    "b38_two_to_the_fortieth": (
        {f"p{i}": [0, 1] for i in range(40)},
        {},
        ["E-LIMIT: would run 1.1e12 times, limit 10000; sweep fewer values"],
    ),
    "b38_more_than_a_float_holds": (
        {f"p{i}": range(1000) for i in range(200)},
        {},
        ["E-LIMIT: would run 1.0e600 times, limit 10000; sweep fewer values"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong(case: str) -> None:
    products, zips, expected = WRONG[case]
    with pytest.raises(WeftError) as caught:
        Sweep(products, zips)
    assert [str(p) for p in caught.value.problems] == expected


def test_b3_the_cap_itself_is_allowed() -> None:
    assert len(Sweep({"a": range(100)}, {"b": range(100)})) == 10_000


def test_b4_the_count_needs_no_variant() -> None:
    started = time.perf_counter()
    assert all(len(Sweep({"a": range(100), "b": range(100)})) == 10_000 for _ in range(100))
    assert time.perf_counter() - started < 1


def test_b5_values_land_in_the_right_input() -> None:
    source = {**good(sample__steps="$steps"), "params": {"steps": 3}}
    workflow = built(source)
    graphs = [
        bind(workflow, variant)
        for variant in Sweep({"steps": [1, 2]}, {"sample.scale": [4, 5], "text.text": ["x", "y"]})
    ]
    seen = [
        (g.nodes["sample"].literals["steps"], g.nodes["sample"].literals["scale"], g.nodes["text"].literals["text"])
        for g in graphs
    ]
    assert seen == [(1, 4.0, "x"), (1, 5.0, "y"), (2, 4.0, "x"), (2, 5.0, "y")]


BOUND: dict[str, tuple[Axes, str]] = {
    "b6_unknown_param": ({"stesp": [1]}, 'E-PARAM wf: no param "stesp"; did you mean "steps"?'),
    "b6_wrong_type": ({"steps": [1, "2"]}, 'E-TYPE wf $steps: text "2"; expected an integer'),
    "b6_out_of_range": ({"sample.scale": [1, 101]}, "E-RANGE wf sample.scale: 101 is outside 0…100"),
}


@pytest.mark.parametrize("case", BOUND)
def test_bound(case: str) -> None:
    products, expected = BOUND[case]
    workflow = built(flow(good(sample__steps="$steps")["nodes"], {"steps": 3}))
    with pytest.raises(WeftError) as caught:
        [bind(workflow, variant) for variant in Sweep(products)]
    assert [str(p) for p in caught.value.problems] == [expected]
