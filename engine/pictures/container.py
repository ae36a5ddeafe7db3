"""The parts of a picture's file, read before anything is decoded: which format, how large, and whether it is whole.

A file comes from anyone. A header may promise more pixels than memory holds, and what is called .png may be a web page.
All that is found here in one pass over the bytes.
"""

import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from engine.errors import Place, Problem, WeftError, error

MEGAPIXELS = 64
"""The largest picture that is read."""

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
EXIF_HEAD = b"Exif\0\0"
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
"""What the APP1 segments of a JPEG begin with."""

_OTHERS = [
    (rb"GIF8", "GIF"), (rb"BM", "BMP"), (rb"II\*\0|MM\0\*", "TIFF"), (rb"....ftypavi", "AVIF"),
    (rb"....ftyp(hei|mif)", "HEIC"), (rb"\s*%PDF", "PDF"), (rb"PK\x03\x04|PK\x05\x06", "a zip archive"),
    (rb"8BPS", "PSD"), (rb"\s*(<!doctype html|<html)", "HTML"), (rb"\s*<(?=.*<svg)|\s*<svg", "SVG"),
]  # fmt: skip


class Part(NamedTuple):
    """One chunk or segment: its kind, where it starts, and where its content lies (start to end)."""

    kind: str
    at: int
    start: int
    end: int


def format_of(data: bytes) -> str:
    """PNG, JPEG or WEBP, by the first bytes; empty for anything else."""
    if data.startswith(PNG):
        return "PNG"
    if data.startswith(JPEG):
        return "JPEG"
    return "WEBP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def parts(data: bytes, name: str = "") -> Iterator[Part]:
    """The parts of a file: a PNG's chunks up to IEND with their checksums compared, a WebP's chunks, a JPEG's segments
    up to the first of pixels.

    Raises E-EMPTY, and E-IMAGE for a file that is damaged, with the place, or of another format, with its name.
    """
    kind = format_of(data)
    if kind == "PNG":
        return _png(data, name)
    if kind == "JPEG":
        return _jpeg(data, name)
    if kind == "WEBP":
        return _webp(data, name)
    raise error(_no_picture(name, data[:4096]))


def dimensions(data: bytes, name: str = "") -> tuple[int, int]:
    """Width and height in pixels, from the header. Raises as `parts`, and E-BOMB for more than 64 megapixels."""
    width, height = 0, 0
    for part in parts(data, name):
        found = _size_in(format_of(data), part, data)
        if found is not None:
            width, height = found
            break
    if not width or not height:
        where = f"in chunk IHDR at {len(PNG)}" if format_of(data) == "PNG" else "in its header"
        raise damaged(name, where)
    if (mega := width * height / 1e6) > MEGAPIXELS:
        raise error(Problem("E-BOMB", f"{mega:.0f} Mpx, limit {MEGAPIXELS}", "make it smaller first", Place(name)))
    return width, height


def damaged(name: str, where: str) -> WeftError:
    """The error for a picture that is not whole."""
    hint = "get it again, or save it anew with another program"
    return error(Problem("E-IMAGE", f"damaged {where}", hint, Place(name)))


def _png(data: bytes, name: str) -> Iterator[Part]:
    at, kind = len(PNG), b"IHDR"
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if not kind.isalpha() or end > len(data):
            break
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            break
        yield Part(kind.decode(), at, at + 8, end - 4)
        if kind == b"IEND":
            return
        at = end
    else:
        raise damaged(name, f"at {at}: it ends before its chunk IEND")
    shown = kind.decode() if kind.isalpha() else kind.hex()
    raise damaged(name, f"in chunk {shown} at {at}")


def _jpeg(data: bytes, name: str) -> Iterator[Part]:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind == 0xFF:  # a filling byte
            at += 1
            continue
        if kind in (0xDA, 0xD9):  # the pixels, or the end
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or end < at + 4:
            break
        yield Part(f"{kind:02X}", at, at + 4, end)
        at = end
    raise damaged(name, f"in its header at {min(at, len(data))}")


def _webp(data: bytes, name: str) -> Iterator[Part]:
    size = 8 + int.from_bytes(data[4:8], "little")
    if size > len(data) or len(data) < 30:
        raise damaged(name, f"at {len(data)}: it says that it has {size} bytes")
    at = 12
    while at + 8 <= size:
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + length
        if end > size:
            raise damaged(name, f"in chunk {kind.decode('latin-1')!r} at {at}")
        yield Part(kind.decode("latin-1"), at, at + 8, end)
        at = end + length % 2


def _size_in(kind: str, part: Part, data: bytes) -> tuple[int, int] | None:
    """Width and height, where this part says them."""
    body = data[part.start : min(part.end, part.start + 32)]
    if kind == "PNG":
        if part.kind != "IHDR" or part.end - part.start != 13:
            return 0, 0  # it must come first
        return int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
    if kind == "JPEG":  # the first header of a frame, SOF0 … SOF15
        if not "C0" <= part.kind <= "CF" or part.kind in ("C4", "C8", "CC"):
            return None
        return int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
    if part.kind == "VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if part.kind == "VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if part.kind == "VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    return 0, 0


def _no_picture(name: str, start: bytes) -> Problem:
    if not start:
        return Problem("E-EMPTY", "the file is empty", "get it again", Place(name))
    found = (what for sign, what in _OTHERS if re.match(sign, start, re.IGNORECASE | re.DOTALL))
    content = next(found, "of an unknown kind")
    hint = {"HTML": "it is a web page; get the picture itself"}.get(content, "convert it first")
    return Problem("E-IMAGE", f"content is {content}, not PNG/JPEG/WebP", hint, Place(name))
