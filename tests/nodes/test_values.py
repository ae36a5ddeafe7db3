"""Plain values, arithmetic, and saving text."""

import pytest

from engine.api import load, run
from engine.context import Settings
from nodes import registry
from nodes.values import Calculate, JoinText


def result(op: str, a: float, b: float) -> float:
    return Calculate(a=a, b=b, op=op).run(None)


@pytest.mark.parametrize(
    ("op", "a", "b", "expected"),
    [
        ("add", 2, 3, 5),
        ("subtract", 2, 3, -1),
        ("multiply", 2, 3, 6),
        ("divide", 3, 2, 1.5),
        ("power", 2, 10, 1024),
        ("min", 2, 3, 2),
        ("max", 2, 3, 3),
    ],
)
def test_each_operation(op, a, b, expected):
    assert result(op, a, b) == expected


@pytest.mark.parametrize(
    ("op", "a", "b", "message"),
    [("divide", 1, 0, "divided by zero; give b another value"), ("power", -1, 0.5, "is not a real number")],
)
def test_what_has_no_result_says_so(op, a, b, message):
    with pytest.raises(ValueError, match=message):
        result(op, a, b)


def test_join_text():
    assert JoinText(texts=["a fox", "snow"], separator=" in ").run(None) == "a fox in snow"


def test_saved_text_keeps_an_earlier_file_of_the_same_name(tmp_path):
    document = {
        "format": 1,
        "params": {"word": "one"},
        "nodes": {"save": {"type": "SaveText", "value": "$word", "path": "word.txt"}},
    }
    workflow = load(document, registry=registry())
    settings = Settings(out=tmp_path)
    events = []
    for word in ("one", "one", "two"):
        run(workflow, settings=settings, on_event=events.append, word=word)
    assert (tmp_path / "word.txt").read_text() == "one\n"
    assert (tmp_path / "word-2.txt").read_text() == "two\n"
    assert sorted(p.name for p in tmp_path.glob("*.txt")) == ["word-2.txt", "word.txt"]
    warnings = [str(e.problem) for e in events if hasattr(e, "problem")]
    expected = "W-OUT save.path: word.txt exists with other content; wrote word-2.txt; "
    assert warnings == [expected + "put {seed} or {index} into the path, or give another --out"]
