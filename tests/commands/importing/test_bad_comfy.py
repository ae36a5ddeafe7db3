"""ComfyUI files that are damaged: what is said, exactly; and that nothing is written."""

import copy
import json
import random

import pytest
import traps
from comfy_files import begin
from forty import files

import cli
from commands.importing.source import graph_of
from commands.importing.translate import translate
from engine.errors import WeftError
from engine.source import Source
from nodes import registry


def plain():
    base = begin()
    return base.save(base.sampled(base.blank()))


@pytest.fixture
def importing(tmp_path, monkeypatch, capfd):
    """Import a value, or a text, as a person would: (exit code, lines of standard error without carets, written?)."""
    monkeypatch.chdir(tmp_path)

    def go(value, *words):
        text = value if isinstance(value, str) else json.dumps(value, indent=1)
        (tmp_path / "f.json").write_text(text)
        code = cli.main(["import", "f.json", "--out", "w.json", *words], registry())
        lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("  ")]
        return code, lines, (tmp_path / "w.json").exists()

    return go


def prompt(change):
    value = plain().api()
    change(value)
    return value


def canvas(change):
    value = plain().ui()
    change(value)
    return value


def inputs(node, **more):
    return lambda value: value[node]["inputs"].update(more)


def circle(value):
    value["8"]["inputs"]["samples"] = ["10", 0]
    value["10"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["8", 0], "vae": ["3", 2]}}


def in_link(place, value):
    return lambda ui: ui["links"][0].__setitem__(place, value)


def values(node, listed):
    return lambda ui: traps.node(ui, node).update(widgets_values=listed)


def reroute_loop(ui):
    a, b = (traps.add(ui, "Reroute", [("", "*")], ["*"]) for _ in range(2))
    for source, target in ((a, b), (b, a), (a, 7)):
        traps.link(ui, source, 0, target, 0, "*")


def subgraph_in_itself(ui):
    traps.into_subgraph(ui, [7], 20)
    ui["definitions"]["subgraphs"][0]["nodes"].append({**ui["nodes"][-1], "id": 77, "inputs": []})


