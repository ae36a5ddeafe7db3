"""What nodes say while they run, where a person and a script find it."""

import json

FLOW = {
    "format": 1,
    "params": {"seed": 3},
    "nodes": {
        "prompt": {"type": "PromptTemplate", "template": "{a\u202e|b} fox", "seed": "$seed"},
        "save": {"type": "SaveText", "value": "@prompt", "path": "p-{seed}.txt"},
    },
}


def test_it_goes_to_standard_error_and_not_to_standard_output(weft):
    answer = weft("run", "f.json", f=FLOW)
    assert answer.code == 0
    assert "  prompt: a⟨U+202E⟩ fox\n" in answer.err
    assert answer.out == "out/p-3.txt\n"


def test_variants_are_told_apart(weft):
    err = weft("run", "f.json", "--sweep", "seed=2,3", f=FLOW).err
    assert "  prompt [1/2]: b fox\n" in err
    assert "  prompt [2/2]: a⟨U+202E⟩ fox\n" in err


def test_quiet_leaves_it_out(weft):
    assert weft("run", "f.json", "--quiet", f=FLOW).err == ""


def test_json_has_it(weft):
    assert weft("run", "f.json", "--json", "--sweep", "seed=2,3", f=FLOW).json["texts"] == [
        {"variant": 0, "node": "prompt", "text": "b fox"},
        {"variant": 1, "node": "prompt", "text": "a\u202e fox"},
    ]


def test_jsonl_has_it_as_an_event(weft):
    lines = [json.loads(line) for line in weft("run", "f.json", "--jsonl", "seed=2", f=FLOW).out.splitlines()]
    said = [line for line in lines if line["event"] == "node_said"]
    assert said == [{"event": "node_said", "node": "prompt", "variant": 0, "text": "b fox"}]
