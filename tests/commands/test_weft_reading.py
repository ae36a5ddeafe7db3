"""The verbs that only read: check, plan, graph, nodes, schema, diff, errors, and the help."""

import json

import jsonschema
import pytest
from toy_nodes import registry

import cli
from engine.errors import CODES


def flow(**nodes):
    return {"format": 1, "nodes": nodes}


SAY = {"type": "Say", "text": "x"}
BROKEN = flow(
    a={"type": "Calculat", "b": 1}, b={"type": "Calculate", "c": 1, "b": "x"}, say={"type": "Say", "text": "@zz"}
)


def test_check_of_a_good_workflow_is_one_line(weft):
    answer = weft("check", "sums.json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "Sums: 3 nodes; params a=2.0, b=3.5; makes save (SaveText)\n"


def test_g24_check_reports_everything_that_is_wrong(weft):
    answer = weft("check", "broken.json", broken=json.dumps(BROKEN, indent=1))
    assert (answer.code, answer.out) == (2, "")
    assert [line for line in answer.err.splitlines() if line.startswith("E-")] == [
        'E-NODE broken.json:5:12 a.type: "Calculat" is not a node type; did you mean "Calculate"?',
        'E-MISSING broken.json:8:3 b: "a" is required; add "a": a value',
        'E-INPUT broken.json:10:4 b.c: Calculate has no input "c"; known: a, b, op',
        'E-TYPE broken.json:11:9 b.b: text "x"; expected a number',
        'E-LINK broken.json:15:12 say.text: node "zz" does not exist; known: a, b, say',
    ]
    assert '   "type": "Calculat",' in answer.err


def test_check_as_json(weft):
    good, bad = weft("check", "sums.json", "--json"), weft("check", "b.json", "--json", b=BROKEN)
    assert (good.code, good.json) == (0, {"status": "ok", "problems": [], "warnings": []})
    assert bad.code == 2
    assert bad.json["status"] == "error"
    assert {p["code"] for p in bad.json["problems"]} == {"E-NODE", "E-MISSING", "E-INPUT", "E-TYPE", "E-LINK"}


def test_check_of_a_target_warns_of_what_it_does_not_need(weft):
    answer = weft("check", "f.json", "--target", "say", f=flow(say=SAY, bad={"type": "Nope"}))
    assert (answer.code, answer.out) == (0, "f.json: 1 node; makes say (Say)\n")
    assert answer.err.startswith("W-SKIP f.json")


def test_check_finds_files_that_are_not_there_or_may_not_be_read(weft, tmp_path):
    file = flow(n={"type": "Length", "path": "in/x.bin"}, say={"type": "Say", "text": "@n"})
    absent = weft("check", "f.json", f=file)
    assert absent.code == 3
    assert absent.err.startswith('E-NOTFOUND f.json:1:57 n.path: "in/x.bin" is not there; there is no folder "in"\n')
    file["nodes"]["n"]["path"] = "../x.bin"
    assert weft("check", "f.json", "--json", f=file).json["problems"][0]["code"] == "E-PATH"
    (tmp_path / "in").mkdir()
    (tmp_path / "x.bin").write_bytes(b"1")
    (tmp_path / "in" / "f.json").write_text(json.dumps(file))
    assert weft("check", "in/f.json").code == 5
    assert weft("check", "in/f.json", "--allow", ".").code == 0


def test_plan_says_what_will_run_and_why(weft):
    first = weft("plan", "sums.json")
    assert (
        first.out
        == """\
◌ sum    Calculate  will run  not run before
◌ twice  Calculate  will run  not run before
◌ save   SaveText   will run  writes files
3 of 3 nodes will run
"""
    )
    weft("run", "sums.json")
    assert (
        weft("plan", "sums.json").out
        == """\
≡ sum    Calculate  cached
≡ twice  Calculate  cached
◌ save   SaveText   will run  writes files
1 of 3 nodes will run
"""
    )
    assert (
        weft("plan", "sums.json", "b=7").out
        == """\
◌ sum    Calculate  will run  b was 3.5, is 7.0
◌ twice  Calculate  will run  a comes from sum, which changed
◌ save   SaveText   will run  writes files
3 of 3 nodes will run
"""
    )


def test_plan_of_a_sweep_shows_what_variants_share(weft):
    answer = weft("plan", "sums.json", "--sweep", "twice.b=1,2,3")
    assert answer.out.splitlines()[0] == "◌ sum ×3       Calculate  will run  not run before"
    assert answer.out.splitlines()[1] == "◌ twice [1/3]  Calculate  will run  not run before"
    assert answer.out.splitlines()[-1] == "7 of 7 nodes will run"


def test_plan_as_json_and_without_cache(weft):
    weft("run", "sums.json")
    assert weft("plan", "sums.json", "--json").json["run"] == 1
    found = weft("plan", "sums.json", "--json", "--no-cache").json
    assert (found["run"], found["nodes"][0]["why"]) == (3, "the cache is off")


def test_plan_tells_of_seeds_that_each_run_draws(weft):
    out = weft("plan", "f.json", f=flow(roll={"type": "Roll"}, say={"type": "Say", "text": "@roll"})).out
    assert "roll.seed: drawn anew in each run\n" in out


def test_graph_draws_rails_without_colours_into_a_pipe(weft):
    assert (
        weft("graph", "sums.json").out
        == """\
╭───○ sum    Calculate
╰─┬─○ twice  Calculate
  ╰─○ save   SaveText
"""
    )


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("canvas", "╭─ ○ sum ───╮     ╭─ ○ twice ──╮"),
        ("mermaid", "flowchart LR\n"),
        ("dot", "digraph weft {\n"),
        ("svg", "<svg "),
    ],
)
def test_graph_in_other_formats(weft, form, start):
    answer = weft("graph", "sums.json", "--format", form)
    assert (answer.code, answer.out[: len(start)]) == (0, start)


