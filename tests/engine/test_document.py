"""The outermost shape of a workflow, older and foreign files, and writing one again."""

import json
from pathlib import Path
from typing import Any

import pytest
from toys import REGISTRY, built, document, flow, good, told

from engine import document as documents
from engine.api import dumps, load
from engine.bind import bind
from engine.errors import WeftError
from engine.graph import Link, ParamRef, escape, reference

SHAPES: dict[str, tuple[str, list[str]]] = {
    "b20_a_list": ("[]", ['E-SHAPE wf.json:1:1: a list; expected an object with "nodes"']),
    "b20_a_text": ('"x"', ['E-SHAPE wf.json:1:1: text; expected an object with "nodes"']),
    "b20_null": ("null", ['E-SHAPE wf.json:1:1: null; expected an object with "nodes"']),
    "b20_a_number": ("3", ['E-SHAPE wf.json:1:1: a number; expected an object with "nodes"']),
    "b20_true": ("true", ['E-SHAPE wf.json:1:1: a boolean; expected an object with "nodes"']),
    "b20_nothing_in_it": ("{}", ['E-SHAPE wf.json:1:1: no "nodes"; expected an object with "nodes"']),
    "b20_nodes_are_a_list": (
        '{"format": 1, "nodes": []}',
        ['E-SHAPE wf.json:1:24 : "nodes" must be an object'.replace(" :", ":")],
    ),
    "b20_params_are_a_list": (
        '{"format": 1, "params": [], "nodes": {}}',
        ['E-SHAPE wf.json:1:25: "params" must be an object'],
    ),
    "b21_of_comfyui": (
        '{"nodes": [{"id": 1}, {"id": 2}], "links": []}',
        ["E-FOREIGN wf.json:1:1: this is a ComfyUI workflow with 2 nodes; try: weft import"],
    ),
    "b22_of_comfyui_api": (
        '{"3": {"class_type": "KSampler", "inputs": {}}}',
        ["E-FOREIGN wf.json:1:1: this is a ComfyUI prompt (API format) with 1 nodes; try: weft import"],
    ),
    "b22_of_comfyui_api_wrapped": (
        '{"client_id": "x", "prompt": {"3": {"class_type": "KSampler", "inputs": {}}}}',
        ["E-FOREIGN wf.json:1:1: this is a ComfyUI prompt (API format) with 1 nodes; try: weft import"],
    ),
    "b23_newer": (
        '{"format": 3, "nodes": {}}',
        ["E-VERSION wf.json:1:12: written for format 3, this weft reads up to 1; update weft"],
    ),
    "b23_no_version": ('{"format": "1", "nodes": {}}', ['E-VERSION wf.json:1:12: format "1"; expected 1']),
    "b23_true_is_not_1": ('{"format": true, "nodes": {}}', ["E-VERSION wf.json:1:12: format true; expected 1"]),
    "b23_none": (
        '{"nodes": {"a": {"type": "View", "value": "@a"}}}',
        [
            'E-MISSING wf.json:1:1: "format" is required; add "format": 1',
            "E-CYCLE wf.json:1:12 a: a → a; nodes cannot feed each other",
        ],
    ),
    "b24_nodez": ('{"format": 1, "nodez": {}}', ['E-KEY wf.json:1:15: "nodez" unknown; did you mean "nodes"?']),
    "b24_parms": (
        '{"format": 1, "parms": {"n": 1}, "nodes": {"c": {"type": "Count", "value": "$n"}}}',
        ['E-KEY wf.json:1:15: "parms" unknown; did you mean "params"?'],
    ),
    "b24_foo": (
        '{"foo": 1, "format": 1, "nodes": {}}',
        [
            'E-KEY wf.json:1:2: "foo" unknown; known: format, name, about, params, nodes',
            "E-NOOUT wf.json:1:34: the workflow has no nodes; add some, with one that saves",
        ],
    ),
}


@pytest.mark.parametrize("case", SHAPES)
def test_shape(case: str) -> None:
    text, expected = SHAPES[case]
    assert told(text) == expected


def test_b36_too_many_nodes() -> None:
    nodes = {str(i): {"type": "Count", "value": 1} for i in range(100_000)}
    assert told(json.dumps(flow(nodes), separators=(",", ":"))) == ["E-LIMIT wf.json:1:21: 100000 nodes, limit 10000"]


PYTHON: dict[str, tuple[object, str]] = {
    "g16_a_key_that_is_no_text": (flow({"a": {1: 2}}), "not plain JSON: key 1 must be text"),
    "g16_a_set": (flow({"a": {"type": {1}}}), "not plain JSON: Object of type set is not JSON serializable"),
    "g16_nothing": (None, 'null; expected an object with "nodes"'),
}


