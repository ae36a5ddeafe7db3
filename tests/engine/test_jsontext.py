"""JSON read strictly: what is read, where it stands, how long it takes, and its canonical text."""

import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.jsonscan import problems
from engine.jsontext import Json, JsonPath, JsonValue, dump_canonical, parse
from engine.source import Source


def read(text: str) -> Json:
    return parse(Source("wf.json", text))


def test_what_json_allows_is_read() -> None:
    text = (
        ' {"a": [1, -0, 1.5e3, true, false, null, "\\ud83e\\udd8a \\\\ud800 é"], "\\u0061b": 18446744073709551616} \r\n'
    )
    value = read(text).value
    assert value == {"a": [1, 0, 1500.0, True, False, None, "🦊 \\ud800 é"], "ab": 2**64}
    assert read("[" * 64 + "]" * 64).value == json.loads("[" * 64 + "]" * 64)


WORKFLOW = """{
  "format": 1,
  "nodes": {
    "a": {"type": "X", "s": [10, {"t": true}]},
    "é": {"type": "Y",   "seed" : 7}
  }
}
"""

PLACES: list[tuple[JsonPath, bool, tuple[int, int]]] = [
    ((), False, (1, 1)),
    ((), True, (1, 1)),
    (("format",), False, (2, 13)),
    (("format",), True, (2, 3)),
    (("nodes", "a"), False, (4, 10)),
    (("nodes", "a"), True, (4, 5)),
    (("nodes", "a", "s", 0), False, (4, 30)),
    (("nodes", "a", "s", 0), True, (4, 30)),
    (("nodes", "a", "s", 1, "t"), True, (4, 35)),
    (("nodes", "é", "seed"), False, (5, 35)),
    (("nodes", "é", "seed"), True, (5, 26)),
    # What is not there has the place of what should hold it.
    (("nodes", "a", "none"), True, (4, 10)),
    (("nodes", "b", "s"), False, (3, 12)),
    (("format", "deeper"), False, (2, 13)),
]


@pytest.mark.parametrize(("path", "key", "place"), PLACES)
def test_locate(path: JsonPath, key: bool, place: tuple[int, int]) -> None:
    assert read(WORKFLOW).locate(path, key) == place


def test_locate_without_spaces() -> None:
    found = read('{"a":[1,2,[3]],"b":{"c":4,"d":5}}')
    places = {path: found.locate(path)[1] for path in [("a", 1), ("a", 2, 0), ("b", "c"), ("b", "d")]}
    assert places == {("a", 1): 9, ("a", 2, 0): 12, ("b", "c"): 25, ("b", "d"): 31}


def test_excerpt_of_a_place_asked_for_in_any_order() -> None:
    found = read(WORKFLOW)
    assert found.excerpt(5, 26) == '      "é": {"type": "Y",   "seed" : 7}\n' + " " * 27 + "^"
    assert found.excerpt(*found.locate(("format",))) == '    "format": 1,\n' + " " * 14 + "^"
    assert found.excerpt(99, 1) == "  \n  ^"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20) + 1, 10**20 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def same(a: object, b: object) -> bool:
    """Equal, and of equal types all through."""
    return json.dumps(a) == json.dumps(b)


@given(json_values, st.sampled_from([None, 0, 2]), st.booleans())
def test_parse_gives_back_what_json_wrote(value: JsonValue, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert same(read(text).value, value)
    assert problems(Source("", text)) == []


def every_path(value: JsonValue) -> list[JsonPath]:
    inner: list[tuple[str | int, JsonValue]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [()] + [(step, *rest) for step, child in inner for rest in every_path(child)]


@given(json_values, st.sampled_from([None, 1]))
def test_locate_points_at_the_text_of_the_value(value: JsonValue, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    found, lines = read(text), text.split("\n")
    for path in every_path(value):
        part = value
        for step in path:
            part = part[step]  # type: ignore[index]
        line, column = found.locate(path)
        rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
        assert same(json.JSONDecoder().raw_decode(rest)[0], part)
        if path and isinstance(path[-1], str):
            line, column = found.locate(path, key=True)
            assert lines[line - 1][column - 1 :].startswith(json.dumps(path[-1], ensure_ascii=False))


def many_nodes(count: int) -> str:
    node = {"type": "Sampler", "model": "@n.model", "text": "a red fox in snow at dawn", "steps": 30, "scale": 7.5}
    return json.dumps({"format": 1, "nodes": {f"node{i}": node for i in range(count)}}, indent=1)


def test_ten_thousand_nodes_are_read_in_time() -> None:
    """Budget 60 ms, and 25 times that for the reading that names everything; asserted with room for a busy machine."""
    text = many_nodes(10_000)
    start = time.process_time()
    found = read(text)
    fast = time.process_time() - start
    start = time.process_time()
    assert problems(Source("", text)) == []
    strict = time.process_time() - start
    assert fast < 0.3
    assert strict < 3
    start = time.process_time()
    places = [found.locate(("nodes", f"node{i}", "scale")) for i in range(10_000)]
    assert time.process_time() - start < 5
    assert places[0] == (9, 13)
    assert places[-1] == (9 + 7 * 9_999, 13)


CANONICAL: list[tuple[JsonValue, str]] = [
    ({"b": 1, "a": [1.0, True, None]}, '{"a":[1.0,true,null],"b":1}'),
    (1, "1"),
    (1.0, "1.0"),
    ("1", '"1"'),
    (True, "true"),
    (-0.0, "-0.0"),
    (0.1 + 0.2, "0.30000000000000004"),
    (1e300, "1e+300"),
    ("é\u2028", r'"\u00e9\u2028"'),
    ({}, "{}"),
]


@pytest.mark.parametrize(("value", "text"), CANONICAL)
def test_dump_canonical(value: JsonValue, text: str) -> None:
    assert dump_canonical(value) == text


@given(json_values)
def test_dump_canonical_is_the_same_in_any_order(value: JsonValue) -> None:
    text = dump_canonical(value)
    assert dump_canonical(read(text).value) == text
    if isinstance(value, dict):
        assert dump_canonical(dict(reversed(value.items()))) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": [-math.inf]}])
def test_dump_canonical_takes_no_number_that_is_not_finite(value: JsonValue) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_canonical(value)
