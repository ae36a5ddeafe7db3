"""A picture with texts of its own, or without any. Its pixels stay as they are, byte for byte.

PNG    chunks behind the header, before the pixels: tEXt where the text is Latin-1, else iTXt
WebP   an EXIF chunk and an XMP chunk behind the pixels
JPEG   APP1 segments in front; EXIF may hold 64 KB
"""

import zlib
from collections.abc import Sequence

from engine.pictures.container import EXIF_HEAD, PNG, XMP_HEAD, dimensions, format_of, parts
from engine.pictures.texts import XMP, Text

SEGMENT = 0xFFFF - 2
"""What a segment of a JPEG can hold."""
_TEXTS = {
    "PNG": ("tEXt", "zTXt", "iTXt", "eXIf", "tIME", "comf"),
    "WEBP": ("EXIF", "XMP "),
    "JPEG": ("E1", "ED", "FE"),
}
_EXIF_FLAG, _XMP_FLAG, _ALPHA_FLAG = 0x08, 0x04, 0x10


def with_chunks(png: bytes, items: Sequence[Text]) -> bytes:
    """A PNG with these texts before its pixels."""
    behind_header = len(PNG) + 12 + 13
    return png[:behind_header] + b"".join(map(_chunk, items)) + png[behind_header:]


def with_blocks(data: bytes, exif: bytes, xmp: bytes) -> bytes:
    """A WebP or JPEG with this EXIF (without "Exif" in front) and XMP; an empty one is left out.

    ValueError for more than a segment of a JPEG can hold.
    """
    return _webp(data, exif, xmp) if format_of(data) == "WEBP" else _jpeg(data, exif, xmp)


def without_texts(data: bytes, name: str = "") -> bytes:
    """The same picture without texts, EXIF and XMP. Raises as `parts`."""
    kind = format_of(data)
    found = list(parts(data, name))
    dropped = [part for part in found if part.kind in _TEXTS.get(kind, ())]
    if kind == "PNG":
        return PNG + b"".join(data[p.at : p.end + 4] for p in found if p not in dropped)
    if kind == "WEBP":
        return _riff([_flagged(data[p.at : p.end], 0) for p in found if p not in dropped])
    out, at = b"", 0
    for part in dropped:
        out, at = out + data[at : part.at], part.end
    return out + data[at:]


def _chunk(item: Text) -> bytes:
    text = item.text.replace("\0", "\ufffd")
    key = item.key.encode("latin-1") + b"\0"
    if item.key == XMP or item.key.startswith("weft_") or any(c > "\xff" for c in text):
        # no compression, no language, no translated keyword
        kind, body = b"iTXt", key + b"\0\0\0\0" + text.encode("utf-8", "replace")
    else:
        kind, body = b"tEXt", key + text.encode("latin-1")
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def _webp(data: bytes, exif: bytes, xmp: bytes) -> bytes:
    """The chunks with one that announces EXIF and XMP first, as the format wants it, and these last."""
    kept = [data[p.at : p.end] for p in parts(data) if p.kind not in _TEXTS["WEBP"]]
    if not kept[0].startswith(b"VP8X"):
        width, height = dimensions(data)
        alpha = kept[0].startswith(b"VP8L") and kept[0][12] & 0x10
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        kept.insert(0, b"VP8X" + (10).to_bytes(4, "little") + bytes([_ALPHA_FLAG if alpha else 0, 0, 0, 0]) + size)
    flags = (_EXIF_FLAG if exif else 0) | (_XMP_FLAG if xmp else 0)
    kept = [_flagged(chunk, flags) for chunk in kept]
    more = [kind + len(body).to_bytes(4, "little") + body for kind, body in ((b"EXIF", exif), (b"XMP ", xmp)) if body]
    return _riff(kept + more)


def _flagged(chunk: bytes, flags: int) -> bytes:
    """The header chunk with these flags for EXIF and XMP; others stay as they are."""
    if not chunk.startswith(b"VP8X"):
        return chunk
    return chunk[:8] + bytes([chunk[8] & ~(_EXIF_FLAG | _XMP_FLAG) | flags]) + chunk[9:]


def _riff(chunks: Sequence[bytes]) -> bytes:
    body = b"WEBP" + b"".join(chunk + b"\0" * (len(chunk) % 2) for chunk in chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _jpeg(data: bytes, exif: bytes, xmp: bytes) -> bytes:
    """The segments behind JFIF's, which must come first."""
    first = next(parts(data), None)
    at = first.end if first is not None and first.kind == "E0" else 2
    out = b""
    for head, body in ((EXIF_HEAD, exif), (XMP_HEAD, xmp)):
        if body:
            if len(head + body) > SEGMENT:
                raise ValueError(f"{len(body)} bytes; a segment of a JPEG holds {SEGMENT - len(head)}")
            out += b"\xff\xe1" + (2 + len(head + body)).to_bytes(2, "big") + head + body
    return data[:at] + out + data[at:]