@pytest.mark.parametrize("case", PYTHON)
def test_python(case: str) -> None:
    value, what = PYTHON[case]
    (line,) = told(value)
    assert line.startswith("E-SHAPE wf")
    assert what in line


def test_g16_values_that_a_file_cannot_hold() -> None:
    circle: dict[str, Any] = {}
    circle["x"] = circle
    assert told(circle) == [
        "E-SHAPE wf: not plain JSON: Circular reference detected; give dicts, lists, text and numbers"
    ]
    (line,) = told(good(sample__scale=float("nan")))
    assert line.endswith(" sample.scale: NaN is not a number a workflow can hold; write a plain number")
    (line,) = told(good(text__text="\ud800"))
    assert line.startswith("E-ENC ")
    assert "not valid Unicode at character 1" in line


def test_g16_the_order_of_a_python_value_is_kept() -> None:
    workflow = built(flow({"z": {"type": "Empty"}, "a": {"type": "Decode", "latent": "@z"}}), ["a"])
    assert list(workflow.document.nodes) == ["z", "a"]


ROUND_TRIPS: dict[str, dict[str, Any]] = {
    "plain": good(),
    "every_kind_of_value": flow(
        {
            "save": {"type": "Save", "image": "@m", "about": 'é \u2028 \x7f \x00 "\\ 𝄞'},
            "m": {
                "type": "Mix",
                "images": ["@i", "@i"],
                "weights": [1, 1.0, -0.0, 1e22, 5e-324, 0.1],
                "labels": ["@@a", "$p"],
                "values": {"z": [None, True], "a": 18446744073709551615},
            },
            "i": {"type": "Open", "path": "a.png"},
        },
        {"p": {"default": "$$", "about": "@x"}},
        name="größer",
    ),
}


@pytest.mark.parametrize("case", ROUND_TRIPS)
def test_g19_writing_and_reading_gives_the_same_bytes(case: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(ROUND_TRIPS[case]), encoding="utf-8")
    first = dumps(load(path, registry=REGISTRY))
    path.write_text(first, encoding="utf-8")
    assert dumps(load(path, registry=REGISTRY)) == first
    assert json.dumps(json.loads(first)) == json.dumps(ROUND_TRIPS[case])
    assert dumps(load(ROUND_TRIPS[case], registry=REGISTRY)) == first


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("@a", Link("a", "")), ("@a.b", Link("a", "b")), ("@a.b.c", Link("a", "b.c")), ("$a", ParamRef("a")),
        ("@@a", "@a"), ("$$a", "$a"), ("@@", "@"), ("$$", "$"), ("@", "@"), ("$", "$"), ("", ""), ("@$", Link("$", "")),
        ("a@b", "a@b"), (" @a", " @a"), ("@@@a", "@@a"), (3, 3), (None, None),
    ],
)  # fmt: skip
def test_reference(written: object, meant: object) -> None:
    assert reference(written) == meant


@pytest.mark.parametrize("value", ["@a", "$a", "@@", "@", "$", "$$$", "a", "", 1, 1.5, None, True, ["@a", "$", ["@@"]]])
def test_escaping_is_undone_by_reading(value: Any) -> None:
    def read(written: Any) -> Any:
        return [read(item) for item in written] if isinstance(written, list) else reference(written)

    assert read(escape(value)) == value


def test_a_resolved_workflow_says_the_same_again() -> None:
    source = flow(
        {
            "e": {"type": "Encode", "clip": "@b.clip", "text": "$words"},
            "b": {"type": "Load"},
            "m": {"type": "Mix", "images": ["@o"], "labels": "$names", "values": "$extra"},
            "o": {"type": "Maybe", "sure": True},
        },
        {"words": "x", "names": {"default": ["a"]}, "extra": {"default": {}}},
    )
    source["nodes"]["m"]["images"] = ["@d"]
    source["nodes"]["d"] = {"type": "Decode", "latent": "@e"}
    workflow = built(source, ["m", "o"])
    values = {"words": "@home $5", "names": ["$a", "@"], "extra": {"default": 1}, "b.name": "$$"}
    graph = bind(workflow, values)
    again = bind(built(workflow.document.resolved(graph.values, graph.overrides), ["m", "o"]))
    assert again.values == {"words": "@home $5", "names": ["$a", "@"], "extra": {"default": 1}}
    assert again.nodes["b"].literals["name"] == "$$"
    assert workflow.document.data == source


def test_a_broken_document_can_still_be_looked_at() -> None:
    broken = document('{"format": 1, "foo": 1, "nodes": {"a": 3}}')
    assert list(broken.nodes) == ["a"]
    assert [p.code for p in broken.notes] == ["E-KEY"]


def test_the_words_of_a_problem_stay_on_one_line() -> None:
    with pytest.raises(WeftError) as caught:
        documents.from_value({"a\nb": 1}, "wf")
    assert all("\n" not in p.what for p in caught.value.problems)
