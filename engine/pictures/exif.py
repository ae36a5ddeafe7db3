"""Texts in EXIF, which JPEG and WebP carry: a TIFF header, a table of tags, and the texts behind it.

II or MM, 42, where the first table is           little or big endian
table: count, then 12 bytes a tag                tag, type, number of values, the value or where it lies
tag 0x8769 names a second table, in which 0x9286 is UserComment: eight bytes of encoding, then the text
"""

import re
from collections.abc import Iterator

BYTE, ASCII, LONG, UNDEFINED = 1, 2, 4, 7
TABLE, COMMENT = 0x8769, 0x9286
_UNICODE, _PLAIN = b"UNICODE\0", b"ASCII\0\0\0"
_TAGS_AT_MOST = 500
_NAMES = {0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model", 0x0131: "Software", 0x013B: "Artist"}
_KEYED = re.compile(r"([A-Za-z_][\w .-]{0,78}):(?=\s*[\[{\"])")
"""How ComfyUI writes what it has of keys into tags from 0x0110 downwards: key:json."""


def texts_in(exif: bytes) -> Iterator[tuple[str, str]]:
    """(key, text) of the texts in a block of EXIF; UserComment, which holds A1111's text, is called "parameters".

    A block that is damaged gives what can be read of it.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(exif[:4])
    if order is None:
        return
    seen: set[int] = set()
    tables = [int.from_bytes(exif[4:8], order)]  # type: ignore[arg-type]
    while tables:
        at = tables.pop()
        if at in seen:
            continue
        seen.add(at)
        for tag, kind, body in _entries(exif, at, order):
            if tag == TABLE and kind == LONG:
                tables.append(int.from_bytes(body[:4], order))  # type: ignore[arg-type]
            elif tag == COMMENT and kind in (BYTE, UNDEFINED):
                yield "parameters", _comment(body, order)
            elif kind == ASCII:
                text = _decoded(body.rstrip(b"\0"))
                keyed = _KEYED.match(text)
                yield (keyed[1], text[keyed.end() :]) if keyed else (_NAMES.get(tag, f"0x{tag:04X}"), text)


def block(comment: str, software: str) -> bytes:
    """A block of EXIF (without the "Exif" in front that JPEG wants) with UserComment and Software. Big endian, in
    UTF-16, as A1111 writes it and every gallery reads it."""
    name = software.encode("ascii", "replace") + b"\0"
    padded = name + b"\0" * (len(name) % 2)
    text = _UNICODE + comment.encode("utf-16-be")
    first = 8
    behind = first + 2 + 2 * 12 + 4
    second = behind + len(padded)
    out = b"MM\0*" + first.to_bytes(4, "big") + (2).to_bytes(2, "big")
    out += _entry(0x0131, ASCII, len(name), behind) + _entry(TABLE, LONG, 1, second) + bytes(4) + padded
    return out + (1).to_bytes(2, "big") + _entry(COMMENT, UNDEFINED, len(text), second + 18) + bytes(4) + text


def _entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return tag.to_bytes(2, "big") + kind.to_bytes(2, "big") + count.to_bytes(4, "big") + value.to_bytes(4, "big")


def _entries(exif: bytes, at: int, order: str) -> Iterator[tuple[int, int, bytes]]:
    """(tag, type, bytes) of the texts and pointers in a table."""

    def number(start: int, size: int) -> int:
        return int.from_bytes(exif[start : start + size], order)  # type: ignore[arg-type]

    for i in range(min(number(at, 2), _TAGS_AT_MOST)):
        start = at + 2 + 12 * i
        tag, kind, count = number(start, 2), number(start + 2, 2), number(start + 4, 4)
        size = count * 4 if kind == LONG else count
        if start + 12 > len(exif) or kind not in (BYTE, ASCII, LONG, UNDEFINED):
            continue
        place = start + 8 if size <= 4 else number(start + 8, 4)
        if place + size <= len(exif):
            yield tag, kind, exif[place : place + size]


def _comment(body: bytes, order: str) -> str:
    head, text = body[:8], body[8:]
    if head != _UNICODE:
        return _decoded((text if head in (_PLAIN, bytes(8)) else body).rstrip(b"\0"))
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return text.decode("utf-16", "replace")
    # A1111 writes big endian whatever the header says; others follow the header. In both, most texts have many
    # characters of the first page, whose high byte is zero.
    high = text[::2].count(0), text[1::2].count(0)
    big = high[0] > high[1] or (high[0] == high[1] and order == "big")
    return text.decode("utf-16-be" if big else "utf-16-le", "replace")


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")
