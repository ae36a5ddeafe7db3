"""Every text that a picture carries, by its key. Reading one runs nothing and looks nothing up.

format   where                                         key
PNG      tEXt, zTXt, iTXt, before or after the pixels   the chunk's own: parameters, prompt, workflow, …
PNG      comf, as ComfyUI writes animations             the chunk's own
WebP     EXIF                                           parameters (UserComment); ComfyUI's prompt and workflow
JPEG     APP1 with EXIF                                 the same; a COM segment is called Comment
all      XMP                                            XML:com.adobe.xmp
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from engine.errors import Place, Problem, WeftError, error
from engine.pictures.container import EXIF_HEAD, XMP_HEAD, Part, damaged, dimensions, format_of, parts
from engine.pictures.exif import texts_in

TEXT_BYTES = 8 << 20
"""What all texts of a picture together may expand to."""
XMP = "XML:com.adobe.xmp"


class Text(NamedTuple):
    """A text and its key."""

    key: str
    text: str


def texts(data: bytes, name: str = "") -> list[Text]:
    """Every text in a PNG, JPEG or WebP, in the order of the file; a key may stand several times.

    Raises E-EMPTY; E-IMAGE for a file that is damaged, with the place, or of another format, with its name; E-BOMB for
    more than 64 megapixels, and for texts that expand to more than 8 MiB.
    """
    dimensions(data, name)
    kind = format_of(data)
    left = TEXT_BYTES
    found: list[Text] = []
    for part in parts(data, name):
        for key, raw in _raw(kind, part, data, left, name):
            left -= len(raw) if isinstance(raw, bytes) else len(raw.encode("utf-8", "replace"))
            if left < 0:
                raise _bomb(name)
            found.append(Text(key, raw if isinstance(raw, str) else _decoded(raw)))
    return found


def _raw(kind: str, part: Part, data: bytes, left: int, name: str) -> Iterator[tuple[str, bytes | str]]:
    if kind == "PNG":
        if part.kind in ("tEXt", "zTXt", "iTXt", "comf"):
            yield _chunk(part, data[part.start : part.end], left, name)
        elif part.kind == "eXIf":
            yield from texts_in(data[part.start : part.end])
    elif kind == "WEBP":
        if part.kind == "EXIF":
            yield from texts_in(data[part.start : part.end])
        elif part.kind == "XMP ":
            yield XMP, data[part.start : part.end]
    elif part.kind == "E1":
        body = data[part.start : part.end]
        if body.startswith(EXIF_HEAD):
            yield from texts_in(body)
        elif body.startswith(XMP_HEAD):
            yield XMP, body[len(XMP_HEAD) :]
    elif part.kind == "FE":
        yield "Comment", data[part.start : part.end].rstrip(b"\0")


def _chunk(part: Part, body: bytes, limit: int, name: str) -> tuple[str, bytes]:
    """Key and text of a PNG's chunk, unpacked if it is packed, but never to more than a byte over the limit."""
    key, _, rest = body.partition(b"\0")
    packed = part.kind == "zTXt"
    if part.kind == "iTXt":
        packed, rest = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif packed:
        rest = rest[1:]
    if packed:
        try:
            rest = zlib.decompressobj().decompress(rest, limit + 1)
        except zlib.error as why:
            raise damaged(name, f"in chunk {part.kind} at {part.at}") from why
    return key.decode("latin-1"), rest


def _decoded(text: bytes) -> str:
    """UTF-8, as iTXt has it and many write into tEXt; else Latin-1, as tEXt should be."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _bomb(name: str) -> WeftError:
    what = f"text expands beyond {TEXT_BYTES >> 20} MiB"
    return error(Problem("E-BOMB", what, "save the picture anew without its texts", Place(name)))
