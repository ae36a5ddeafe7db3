"""The verbs around a run: new, cache, doctor."""

import os
from pathlib import Path

import pytest

import cli
from commands.common import parse_size


def test_new_copies_a_shipped_workflow_and_keeps_what_is_there(weft):
    answer = weft("new", "forward-process", "mine.json")
    assert (answer.code, answer.out) == (0, "mine.json\n")
    shipped = Path(cli.__file__).parent / "workflows" / "forward-process.json"
    assert Path("mine.json").read_bytes() == shipped.read_bytes()
    again = weft("new", "ddpm-digits", "mine.json")
    assert (again.code, again.err) == (2, "E-CLI mine.json: is there already, and is kept; give another name\n")
    assert Path("mine.json").read_bytes() == shipped.read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (
            ["ddpm-digit", "x.json"],
            3,
            'E-NOTFOUND: "ddpm-digit" is not a shipped workflow; did you mean "ddpm-digits"?\n',
        ),
        (
            ["ddpm-digits", "no/x.json"],
            1,
            "E-DISK no/x.json: cannot be written: No such file or directory; give another",
        ),
        (["ddpm-digits"], 2, "E-CLI: FILE missing; weft new --help says what it takes\n"),
    ],
)
def test_new_that_cannot_be(weft, words, code, text):
    answer = weft("new", *words)
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith(text)


def test_cache_lists_what_is_kept_latest_first(weft):
    assert weft("cache", "ls").out.startswith("0 results, 0 B of 20.0 GiB, in ")
    weft("run", "sums.json")
    lines = weft("cache", "ls").out.splitlines()
    assert lines[0].split() == ["key", "type", "size", "made", "in"]
    assert [line.split()[1] for line in lines[1:3]] == ["Calculate", "Calculate"]
    assert lines[3].startswith("2 results, ")
    assert weft("cache", "ls", "--limit", "1").out.splitlines()[-1].startswith("2 results, the latest 1 listed, ")
    assert weft("cache", "ls", "--json").json["results"] == 2


def test_k1_gc_keeps_to_a_size(weft):
    weft("run", "sums.json")
    answer = weft("cache", "gc", "--max", "0")
    assert (answer.code, answer.out) == (0, "dropped 2 results, 0 stray files; 0 B left\n")
    assert weft("plan", "sums.json", "--json").json["run"] == 3


def test_k12_why_names_the_input_that_changed_and_both_values(weft):
    weft("run", "sums.json")
    answer = weft("cache", "why", "sums.json", "twice", "b=9")
    assert (
        answer.out
        == """\
twice: will run: a comes from sum, which changed
sum: will run: b was 3.5, is 9.0
"""
    )
    assert weft("cache", "why", "sums.json", "twice").out == "twice: cached\n"
    assert weft("cache", "why", "sums.json", "sum", "b=9", "--json").json == [
        {"node": "sum", "status": "run", "why": "b was 3.5, is 9.0"}
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["why"], "E-CLI: weft cache why needs FILE and NODE; try: weft cache why fox.json denoise\n"),
        (["why", "sums.json", "twic"], 'E-CLI: no node "twic"; did you mean "twice"?\n'),
        (["ls", "x"], 'E-CLI: "x" is one word too many; weft cache --help says what it takes\n'),
        (["gc", "--max", "ten"], 'E-CLI: "ten" is not a size; write 10G, 500M or 0\n'),
        (["lst"], 'E-CLI: ACTION "lst"; did you mean "ls"?\n'),
        ([], "E-CLI: ACTION missing; weft cache --help says what it takes\n"),
    ],
)
def test_a_cache_command_that_is_wrong(weft, words, text):
    answer = weft("cache", *words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(text)


def test_k10_verify_finds_damage_and_sets_it_aside(weft, tmp_path):
    long = {
        "format": 1,
        "nodes": {"t": {"type": "JoinText", "texts": ["x" * 9000]}, "s": {"type": "Say", "text": "@t"}},
    }
    weft("run", "f.json", f=long)
    assert (weft("cache", "verify").code, weft("cache", "verify").out) == (0, "1 result: all whole\n")
    (blob,) = [p for p in (tmp_path / "cache" / "blobs").rglob("*") if p.is_file()]
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    answer = weft("cache", "verify")
    assert (answer.code, answer.out) == (1, "1 of 1 result damaged: set aside, and made again when needed\n")
    assert weft("run", "f.json", "--quiet").out == "x" * 9000 + "\n"
    assert weft("cache", "verify").out == "1 result: all whole\n"


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("4096", 4096), ("10G", 10 << 30), ("1.5GiB", 3 << 29), ("500 mb", 500 << 20), ("2T", 2 << 40)],
)
def test_sizes(text, count):
    assert parse_size(text) == count


def test_a_cache_that_cannot_be_used_stops_no_run(weft, tmp_path, monkeypatch):
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "file" / "cache"))
    (tmp_path / "file").write_text("")
    answer = weft("run", "sums.json", "--quiet")
    assert (answer.code, answer.out) == (0, "out/sum-2.0.txt\n")
    assert answer.err.startswith("W-CACHE: the cache is off for this run: ")
    listed = weft("cache", "ls")
    assert listed.code == 1
    assert listed.err.startswith("E-CACHE: ")
    doctor = weft("doctor")
    assert doctor.code == 1
    assert "cannot be written; set WEFT_CACHE to a folder that can" in doctor.out


def test_doctor_says_what_is_there_and_what_to_do(weft):
    out = weft("doctor").out
    subjects = [line.split()[1] for line in out.splitlines()]
    assert subjects == [
        "weft",
        "Python",
        "torch",
        "diffusers",
        "device",
        "cache",
        "disk",
        "workflows",
        "models",
        "hub",
        "terminal",
    ]
    assert {line.split()[0] for line in out.splitlines()} <= {"ok", "note", "problem"}
    assert os.environ["WEFT_CACHE"] in out
