"""One value changes; every other character stays."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import WorkflowError
from engine.jsonedit import remove_value, replace_value
from engine.jsontext import JsonPath, parse
from engine.source import Source

FILE = """{
    "nodes": {
        "a":     {"type": "X", "s": 1},
        "b": {}
    },
    "l": [1,  2],
    "e": {  }
}
"""

IN_FILE: dict[str, tuple[JsonPath, str, str, str]] = {
    "a_value": (("nodes", "a", "s"), "[2]", '"s": 1}', '"s": [2]}'),
    "an_object": (("nodes", "a"), "null", '{"type": "X", "s": 1}', "null"),
    "an_element": (("l", 0), "5", "[1,  2]", "[5,  2]"),
    "a_new_key_in_a_line": (("nodes", "a", "t"), '"x"', '"s": 1}', '"s": 1, "t": "x"}'),
    "a_new_key_in_lines": (("nodes", "c"), "{}", '"b": {}\n', '"b": {},\n        "c": {}\n'),
    "a_first_key": (("nodes", "b", "k"), "1", '"b": {}', '"b": {\n            "k": 1\n        }'),
    "a_first_key_after_spaces": (("e", "k"), "1", '"e": {  }', '"e": {\n        "k": 1\n    }'),
    "a_new_element": (("l", 2), "3", "2]", "2,  3]"),
    "a_new_key_at_the_top": (("f",), "1", '"e": {  }\n', '"e": {  },\n    "f": 1\n'),
}


@pytest.mark.parametrize("case", IN_FILE)
def test_in_a_file(case: str) -> None:
    path, value, before, after = IN_FILE[case]
    assert FILE.count(before) == 1
    assert replace_value(FILE, path, value) == FILE.replace(before, after)


ALONE: list[tuple[str, JsonPath, str]] = [
    (" 1 \n", (), " 9 \n"),
    ("{}", ("b",), '{"b": 9}'),
    ("[]", (0,), "[9]"),
    ("[1]", (1,), "[1, 9]"),
    ("[1,2]", (2,), "[1,2,9]"),
    ('{"a":1}', ("b",), '{"a":1,"b":9}'),
    ('{"a": 1}', ("b",), '{"a": 1, "b": 9}'),
    ('{ "a" : 1 }', ("b",), '{ "a" : 1, "b": 9 }'),
    ('{\r\n\t"a": 1\r\n}', ("b",), '{\r\n\t"a": 1,\r\n\t"b": 9\r\n}'),
    ('{\r\n\t"a": {}\r\n}', ("a", "b"), '{\r\n\t"a": {\r\n\t\t"b": 9\r\n\t}\r\n}'),
    ('{"a": "},{"}', ("a",), '{"a": 9}'),
    ('{"\\u0061": 1}', ("a",), '{"\\u0061": 9}'),
]


@pytest.mark.parametrize(("text", "path", "expected"), ALONE)
def test_alone(text: str, path: JsonPath, expected: str) -> None:
    assert replace_value(text, path, "9") == expected


@pytest.mark.parametrize("path", [("x", "y"), ("l", 7), ("l", "k"), ("nodes", 0), ("nodes", "a", "s", "deeper")])
def test_nothing_holds_the_value(path: JsonPath) -> None:
    with pytest.raises(KeyError):
        replace_value(FILE, path, "1")


def test_the_new_value_must_be_json() -> None:
    with pytest.raises(WorkflowError, match="E-NUM new value:1:1: NaN"):
        replace_value(FILE, ("f",), "NaN")


@given(
    st.sampled_from([("nodes", "a", "s"), ("nodes", "a", "new"), ("l", 2), ("l", 1), ("e", "é\n"), ("nodes",)]),
    st.recursive(
        st.none() | st.text('a\n{"é', max_size=4), lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner)
    ),
    st.sampled_from([None, 1, 4]),
)
def test_the_text_then_holds_the_value_and_else_what_it_held(path: JsonPath, value: object, indent: int | None) -> None:
    expected = json.loads(FILE)
    holder = expected
    for step in path[:-1]:
        holder = holder[step]
    if isinstance(holder, list) and path[-1] == len(holder):
        holder.append(value)
    else:
        holder[path[-1]] = value
    assert parse(Source("", replace_value(FILE, path, json.dumps(value, indent=indent)))).value == expected


REMOVED: list[tuple[str, JsonPath, str]] = [
    ('{"a": 1}', ("a",), "{}"),
    ('{\n  "a": 1\n}', ("a",), "{}"),
    ('{"a": 1, "b": 2, "c": 3}', ("a",), '{"b": 2, "c": 3}'),
    ('{"a": 1, "b": 2, "c": 3}', ("b",), '{"a": 1, "c": 3}'),
    ('{"a": 1, "b": 2, "c": 3}', ("c",), '{"a": 1, "b": 2}'),
    ('{\n  "a": 1,\n  "b": {"x": "},{"}\n}\n', ("b",), '{\n  "a": 1\n}\n'),
    ('{\n  "a": 1,\n  "b": {"x": "},{"}\n}\n', ("b", "x"), '{\n  "a": 1,\n  "b": {}\n}\n'),
    ("[1, 2, 3]", (1,), "[1, 3]"),
]


@pytest.mark.parametrize(("text", "path", "expected"), REMOVED)
def test_a_value_goes_with_its_key_and_comma(text: str, path: JsonPath, expected: str) -> None:
    assert remove_value(text, path) == expected


@pytest.mark.parametrize("path", [(), ("x",), ("nodes", "c"), ("l", 2), ("nodes", "a", "s", "deeper")])
def test_what_is_not_there_cannot_be_removed(path: JsonPath) -> None:
    with pytest.raises(KeyError):
        remove_value(FILE, path)
