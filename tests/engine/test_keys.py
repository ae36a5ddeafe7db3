"""Keys: what a result depends on, and what it does not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import REGISTRY, Sample, built, flow, good

from engine.bind import bind
from engine.compile import compile
from engine.document import from_value
from engine.errors import Place, Problem, WeftError
from engine.graph import NodeDef
from engine.keys import inputs_text, keys
from engine.node import Node
from engine.registry import Registry
from engine.spec import Bad


def no_files(node: NodeDef, name: str) -> list[list[str]]:
    raise AssertionError(f"{node.id}.{name} names no file")


def keys_of(
    source: object, given: dict[str, Any] | None = None, numerics: str = "cpu", **digests: str
) -> dict[str, str]:
    """The keys of a workflow; `digests` are the files' contents by the literal that names them."""

    def digest(node: NodeDef, name: str) -> list[list[str]]:
        return [["file", digests[node.literals[name]]]]

    return keys(bind(built(source, ["x"] if "x" in source["nodes"] else ()), given), numerics, digest)  # type: ignore[index]


def key(kind: str = "Count", **inputs: Any) -> str:
    return keys_of(flow({"x": {"type": kind, **inputs}}))["x"]


SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "k2_other_ids": (
        flow({"x": {"type": "Decode", "latent": "@e"}, "e": {"type": "Empty"}}),
        flow({"other": {"type": "Empty"}, "x": {"type": "Decode", "latent": "@other"}}),
    ),
    "k2_inputs_in_another_order": (
        flow({"x": {"type": "Empty", "width": 16, "height": 32}}),
        flow({"x": {"type": "Empty", "height": 32, "width": 16}}),
    ),
    "k2_a_default_written_out": (flow({"x": {"type": "Empty"}}), flow({"x": {"type": "Empty", "width": 512}})),
    "k2_a_param_or_its_value": (
        flow({"x": {"type": "Count", "value": "$n"}}, {"n": 3}),
        flow({"x": {"type": "Count", "value": 3}}),
    ),
    "k2_a_param_in_a_list_or_its_value": (
        flow({"o": {"type": "Load"}, "x": {"type": "Mix", "images": [], "weights": ["$n", 2]}}, {"n": 3}),
        flow({"o": {"type": "Load"}, "x": {"type": "Mix", "images": [], "weights": [3.0, 2.0]}}),
    ),
    "k7_a_changed_comment": (
        flow({"x": {"type": "Empty"}}, about="one"),
        flow({"x": {"type": "Empty", "about": "two", "cache": False}}, name="other"),
    ),
    "k8_an_integer_where_a_float_is_due": (
        flow({"x": {"type": "Ratio", "value": 1}}),
        flow({"x": {"type": "Ratio", "value": 1.0}}),
    ),
    "a_link_or_a_list_of_one": (
        flow({"i": {"type": "Open", "path": "a"}, "x": {"type": "Mix", "images": "@i"}}),
        flow({"i": {"type": "Open", "path": "a"}, "x": {"type": "Mix", "images": ["@i"]}}),
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_same(case: str) -> None:
    one, other = SAME[case]
    assert keys_of(one, a="1")["x"] == keys_of(other, a="1")["x"]


DIFFERENT: dict[str, list[str]] = {
    "a_value": [key(value=1), key(value=2)],
    "minus_zero": [key("Ratio", value=0.0), key("Ratio", value=-0.0)],
    "neighbours": [key("Ratio", value=0.1 + 0.2), key("Ratio", value=0.3)],
    "a_type": [key("Count", value=1), key("Ratio", value=1)],
    "swapped_inputs": [key("Empty", width=16, height=32), key("Empty", width=32, height=16)],
    "text_that_looks_like_more": [key("Load", name='a","b":["v",1]'), key("Load", name="a")],
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_different(case: str) -> None:
    assert len(set(DIFFERENT[case])) == len(DIFFERENT[case])


def test_k8_four_literals_four_keys_before_coercion() -> None:
    class Anything(Node):
        """Takes each kind of literal as it is."""

        version = 1
        value: str | float | int | bool

        def run(self, ctx: Any) -> int:
            return 0

    registry = Registry()
    registry.add(Anything)
    found = set()
    for value in (1, 1.0, "1", True):
        document = from_value(flow({"x": {"type": "Anything", "value": value}}))
        found.add(keys(bind(compile(document, registry, ["x"])), "", no_files)["x"])
    assert len(found) == 4


def test_a_change_reaches_everything_behind_it_and_nothing_else() -> None:
    one, other = keys_of(good()), keys_of(good(sample__scale=6.0))
    assert {name for name in one if one[name] != other[name]} == {"sample", "decode", "save"}


def test_which_output_feeds_a_node_is_in_its_key() -> None:
    one = flow({"l": {"type": "Load"}, "x": {"type": "View", "value": "@l.model"}})
    other = flow({"l": {"type": "Load"}, "x": {"type": "View", "value": "@l.clip"}})
    assert keys_of(one)["x"] != keys_of(other)["x"]


def test_an_output_path_is_not_in_the_key() -> None:
    assert keys_of(good()) == keys_of(good(save__path="other.png"))


def test_the_seed_is_in_the_key_also_when_it_was_drawn() -> None:
    source = good(sample__seed=-1)
    assert keys_of(source, {"sample.seed": 7}) == keys_of(good())
    assert keys_of(source)["sample"] != keys_of(source)["sample"]


def test_numerics_are_in_the_keys_of_tensors_and_what_they_feed() -> None:
    one, other = keys_of(good(), numerics="cpu torch 2.6"), keys_of(good(), numerics="cuda torch 2.6")
    assert {name for name in one if one[name] != other[name]} == {"text", "sample", "decode", "save"}


def test_k7_a_changed_node_version() -> None:
    before = keys_of(good())
    try:
        Sample.version += 1
        after = keys_of(good())
    finally:
        Sample.version -= 1
    assert {name for name in before if before[name] != after[name]} == {"sample", "decode", "save"}


def test_k7_the_version_that_a_file_asks_for_is_not_in_the_key() -> None:
    assert keys_of(good(sample__type="Sample@2")) == keys_of(good())


def test_k6_the_content_of_a_file_counts_and_its_name_in_the_workflow_does_not() -> None:
    def source(path: str) -> dict[str, Any]:
        return flow({"x": {"type": "Open", "path": path}})

    assert keys_of(source("a"), a="1") == keys_of(source("b"), b="1")
    assert keys_of(source("a"), a="1") != keys_of(source("a"), a="2")


def test_problems_with_files_are_raised_all_at_once() -> None:
    def missing(node: NodeDef, name: str) -> list[list[str]]:
        raise Bad(Problem("E-NOTFOUND", "gone", place=Place(input=name), exit_code=3))

    source = flow(
        {
            "a": {"type": "Open", "path": "a"},
            "x": {"type": "Mix", "images": ["@a", "@b"]},
            "b": {"type": "Open", "path": "b"},
        }
    )
    with pytest.raises(WeftError) as caught:
        keys(bind(built(source, ["x"])), "", missing)
    assert [str(p) for p in caught.value.problems] == ["E-NOTFOUND wf a.path: gone", "E-NOTFOUND wf b.path: gone"]
    assert caught.value.exit_code == 3


def test_the_inputs_that_are_kept_say_what_the_key_is_made_of() -> None:
    graph = bind(built(good()))
    found = keys(graph, "cpu", no_files)
    assert json.loads(inputs_text(graph.nodes["sample"], found, no_files)) == {
        "model": ["k", found["base"], "model", "base"],
        "latent": ["k", found["text"], "latent", "text"],
        "steps": ["v", 20],
        "scale": ["v", 7.0],
        "sampler": ["v", "euler"],
        "seed": ["v", 7],
        "second_seed": ["v", None],
    }
    assert "path" not in json.loads(inputs_text(graph.nodes["save"], found, no_files))


_CHILD = """
import json, sys
sys.path.insert(0, sys.argv[1])
from test_keys import keys_of
from toys import good
print(json.dumps(keys_of(good())))
"""


@pytest.mark.parametrize("seed", ["0", "1"])
def test_k2_the_same_in_another_process_with_another_hash_seed_and_folder(seed: str, tmp_path: Path) -> None:
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(here.parent.parent)}
    command = [sys.executable, "-c", _CHILD, str(here)]
    out = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    assert json.loads(out) == keys_of(good())


def test_keys_are_what_they_were() -> None:
    """A change of these loses every cache: raise KEY_VERSION on purpose, or do not change them."""
    assert keys_of(flow({"x": {"type": "Empty"}})) == {"x": "50fa3222986d568c69d607545c3ca185d8cc09e6"}


@settings(deadline=None, derandomize=True)
@given(
    st.permutations(list(good()["nodes"])),
    st.lists(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), min_size=5, max_size=5, unique=True),
)
def test_k2_renamed_and_reordered(order: list[str], names: list[str]) -> None:
    nodes: dict[str, Any] = good()["nodes"]
    new = dict(zip(nodes, names, strict=True))

    def renamed(value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith("@"):
            return value
        node, dot, output = value[1:].partition(".")
        return f"@{new[node]}{dot}{output}"

    changed = {new[name]: {k: renamed(v) for k, v in reversed(nodes[name].items())} for name in order}
    before = keys_of(good())
    graph = bind(compile(from_value(flow(changed)), REGISTRY))
    after = keys(graph, "cpu", no_files)
    assert {new[name]: digest for name, digest in before.items()} == after