def test_a_broken_workflow_is_drawn_with_what_is_wrong(weft):
    file = flow(
        a={"type": "Calculate", "a": "@b"},
        b={"type": "Calculate", "a": "@a"},
        c={"type": "Nope", "x": "@zz", "y": "@a.q"},
        d=3,
    )
    answer = weft("graph", "f.json", f=file)
    assert answer.code == 0
    assert {"a", "b", "c", "d"} <= {word for line in answer.out.splitlines() for word in line.split()}
    assert "zz" in answer.out


def test_graph_in_colour_is_the_same_text(weft):
    import re

    from commands.graph import painted
    from engine.document import from_value
    from engine.views import rails
    from engine.views.picture import picture

    lines = rails(picture(from_value(BROKEN), registry())).lines()
    plain, coloured = painted(lines, in_colour=False), painted(lines, in_colour=True)
    assert coloured != plain
    uncoloured = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in uncoloured.splitlines()] == plain.splitlines()


def test_nodes_are_listed_by_module_with_what_they_compute(weft):
    out = weft("nodes").out
    assert "values\n  Calculate" in out
    assert "y = a (op) b for one operation of arithmetic." in out
    assert all(len(block.splitlines()) > 1 for block in out.split("\n\n"))


def test_one_node_is_explained_with_its_inputs_and_outputs(weft):
    assert (
        weft("nodes", "Steps").out
        == """\
Steps

Count steps, each of which takes a while.

input  type    default  range    about
steps  INT     3        1…10000  how many
pause  NUMBER  0.0               seconds that each takes

output  type
int     INT
"""
    )
    assert "add, subtract, multiply, divide" in weft("nodes", "Calculate").out


