r"""Prompts: words with weights, and tokens in chunks that a text encoder can read.

A CLIP text encoder reads 77 tokens: a begin mark, 75 of the prompt, an end mark. What to do with a longer prompt, and
with a word that should count for more, was settled by two programs, in two ways. Both are here as they define them:

    a1111   stable-diffusion-webui: `modules/prompt_parser.py` (parse_prompt_attention) and `modules/sd_hijack_clip.py`
            (tokenize_line), and its wiki, "Attention/emphasis" and "Infinite prompt length"
    comfy   ComfyUI: `comfy/sd1_clip.py` (token_weights, SDTokenizer.tokenize_with_weights)

                   a1111                                    comfy
    (word)         times 1.1                                times 1.1
    (word:1.2)     times 1.2, also inside other brackets    1.2, whatever stands around it
    [word]         divided by 1.1                           as written
    escapes        \( \) \[ \] \\                           \( \)
    (never closed  counts up to the end of the prompt       as written
    BREAK          begins a new chunk                       as written
    full chunk     goes back to a comma, up to 20 tokens    keeps words of under 8 tokens whole

The weights are applied to what the encoder makes of the tokens (`diffusion.clip.weighted`), not here.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from diffusion.types import Weighting

Tokenize = Callable[[str], Sequence[int]]
"""Text to token ids, without begin and end marks, and never cut."""

CHUNK = 77
"""Tokens that a CLIP text encoder reads, begin and end marks included."""
EMPHASIS = 1.1
"""What one pair of parentheses multiplies by."""
COMMA_REACH = 20
"""a1111: how many tokens before the end of a full chunk a comma may be to end it there."""
LONG_WORD = 8
"""comfy: a word of this many tokens may be parted by the end of a chunk."""
DEPTH_LIMIT = 100
"""Brackets within brackets; 1.1 to this power is 13781."""

_A1111 = re.compile(r"\\[()\[\]\\]|\\|[(\[]|:\s*(?P<weight>[+-]?[.\d]+)\s*\)|[)\]]|[^\\()\[\]:]+|:")
_BREAK = re.compile(r"\bBREAK\b")
_COMFY = re.compile(r"(\\[()]|[()])")


class Span(NamedTuple):
    """A part of a prompt, and the weight of all of it. breaks: BREAK stands before it, so it begins a chunk."""

    text: str
    weight: float = 1.0
    breaks: bool = False


@dataclass(frozen=True, slots=True)
class Special:
    """Token ids with a meaning. bos: None for encoders without a begin mark. comma: the token of "," alone, if any."""

    bos: int | None
    eos: int
    pad: int
    comma: int | None = None


class Chunk(NamedTuple):
    """What an encoder reads at once: ids and their weights, marks and padding included. used: tokens of the prompt."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    used: int


class Cut(NamedTuple):
    """How much of a prompt is read: its tokens, how many of them are cut, and the text from the first word that is not
    whole ("" if nothing is cut). chunks: how many the tokens are read in. remedy: what would have more of it read."""

    total: int
    cut: int = 0
    rest: str = ""
    chunks: int = 1
    remedy: str = ""


def parse(text: str, weighting: Weighting = "none") -> list[Span]:
    """The prompt's parts in order, at least one. Under "none" the text is one part, as it stands.

    Raises ValueError for brackets more than 100 deep, and for a weight that is no finite number (a1111).
    """
    if weighting == "a1111":
        return _parse_a1111(text)
    if weighting == "comfy":
        return list(_parse_comfy([p for p in _COMFY.split(text) if p], 1.0, 0)) or [Span("")]
    return [Span(text)]


def _parse_a1111(text: str) -> list[Span]:
    texts: list[str] = []
    weights: list[float] = []
    breaks: list[bool] = []
    open_round: list[int] = []
    open_square: list[int] = []

    def add(part: str, begins: bool = False) -> None:
        texts.append(part)
        weights.append(1.0)
        breaks.append(begins)

    def multiply(start: int, factor: float) -> None:
        weights[start:] = [weight * factor for weight in weights[start:]]

    for match in _A1111.finditer(text):
        token = match[0]
        if token[0] == "\\":
            add(token[1:])
        elif token in "([":
            (open_round if token == "(" else open_square).append(len(texts))
            _check_depth(len(open_round) + len(open_square))
        elif match["weight"] and open_round:
            multiply(open_round.pop(), _number(match["weight"]))
        elif token == ")" and open_round:
            multiply(open_round.pop(), EMPHASIS)
        elif token == "]" and open_square:
            multiply(open_square.pop(), 1 / EMPHASIS)
        else:
            parts = _BREAK.split(token)
            for index, part in enumerate(parts):
                part = part.lstrip() if index else part
                add(part.rstrip() if index < len(parts) - 1 else part, begins=index > 0)
    for start in open_round:
        multiply(start, EMPHASIS)
    for start in open_square:
        multiply(start, 1 / EMPHASIS)

    merged: list[Span] = []
    for span in map(Span, texts, weights, breaks):
        if merged and merged[-1].weight == span.weight and not span.breaks:
            merged[-1] = merged[-1]._replace(text=merged[-1].text + span.text)
        else:
            merged.append(span)
    return merged or [Span("")]


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise ValueError(f'"{text[:20]}" is not a weight; write (word:1.2), or \\( for a parenthesis')
    return value


