"""Weights and chunks of prompts, as stable-diffusion-webui and ComfyUI define them."""

import time

import pytest

from diffusion.prompt import Chunk, Cut, Span, Special, chunks, find_cut, parse

# The first seven are the examples that stand in `parse_prompt_attention` itself.
A1111 = {
    "normal text": [("normal text", 1.0)],
    "an (important) word": [("an ", 1.0), ("important", 1.1), (" word", 1.0)],
    "(unbalanced": [("unbalanced", 1.1)],
    r"\(literal\]": [("(literal]", 1.0)],
    "(unnecessary)(parens)": [("unnecessaryparens", 1.1)],
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).": [
        ("a ", 1.0), ("house", 1.5730000000000004), (" ", 1.1), ("on", 1.0), (" a ", 1.1), ("hill", 0.55),
        (", sun, ", 1.1), ("sky", 1.4641000000000006), (".", 1.1),
    ],
    r"a \\ b": [("a \\ b", 1.0)],
    "": [("", 1.0)],
    "()": [("", 1.0)],
    "((word))": [("word", 1.1 * 1.1)],
    "[word]": [("word", 1 / 1.1)],
    "(a (b:1.5):2)": [("a ", 2.0), ("b", 3.0)],
    "(word: 1.2 )": [("word", 1.2)],
    "(word:-1)": [("word", -1.0)],
    "a) b] c:1.2)": [("a) b] c:1.2)", 1.0)],
    "12:30": [("12:30", 1.0)],
    "(12:30 o'clock)": [("12:30 o'clock", 1.1)],
}  # fmt: skip

COMFY = {
    "normal text": [("normal text", 1.0)],
    "an (important) word": [("an ", 1.0), ("important", 1.1), (" word", 1.0)],
    "((word))": [("word", 1.1 * 1.1)],
    "(word:1.2)": [("word", 1.2)],
    "(a (b:1.3):1.2)": [("a ", 1.2), ("b", 1.3)],
    "(a (b):1.2)": [("a ", 1.2), ("b", 1.2 * 1.1)],
    "(a (b:1.3))": [("a ", 1.1), ("b", 1.3)],
    "[word]": [("[word]", 1.0)],
    "a BREAK b": [("a BREAK b", 1.0)],
    r"fate \(series\)": [("fate (series)", 1.0)],
    r"(fate \(series\):1.2)": [("fate (series)", 1.2)],
    "(unbalanced": [("(unbalanced", 1.0)],
    "a) b": [("a) b", 1.0)],
    "(:1.2)": [(":1.2", 1.1)],
    "(at 12:30 sharp)": [("at 12:30 sharp", 1.1)],
    "(a:nan)": [("a:nan", 1.1)],
    "": [("", 1.0)],
    "()": [("", 1.0)],
}


@pytest.mark.parametrize("text", A1111)
def test_weights_of_a1111(text):
    assert parse(text, "a1111") == [Span(*span) for span in A1111[text]]


@pytest.mark.parametrize("text", COMFY)
def test_weights_of_comfy(text):
    assert parse(text, "comfy") == [Span(*span) for span in COMFY[text]]


def test_without_weighting_nothing_is_read_into_a_text():
    text = r"(a:1.2) [b] \( BREAK"
    assert parse(text) == [Span(text)]


BREAKS = {
    "a BREAK b": [Span("a"), Span("b", breaks=True)],
    "a BREAK": [Span("a"), Span("", breaks=True)],
    "a BREAK BREAK b": [Span("a"), Span("", breaks=True), Span("b", breaks=True)],
    "BREAKFAST at BREAKs": [Span("BREAKFAST at BREAKs")],
    "break": [Span("break")],
    "(a BREAK b:1.2)": [Span("a", 1.2), Span("b", 1.2, breaks=True)],
}


@pytest.mark.parametrize("text", BREAKS)
def test_break_begins_a_chunk_of_a1111(text):
    assert parse(text, "a1111") == BREAKS[text]


@pytest.mark.parametrize(
    ("text", "weighting", "said"),
    [
        ("(a:1.2.3)", "a1111", '"1.2.3" is not a weight'),
        ("(" * 200 + "a", "a1111", "more than 100 deep"),
        ("(" * 200 + "a" + ")" * 200, "comfy", "more than 100 deep"),
    ],
)
def test_what_cannot_be_weights_is_said_in_words(text, weighting, said):
    with pytest.raises(ValueError, match=said):
        parse(text, weighting)


COMMA, BOS, EOS, PAD = 1, 100, 101, 102
SPECIAL = Special(BOS, EOS, PAD, COMMA)


