"""Text that is shown: nothing in it acts on a terminal, near misses are named, amounts are read easily."""

import pytest

from engine.text import did_you_mean, find_controls, nearest, quoted, seconds, size, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢 🦊", "plain é 漢 🦊"),
        ("\x1b[31m", "⟨U+001B⟩[31m"),
        ("a\nb\tc", "a⟨U+000A⟩b⟨U+0009⟩c"),
        ("\u202egnp.exe", "⟨U+202E⟩gnp.exe"),
        ("a\u200bb", "a⟨U+200B⟩b"),
        ("\ud800", "⟨U+D800⟩"),
        ("\x9b", "⟨U+009B⟩"),
        ("\u2028", "⟨U+2028⟩"),
        ("[@click=app.quit]x[/]", "[@click=app.quit]x[/]"),
        ("", ""),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(shown) == shown


def test_long_text_is_cut() -> None:
    assert visible("x" * 300) == "x" * 199 + "…"
    assert visible("x" * 200) == "x" * 200


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", '"a"'), (1, "1"), (1.0, "1.0"), (True, "true"), (None, "null"), ([1, None, "é"], '[1, null, "é"]'),
        ({"a": False}, '{"a": false}'), (float("nan"), "NaN"), ({1}, "a set"), ("x" * 99, '"' + "x" * 59 + '…"'),
    ],
)  # fmt: skip
def test_quoted(value: object, shown: str) -> None:
    assert quoted(value) == shown


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("a\tb\r\n", 0), ("\x00", 1), ("\x1b[31m\x07", 2), ("\x85\x7f", 2)]
)
def test_find_controls(text: str, count: int) -> None:
    assert find_controls(text) == count


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("stpes", ["steps", "scale"], 'did you mean "steps"?'),
        ("STEPS", ["steps", "scale"], 'did you mean "steps"?'),
        ("zzz", ["steps", "scale"], "known: steps, scale"),
        ("zzz", [], ""),
        ("zzz", [f"name{i}" for i in range(31)], ""),
        ("a\x1bc", ["a\x1bb"], 'did you mean "a⟨U+001B⟩b"?'),
        ("zzz", ["a\x1bb"], "known: a⟨U+001B⟩b"),
    ],
)
def test_did_you_mean(word: str, known: list[str], hint: str) -> None:
    assert did_you_mean(word, known) == hint


def test_nearest_gives_the_best_first() -> None:
    assert nearest("eulr", ["heun", "euler_a", "euler"], 2) == ["euler", "euler_a"]
    assert nearest("x" * 101, ["x" * 101]) == []


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (9 * 2**20, "9.0 MiB"), (3.1 * 2**40, "3.1 TiB")],
)
def test_size(count: float, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.26, "0.3 s"), (12.4, "12 s"), (245, "4:05"), (3600, "60:00")])
def test_seconds(value: float, shown: str) -> None:
    assert seconds(value) == shown
