"""weft run: what it makes, prints and answers."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image


def flow(**nodes):
    return {"format": 1, "nodes": nodes}


def test_a_run_prints_the_path_of_each_file_and_nothing_else(weft):
    answer = weft("run", "sums.json")
    assert (answer.code, answer.out) == (0, "out/sum-2.0.txt\n")
    assert Path("out/sum-2.0.txt").read_text() == "11.0\n"


def test_progress_without_a_terminal_is_a_few_plain_lines(weft):
    err = weft("run", "sums.json").err
    assert re.sub(r"[\d.]+ s$", "T s", err, flags=re.M) == (
        "Sums: 3 of 3 nodes will run\n  11.0\n✓ done: 3 ran, 0 cached, T s\n"
    )
    assert "✓ done: 1 ran, 2 cached" in weft("run", "sums.json").err


def test_quiet_says_nothing_on_standard_error(weft):
    assert weft("run", "sums.json", "--quiet").err == ""


def test_texts_that_are_in_no_file_go_to_standard_output(weft):
    answer = weft("run", "f.json", f=flow(say={"type": "Say", "text": "one\ttwo\u202e\nthree"}))
    assert answer.out == "one    two⟨U+202E⟩\nthree\n"


def test_a_target_that_is_a_plain_value_is_printed(weft):
    answer = weft("run", "sums.json", "--target", "twice", "a=1")
    assert (answer.code, answer.out) == (0, "9.0\n")
    assert not Path("out").exists()


def test_options_may_stand_among_values(weft):
    answer = weft("run", "--quiet", "sums.json", "a=1", "--out", "there", "b=1")
    assert (answer.code, answer.out) == (0, "there/sum-1.0.txt\n")


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["a=4"], "15.0"),
        (["a=4.25"], "15.5"),
        (["a=1e2", "b=-1"], "198.0"),
        (["twice.b=3"], "16.5"),
        (["twice.op=add", "twice.b=0.5"], "6.0"),
    ],
)
def test_values_become_what_the_inputs_take(weft, words, out):
    assert weft("run", "sums.json", "--target", "twice", *words).out == f"{out}\n"


VALUES = {
    "format": 1,
    "params": {"text": "x", "parts": {"default": ["a"]}, "seed": 5, "way": "value"},
    "nodes": {
        "roll": {"type": "Roll", "seed": "$seed"},
        "join": {"type": "JoinText", "texts": "$parts", "separator": "$text"},
        "fail": {"type": "Fail", "way": "$way"},
        "say": {"type": "Say", "text": "@join"},
    },
}


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (['parts=["b", "@c", "$d"]', "text=+"], "b+@c+$d"),
        (["parts=[]"], ""),
        (["text=true", 'parts=["p", "q"]'], "ptrueq"),
        (["text=@node", 'parts=["p", "q"]'], "p@nodeq"),
        (["text=a=b", 'parts=["p", "q"]'], "pa=bq"),
        (["text=", 'parts=["p", "q"]'], "pq"),
    ],
)
def test_a_value_is_always_literal_and_lists_are_json(weft, words, out):
    answer = weft("run", "v.json", *words, "--target", "join", v=VALUES)
    assert (answer.code, answer.out) == (0, f"{out}\n" if out else "")


@pytest.mark.parametrize("word", ["seed=null", "seed=-1"])
def test_a_seed_that_is_drawn_is_shown_and_recorded(weft, word):
    answer = weft("run", "v.json", word, "--target", "roll", "--json", v=VALUES)
    (seeds,) = answer.json["seeds"]
    assert f"W-SEED: drew seed = {seeds['seed']}; give it to make this again\n" in answer.err
    assert answer.json["warnings"][0]["code"] == "W-SEED"


WRONG = [
    (["sums.json", "c=1"], 2, 'E-PARAM sums.json: no param "c"; known: a, b'),
    (["sums.json", "sum.op=ad"], 2, 'E-CHOICE sums.json sum.op: "ad" is not a choice; did you mean "add"? one of'),
    (["sums.json", "sun.op=add"], 2, 'E-PARAM sums.json: no node "sun"; did you mean "sum"?'),
    (["sums.json", "sum.opp=add"], 2, 'E-PARAM sums.json: Calculate has no input "opp"; did you mean "op"?'),
    (["sums.json", "a=x"], 2, 'E-TYPE sums.json $a: text "x"; expected a number'),
    (["sums.json", "a=1_0"], 2, 'E-TYPE sums.json $a: text "1_0"; expected a number'),
    (["sums.json", "a=nan"], 2, 'E-TYPE sums.json $a: text "nan"; expected a number'),
    (["sums.json", "a=1e999"], 2, "E-NUM sums.json $a: Infinity is not a number a workflow can hold"),
    (["sums.json", "a=-1"], 2, "E-RANGE sums.json $a: −1 is outside 0…"),
    (["sums.json", "a=1", "a=2"], 2, 'E-CLI: "a" is given twice; name it once'),
    (["sums.json", "b"], 2, 'E-CLI: "b" is not name=value; did you mean "b=…"?'),
    (["sums.json", "=3"], 2, 'E-CLI: "=3" is not name=value'),
    (["sums.json", "a=\udcff"], 2, 'E-ENC: "a": not valid Unicode at character 1; check the terminal\'s encoding'),
    (["sums.json", "--target", "sav"], 2, 'E-LINK sums.json:1:1: target "sav": no such node; did you mean "save"?'),
    (["sums.json", "--device", "cudda"], 2, 'E-CLI: --device "cudda" is not a device; did you mean "cuda"?'),
    (["sums.json", "--dtype", "float23"], 2, 'E-CLI: --dtype "float23" is not a dtype; did you mean "float32"?'),
    (["sums.json", "--batch", "0"], 2, "E-CLI: --batch 0; expected 1 or more"),
    (["sums.json", "--batch", "x"], 2, "E-CLI: argument --batch: invalid int value: 'x'; weft run --help says what it"),
    (["sums.json", "--swep", "a=1"], 2, 'E-CLI: "--swep" is not an option of weft run; did you mean "--sweep"?'),
    (["sums.json", "--grid"], 2, "E-CLI: --grid draws the variants of a sweep, and there is none; add"),
    ([], 2, "E-CLI: FILE missing; weft run --help says what it takes"),
    (["sms.json"], 3, 'E-NOTFOUND sms.json: no such file; did you mean "sums.json"?'),
    (["ddpm-digit"], 3, 'E-NOTFOUND: no file and no shipped workflow "ddpm-digit"; did you mean "ddpm-digits"?'),
    (["."], 2, "E-NOTFILE .: is a directory; give a .json, .png or bundle file"),
    (["sums.json", "--sweep", "c=1,2"], 2, 'E-PARAM sums.json: no param "c"; known: a, b'),
    (["sums.json", "--sweep", "a=1,x"], 2, 'E-TYPE sums.json $a: text "x"; expected a number'),
    (["sums.json", "--sweep", "a=1", "--sweep", "a=2"], 2, 'E-SWEEP: "a" is swept twice; name it once'),
    (["sums.json", "--sweep", "a=1", "--zip", "a=2"], 2, 'E-SWEEP: "a" is swept twice; name it once'),
    (["sums.json", "a=3", "--sweep", "a=1,2"], 2, 'E-SWEEP: "a" is both set and swept; do one of them'),
    (["sums.json", "--sweep", "a="], 2, 'E-SWEEP: "a" has no values; write a=a,b,c'),
    (["sums.json", "--sweep", "a"], 2, 'E-CLI: "a" is not --sweep name=a,b,c; did you mean "a=…"?'),
    (["sums.json", "--zip", "a=1,2", "--zip", "b=1"], 2, "E-SWEEP: zipped lists differ in length: a has 2, b has 1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "text"), WRONG, ids=[" ".join(ascii(w) for w in words) for words, _, _ in WRONG]
)
def test_b6_what_is_wrong_is_said_in_one_line_and_nothing_runs(weft, words, code, text):
    answer = weft("run", *words)
    assert answer.err.startswith(text)
    assert answer.err.count("\n") == 1
    assert (answer.code, answer.out) == (code, "")
    assert not Path("out").exists()


def test_all_that_is_wrong_with_the_values_is_said_at_once(weft):
    answer = weft("run", "sums.json", "a=x", "c=1", "sum.opp=1")
    assert [line.split()[0].rstrip(":") for line in answer.err.splitlines()] == ["E-TYPE", "E-PARAM", "E-PARAM"]


def test_sweep_and_zip_make_products_with_zips_inside(weft):
    words = ["--sweep", "a=10,20", "--zip", "b=1,2", "--zip", "twice.b=3,4"]
    assert weft("run", "sums.json", "--target", "twice", *words).out.split() == ["33.0", "48.0", "63.0", "88.0"]


@pytest.mark.parametrize(
    ("sweep", "out"),
    [
        ("text=a,b", ["a", "b"]),
        (r"text=a\,b,c", ["a,b", "c"]),
        ('text=["a,b", "c"]', ["a,b", "c"]),
        ("text=,", ["", ""]),
    ],
)
def test_a_comma_inside_a_swept_value_is_escaped_or_in_a_json_list(weft, sweep, out):
    file = {"format": 1, "params": {"text": "x"}, "nodes": {"say": {"type": "JoinText", "texts": ["<", "$text", ">"],
            "separator": ""}}}  # fmt: skip
    answer = weft("run", "t.json", "--target", "say", "--sweep", sweep, t=file)
    assert answer.out.splitlines() == [f"<{text}>" for text in out]


def test_b7_what_variants_share_runs_once(weft):
    report = weft("run", "sums.json", "--sweep", "twice.b=1,2,3", "--json").json
    assert (report["nodes"]["sum"]["ran"], report["nodes"]["twice"]["ran"]) == (1, 3)


def test_a_seed_that_is_drawn_is_the_same_in_all_variants(weft):
    report = weft("run", "v.json", "seed=-1", "--sweep", "text=a,b,c", "--target", "roll", "--json", v=VALUES).json
    assert len({seeds["seed"] for seeds in report["seeds"]}) == 1
    assert len(report["seeds"]) == 3


def test_json_is_one_object_with_all_that_a_script_needs(weft):
    answer = weft("run", "sums.json", "--json")
    report = answer.json
    assert list(report) == ["status", "seconds", "outputs", "texts", "seeds", "nodes", "problems", "warnings", "locks"]
    (output,) = report["outputs"]
    assert (output["path"], output["node"], output["variant"], output["mime"]) == (
        "out/sum-2.0.txt",
        "save",
        0,
        "text/plain",
    )
    assert re.fullmatch("[0-9a-f]{64}", output["digest"])
    assert report["nodes"]["sum"]["status"] == "done"
    assert report["nodes"]["sum"]["peak_bytes"] > 0
    assert weft("run", "sums.json", "--json").json["nodes"]["sum"]["status"] == "cached"


def test_jsonl_is_the_event_stream(weft):
    answer = weft("run", "sums.json", "--jsonl")
    events = [json.loads(line)["event"] for line in answer.out.splitlines()]
    assert events == ["run_started", *["node_started", "node_finished"] * 3, "run_finished"]


@pytest.mark.parametrize(
    ("words", "code"),
    [(["nope.json"], 3), (["sums.json", "a=x"], 2), (["sums.json", "--nope"], 2), (["fail.json"], 1)],
)
def test_standard_output_is_json_in_every_failure(weft, words, code):
    fail = flow(fail={"type": "Fail"}, say={"type": "Say", "text": "@fail"})
    one = weft("run", *words, "--json", fail=fail)
    assert one.code == code
    assert one.json["status"] in ("error", "failed")
    assert one.json["problems"][0]["code"].startswith("E-")
    lines = weft("run", *words, "--jsonl")
    assert lines.code == code
    assert json.loads(lines.out.splitlines()[-1])["event"] in ("error", "run_finished")


@pytest.mark.parametrize(
    ("way", "code", "text"),
    [
        ("value", 1, "E-RUN fail: there is nothing to add\n"),
        ("surprise", 1, "E-RUN fail: KeyError: 'spanner'; --debug shows the traceback\n"),
        ("missing", 3, "E-NOTFOUND fail: no weights\n"),
    ],
)
def test_s15_a_failed_node_fails_the_run(weft, way, code, text):
    file = flow(fail={"type": "Fail", "way": way}, say={"type": "Say", "text": "@fail"},
                other={"type": "Say", "text": "b"})  # fmt: skip
    answer = weft("run", "f.json", f=file)
    assert answer.code == code
    assert answer.err.endswith(text)
    assert "Traceback" not in answer.err
    assert "✗ fail Fail failed\n" in answer.err
    assert "✗ failed: " in answer.err


def test_s15_keep_going_finishes_what_does_not_need_it(weft):
    file = flow(fail={"type": "Fail"}, say={"type": "Say", "text": "@fail"}, other={"type": "Say", "text": "b"})
    answer = weft("run", "f.json", "--keep-going", f=file)
    assert (answer.code, answer.out) == (1, "b\n")
    assert "⊘ say Say skipped: fail\n" in answer.err


def test_debug_shows_the_traceback(weft):
    answer = weft(
        "run", "f.json", "--debug", f=flow(fail={"type": "Fail", "way": "surprise"}, s={"type": "Say", "text": "@fail"})
    )
    assert "Traceback" in answer.err


def test_warnings_are_shown_and_stop_nothing(weft):
    answer = weft("run", "f.json", f=flow(warn={"type": "Warn"}, say={"type": "Say", "text": "@warn"}))
    assert (answer.code, answer.out) == (0, "1.0\n")
    assert "W-TOKENS warn.value: 2 tokens cut; say less\n" in answer.err


def test_k5_no_cache_runs_everything_again(weft):
    weft("run", "sums.json")
    assert weft("run", "sums.json", "--no-cache", "--json").json["nodes"]["sum"]["status"] == "done"


def test_a_path_on_the_command_line_is_relative_to_the_current_folder_and_may_lie_anywhere(weft, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x.bin").write_bytes(b"12345")
    (tmp_path / "deep" / "y.bin").write_bytes(b"1")
    file = {"format": 1, "params": {"path": "y.bin"}, "nodes": {"n": {"type": "Length", "path": "$path"},
            "s": {"type": "Say", "text": "@n"}}}  # fmt: skip
    (tmp_path / "deep" / "f.json").write_text(json.dumps(file))
    assert weft("run", "deep/f.json", "path=there/x.bin").out == "5\n"
    assert weft("run", "deep/f.json", "n.path=there/x.bin").out == "5\n"
    assert weft("run", "deep/f.json", "path=y.bin").out == "1\n"
    (tmp_path / "deep" / "f.json").write_text(json.dumps(file).replace("y.bin", "../there/x.bin"))
    refused = weft("run", "deep/f.json")
    assert (refused.code, refused.err.split(":")[0]) == (5, "E-PATH deep/f.json n.path")
    assert weft("run", "deep/f.json", "--allow", "there").code == 0


def test_grid_is_one_labelled_picture_of_all_variants(weft):
    file = {"format": 1, "params": {"grey": 0}, "nodes": {"save": {"type": "Swatch", "grey": "$grey", "size": 32}}}
    answer = weft(
        "run", "g.json", "--sweep", "grey=40,200", "--sweep", "save.size=16,32,64", "--grid", "--quiet", g=file
    )
    assert (answer.code, answer.out.splitlines()[-1]) == (0, "out/grid.png")
    with Image.open("out/grid.png") as picture:
        assert picture.width > 3 * 64
        assert 2 * 64 < picture.height < 3 * 64 + 60
        colours = {colour for _, colour in picture.getcolors(1 << 20)}
    assert {(40, 40, 40), (200, 200, 200)} <= colours


def test_a_variant_that_failed_leaves_its_place_in_the_grid_empty(weft):
    file = {"format": 1, "params": {"way": "x"}, "nodes": {
        "f": {"type": "Fail", "way": "$way"}, "save": {"type": "Swatch", "size": 64, "after": "@f"}}}  # fmt: skip
    answer = weft("run", "g.json", "--sweep", "way=none,value", "--grid", "--keep-going", "--quiet", g=file)
    assert (answer.code, answer.out.splitlines()[-1]) == (1, "out/grid.png")
    with Image.open("out/grid.png") as picture:
        assert picture.width > 2 * 64


def test_grid_without_pictures_says_what_is_missing(weft):
    answer = weft("run", "sums.json", "--sweep", "a=1,2", "--grid", "--quiet")
    assert (answer.code, answer.err) == (
        1,
        "E-NOOUT: --grid needs pictures, and the workflow saves none; add SaveImage\n",
    )


def test_help_of_a_workflow_shows_its_params_and_runs_nothing(weft):
    answer = weft("run", "sums.json", "--help")
    assert answer.code == 0
    assert (
        answer.out
        == """\
weft run sums.json [name=value ...] [options]

Sums

Adds two numbers and writes the sum.

param  type    default  range  about
a      NUMBER  2.0      0…     the left one
b      NUMBER  3.5             the right number

weft run --help lists the options.
"""
    )
    assert not Path("out").exists()