AGAIN = "open it in ComfyUI, and save it again"
NEITHER = (
    "E-FOREIGN f.json: neither a ComfyUI workflow, nor a ComfyUI prompt, nor A1111's text; save it in ComfyUI with "
    "Save, or Export (API)"
)
BAD = {
    "dangling link": (
        prompt(inputs("7", model=["99", 0])),
        'E-LINK f.json:48:7 7.model: node "99" does not exist; take the link away',
    ),
    "wrong slot": (
        prompt(inputs("7", model=["3", 7])),
        "E-LINK f.json:48:7 7.model: output 7 of CheckpointLoaderSimple (3), which has outputs 0 to 2; link one that "
        "is there",
    ),
    "negative slot": (
        prompt(inputs("7", model=["3", -1])),
        "E-LINK f.json:48:7 7.model: output -1 of CheckpointLoaderSimple (3), which has outputs 0 to 2; link one that "
        "is there",
    ),
    "link to itself": (
        prompt(inputs("7", latent_image=["7", 0])),
        "E-CYCLE f.json:48:7: 7 → 7; nodes cannot feed each other; take one of these links away",
    ),
    "cycle": (
        prompt(circle),
        "E-CYCLE f.json:78:7: 8 → 10 → 8; nodes cannot feed each other; take one of these links away",
    ),
    "wrong type": (
        prompt(inputs("7", model=["3", 2])),
        f"E-TYPE f.json:48:7 7.model: gets VAE, expects MODEL; {AGAIN}",
    ),
    "no link": (
        prompt(lambda value: value["7"]["inputs"].pop("model")),
        f'E-MISSING f.json:48:7 7.model: "model" is not linked; {AGAIN}',
    ),
    "text for a number": (
        prompt(inputs("7", steps="twenty")),
        f'E-TYPE f.json:48:7 7.steps: "twenty"; expected a whole number; {AGAIN}',
    ),
    "list for a number": (
        prompt(inputs("7", cfg=[1, 2, 3])),
        f"E-TYPE f.json:48:7 7.cfg: [1, 2, 3]; expected a number; {AGAIN}",
    ),
    "NaN": (
        prompt(inputs("7", cfg=float("nan"))),
        "E-NUM f.json:57:11: NaN is not a number a workflow can hold; write a plain number",
    ),
    "too many steps": (
        prompt(inputs("7", denoise=1e-9)),
        f"E-RANGE f.json:48:7 7.steps: 3 steps of a denoise of 1e-09 are more than 10000; {AGAIN}",
    ),
    "a type that is no text": (
        prompt(lambda value: value["7"].update(class_type=5)),
        'E-SHAPE f.json:48:7 7: "class_type" must be text, and "inputs" an object',
    ),
    "nothing is saved": (
        prompt(lambda value: value.pop("9")),
        "E-NOOUT f.json: nothing in it is saved; it needs a SaveImage or PreviewImage",
    ),
    "too many nodes": (
        {str(i): {"class_type": "X"} for i in range(10_001)},
        "E-LIMIT f.json: 10001 nodes, limit 10000",
    ),
    "too deep": ("[" * 100_000, "E-DEPTH f.json:1:65: nested deeper than 64; flatten it"),
    "empty": ("", "E-EMPTY f.json: the file is empty; expected a workflow"),
    "something else": ({"a": 1}, NEITHER),
    "a list": ([], NEITHER),
    "a workflow of ours": (
        {"format": 1, "nodes": {}},
        "E-CLI f.json: this is a workflow of weft's already; weft run takes it as it is",
    ),
    "canvas: a link that is not listed": (
        canvas(lambda ui: traps.node(ui, 7)["inputs"][0].update(link=999)),
        "E-LINK f.json:173:5 7.model: link 999 does not exist; take the link away",
    ),
    "canvas: dangling link": (
        canvas(in_link(1, 99)),
        'E-LINK f.json:51:3 4.clip: node "99" does not exist; take the link away',
    ),
    "canvas: wrong slot": (
        canvas(in_link(2, 9)),
        "E-LINK f.json:51:3 4.clip: output 9 of CheckpointLoaderSimple (3), which has outputs 0 to 2; link one that is "
        "there",
    ),
    "canvas: a slot that is no number": (
        canvas(in_link(2, "x")),
        'E-LINK f.json:287:3: link 1 comes from output "x" of node 3; link it anew',
    ),
    "canvas: no link at all": (
        canvas(lambda ui: ui["links"].__setitem__(0, "x")),
        'E-SHAPE f.json:287:3: "x" is no link: [id, origin, slot, target, slot, type]',
    ),
    "canvas: too few values": (
        canvas(values(7, [5, "fixed", 20])),
        f"E-MISSING f.json:158:3 7: 3 values are too few: none for sampler_name, scheduler; {AGAIN}",
    ),
    "canvas: values in the wrong places": (
        canvas(values(6, ["x", 64, 64])),
        f'E-TYPE f.json:125:3 6.width: "x"; expected a whole number; {AGAIN}',
    ),
    "canvas: no node": (
        canvas(lambda ui: ui["nodes"].__setitem__(0, {"id": 1})),
        'E-SHAPE f.json:5:3: a node needs "id" and "type"',
    ),
    "canvas: an id twice": (
        canvas(lambda ui: ui["nodes"].append(dict(ui["nodes"][0]))),
        'E-DUPKEY f.json:285:3: node "3" is there already, at 5:3',
    ),
    "canvas: a circle of reroutes": (
        canvas(reroute_loop),
        "E-CYCLE f.json:285:3 10: links lead back to Reroute (10); take one of them away",
    ),
    "canvas: a subgraph in itself": (
        canvas(subgraph_in_itself),
        'E-CYCLE f.json:472:6: subgraph "Sampling" holds itself; take it out of itself',
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_said(name, importing):
    value, line = BAD[name]
    code, lines, written = importing(value)
    assert lines == [line]
    assert (code, written) == (2, False)


def test_too_few_values_are_those_of_comfyui(importing):
    code, lines, written = importing(canvas(values(6, [64, 64])))
    assert lines == [
        "EmptyLatentImage (6): 2 values are too few; batch_size as ComfyUI has it by default",
        "7 nodes of ComfyUI became 11 nodes; 0 without a match; 0 differences",
    ]
    assert (code, written) == (0, True)


def test_too_many_values_are_listed(importing):
    code, lines, written = importing(canvas(values(6, [64, 64, 1, "more"])))
    assert lines[0] == 'EmptyLatentImage (6): 4 values are too many; left out: "more"'
    assert (code, written) == (0, True)


def test_what_has_no_match_stays_in_the_workflow(importing, tmp_path):
    graph = files()["unknown node"].api()
    code, lines, written = importing(graph)
    assert lines == [
        "UltimateSDUpscale (9): no match; nearest: LatentScale, CutSchedule and UNetDenoise (as the workflow upscale "
        "has them)",
        "UltimateSDUpscale (9): its values: upscale_by = 2.0, seed = 5",
        "8 nodes of ComfyUI became 12 nodes; 1 without a match; 0 differences",
    ]
    assert (code, written) == (1, True)
    node = json.loads((tmp_path / "w.json").read_text())["nodes"]["ultimatesdupscale"]
    assert node["type"] == "UltimateSDUpscale"
    assert node["image"] == "@decode"


def test_what_a_file_holds_is_shown_with_its_control_characters(importing):
    graph = plain().api() | {"\x1b[31m": {"class_type": "\x1b[2J\u202e", "inputs": {"image": ["8", 0]}}}
    lines = importing(graph)[1]
    assert lines[0] == "⟨U+001B⟩[2J⟨U+202E⟩ (⟨U+001B⟩[31m): no match, and nothing near it"


def test_what_python_notes_of_changes_is_passed_over(importing):
    graph = plain().api()
    graph["3"]["is_changed"] = [float("nan")]
    assert importing(graph)[0] == 0


def test_a_file_that_is_there_is_kept(importing, tmp_path):
    (tmp_path / "w.json").write_text("mine")
    code, lines, _ = importing(plain().api())
    assert (code, lines) == (2, ["E-CLI w.json: is there already, and is kept; give another name"])
    assert (tmp_path / "w.json").read_text() == "mine"


@pytest.mark.parametrize(("form", "what"), [("api", "prompt (API format)"), ("ui", "workflow")])
def test_other_commands_say_how_many_nodes_would_map(form, what, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    file = files()["unknown node"]
    (tmp_path / "f.json").write_text(json.dumps(getattr(file, form)()))
    assert cli.main(["check", "f.json"], registry()) == 2
    assert capfd.readouterr().err.splitlines() == [
        f"E-FOREIGN f.json:1:1: this is a ComfyUI {what} with 8 nodes; try: weft import, which has a match for 7 of 8"
    ]


ODD = [None, 0, -1, 10**19, 1.5, "", "x", "3", True, [], {}, [1, 2], ["3", 0], [[]], "Reroute", "PrimitiveNode"]


def spots(value):
    """Every place in a value that can be changed."""
    pending, found = [value], []
    while pending:
        part = pending.pop()
        keys = range(len(part)) if isinstance(part, list) else part if isinstance(part, dict) else ()
        found += [(part, key) for key in keys]
        pending += [part[key] for key in keys]
    return found


@pytest.mark.parametrize("form", ["api", "ui"])
def test_whatever_is_changed_is_imported_or_refused(form):
    names, luck, done = list(files()), random.Random(5), 0
    for _ in range(300):
        value = copy.deepcopy(getattr(files()[luck.choice(names)], form)())
        for _ in range(luck.choice([1, 2, 4])):
            part, key = luck.choice(spots(value))
            part[key] = copy.deepcopy(luck.choice(ODD))
        try:
            translate(graph_of(Source("f.json", json.dumps(value))))
            done += 1
        except WeftError:
            continue
    assert 30 < done < 300
