"""What is wrong with a graph, in the exact words; and that a file and a Python value are held to the same rules."""

import json
import re
import time
from typing import Any

import pytest
from toys import REGISTRY, built, document, flow, good, told

from engine.compile import check
from engine.errors import WorkflowError

SAVE = {"type": "Save", "image": "@d"}
START = {"e": {"type": "Empty"}, "d": {"type": "Decode", "latent": "@e"}, "s": SAVE}

GRAPHS: dict[str, tuple[object, list[str]]] = {
    "g1_sockets_that_match": (good(), []),
    "g2_b30_types_that_do_not_match": (
        good(save__image="@sample"),
        ["E-TYPE wf save.image: gets LATENT from sample, expects IMAGE; add Decode"],
    ),
    "g2_no_node_converts": (
        good(decode__latent="@base.clip"),
        ["E-TYPE wf decode.latent: gets CLIP from base.clip, expects LATENT; add Encode"],
    ),
    "g2_link_where_a_number_is_due": (
        good(sample__steps="@text"),
        ["E-TYPE wf sample.steps: gets LATENT from text, expects INT"],
    ),
    "g2_number_where_a_link_is_due": (
        good(save__image=3),
        ['E-TYPE wf save.image: number 3; expected a link to IMAGE, such as "@node"'],
    ),
    "g3_unknown_output": (
        good(text__clip="@base.clop"),
        ['E-LINK wf text.clip: node base has no output "clop"; it has model, clip; did you mean "clip"?'],
    ),
    "g3_unknown_input": (
        good(text__foo=1),
        ['E-INPUT wf text.foo: Encode has no input "foo"; known: clip, text'],
    ),
    "g11_b26_two_nodes": (
        flow(
            {"a": {"type": "Scale", "image": "@b"}, "b": {"type": "Scale", "image": "@a"}, "s": {**SAVE, "image": "@a"}}
        ),
        ["E-CYCLE wf a: a.image → b.image → a.image; nodes cannot feed each other"],
    ),
    "g12_a_long_one": (
        flow(
            {f"n{i}": {"type": "Scale", "image": f"@n{(i - 1) % 100}"} for i in range(100)}
            | {"s": {**SAVE, "image": "@n7"}}
        ),
        [
            "E-CYCLE wf n0: n0.image → n1.image → n2.image → n3.image → n4.image → n5.image → … 88 more … → "
            "n94.image → n95.image → n96.image → n97.image → n98.image → n99.image → n0.image; "
            "nodes cannot feed each other"
        ],
    ),
    "g12_two_apart": (
        flow(
            {
                "a": {"type": "Scale", "image": "@b"},
                "b": {"type": "Scale", "image": "@a"},
                "c": {"type": "Scale", "image": "@c"},
                "s": {**SAVE, "image": "@a"},
            }
        ),
        [
            "E-CYCLE wf a: a.image → b.image → a.image; nodes cannot feed each other",
            "E-CYCLE wf c: c → c; nodes cannot feed each other",
        ],
    ),
    "g13_link_to_no_node": (
        good(decode__latent="@sampel"),
        ['E-LINK wf decode.latent: node "sampel" does not exist; did you mean "sample"?'],
    ),
    "g14_b31_two_sources": (
        good(save__image=["@decode", "@sample"]),
        ["E-LINK wf save.image: two sources (decode, sample); one link feeds this input"],
    ),
    "g14_brackets": (
        good(save__image=["@decode"]),
        ["E-TYPE wf save.image: a list; expected one IMAGE; write it without the brackets"],
    ),
    "g14_several_into_a_list": (
        flow({**START, "m": {"type": "Mix", "images": ["@d", "@d"]}, "t": {**SAVE, "image": "@m"}}),
        [],
    ),
    "g14_one_into_a_list": (flow({**START, "m": {"type": "Mix", "images": "@d"}, "t": {**SAVE, "image": "@m"}}), []),
    "g15_everything_at_once": (
        flow(
            {
                "base": {"type": "LoadTiny", "about": "a note"},
                "n": {"type": "Count", "value": 3},
                "x": {
                    "type": "Sample@2",
                    "model": "@base",
                    "steps": "@n",
                    "scale": "@n",
                    "seed": "$seed",
                    "cache": False,
                },
                "d": {"type": "Decode", "latent": "@x"},
                "m": {"type": "Mix", "images": ["@d", "@d"], "weights": [1, "$w", 2.5], "labels": ["@@a", "$$b"]},
                "save": {"type": "Save", "image": "@m", "path": "fox-{seed}-{index}.png"},
            },
            {"seed": {"default": 7, "min": 0, "about": "of the noise"}, "w": 2},
            name="All",
            about="of it",
        ),
        [],
    ),
    "g22_int_feeds_float": (good(n={"type": "Count", "value": 3}, sample__scale="@n"), []),
    "g22_float_does_not_feed_int": (
        good(n={"type": "Ratio", "value": 3}, sample__steps="@n"),
        ["E-TYPE wf sample.steps: gets NUMBER from n, expects INT"],
    ),
    "g22_subclass_feeds_base": (good(t={"type": "LoadTiny"}, sample__model="@t"), []),
    "g23_optional_takes_a_value": (good(), []),
    "g23_required_takes_no_perhaps": (
        good(m={"type": "Maybe"}, save__image="@m"),
        ["E-TYPE wf save.image: gets IMAGE or nothing from m, expects IMAGE; this input must not be empty"],
    ),
    "g23_lists_take_no_perhaps": (
        good(m={"type": "Maybe"}, x={"type": "Mix", "images": ["@m"]}),
        ["E-TYPE wf x.images: gets IMAGE or nothing from m, expects [IMAGE]; this input must not be empty"],
    ),
    "g23_whoever_takes_anything_takes_that": (good(m={"type": "Maybe"}, v={"type": "View", "value": "@m"}), []),
    "g24_all_are_told": (
        flow(
            {
                "a": {"type": "Scale", "image": "@nope", "factor": 77, "bad": 1},
                "b": {"type": "Nothing"},
                "c d": {"type": "Empty", "width": 513},
                "e": 5,
            },
            {"p": {"defualt": 1}},
            nam="x",
            about=3,
        ),
        [
            'E-KEY wf: "nam" unknown; did you mean "name"?',
            'E-SHAPE wf: "about" must be text',
            'E-INPUT wf a.bad: Scale has no input "bad"; known: image, factor',
            "E-RANGE wf a.factor: 77 is outside 0.1…10",
            'E-NODE wf b.type: "Nothing" is not a node type; weft nodes lists them',
            'E-ID wf c d: "c d" cannot be a node id; ids are 1–64 of A–Z a–z 0–9 _ -, not starting with __',
            "E-STEP wf c d.width: 513 is not a multiple of 8; nearest: 512, 520",
            'E-SHAPE wf e: a node must be an object with "type"',
            'E-LINK wf a.image: node "nope" does not exist; known: a, b, c d, e',
            'E-KEY wf $p: "defualt" unknown in a param; did you mean "default"?',
        ],
    ),
    "g24_nothing_follows_from_an_unknown_type": (
        good(sample={"type": "Sampler", "whatever": "$x", "model": "@nowhere"}),
        ['E-NODE wf sample.type: "Sampler" is not a node type; did you mean "Sample"?'],
    ),
    "g24_nothing_follows_from_a_misspelt_input": (
        flow({"e": {"type": "Empty"}, "d": {"type": "Decode", "latnet": "@e"}, "s": SAVE}),
        ['E-INPUT wf d.latnet: Decode has no input "latnet"; did you mean "latent"?'],
    ),
    "g24_a_param_of_a_broken_node_is_not_idle": (
        flow({**START, "c": {"type": "Count", "valeu": "$n"}}, {"n": 3}),
        ['E-INPUT wf c.valeu: Count has no input "valeu"; did you mean "value"?'],
    ),
    "g24_nothing_follows_from_a_cycle": (
        flow(
            {
                "a": {"type": "Scale", "image": "@a"},
                "b": {"type": "Scale", "image": "@a"},
                "s": {**SAVE, "image": "@b"},
            }
        ),
        ["E-CYCLE wf a: a → a; nodes cannot feed each other"],
    ),
    "b25_unknown_type": (
        good(base__type="Laod"),
        ['E-NODE wf base.type: "Laod" is not a node type; did you mean "Load"?'],
    ),
    "b25_type_of_a_newer_weft": (
        good(sample__type="Sample@4"),
        ['E-VERSION wf sample.type: "Sample@4": this weft has Sample up to version 3; update weft'],
    ),
    **{
        f"b25_no_version_{version}": (
            good(base__type=f"Load@{version}"),
            [f'E-VERSION wf base.type: "Load@{version}" names no version of Load; write "Load" or "Load@1"'],
        )
        for version in ("", "0", "-1", "x", "²", "9999999", "1@1")
    },
    "b25_no_type": (
        good(base={}, text=None, sample=None, decode=None, save=None),
        ['E-MISSING wf base: "type" is required; add "type": the name of a node, such as SaveImage'],
    ),
    "b25_type_is_a_number": (
        flow({"a": {"type": 7}}),
        ['E-TYPE wf a.type: "type" must be text, not 7; the name of a node, such as SaveImage'],
    ),
    "b27_fed_by_itself": (
        flow({"3": {"type": "Scale", "image": "@3"}, "s": {**SAVE, "image": "@3"}}),
        ["E-CYCLE wf 3: 3 → 3; nodes cannot feed each other"],
    ),
    "b28_no_such_node": (
        flow({**START, "5": {"type": "Decode", "latent": "@99"}}),
        ['E-LINK wf 5.latent: node "99" does not exist; known: e, d, s, 5'],
    ),
    "b29_which_output": (
        good(text__clip="@base"),
        ['E-LINK wf text.clip: node base has several outputs: model, clip; write "@base.model"'],
    ),
    "b29_no_such_output": (
        good(text__clip="@base.vae"),
        ['E-LINK wf text.clip: node base has no output "vae"; it has model, clip; write "@base.model"'],
    ),
    "b32_missing": (
        flow({"a": {"type": "Sample"}, "s": {"type": "Save"}}),
        [
            'E-MISSING wf a: "model" is required; add "model": "@node" with a node that makes MODEL',
            'E-MISSING wf a: "steps" is required; add "steps": a value',
            'E-MISSING wf s: "image" is required; add "image": "@node" with a node that makes IMAGE',
        ],
    ),
    "b33_misspelt": (
        good(sample={"type": "Sample", "model": "@base.model", "step": 3}),
        ['E-INPUT wf sample.step: Sample has no input "step"; did you mean "steps"?'],
    ),
    "b34_nothing_saved": (
        good(save=None),
        ["E-NOOUT wf: nothing would be saved; add SaveImage, or name a --target"],
    ),
    "b35_no_nodes": (flow({}), ["E-NOOUT wf: the workflow has no nodes; add some, with one that saves"]),
    **{
        f"b39_id_{number}": (
            flow({**START, name: {"type": "Empty"}}),
            [f'E-ID wf {shown}: "{quoted}" cannot be a node id; ids are 1–64 of A–Z a–z 0–9 _ -, not starting with __'],
        )
        for number, (name, shown, quoted) in enumerate(
            [
                ("__class__", "__class__", "__class__"),
                ("a/b", "a/b", "a/b"),
                ("a\n", "a⟨U+000A⟩", "a⟨U+000A⟩"),
                ("é", "é", "é"),
                ("x" * 300, "x" * 63 + "…", "x" * 59 + "…"),
                ("\x1b[31m", "⟨U+001B⟩[31m", "⟨U+001B⟩[31m"),
            ]
        )
    },
    "b39_no_id": (
        flow({**START, "": {"type": "Empty"}}),
        ['E-ID wf: "" cannot be a node id; ids are 1–64 of A–Z a–z 0–9 _ -, not starting with __'],
    ),
    "b40_broken_but_not_needed": (
        flow({**START, "x": {"type": "Zzz"}}),
        ['E-NODE wf x.type: "Zzz" is not a node type; weft nodes lists them'],
    ),
    "b60_a_letter_that_looks_alike": (
        flow({**START, "x": {"type": "Dесоde", "latent": "@e"}}),
        ['E-NODE wf x.type: "Dесоde" contains U+0435 (Cyrillic); did you mean "Decode"?'],
    ),
    "reserved_keys_have_types": (
        good(base={"type": "Load", "about": 1, "cache": "no"}),
        ['E-TYPE wf base.about: "about" must be text', 'E-TYPE wf base.cache: "cache" must be true or false'],
    ),
    "hostile_ids_are_shown_escaped": (
        flow({**START, "\x1b": {"type": "Scale", "image": "@\x1b"}, "t": {"type": "Decode", "latent": "@\x1b"}}),
        [
            'E-ID wf ⟨U+001B⟩: "⟨U+001B⟩" cannot be a node id; ids are 1–64 of A–Z a–z 0–9 _ -, not starting with __',
            "E-TYPE wf t.latent: gets IMAGE from ⟨U+001B⟩, expects LATENT",
            "E-CYCLE wf ⟨U+001B⟩: ⟨U+001B⟩ → ⟨U+001B⟩; nodes cannot feed each other",
        ],
    ),
    "a_file_name_is_known_before_the_run": (
        flow({"n": {"type": "Ratio", "value": 1}, "o": {"type": "Open", "path": "@n"}, "s": {**SAVE, "image": "@o"}}),
        [
            "E-LINK wf o.path: gets its file name from n, but it must be known before anything runs; "
            "write the name here, or use a param"
        ],
    ),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_told(case: str) -> None:
    source, expected = GRAPHS[case]
    assert told(source) == expected


@pytest.mark.parametrize("case", GRAPHS)
def test_g16_a_file_is_told_the_same_with_lines(case: str) -> None:
    source, expected = GRAPHS[case]
    lines = told(json.dumps(source, indent=1))
    assert sorted(re.sub(r" wf\.json:\d+:\d+", " wf", line) for line in lines) == sorted(expected)
    assert all(re.match(r"[EW]-[A-Z]+ wf\.json:\d+:\d+", line) for line in lines)


def test_g24_each_problem_shows_its_line() -> None:
    text = (
        '{"format": 1, "nodes": {\n  "5": {"type": "Count", "value": 1.5},\n  "s": {"type": "Save", "image": "@5"}\n}}'
    )
    with pytest.raises(WorkflowError) as caught:
        built(text)
    assert str(caught.value).split("\n") == [
        "E-TYPE wf.json:2:35 5.value: 1.5 is not whole",
        '    "5": {"type": "Count", "value": 1.5},',
        "                                    ^",
        "E-TYPE wf.json:3:34 s.image: gets INT from 5, expects IMAGE",
        '    "s": {"type": "Save", "image": "@5"}',
        "                                   ^",
    ]


def test_g24_problems_come_in_the_order_of_the_file() -> None:
    _, problems = check(document(json.dumps(GRAPHS["g24_all_are_told"][0], indent=1)), REGISTRY)
    places = [(problem.place.line, problem.place.column) for problem in problems]
    assert places == sorted(places)


def test_g5_a_node_id_twice() -> None:
    text = '{"format": 1, "nodes": {\n "a": {"type": "Empty"},\n "a": {"type": "Load"}}}'
    assert told(text) == ['E-DUPKEY wf.json:3:2: node "a" defined at 2:2 and 3:2; rename one, or remove it']


TARGETS: dict[str, tuple[object, list[str], list[str]]] = {
    "b40_only_a_target": (
        flow({**START, "x": {"type": "Zzz"}, "y": {"type": "Scale", "image": "@x", "factor": 99}}),
        ["d"],
        [
            'W-SKIP wf x.type: E-NODE: "Zzz" is not a node type; the target does not need it',
            "W-SKIP wf y.factor: E-RANGE: 99 is outside 0.1…10; the target does not need it",
        ],
    ),
    "b40_the_target_is_broken": (
        flow({**START, "x": {"type": "Zzz"}}),
        ["x"],
        ['E-NODE wf x.type: "Zzz" is not a node type; weft nodes lists them'],
    ),
    "b40_what_the_target_needs_is_broken": (
        flow({**START, "x": {"type": "Zzz"}, "y": {"type": "Scale", "image": "@x"}}),
        ["y"],
        ['E-NODE wf x.type: "Zzz" is not a node type; weft nodes lists them'],
    ),
    "no_such_target": (good(), ["decoed"], ['E-LINK wf: target "decoed": no such node; did you mean "decode"?']),
    "a_target_needs_no_effect": (good(save=None), ["decode"], []),
    "a_param_of_what_is_left_out": (
        flow({**START, "c": {"type": "Count", "value": "$n"}}, {"n": {"about": "none is needed"}}),
        ["d"],
        [],
    ),
}


@pytest.mark.parametrize("case", TARGETS)
def test_targets(case: str) -> None:
    source, targets, expected = TARGETS[case]
    assert told(source, targets) == expected


def test_b40_what_the_target_does_not_need_is_left_out() -> None:
    workflow = built(TARGETS["b40_only_a_target"][0], ["d"])
    assert (workflow.order, workflow.targets) == (("e", "d"), ("d",))


def test_thousands_of_problems_take_no_minutes() -> None:
    nodes = {f"node{i}": {"type": "Scale", "image": f"@nod{i}", "factr": 2} for i in range(3000)}
    started = time.perf_counter()
    workflow, problems = check(document(json.dumps(flow(nodes), indent=1)), REGISTRY)
    assert time.perf_counter() - started < 10
    assert workflow is None
    assert len(problems) == 1002
    assert str(problems[0]) == "E-LIMIT wf.json:1:1: more than 1000 problems; these are the first"


def test_a_document_of_strange_keys_takes_no_minutes() -> None:
    keys = {f"key{i}": i for i in range(100_000)}
    started = time.perf_counter()
    assert len(told(json.dumps(flow({"a": {"type": "Empty", **keys}}, **keys)))) == 1002
    assert time.perf_counter() - started < 10


def test_reading_again_what_was_refused_changes_nothing() -> None:
    source: Any = good(save__image="@sample")
    before = json.dumps(source)
    told(source)
    assert json.dumps(source) == before
