"""Showing text that came from a file: nothing in it may act on a terminal, and near misses are named."""

import json
import re
import unicodedata
from collections.abc import Iterable

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Tab, line feed and carriage return are how text is laid out.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_WORD = 100
"""Characters of a name that is looked up for a near miss; comparing takes the square of it."""


def visible(text: str, limit: int = 200) -> str:
    """`text` with control, bidirectional and zero-width characters written as ⟨U+XXXX⟩, cut to `limit` characters.

    Plain printable text comes back unchanged, so this is safe to apply to anything that is shown.
    """
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"⟨U+{ord(c):04X}⟩" if unicodedata.category(c) in _HIDDEN else c for c in text)


def find_controls(text: str) -> int:
    """How many control characters a text holds, tab and line ends aside."""
    return len(_CONTROL.findall(text))


def quoted(value: object, limit: int = 60) -> str:
    """A JSON value as a short piece of an error message: text in quotes, the rest as JSON writes it."""
    if isinstance(value, str):
        return f'"{visible(value, limit)}"'
    try:
        return visible(json.dumps(value, ensure_ascii=False), limit)
    except (TypeError, ValueError, RecursionError):
        return visible(f"a {type(value).__name__}", limit)


def nearest(word: str, known: Iterable[str], count: int = 1) -> list[str]:
    """Up to `count` of the `known` words that a person who typed `word` may have meant, best first."""
    import difflib

    if len(word) > _WORD:
        return []
    by_lower = {k.lower(): k for k in known if len(k) <= _WORD}
    close = difflib.get_close_matches(word.lower(), by_lower, n=count, cutoff=0.6)
    return [by_lower[c] for c in close]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint of an error about an unknown name: the nearest known one, or else the known ones."""
    known = list(known)
    close = nearest(word, known)
    if close:
        return f"did you mean {quoted(close[0])}?"
    return f"known: {visible(', '.join(known))}" if known and len(known) <= 30 else ""


def size(count: float) -> str:
    """A number of bytes as a person reads it: 512 B, 9.0 MiB, 3.1 TiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def plural(count: int, word: str) -> str:
    """A count with its word: 1 node, 2 nodes."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def seconds(value: float) -> str:
    """A duration as a person reads it: 0.3 s, 12 s, 4:05."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 100:
        return f"{value:.0f} s"
    return f"{int(value // 60)}:{int(value % 60):02d}"
