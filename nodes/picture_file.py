"""What a picture's file says of itself, read before anything is decoded: which format, how large, and whether whole.

A file comes from anyone. A header may promise more pixels than memory holds, a text of a kilobyte may expand to a
gigabyte, and what is called .png may be a web page. All that is found here in one pass over the bytes.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.errors import Problem, WeftError, error
from engine.inputs import one_file

MEGAPIXELS = 64
"""The largest picture that is read."""
TEXT_BYTES = 8 << 20
"""What all texts of a picture together may expand to."""

PNG = b"\x89PNG\r\n\x1a\n"
_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf")
"""The chunks of a PNG that its first picture is made of, and the one that says how the camera was held."""
_OTHERS = [
    (rb"GIF8", "GIF"), (rb"BM", "BMP"), (rb"II\*\0|MM\0\*", "TIFF"), (rb"....ftypavi", "AVIF"),
    (rb"....ftyp(hei|mif)", "HEIC"), (rb"\s*%PDF", "PDF"), (rb"PK\x03\x04|PK\x05\x06", "a zip archive"),
    (rb"8BPS", "PSD"), (rb"\s*(<!doctype html|<html)", "HTML"), (rb"\s*<(?=.*<svg)|\s*<svg", "SVG"),
]  # fmt: skip


def picture_file(value: str, base: Path, allowed: Sequence[Path] = ()) -> list[Path]:
    """The picture that `value` names, found whole and of a size that is read (an `engine.spec.FilesOf`).

    Raises the errors of `one_file`; E-EMPTY; E-IMAGE for a file that is damaged, with the place, or of another format,
    with its name; E-BOMB for more than 64 megapixels, and for texts that expand to more than 8 MiB.
    """
    paths = one_file(value, base, allowed)
    check_picture(paths[0])
    return paths


def check_picture(path: Path) -> None:
    """Look through a file without decoding it. Errors as in `picture_file`."""
    data = path.read_bytes() if path.stat().st_size < (1 << 30) else b""
    if not data:
        large = path.stat().st_size > 0
        what, code = ("is larger than 1 GiB", "E-SIZE") if large else ("is empty", "E-EMPTY")
        raise error(Problem(code, f"{path.name} {what}", "get it again"))
    if data.startswith(PNG):
        width, height = _check_png(path.name, data)
    elif data.startswith(b"\xff\xd8\xff"):
        width, height = _jpeg_size(path.name, data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        width, height = _webp_size(path.name, data)
    else:
        raise error(_no_picture(path.name, data[:4096]))
    mega = width * height / 1e6
    if mega > MEGAPIXELS:
        raise error(Problem("E-BOMB", f"{path.name}: {mega:.0f} Mpx, limit {MEGAPIXELS}", "make it smaller first"))


def pixels_only(data: bytes) -> bytes:
    """The same file with only the chunks that its picture needs, if it is a PNG: texts, profiles and frames dropped."""
    if not data.startswith(PNG):
        return data
    return PNG + b"".join(data[at : at + 12 + length] for kind, at, length in _chunks("", data) if kind in _PIXELS)


def damaged(name: str, where: str) -> WeftError:
    """The error for a picture that is not whole."""
    return error(Problem("E-IMAGE", f"{name}: damaged {where}", "get it again, or save it anew with another program"))


def _chunks(name: str, data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where it starts, bytes of content) of each chunk of a PNG up to IEND, its checksum compared."""
    at, kind = len(PNG), b"IHDR"
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if not kind.isalpha() or end > len(data):
            break
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            break
        yield kind, at, length
        if kind == b"IEND":
            return
        at = end
    else:
        raise damaged(name, f"at {at}: it ends before its chunk IEND")
    shown = kind.decode() if kind.isalpha() else kind.hex()
    raise damaged(name, f"in chunk {shown} at {at}")


def _check_png(name: str, data: bytes) -> tuple[int, int]:
    width = height = 0
    left = TEXT_BYTES
    for kind, at, length in _chunks(name, data):
        body = memoryview(data)[at + 8 : at + 8 + length]
        if kind == b"IHDR" and length == 13:
            width, height = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
            if width * height > MEGAPIXELS * 1e6:
                break
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            left -= _text_bytes(kind, bytes(body), left)
            if left < 0:
                what = f"{name}: text expands beyond {TEXT_BYTES >> 20} MiB"
                raise error(Problem("E-BOMB", what, "save the picture anew without its texts"))
    if not width or not height:
        raise damaged(name, f"in chunk IHDR at {len(PNG)}")
    return width, height


def _text_bytes(kind: bytes, body: bytes, limit: int) -> int:
    """How many bytes a text chunk expands to; more than `limit` is only told as limit + 1."""
    if kind == b"tEXt":
        return len(body)
    rest = body.partition(b"\0")[2]
    if kind == b"iTXt":
        packed, rest = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
        if not packed:
            return len(rest)
    else:
        rest = rest[1:]
    try:
        return len(zlib.decompressobj().decompress(rest, limit + 1))
    except zlib.error:
        return len(rest)


def _jpeg_size(name: str, data: bytes) -> tuple[int, int]:
    """Width and height of a JPEG, from the first header of a frame (SOF0 … SOF15)."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 1 if kind == 0xFF else 2 + length
    raise damaged(name, f"in its header at {min(at, len(data))}")


def _webp_size(name: str, data: bytes) -> tuple[int, int]:
    """Width and height of a WebP. Its decoder takes memory for the whole picture before it can be asked."""
    size, kind = 8 + int.from_bytes(data[4:8], "little"), data[12:16]
    if size > len(data) or len(data) < 30:
        raise damaged(name, f"at {len(data)}: it says that it has {size} bytes")
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    raise damaged(name, f"in chunk {kind.decode('latin-1')!r} at 12")


def _no_picture(name: str, start: bytes) -> Problem:
    found = (what for sign, what in _OTHERS if re.match(sign, start, re.IGNORECASE | re.DOTALL))
    content = next(found, "of an unknown kind")
    hint = {"HTML": "it is a web page; get the picture itself"}.get(content, "convert it first")
    return Problem("E-IMAGE", f"{name}: content is {content}, not PNG/JPEG/WebP", hint)
