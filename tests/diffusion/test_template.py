"""Prompt templates: what they mean, that a seed decides, and what is wrong with them."""

import subprocess
import sys
import time
from collections import Counter
from itertools import permutations
from pathlib import Path

import pytest

from diffusion.template import LIMIT, TemplateError, TooLong, UnknownName, UnknownWildcard, options_of, resolve

FILES = {
    "colour": ["red", "green"],
    "colour/warm": ["amber"],
    "nested": ["a {big|small} __colour/warm__ {animal}"],
    "weighted": ["0::never", "2::always"],
    "under_score": ["found"],
    "Größe": ["groß"],
}
VALUES = {"animal": "fox {x|y}", "count": 3, "half": 0.5, "a_b-c": "name"}

MEANS = {
    "plain text": {"plain text"},
    "": {""},
    "{red|green|blue}": {"red", "green", "blue"},
    "a {red|{dark|light} blue} fox": {"a red fox", "a dark blue fox", "a light blue fox"},
    "{very |}big": {"very big", "big"},
    "{0::a|b}": {"b"},
    "{.5::a|0.0::b}": {"a"},
    "{2$$a|b|c}": {", ".join(p) for p in permutations("abc", 2)},
    "{2$$ a | b }": {"a, b", "b, a"},
    "{2$$ and $$a|b}": {"a and b", "b and a"},
    "{2$$$$a|b}": {"ab", "ba"},
    "{0$$a|b}": {""},
    "{1-2$$a|b}": {"a", "b", "a, b", "b, a"},
    "{2$$2::a|b}": {"a, b", "b, a"},
    "__colour__": {"red", "green"},
    "{__colour__|blue}": {"red", "green", "blue"},
    "{2$$__colour__}": {"red, green", "green, red"},
    "__colour/warm__": {"amber"},
    "__weighted__": {"always"},
    "__under_score__": {"found"},
    "__Größe__": {"groß"},
    "__nested__": {"a big amber fox {x|y}", "a small amber fox {x|y}"},
    "{animal}": {"fox {x|y}"},
    "{count} and {half}": {"3 and 0.5"},
    "{a_b-c}": {"name"},
    "a | b": {"a | b"},
    r"\{a|b\}": {"{a|b}"},
    r"{a\|b|c\}}": {"a|b", "c}"},
    r"\__colour__": {"__colour__"},
    r"\(fox:1.2\) \\ \n": {r"\(fox:1.2\) \\ \n"},
    "(red:1.2) [fox]": {"(red:1.2) [fox]"},
    "snake_case __ __init": {"snake_case __ __init"},
    "1::a": {"1::a"},
}


@pytest.mark.parametrize("template", MEANS)
def test_what_a_template_may_become(template):
    found = {resolve(template, seed, VALUES, FILES) for seed in range(60)}
    assert found == MEANS[template]


def test_weights_are_how_often():
    count = Counter(resolve("{3::a|b}", seed) for seed in range(4000))
    # Three in four, give or take five standard deviations: sqrt(4000 x 3/4 x 1/4) = 27.4.
    assert abs(count["a"] - 3000) < 5 * 27.4


def test_seeds_side_by_side_give_variety():
    count = Counter(resolve("{1|3|7}", seed) for seed in range(300))
    assert all(abs(count[digit] - 100) < 5 * 8.2 for digit in "137")
    assert len({resolve("{a|b|c|d} {a|b|c|d} {a|b|c|d}", seed) for seed in range(64)}) > 30


GOLDEN = {0: "blue dog, y and x", 7: "red cat, y and x", 2**64 - 1: "red cat, x and z"}


@pytest.mark.parametrize("seed", GOLDEN)
def test_a_seed_stands_for_one_text_for_ever(seed):
    assert resolve("{red|green|blue} {cat|dog}, {2$$ and $$x|y|z}", seed) == GOLDEN[seed]


def test_another_process_makes_the_same_text():
    code = "from diffusion.template import resolve; print(resolve('{a|b|c|d|e|f|g|h} {1|2|3|4|5}', 11))"
    root = Path(__file__).parent.parent.parent
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env={"PYTHONHASHSEED": "5"}, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == resolve("{a|b|c|d|e|f|g|h} {1|2|3|4|5}", 11)


WRONG = {
    "a {red|green": '"{" at character 3 is never closed',
    "{a|{b|c}": '"{" at character 1 is never closed',
    "red} fox": '"}" at character 4 closes nothing',
    "{a b}": '"{a b}" at character 1 is neither a value nor a choice',
    "{}": '"{}" at character 1 is neither a value nor a choice',
    "{3-1$$a|b}": '"{3-1$$a|b}" asks for 3 to 1 options',
    "{3$$a|b}": "{3$$a|b} is to give 3 of 2 options",
    "{0::a|0::b}": "{0::a|0::b} is to give 1 of 0 options",
    "{3$$__two__}": "__two__ is to give 3 of 2 options",
    "__none__": 'the wildcard file for "__none__" has no options',
    "__broken__": 'in the wildcard file for "__broken__": "{" at character 1 is never closed: {a',
    "__loop__": "choices and wildcards lead more than 20 deep: __loop__ in __back__ in __loop__ …",
    "{a|" * 25 + "}" * 25: "choices inside each other more than 20 deep",
    "{x|y}" * 1001: "more than 1000 choices in one text",
}
BAD_FILES = {"two": ["a", "b"], "none": [], "broken": ["{a"], "loop": ["__back__"], "back": ["__loop__"]}


@pytest.mark.parametrize("template", WRONG, ids=lambda t: t[:20])
def test_what_is_wrong_is_said(template):
    with pytest.raises(TemplateError) as caught:
        resolve(template, 0, {}, BAD_FILES)
    assert str(caught.value) == WRONG[template]
    assert caught.value.hint


def test_unknown_names_come_with_the_known_ones():
    with pytest.raises(UnknownName, match="no value for") as value:
        resolve("{animl}", 0, VALUES)
    assert (value.value.name, set(value.value.known)) == ("animl", set(VALUES))
    with pytest.raises(UnknownWildcard, match='no wildcard file for "__color__"') as wildcard:
        resolve("__color__", 0, {}, FILES)
    assert (wildcard.value.name, set(wildcard.value.known)) == ("color", set(FILES))


def test_a_text_has_a_limit():
    assert len(resolve("{x}", 0, {"x": "a" * LIMIT})) == LIMIT
    for template in ("{x}{x}", "__w__", "{2$$" + "," * (LIMIT + 1) + "$$a|b}"):
        with pytest.raises(TooLong, match="more than 64 KiB"):
            resolve(template, 0, {"x": "ä" * (LIMIT // 4 + 1)}, {"w": ["{x}{x}"]})


def test_doubling_wildcards_end_soon():
    files = {f"w{i}": [f"__w{i + 1}____w{i + 1}__"] for i in range(19)} | {"w19": [" "]}
    with pytest.raises(TemplateError, match="more than 1000 choices"):
        resolve("__w0__", 0, {}, files)


def test_files_have_comments_and_empty_lines():
    assert options_of("# colours\n red \r\n\n2::green\n  # not this\nblue # this") == ["red", "2::green", "blue # this"]


def test_a_long_file_is_read_once():
    started = time.perf_counter()
    assert resolve("__a__" * 1000, 0, {}, {"a": ["x"] * 100_000}) == "x" * 1000
    assert time.perf_counter() - started < 5
