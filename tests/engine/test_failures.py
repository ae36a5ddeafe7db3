"""What happens when nodes, listeners and files misbehave while a graph runs."""

import pytest
from run_nodes import CALLS, HOOKS, Tensor
from runs import execute, flow, node

from engine.cache import Cache
from engine.errors import MissingError
from engine.events import NodeFailed, NodeFinished


def fails_with(ran):
    (problem,) = ran.outcome.problems
    return f"{problem.code} {problem.place}: {problem.what}", problem.hint


@pytest.mark.parametrize(
    ("raised", "code", "text"),
    [
        (KeyError("x"), "E-RUN", "KeyError: 'x'"),
        (StopIteration(), "E-RUN", "StopIteration"),
        (RuntimeError("bad\x1b[31m"), "E-RUN", "RuntimeError: bad⟨U+001B⟩[31m"),
        (ValueError("loss is not finite"), "E-RUN", "loss is not finite"),
        (SystemExit(3), "E-RUN", "the node tried to end the program"),
        (FileNotFoundError(2, "No such file or directory", "a.bin"), "E-RUN", "No such file or directory: a.bin"),
        (GeneratorExit(), "E-RUN", "GeneratorExit"),
        (RecursionError("too deep"), "E-RUN", "RecursionError: too deep"),
    ],
)
def test_what_a_node_raises_is_a_problem_at_the_node(raised, code, text):
    def throw():
        raise raised

    HOOKS["throw"] = throw
    ran = execute(flow(h=node("Hook", hook="throw"), n=node("Add", a="@h"), targets=["n"]))
    assert fails_with(ran)[0] == f"{code} h: {text}"
    assert (ran.failed, ran.skipped, ran.outcome.status) == (["h"], ["n"], "failed")
    (event,) = (e for e in ran.events if isinstance(e, NodeFailed))
    assert type(raised).__name__ in event.traceback


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("Wrong", "3", "Wrong returned str for int, but declares int"),
        ("Wrong", None, "Wrong returned NoneType for int, but declares int"),
        ("Wrong", True, "Wrong returned bool for int, but declares int"),
        ("WrongPair", (Tensor(b""),), "WrongPair returned 1 instead of 2 outputs (first, second)"),
        ("WrongPair", None, "WrongPair returned NoneType instead of 2 outputs (first, second)"),
        ("WrongPair", (None, None), "WrongPair returned NoneType for first, but declares Tensor"),
    ],
)
def test_wrong_outputs_are_a_mistake_of_the_node(kind, value, text):
    HOOKS["value"] = lambda: value
    ran = execute(flow(w=node(kind, hook="value"), targets=["w"]))
    what, hint = fails_with(ran)
    assert what.endswith(text)
    assert hint == f"this is a mistake in the node {kind}, not in the workflow"


def test_a_linked_value_out_of_range_is_told_like_a_literal_one():
    ran = execute(flow(a=node("Source", value=11), r=node("Ranged", a="@a"), targets=["r"]))
    assert fails_with(ran)[0] == "E-RANGE r.a: 11 is outside 0…10"


@pytest.mark.parametrize(
    ("inputs", "hint"),
    [
        (
            {"batch": 4},
            "make one of these smaller: big.width=64, big.height=64, big.batch=4; or set big.tile to work in tiles",
        ),
        ({"width": 1, "height": 1, "tile": 8}, "close other programs that use memory"),
    ],
)
def test_out_of_memory_names_the_levers_of_this_workflow(inputs, hint):
    ran = execute(flow(big=node("Big", **inputs), targets=["big"]))
    assert fails_with(ran) == ("E-MEMORY big: out of memory", hint)


def test_a_node_cannot_change_what_others_read():
    value = {"list": ["a"]}
    workflow = flow(v=node("Values", value=value), x=node("Spoil", value="@v"), y=node("Spoil", value="@v", tag="y"),
                    z=node("Spoil", value=value, tag="z"), targets=["x", "y", "z"])  # fmt: skip
    cache = Cache(memory=1 << 20)
    ran = execute(workflow, cache)
    assert [ran.value(n) for n in "xyz"] == [1, 1, 1]
    assert workflow.nodes["z"].literals == {"value": value, "tag": "z"} == {"value": {"list": ["a"]}, "tag": "z"}


def test_a_listener_that_raises_ends_the_run_and_is_heard():
    seen = []

    def listener(event):
        seen.append(type(event).__name__)
        if isinstance(event, NodeFinished):
            raise BrokenPipeError("nobody reads")

    with pytest.raises(BrokenPipeError, match="nobody reads"):
        execute(flow(a=node("Source"), b=node("Add", a="@a"), targets=["b"]), listener=listener)
    assert seen == ["RunStarted", "NodeStarted", "NodeFinished"]
    assert list(CALLS) == ["source 0"]


def test_a_file_that_is_not_there_stops_everything_before_it_starts(tmp_path):
    events = []
    workflow = flow(a=node("Source"), r=node("ReadText", path="a.txt"), targets=["a", "r"])
    with pytest.raises(MissingError):
        execute(workflow, folder=tmp_path, listener=events.append)
    assert events == []


def test_a_file_that_changes_while_it_is_used_is_said_and_nothing_made_from_it_is_kept(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    HOOKS["change"] = lambda: (tmp_path / "a.txt").write_text("two")
    cache = Cache(tmp_path / "cache")
    workflow = flow(r=node("ReadText", path="a.txt", hook="change"), a=node("Source"), w=node("Values", value={}),
                    s=node("Write", value="@r"), targets=["s", "a"])  # fmt: skip
    ran = execute(workflow, cache, folder=tmp_path, out=tmp_path)
    assert ran.warnings == ["a file changed while it was in use"]
    assert ran.outcome.status == "done"
    assert [kind for _, kind, *_ in cache.index.rows()] == ["Source"]
