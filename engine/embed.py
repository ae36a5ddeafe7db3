"""The workflow that a picture carries: a PNG text chunk of its own, before the pixels, that no other program writes.

    weft_workflow (iTXt)    the workflow with every param and seed as it ran, as canonical JSON

Nothing of it is run or looked up by reading it. Files are named without the folders of the machine that made it.
"""

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import Place, Problem, error
from engine.source import LIMIT
from engine.text import size

PNG = b"\x89PNG\r\n\x1a\n"
KEY = b"weft_workflow"
_OTHERS = {b"parameters": "A1111 parameters", b"prompt": "a ComfyUI prompt", b"workflow": "a ComfyUI workflow"}


def canonical(document: Mapping[str, Any]) -> str:
    """A workflow as JSON in one form: keys in their order, no spaces, files without folders of this machine."""
    return json.dumps(_shared(document), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def laid_out(text: str) -> str:
    """The same JSON with a line for each value, for people; what is no JSON stays as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    except (ValueError, RecursionError):
        return text


def with_workflow(png: bytes, document: Mapping[str, Any]) -> bytes:
    """A PNG that carries a workflow. What is not a PNG, or a document without nodes, stays as it is."""
    if not png.startswith(PNG) or not document.get("nodes"):
        return png
    # iTXt: keyword, no compression, no language, no translated keyword, UTF-8
    content = KEY + b"\0\0\0\0\0" + canonical(document).encode("utf-8", "replace")
    chunk = b"iTXt" + content
    whole = len(content).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    behind_header = len(PNG) + 12 + 13
    return png[:behind_header] + whole + png[behind_header:]


def workflow_in(png: bytes, name: str) -> str:
    """The text of the workflow in a PNG, which messages call `name`.

    Raises E-NOMETA for a picture without one (naming what else it carries), E-DUPKEY for one with two, E-IMAGE for a
    damaged file, E-BOMB for a text beyond 8 MiB.
    """
    place = Place(name)
    found: list[bytes] = []
    others: list[str] = []
    for kind, content in _chunks(png, name):
        key, _, rest = content.partition(b"\0")
        if kind == b"iTXt" and key == KEY:
            found.append(_text(rest, place))
        elif kind in (b"tEXt", b"zTXt", b"iTXt") and key in _OTHERS:
            others.append(_OTHERS[key])
    if len(found) > 1:
        raise error(Problem("E-DUPKEY", "two workflows in one image", "take the file as weft wrote it", place))
    if not found:
        what = f"found {' and '.join(dict.fromkeys(others))}" if others else "no generation data"
        hint = "try: weft import" if others else "open a picture that weft made, or the workflow's own file"
        raise error(Problem("E-NOMETA", what, hint, place))
    return found[0].decode("utf-8", "replace")


def _text(rest: bytes, place: Place) -> bytes:
    """The text of an iTXt chunk after its keyword, unpacked if it is packed."""
    packed, rest = rest[:1] == b"\1", rest[2:]
    text = rest.split(b"\0", 2)[-1]
    if packed:
        opener = zlib.decompressobj()
        try:
            text = opener.decompress(text, LIMIT + 1)
        except zlib.error as why:
            raise error(Problem("E-IMAGE", "damaged in chunk iTXt", "get it again", place)) from why
    if len(text) > LIMIT:
        raise error(Problem("E-BOMB", f"text expands beyond {size(LIMIT)}", "do not open it", place))
    return text


def _chunks(png: bytes, name: str) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk of a PNG but its pixels."""
    at = len(PNG)
    while at + 12 <= len(png):
        length, kind = int.from_bytes(png[at : at + 4], "big"), png[at + 4 : at + 8]
        content, end = png[at + 8 : at + 8 + length], at + 12 + length
        if kind == b"IEND":
            return
        if end > len(png) or not kind.isalpha():
            break
        if kind != b"IDAT" and zlib.crc32(kind + content) != int.from_bytes(png[end - 4 : end], "big"):
            called = kind.decode("ascii")
            what = f"damaged in chunk {called} at {at}"
            raise error(Problem("E-IMAGE", what, "get it again", Place(name)))
        if kind != b"IDAT":
            yield kind, content
        at = end
    raise error(Problem("E-IMAGE", f"damaged at {at}: ends early", "get it again", Place(name)))


def _shared(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shared(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shared(item) for item in value]
    if isinstance(value, str) and len(value) < 4096 and "\0" not in value and os.path.isabs(value):
        return os.path.basename(value.rstrip("/\\")) if os.path.lexists(value) else value
    return value
