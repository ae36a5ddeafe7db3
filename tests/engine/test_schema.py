"""The JSON Schema: valid by itself, true of what the checks take, false of most of the rest; made for an editor."""

import json
from typing import Any

import pytest
import test_compile
import test_document
import test_literals
import test_params
from jsonschema import Draft202012Validator
from toys import NODES, REGISTRY, flow, good, told

from engine.schema import schema

SCHEMA = schema(REGISTRY)
VALIDATOR = Draft202012Validator(SCHEMA)

CASES: dict[str, Any] = {
    f"{module.__name__}-{name}": case[0]
    for module, table in (
        (test_compile, test_compile.GRAPHS),
        (test_params, test_params.PARAMS),
        (test_literals, test_literals.VALUES),
    )
    for name, case in table.items()  # type: ignore[attr-defined]
}
CASES |= {f"test_document-{name}": json.loads(text) for name, (text, _) in test_document.SHAPES.items()}

# What one node cannot know of another, or a schema of the world, is left to the checks.
BEYOND = {"E-CYCLE", "E-LINK", "E-NOOUT", "E-PARAM", "E-STEP", "E-LIMIT", "E-SIZE", "E-TEMPLATE", "W-PARAM", "W-CTRL"}


def test_g20_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    json.dumps(SCHEMA, allow_nan=False)


@pytest.mark.parametrize("case", CASES)
def test_g20_it_agrees_with_the_checks(case: str) -> None:
    source = CASES[case]
    found = {line.split(" ")[0] for line in told(source)}
    valid = VALIDATOR.is_valid(source)
    if not any(code.startswith("E-") for code in found):
        assert valid
    elif not (found & BEYOND or any("gets " in line for line in told(source)) or case in PARAM_TYPES | PYTHON_ONLY):
        assert not valid


# Here Python's $ also matches before a line end, which that of an editor does not.
PYTHON_ONLY = {"test_compile-b39_id_2"}
# The schema of a param does not know the inputs that the param feeds, nor that 20.0 is not how an integer is written.
PARAM_TYPES = {
    *(f"test_params-{name}" for name in ("wrong_type", "out_of_range", "an_int_and_a_float_take_no_half")),
    *(f"test_params-{name}" for name in ("a_choice", "steps_that_both_suit")),
    "test_literals-b43_whole_but_written_as_a_float",
}


def test_g20_most_of_the_table_is_decided() -> None:
    refused = sum(not VALIDATOR.is_valid(source) for source in CASES.values())
    assert refused > len(CASES) / 3


@pytest.mark.parametrize(
    ("inputs", "valid"),
    [
        ({"text": "a @b $c"}, True), ({"text": "@a"}, True), ({"text": "@@a"}, True), ({"text": "$a"}, True),
        ({"text": "$$"}, True), ({"text": "@"}, True), ({"text": "@$a"}, False), ({"text": "$a b"}, False),
        ({"text": ""}, True), ({"text": "line\nline"}, True), ({"text": 3}, False), ({"text": None}, False),
    ],
)  # fmt: skip
def test_marks(inputs: dict[str, Any], valid: bool) -> None:
    assert VALIDATOR.is_valid(good(text={"type": "Encode", "clip": "@base.clip", **inputs})) is valid


def test_a_file_name_cannot_be_a_link() -> None:
    assert VALIDATOR.is_valid(flow({"x": {"type": "Open", "path": "$p"}}))
    assert not VALIDATOR.is_valid(flow({"x": {"type": "Open", "path": "@p"}}))


def test_an_editor_is_told_of_every_node_and_input() -> None:
    nodes = SCHEMA["$defs"]
    assert set(nodes) == {"node", *(cls.__name__ for cls in NODES)}
    assert nodes["node"]["properties"]["type"]["anyOf"][0] == {"enum": sorted(cls.__name__ for cls in NODES)}
    for cls in NODES:
        assert nodes[cls.__name__]["description"] == " ".join((cls.__doc__ or "").split())
        for name, spec in cls.inputs.items():
            assert spec.about in nodes[cls.__name__]["properties"][name]["description"]
    steps = nodes["Sample"]["properties"]["steps"]
    assert steps["description"] == "INT. denoising steps"
    assert steps["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 10000}
    assert nodes["Sample"]["properties"]["sampler"]["anyOf"][0] == {"enum": ["euler", "heun", "ddim"]}
    assert nodes["Sample"]["properties"]["sampler"]["default"] == "euler"
    assert nodes["Empty"]["properties"]["width"]["anyOf"][0]["multipleOf"] == 8
    assert nodes["Sample"]["properties"]["type"] == {"enum": ["Sample", "Sample@1", "Sample@2", "Sample@3"]}
