"""PromptTemplate: files, values and seeds in a graph, and what its page says."""

import json
import re
from pathlib import Path

import pytest

from diffusion.template import resolve
from engine.api import load, run
from engine.cache import Cache
from engine.compile import check
from engine.context import Settings
from engine.document import from_value
from engine.errors import WeftError
from engine.events import NodeFinished, NodeSaid
from engine.sweep import Sweep
from nodes import registry

PAGE = (Path(__file__).parent.parent.parent / "docs" / "prompts.md").read_text()
TEMPLATES = PAGE[PAGE.index("## Templates") :]
ROWS = [re.split(r"(?<!\\)\|", line)[1:-1] for line in TEMPLATES.splitlines() if re.match(r"\| `.*` \|$", line)]
EXAMPLES = [tuple(row[i].strip()[1:-1].replace(r"\|", "|") for i in (0, 2)) for row in ROWS]
FILES = {"colour": ["ochre", "teal", "crimson"], "colour/warm": ["amber", "rust"]}


def flow(**inputs):
    node = {"type": "PromptTemplate", "seed": 5, **inputs}
    return {"format": 1, "nodes": {"prompt": node, "save": {"type": "SaveText", "value": "@prompt"}}}


@pytest.fixture
def made(tmp_path):
    """Run a PromptTemplate in a folder with these wildcard files; what it became."""
    cache = Cache()

    def go(files=None, folder="wildcards", allowed=(), **inputs):
        for name, text in (files or {}).items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        settings = Settings(out=tmp_path / "out", folder=tmp_path, allowed=allowed)
        workflow = load(flow(**inputs), registry=registry(), targets=["prompt"])
        return run(workflow, settings=settings, cache=cache).values["prompt"]

    return go


def test_the_page_has_its_examples():
    assert len(EXAMPLES) == 11


@pytest.mark.parametrize(("template", "expected"), EXAMPLES, ids=[e[0] for e in EXAMPLES])
def test_the_examples_of_the_page_are_true(made, template, expected):
    files = {f"{name}.txt": "\n".join(lines) for name, lines in FILES.items()}
    assert made(files, template=template, values={"animal": "fox"}) == expected


def test_the_same_seed_makes_the_same_text_and_the_node_agrees_with_the_function(made):
    texts = {made(template="{a|b|c} {d|e|f}", seed=3) for _ in range(3)}
    assert texts == {resolve("{a|b|c} {d|e|f}", 3)}


def test_wildcards_lie_in_folders_and_have_comments(made):
    files = {"colour.txt": "# all\n\n__colour/warm__\n", "colour/warm.txt": "amber\n"}
    assert made(files, template="__colour__ {n}", values={"n": 2}) == "amber 2"


def test_another_folder_may_be_named(made):
    assert made({"a.txt": "x"}, folder="mine", template="__a__", wildcards="mine") == "x"


def test_no_folder_is_needed_without_wildcards(made):
    assert made(template="plain") == "plain"


def test_a_wildcard_file_that_changes_changes_the_text(made):
    assert made({"a.txt": "before"}, template="__a__") == "before"
    assert made({"a.txt": "after"}, template="__a__") == "after"


def test_what_wildcard_files_hold_is_in_the_key(tmp_path):
    (tmp_path / "wildcards").mkdir()
    workflow = load(flow(template="__a__"), registry=registry())
    settings = Settings(out=tmp_path / "out", folder=tmp_path)
    keys = []

    def listen(event):
        if isinstance(event, NodeFinished) and event.node == "save":
            keys.append(event.key)

    for content in ("before", "after", "before"):
        (tmp_path / "wildcards" / "a.txt").write_text(content)
        run(workflow, settings=settings, cache=Cache(), on_event=listen)
    assert keys[0] == keys[2] != keys[1]


TWO = {"x": "a" * 40_000}
LOOP = "__loop__ in __loop__ in __loop__"
AT = "prompt.template:"
WRONG = {
    "unknown": ({"template": "__color__"}, f'E-NOTFOUND {AT} no wildcard file for "__color__"; did you mean "colour"?'),
    "value": (
        {"template": "{animl}", "values": {"animal": "fox"}},
        f'E-TEMPLATE {AT} no value for "{{animl}}"; did you mean "animal"?',
    ),
    "no_value": ({"template": "{x}"}, f'E-TEMPLATE {AT} no value for "{{x}}"; give it in values'),
    "empty": (
        {"template": "__empty__"},
        f'E-TEMPLATE {AT} the wildcard file for "__empty__" has no options; write one',
    ),
    "loop": ({"template": "__loop__"}, f"E-TEMPLATE {AT} choices and wildcards lead more than 20 deep: {LOOP} …"),
    "long": ({"template": "{x}{x}", "values": TWO}, f"E-SIZE {AT} the template becomes a text of more than 64 KiB"),
    "latin": ({"template": "__latin__"}, "E-ENC latin.txt:1:4 prompt: byte 0xe9 at offset 3 is not UTF-8"),
    "outside": ({"template": "a", "wildcards": "../b"}, "E-PATH"),
    "absent": ({"template": "a", "wildcards": "wildcart"}, "E-NOTFOUND"),
    "brace": ({"template": "{a|b"}, f'E-TEMPLATE workflow {AT} "{{" at character 1 is never closed; close it'),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(made, tmp_path, case):
    inputs, expected = WRONG[case]
    files = {"colour.txt": "red", "loop.txt": "__loop__", "empty.txt": ""}
    (tmp_path / "wildcards").mkdir()
    (tmp_path / "wildcards" / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(WeftError) as caught:
        made(files, **inputs)
    (problem,) = caught.value.problems
    assert expected in str(problem)


CHECKED = {
    "{a|b": ["E-TEMPLATE"],
    "a}": ["E-TEMPLATE"],
    "{a b}": ["E-TEMPLATE"],
    "{a|b} __c__ {d}": [],
}


@pytest.mark.parametrize("template", CHECKED)
def test_check_finds_braces_that_do_not_match(template):
    _, problems = check(from_value(flow(template=template)), registry())
    assert [p.code for p in problems] == CHECKED[template]


@pytest.mark.parametrize("value", [True, None, [1], {"a": 1}])
def test_values_are_texts_and_numbers(value):
    _, problems = check(from_value(flow(template="{x}", values={"x": value})), registry())
    assert [(p.code, p.place.input) for p in problems] == [("E-TYPE", "values")]


def test_a_template_chooses_digits_over_a_sweep_of_seeds(tmp_path):
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.S)
    workflow = load(json.loads(example), registry=registry())
    events = []
    found = run(workflow, sweep=Sweep({"seed": [1, 2, 3, 5]}), settings=Settings(out=tmp_path), cache=Cache(), steps=2,
                on_event=events.append)  # fmt: skip
    said = {e.variant: e.text for e in events if isinstance(e, NodeSaid)}
    assert said == {v: resolve("{1|3|7}", seed) for v, seed in enumerate([1, 2, 3, 5])}
    assert set(said.values()) == {"1", "3", "7"}
    assert len({file.digest for file in found.files}) == 4