def _parse_comfy(pieces: Sequence[str], weight: float, depth: int) -> Iterator[Span]:
    """The spans of a text in pieces: parentheses, escaped ones, and what is between them."""
    _check_depth(depth)
    for group in _groups(pieces):
        if len(group) < 2 or group[0] != "(" or group[-1] != ")":
            yield Span("".join(p[1] if p in ("\\(", "\\)") else p for p in group), weight)
            continue
        inner = group[1:-1]
        before, colon, number = inner[-1].rpartition(":") if inner else ("", "", "")
        given = _finite(number) if colon and (before or len(inner) > 1) else None
        if given is None:
            yield from _parse_comfy(inner, weight * EMPHASIS, depth + 1)
        else:
            yield from _parse_comfy([*inner[:-1], before] if before else inner[:-1], given, depth + 1)


def _groups(pieces: Sequence[str]) -> Iterator[list[str]]:
    """The pieces in runs: each outermost pair of parentheses with all within it, and what is between such pairs."""
    run: list[str] = []
    depth = 0
    for piece in pieces:
        if piece == "(" and depth == 0 and run:
            yield run
            run = []
        run.append(piece)
        depth += (piece == "(") - (piece == ")")
        if piece == ")" and depth == 0:
            yield run
            run = []
    if run:
        yield run


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _check_depth(depth: int) -> None:
    if depth > DEPTH_LIMIT:
        raise ValueError(f"brackets more than {DEPTH_LIMIT} deep; close them, or write \\( for a parenthesis")


def chunks(
    spans: Sequence[Span], weighting: Weighting, tokenize: Tokenize, special: Special, length: int = CHUNK
) -> list[Chunk]:
    """The prompt's tokens in chunks of `length`, marks included; at least one chunk.

    Under "none" there is one chunk and what does not fit is cut (see `find_cut`); the others keep everything.
    """
    room = length - (special.bos is not None) - 1
    if room < 1:
        raise ValueError(f"chunks of {length} tokens have no room for a prompt")
    if weighting == "a1111":
        found = _fill_a1111(spans, tokenize, special.comma, room)
    elif weighting == "comfy":
        found = _fill_comfy(spans, tokenize, room)
    else:
        found = [[(token, span.weight) for span in spans for token in tokenize(span.text)][:room]]
    return [_closed(tokens, special, room) for tokens in found]


Tokens = list[tuple[int, float]]


def _closed(tokens: Tokens, special: Special, room: int) -> Chunk:
    begin = [] if special.bos is None else [special.bos]
    end = [special.eos] + [special.pad] * (room - len(tokens))
    ids = (*begin, *(token for token, _ in tokens), *end)
    weights = ([1.0] * len(begin), [weight for _, weight in tokens], [1.0] * len(end))
    return Chunk(ids, tuple(w for part in weights for w in part), len(tokens))


def _fill_a1111(spans: Sequence[Span], tokenize: Tokenize, comma: int | None, room: int) -> list[Tokens]:
    full: list[Tokens] = []
    chunk: Tokens = []
    last_comma = -1
    for span in spans:
        if span.breaks:
            full.append(chunk)
            chunk, last_comma = [], -1
        for token in tokenize(span.text):
            if token == comma:
                last_comma = len(chunk)
            if len(chunk) == room:
                near = token != comma and last_comma != -1 and room - last_comma <= COMMA_REACH
                end = last_comma + 1 if near else room
                full.append(chunk[:end])
                chunk, last_comma = chunk[end:], -1
            chunk.append((token, span.weight))
    return [*full, chunk] if chunk or not full else full


def _fill_comfy(spans: Sequence[Span], tokenize: Tokenize, room: int) -> list[Tokens]:
    found: list[Tokens] = [[]]
    for span in spans:
        for word in span.text.replace("\n", " ").split(" "):
            tokens = [(token, span.weight) for token in tokenize(word)] if word else []
            may_part = len(tokens) >= LONG_WORD
            while tokens:
                free = room - len(found[-1])
                if len(tokens) <= free:
                    found[-1] += tokens
                    break
                # A word that is longer than a whole chunk has to be parted, however few tokens that may be.
                if may_part or free == room:
                    found[-1] += tokens[:free]
                    tokens = tokens[free:]
                found.append([])
    return found


def find_cut(text: str, tokenize: Tokenize, limit: int, remedy: str = "") -> Cut:
    """What is lost of a text of which an encoder reads `limit` tokens, marks not counted. remedy: see `Cut`."""
    total = len(tokenize(text))
    if total <= limit:
        return Cut(total)
    words = list(re.finditer(r"\S+", text))
    low, high = 0, len(words) - 1
    while low < high:
        middle = (low + high) // 2
        if len(tokenize(text[: words[middle].end()])) > limit:
            high = middle
        else:
            low = middle + 1
    return Cut(total, total - limit, text[words[low].start() :] if words else text, remedy=remedy)
