"""Canonical JSON: the quick way and the library's give the same text, which is that of RFC 8785."""

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from engine.canonical import canonical, digest

EDGES = [sign * edge * (1 + part) for sign in (1, -1) for edge in (2.0**53, 1e16, 1e21, 1e-4, 1e-6) for part in (
    -2.0**-52, 0.0, 2.0**-52)]  # fmt: skip
"""Where one way of writing numbers ends and another begins, and the nearest on both sides."""
NUMBERS = (
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.sampled_from(EDGES)
)  # fmt: skip
VALUES = st.recursive(
    NUMBERS | st.booleans() | st.none() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(VALUES)
def test_it_is_the_text_of_the_rfc(value):
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", EDGES)
def test_edges(value):
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(("value", "text"), [
    ({"b": 1.0, "a": [1, True, None]}, '{"a":[1,true,null],"b":1}'),
    (2**64 - 1, '"18446744073709551615"'),
    ({"€": 1e-7, "a": 2**53}, '{"a":"9007199254740992","€":1e-7}'),
    ("é\x1b\n\"", '"é\\u001b\\n\\""'),
    (-0.0, "0"),
    (2.0**53, "9007199254740992"),
    (-(2.0**53), "-9007199254740992"),
    (9999999999999998.0, "9999999999999998"),
    (1e21, "1e+21"),
    (0.00001, "0.00001"),
])  # fmt: skip
def test_texts(value, text):
    assert canonical(value).decode() == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {"\ud800": 1}])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises((ValueError, rfc8785.CanonicalizationError)):
        canonical(value)


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest(json.loads('{"a":1,"b":2}')) == digest(json.loads('{"b":2.0,"a":1}'))