def test_nodes_as_json(weft):
    one = weft("nodes", "Steps", "--json").json
    assert one["inputs"][0] == {"name": "steps", "type": "INT", "required": False, "default": 3, "optional": False,
                                "about": "how many", "min": 1, "max": 10000}  # fmt: skip
    assert {"Steps", "Calculate"} <= {node["name"] for node in weft("nodes", "--json").json}


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["nodes", "Calculat"], 2, 'E-NODE: "Calculat" is not a node type; did you mean "Calculate"?\n'),
        (["nodes", "Q"], 2, 'E-NODE: "Q" is not a node type; weft nodes lists them\n'),
        (["chek"], 2, 'E-CLI: "chek" is not a command; did you mean "check"?\n'),
        (["wf.json"], 2, 'E-CLI: "wf.json" is not a command; try: weft run wf.json\n'),
        (["ddpm-digits"], 2, 'E-CLI: "ddpm-digits" is not a command; try: weft run ddpm-digits\n'),
        (["\x1b[31m"], 2, 'E-CLI: "⟨U+001B⟩[31m" is not a command; weft --help lists the verbs\n'),
        (["diff", "sums.json"], 2, "E-CLI: B missing; weft diff --help says what it takes\n"),
        (
            ["check", "sums.json", "more"],
            2,
            'E-CLI: "more" is one word too many; weft check --help says what it takes\n',
        ),
        (["check", "absent.json"], 3, "E-NOTFOUND absent.json: no such file; "),
        (["check", "there/absent.json"], 3, 'E-NOTFOUND there/absent.json: no such file; there is no folder "there"\n'),
        (
            ["graph", "sums.json", "--format", "gif"],
            2,
            'E-CLI: --format "gif"; known: text, canvas, mermaid, dot, svg\n',
        ),
        (["graph", "sums.json", "--format", "mermade"], 2, 'E-CLI: --format "mermade"; did you mean "mermaid"?\n'),
    ],
)
def test_a_command_line_that_is_wrong(weft, words, code, text):
    answer = weft(*words)
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith(text)
    assert answer.err.count("\n") == 1


def test_g20_schema_takes_good_workflows_and_refuses_bad_ones(weft):
    schema = weft("schema").json
    jsonschema.validate(flow(say=SAY), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(flow(say={"type": "Say"}), schema)


def test_errors_lists_every_code(weft):
    lines = weft("errors").out.splitlines()
    assert [line.split()[0] for line in lines] == list(CODES)


def test_diff_goes_down_to_the_input(weft):
    a = {"format": 1, "params": {"s": 1, "t": 2}, "nodes": {"x": {"type": "Text", "value": "a"}, "say": SAY}}
    b = {"format": 1, "params": {"s": {"default": 3}}, "nodes": {"x": {"type": "Text", "value": "b"}, "tell": SAY}}
    answer = weft("diff", "a.json", "b.json", a=a, b=b)
    assert answer.code == 1
    assert (
        answer.out
        == """\
~ $s.default: 1 → 3
- param $t = 2
~ x.value: "a" → "b"
- node say (Say)
+ node tell (Say)
"""
    )
    assert weft("diff", "a.json", "a.json").code == 0
    assert weft("diff", "a.json", "b.json", "--json").json["differences"][0] == {
        "what": "value", "path": "$s.default", "sign": "~", "before": 1, "after": 3,
    }  # fmt: skip


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_a_bare_weft_prints_the_help(weft, words):
    answer = weft(*words)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == cli.help_text()
    assert all(f"\n  {verb} " in answer.out for verb in cli.VERBS)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_explains_itself_in_80_columns_or_little_more(weft, verb):
    answer = weft(verb, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(cli.parser_of(verb).format_help())
    assert max(map(len, answer.out.splitlines())) <= 100


def test_version(weft):
    assert weft("--version").out.startswith("weft ")


def test_the_page_about_the_command_line_is_what_its_script_writes():
    import runpy
    from pathlib import Path

    docs = Path(cli.__file__).parent / "docs"
    script = runpy.run_path(str(docs / "make_cli.py"))
    assert (docs / "cli.md").read_text(encoding="utf-8") == script["text"](), "run: python docs/make_cli.py"


def test_run_help_ends_with_the_shipped_workflows(weft):
    lines = [line.split(maxsplit=1) for line in weft("run", "--help").out.splitlines()]
    assert ["ddpm-digits", "Handwritten digits from noise"] in lines


def test_a_shipped_workflow_is_called_by_its_name(weft):
    assert weft("check", "forward-process", "--nope").code == 2
    answer = weft("run", "compare-schedules", "index=-5")
    assert answer.err.startswith("E-RANGE compare-schedules.json $index: −5 is outside 0…1796")