def tokenize(text):
    """One token for a comma; one for every three letters of a word, the number of those letters plus 10."""
    return [
        token
        for word in text.replace(",", " , ").split()
        for token in ([COMMA] if word == "," else [10 + len(word[i : i + 3]) for i in range(0, len(word), 3)])
    ]


def used(text, weighting):
    """How many tokens of the prompt are in each chunk."""
    return [chunk.used for chunk in chunks(parse(text, weighting), weighting, tokenize, SPECIAL)]


def test_a_chunk_is_begin_tokens_end_and_padding():
    (chunk,) = chunks(parse("a (b:1.5)", "a1111"), "a1111", tokenize, SPECIAL, length=6)
    assert chunk == Chunk((BOS, 11, 11, EOS, PAD, PAD), (1, 1, 1.5, 1, 1, 1), 2)
    (chunk,) = chunks([Span("a b c")], "none", tokenize, Special(None, EOS, PAD), length=3)
    assert chunk == Chunk((11, 11, EOS), (1, 1, 1), 2)


WORD = "a "
CHUNKS = {
    ("", "a1111"): [0],
    ("", "comfy"): [0],
    (WORD * 75, "a1111"): [75],
    (WORD * 76, "a1111"): [75, 1],
    (WORD * 120, "a1111"): [75, 45],
    (WORD * 76, "none"): [75],
    (WORD * 76, "comfy"): [75, 1],
    ("a BREAK b", "a1111"): [1, 1],
    ("a BREAK", "a1111"): [1],
    ("BREAK a", "a1111"): [0, 1],
    ("a BREAK BREAK b", "a1111"): [1, 0, 1],
    # The comma is token 60 of 76: 15 after it move on. At token 56 it is 20 from the end, at 55 it is too far.
    (WORD * 59 + ", " + WORD * 16, "a1111"): [60, 16],
    (WORD * 55 + ", " + WORD * 20, "a1111"): [56, 20],
    (WORD * 54 + ", " + WORD * 21, "a1111"): [75, 1],
    # A comma that would begin the next chunk itself does so.
    (WORD * 75 + ", b", "a1111"): [75, 2],
    (WORD * 59 + ", " + WORD * 16, "comfy"): [75, 1],
    # Seven tokens stay together, eight may be parted.
    (WORD * 70 + "x" * 21, "comfy"): [70, 7],
    (WORD * 70 + "x" * 24, "comfy"): [75, 3],
    ("x" * 3 * 160, "comfy"): [75, 75, 10],
    ("a\nb", "comfy"): [2],
}


@pytest.mark.parametrize(("text", "weighting"), CHUNKS)
def test_where_chunks_end(text, weighting):
    assert used(text, weighting) == CHUNKS[text, weighting]


@pytest.mark.parametrize("weighting", ["a1111", "comfy"])
def test_chunks_keep_every_token_and_its_weight(weighting):
    text = "red, (green fields:1.3) under the sky, " * 40
    spans = parse(text, weighting)
    found = chunks(spans, weighting, tokenize, SPECIAL)
    assert len(found) > 1
    assert all(len(c.ids) == len(c.weights) == 77 for c in found)
    told = [pair for c in found for pair in list(zip(c.ids, c.weights, strict=True))[1 : 1 + c.used]]
    assert told == [(token, span.weight) for span in spans for token in tokenize(span.text)]


def test_chunks_without_room_are_refused():
    with pytest.raises(ValueError, match="no room"):
        chunks([Span("a")], "none", tokenize, SPECIAL, length=2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b c", Cut(3)),
        ("a b c d e", Cut(5, 2, "d e")),
        ("a b longword c", Cut(6, 3, "longword c")),
        ("enormousword", Cut(4, 1, "enormousword")),
        ("a  b\nc  d", Cut(4, 1, "d")),
    ],
)
def test_it_is_said_how_much_is_cut_and_from_where(text, expected):
    assert find_cut(text, tokenize, 3) == expected


@pytest.mark.parametrize("weighting", ["a1111", "comfy"])
@pytest.mark.parametrize(
    "text",
    ["a" + " " * 60_000 + "b", "BREAK " * 10_000, r"\(" * 30_000, "(a)" * 20_000, ":1" * 30_000, ":" + " " * 60_000],
    ids=lambda t: t[:4],
)
def test_no_prompt_takes_long(text, weighting):
    started = time.perf_counter()
    assert parse(text, weighting)
    assert time.perf_counter() - started < 2


def test_a_prompt_of_ten_thousand_words_keeps_all_of_them():
    text = "(word:1.1), " * 10_000
    assert sum(used(text, "a1111")) == 30_000
    assert sum(used(text, "comfy")) == 30_000
    cut = find_cut(text, tokenize, 75)
    assert cut.total - cut.cut == 75
