"""Random workflows, most of them broken: they are refused in words or they work; nothing else ever happens."""

import contextlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from toys import NODES, REGISTRY, document, flow, told

from engine.bind import bind
from engine.compile import check
from engine.errors import CODES, WeftError
from engine.keys import keys
from engine.schema import schema
from engine.text import visible

VALIDATOR = Draft202012Validator(schema(REGISTRY))
IDS = ["a", "b", "c", "d", "e"]
KEYS = sorted({name for cls in NODES for name in cls.inputs} | {"type", "about", "cache", "foo"})
OUTPUTS = ["", ".model", ".clip", ".image", ".latent", ".int", ".nope", "."]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 600),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "@", "$", "@@", "euler", "x.png", "../x", "{p}.png", "{q}", "a\x00b", "\ud800", "fox"]),
    st.text(max_size=5),
)
links = st.builds("{}{}{}".format, st.sampled_from("@$"), st.sampled_from([*IDS, "p", "zz"]), st.sampled_from(OUTPUTS))
values = st.recursive(
    st.one_of(scalars, links, links),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)

params = st.dictionaries(st.sampled_from(["default", "min", "max", "about"]), scalars)


@st.composite
def nodes(draw: st.DrawFn) -> Any:
    """A node of some type with mostly its own inputs."""
    cls = draw(st.sampled_from(NODES))
    own = list(cls.inputs) or ["foo"]
    names = st.one_of(st.sampled_from(own), st.sampled_from(own), st.sampled_from(KEYS))
    inputs = draw(st.dictionaries(names, values, max_size=4))
    return {"type": cls.__name__, **inputs}


workflows = st.builds(
    flow,
    st.dictionaries(
        st.one_of(st.sampled_from(IDS), st.text(max_size=3)), st.one_of(nodes(), nodes(), nodes(), values), max_size=6
    ),
    st.dictionaries(st.one_of(st.just("p"), st.text(max_size=3)), st.one_of(values, params), max_size=2),
)


def run_of(source: Any, given: dict[str, Any]) -> None:
    workflow, problems = check(document(source), REGISTRY)
    for problem in problems:
        assert problem.code in CODES
        for line in str(problem).split("\n"):
            assert visible(line, len(line)) == line
    if workflow is None:
        assert any(not p.is_warning for p in problems)
        return
    graph = bind(workflow, given)
    first = keys(graph, "", lambda node, name: [["f", "0"]])
    assert keys(graph, "", lambda node, name: [["f", "0"]]) == first
    assert set(first) == set(workflow.nodes)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(workflows, st.dictionaries(st.sampled_from(["p", "a.text", "b.steps", "c.image", "e.seed", "."]), scalars))
def test_nothing_but_words(source: Any, given: dict[str, Any]) -> None:
    with contextlib.suppress(WeftError):
        run_of(source, given)
    with contextlib.suppress(WeftError):
        run_of(json.dumps(source, ensure_ascii=False), given)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(values)
def test_any_json_is_a_workflow_or_is_refused_in_words(value: Any) -> None:
    for source in (value, {"nodes": value}, {"format": 0, "nodes": value}, {"format": 1, "nodes": {}, "params": value}):
        with contextlib.suppress(WeftError):
            check(document(source), REGISTRY)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(workflows)
def test_a_file_and_a_python_value_are_told_the_same(source: Any) -> None:
    def codes(lines: list[str]) -> list[str]:
        return sorted(line.split(" ")[0] for line in lines)

    assert codes(told(source)) == codes(told(json.dumps(source)))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(workflows)
def test_g20_what_the_checks_take_the_schema_takes(source: Any) -> None:
    if not any(line.startswith("E-") for line in told(source)):
        assert VALIDATOR.is_valid(source)


def test_b53_a_very_long_name_is_looked_up_quickly() -> None:
    long = "x" * 60_000
    lines = told(flow({"a": {"type": long, long: f"@{long}"}, "b": {"type": "Decode", "latent": f"@{long}", long: 1}}))
    assert len(lines) == 3
    assert max(map(len, lines)) < 300
