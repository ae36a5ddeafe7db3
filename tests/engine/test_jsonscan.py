"""What is wrong with a JSON text: the exact words, the excerpt, and that nothing is missed or takes long."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Problem, WeftError, WorkflowError
from engine.jsonscan import problems
from engine.jsontext import parse
from engine.source import Source


def read(text: str) -> None:
    parse(Source("wf.json", text))


def refusal(text: str) -> list[str]:
    """The first line of each problem: without the excerpt."""
    with pytest.raises(WorkflowError) as caught:
        read(text)
    return [str(p).split("\n")[0] for p in caught.value.problems]


ERRORS: dict[str, tuple[str, list[str]]] = {
    "b01_nothing": ("", ["E-EMPTY wf.json:1:1: the file is empty; expected a workflow"]),
    "b06_cut_in_an_object": (
        '{\n "a": {"b": 1,\n\n',
        ["E-JSON wf.json:2:15: the file ends inside an object; it opens at 2:7; the file seems cut off"],
    ),
    "b06_cut_in_a_list": (
        '{"a": [1',
        ["E-JSON wf.json:1:9: the file ends inside a list; it opens at 1:7; the file seems cut off"],
    ),
    "b06_cut_after_a_key": (
        '{"a"',
        ["E-JSON wf.json:1:5: the file ends inside an object; it opens at 1:1; the file seems cut off"],
    ),
    "b06_cut_in_a_text": ('{"a": "fo', ["E-JSON wf.json:1:10: the file ends inside a text; it opens at 1:7"]),
    "b07_trailing_comma": (
        '{"a": [1,\n2,],}',
        [
            "E-JSON wf.json:2:2: JSON allows no trailing comma; remove it",
            "E-JSON wf.json:2:4: JSON allows no trailing comma; remove it",
        ],
    ),
    "b07_comments": (
        '// one\n{"a": 1, /* two\n */ "b": 2} # three',
        [
            'E-JSON wf.json:1:1: JSON allows no comments; remove it, or write it into "about"',
            'E-JSON wf.json:2:10: JSON allows no comments; remove it, or write it into "about"',
            'E-JSON wf.json:3:13: JSON allows no comments; remove it, or write it into "about"',
        ],
    ),
    "b07_comment_without_end": (
        "1 /* *",
        ['E-JSON wf.json:1:3: JSON allows no comments; remove it, or write it into "about"'],
    ),
    "b07_single_quotes": (
        "{'a': 'b'}",
        [
            'E-JSON wf.json:1:2: key in \' quotes; JSON takes "double quotes" only',
            'E-JSON wf.json:1:7: text in \' quotes; JSON takes "double quotes" only',
        ],
    ),
    "b07_curly_quotes": ("“a”", ['E-JSON wf.json:1:1: text in “ quotes; JSON takes "double quotes" only']),
    "no_quotes": (
        "{a: fox}",
        [
            'E-JSON wf.json:1:2: a stands without quotes; a key is in "double quotes"',
            'E-JSON wf.json:1:5: fox is not JSON; a text is in "double quotes"',
        ],
    ),
    "words_of_python": (
        "[True, False, None]",
        [
            "E-JSON wf.json:1:2: True is not JSON; write true",
            "E-JSON wf.json:1:8: False is not JSON; write false",
            "E-JSON wf.json:1:15: None is not JSON; write null",
        ],
    ),
    "numbers_of_others": (
        "[007, +1, .5, 5., 0x1f, 1_0]",
        [
            f"E-JSON wf.json:1:{column}: {word} is not a number; JSON writes numbers as 7, -12, 0.5 or 1e-3"
            for column, word in [(2, "007"), (7, "+1"), (11, ".5"), (15, "5."), (19, "0x1f"), (25, "1_0")]
        ],
    ),
    "missing_comma": (
        '{"a": 1\n "b": [1 2]}',
        [
            'E-JSON wf.json:1:8: a comma is missing here; it goes before "b": [1 2]}',
            "E-JSON wf.json:2:9: a comma is missing here; it goes before 2]}",
        ],
    ),
    "missing_colon": ('{"a" 1}', ['E-JSON wf.json:1:5: no colon after "a"; a key, a colon, a value']),
    "missing_colon_and_value": ('{"a"}', ['E-JSON wf.json:1:5: no colon after "a"; a key, a colon, a value']),
    "equals_sign": ('{"a" = 1}', ['E-JSON wf.json:1:6: = after the key "a"; JSON writes a colon']),
    "missing_value": ('{"a": }', ['E-JSON wf.json:1:7: "a" has no value; write one after the colon']),
    "comma_too_many": (
        '[1,,2, {,"a": 1}]',
        [
            "E-JSON wf.json:1:4: a value is missing before this comma; write it, or remove the comma",
            "E-JSON wf.json:1:9: a comma too many; remove it",
        ],
    ),
    "wrong_bracket": ('{"a": 1]', ["E-JSON wf.json:1:8: ] where } is due; an object opened at 1:1 is still open"]),
    "unexpected_value": ("[}", ['E-JSON wf.json:1:2: unexpected "}"; expected a value']),
    "unexpected_key": (
        "{1:",
        [
            'E-JSON wf.json:1:2: 1 stands without quotes; a key is in "double quotes"',
            "E-JSON wf.json:1:4: the file ends inside an object; it opens at 1:1; the file seems cut off",
        ],
    ),
    "unexpected_bracket_as_key": ("{[", ['E-JSON wf.json:1:2: unexpected "["; expected a key']),
    "unexpected_after": ("[1:2]", ['E-JSON wf.json:1:3: unexpected ":"; expected a comma or the end of a list']),
    "more_text": (
        "{} {}",
        ["E-JSON wf.json:1:4: more text after the end of the JSON; a file holds one value; remove the rest"],
    ),
    "foreign_space": ("[\u00a01]", ["E-JSON wf.json:1:2: U+00A0 is no space to JSON; write a plain space"]),
    "escape": (
        r'{"path": "C:\models\x"}',
        [
            r"E-JSON wf.json:1:13: \m is no escape of JSON; write \\ for a backslash",
            r"E-JSON wf.json:1:20: \x is no escape of JSON; write \\ for a backslash",
        ],
    ),
    "control_characters": (
        '["a\tb\x1b"]',
        [
            r"E-JSON wf.json:1:4: control character ⟨U+0009⟩ inside a text; write \t",
            r"E-JSON wf.json:1:6: control character ⟨U+001B⟩ inside a text; write \u001b",
        ],
    ),
    "line_break_in_a_text": (
        '["a\nb"]',
        [r"E-JSON wf.json:1:2: the text that starts here has no closing quote; close it; a line break inside is \n"],
    ),
    "b11_nested": ("[" * 100_000, ["E-DEPTH wf.json:1:65: nested deeper than 64; flatten it"]),
    "b11_nested_and_closed": ("[" * 65 + "]" * 65, ["E-DEPTH wf.json:1:65: nested deeper than 64; flatten it"]),
    "b11_nested_objects": ('{"a":' * 65 + "1" + "}" * 65, ["E-DEPTH wf.json:1:321: nested deeper than 64; flatten it"]),
    "b12_key_twice": (
        '{\n "seed": 1,\n "x": 2,\n "seed": 3}',
        ['E-DUPKEY wf.json:4:2: "seed" stands twice, first at 2:2; keep one'],
    ),
    "b12_key_thrice": (
        '{"a": 1, "a": 2, "a": 3}',
        [
            'E-DUPKEY wf.json:1:10: "a" stands twice, first at 1:2; keep one',
            'E-DUPKEY wf.json:1:18: "a" stands twice, first at 1:2; keep one',
        ],
    ),
    "b12_key_spelt_two_ways": (
        r'{"a": 1, "\u0061": 2}',
        ['E-DUPKEY wf.json:1:10: "a" stands twice, first at 1:2; keep one'],
    ),
    "b12_input_twice": (
        '{"nodes": {"5": {"seed": 1, "seed": 2}}}',
        ['E-DUPKEY wf.json:1:29 5.seed: "seed" stands twice, first at 1:18; keep one'],
    ),
    "b12_key_in_other_quotes": (
        """{"a": 1, 'a': 2}""",
        [
            'E-JSON wf.json:1:10: key in \' quotes; JSON takes "double quotes" only',
            'E-DUPKEY wf.json:1:10: "a" stands twice, first at 1:2; keep one',
        ],
    ),
    "b13_node_twice": (
        '{"nodes": {\n  "5": {},\n  "6": {},\n  "5": {}}}',
        ['E-DUPKEY wf.json:4:3: node "5" defined at 2:3 and 4:3; rename one, or remove it'],
    ),
    "b13_nodes_twice": (
        '{"nodes": {}, "nodes": {}}',
        ['E-DUPKEY wf.json:1:15: "nodes" stands twice, first at 1:2; keep one'],
    ),
    "b14_nan": (
        '{"nodes": {"4": {"type": "CFG", "scale": NaN}}}',
        ["E-NUM wf.json:1:42 4.scale: NaN is not a number a workflow can hold; write a plain number"],
    ),
    "b15_infinity": (
        "[-Infinity, Infinity, inf, -nan]",
        [
            f"E-NUM wf.json:1:{column}: {word} is not a number a workflow can hold; write a plain number"
            for column, word in [(2, "-Infinity"), (13, "Infinity"), (23, "inf"), (28, "-nan")]
        ],
    ),
    "b16_too_large": (
        "[1e999, -1e999, 1e308]",
        [
            "E-NUM wf.json:1:2: 1e999 is too large; write a number below 1.8e308",
            "E-NUM wf.json:1:9: -1e999 is too large; write a number below 1.8e308",
        ],
    ),
    "b17_digits": ("9" * 5000, ["E-NUM wf.json:1:1: integer of 5000 digits, limit 20; write a smaller number"]),
    "b17_digits_with_a_sign": (
        "-" + "9" * 21,
        ["E-NUM wf.json:1:1: integer of 21 digits, limit 20; write a smaller number"],
    ),
    "b55_half_a_character": (
        r'{"nodes": {"3": {"text": "a red fox, a \ud800"}}}',
        [r"E-ENC wf.json:1:40 3.text: not valid Unicode at character 14; \ud800 is half of a character"],
    ),
    "b55_the_other_half": (
        r'["\ud83d\ude00\n\udc00"]',
        [r"E-ENC wf.json:1:17: not valid Unicode at character 3; \udc00 is half of a character"],
    ),
    "b55_half_a_character_as_it_is": (
        '"ab\ud800"',
        ["E-ENC wf.json:1:4: not valid Unicode at character 3; ⟨U+D800⟩ is half of a character"],
    ),
    "place_in_a_list_of_a_node": (
        '{"nodes": {"a": {"x": [1, {"y": NaN}]}, "b": {"z": 1e999}}, "other": {"c": {"d": NaN}}}',
        [
            "E-NUM wf.json:1:33 a.x: NaN is not a number a workflow can hold; write a plain number",
            "E-NUM wf.json:1:52 b.z: 1e999 is too large; write a number below 1.8e308",
            "E-NUM wf.json:1:82: NaN is not a number a workflow can hold; write a plain number",
        ],
    ),
    "names_are_shown_escaped": (
        '{"nodes": {"\u202e": {"\\u001b[31m": NaN}}}',
        ["E-NUM wf.json:1:32 ⟨U+202E⟩.⟨U+001B⟩[31m: NaN is not a number a workflow can hold; write a plain number"],
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_error(case: str) -> None:
    text, expected = ERRORS[case]
    assert refusal(text) == expected


def test_at_most_twenty_problems_are_named() -> None:
    assert len(refusal("[" + "NaN," * 1000)) == 20


EXCERPTS = {
    "plain": ('{\n  "a": NaN\n}', '    "a": NaN\n         ^'),
    "after_wide_and_combining_characters": ('["狐e\u0301", NaN]', '  ["狐e\u0301", NaN]\n          ^'),
    "escaped": ('["\u202e", NaN]', '  ["⟨U+202E⟩", NaN]\n               ^'),
    "tabs": ('{\r\n\t"a": NaN\r\n}', '   "a": NaN\n        ^'),
    "long": (
        "[" + "1," * 100 + "NaN" + ",2" * 100 + "]",
        "  …" + "1," * 30 + "NaN" + (",2" * 19)[:37] + "…\n" + " " * 63 + "^",
    ),
    "at_the_end": ('{"a": 1\n', '  {"a": 1\n         ^'),
}


@pytest.mark.parametrize("case", EXCERPTS)
def test_the_excerpt_has_a_caret_under_the_place(case: str) -> None:
    text, expected = EXCERPTS[case]
    with pytest.raises(WorkflowError) as caught:
        read(text)
    assert caught.value.problems[0].excerpt == expected


def agree(text: str) -> bool:
    """The text is refused with problems, or read; True if it was read. Nothing else may come out of it."""
    found = problems(Source("wf.json", text))
    try:
        read(text)
        raised: tuple[Problem, ...] = ()
    except WeftError as refused:
        raised = refused.problems
    assert list(raised) == found
    return not found


@pytest.mark.parametrize("alphabet", ['{}":,1a ', "[],-0.e1", '"\\u{a\n ', "/*#'\"[1\n", "\ufeff\u00a0tN[}]"])
def test_every_short_text_is_read_or_refused_alike_by_both_readings(alphabet: str) -> None:
    taken = 0
    for length in range(5):
        for letters in itertools.product(alphabet, repeat=length):
            taken += agree("".join(letters))
    assert taken or "}" in alphabet


@given(st.text(max_size=60) | st.text("{}[]\",:\\u0d8/*-1.eNaI'\n ", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    agree(text)


@given(st.data())
def test_a_damaged_workflow_is_read_or_refused(data: st.DataObject) -> None:
    text = '{\n  "nodes": {"é": {"type": "Y", "seed": [7, true]}}\n}\n'
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 4)))
        text = text[:start] + data.draw(st.text('{}[]",:\\u0 \né', max_size=3)) + text[end:]
    agree(text)


HUGE = 1_000_000
HOSTILE = {
    "nested": "[" * HUGE,
    "nested_objects": '{"a":' * HUGE,
    "quotes": '"' * HUGE,
    "single_quotes": "'" * HUGE,
    "curly_quotes": "“" * HUGE,
    "digits": "9" * HUGE,
    "fraction": "[1." + "3" * HUGE + ", NaN]",
    "exponent": "1e" + "9" * HUGE,
    "escapes": '["' + '\\"' * HUGE + '", NaN]',
    "halves": '["' + "\\ud800" * HUGE + '"]',
    "commas": "[" + "," * HUGE,
    "comments": "//\n" * HUGE,
    "stars": "/" + "*" * HUGE,
    "comment_openings": "/*" * HUGE,
    "twice": "{" + '"a":1,' * HUGE,
    "bad_escape_at_the_end": '["' + "\\\\" * HUGE + "\\x",
    "spaces": " " * HUGE + "x",
    "lines": "\n" * HUGE + "x",
    "words": "a" * HUGE,
    "minus": "-" * HUGE,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_text_is_refused_at_once(case: str) -> None:
    start = time.process_time()
    assert 1 <= len(refusal(HOSTILE[case])) <= 20
    assert time.process_time() - start < 3
