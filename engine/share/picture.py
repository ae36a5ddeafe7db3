"""What a picture that weft saves carries of how it was made, and reading it back. Reading runs and looks up nothing.

    text             PNG                       WebP                   JPEG
    parameters       tEXt or iTXt              EXIF UserComment       EXIF UserComment
    weft_workflow    iTXt                      XMP weft:workflow      -
    weft_lock        iTXt                      XMP weft:lock          XMP weft:lock, always by reference
    source type      XMP Iptc4xmpExt:DigitalSourceType, in all three

A lock over 256 KiB, and every lock of a JPEG, lies in a file beside the picture, which carries its digest and name.
"""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.canonical import canonical
from engine.errors import Place, Problem, error
from engine.pictures.container import format_of
from engine.pictures.exif import block
from engine.pictures.texts import XMP, Text, texts
from engine.pictures.write import SEGMENT, with_blocks, with_chunks
from engine.share.lock import Lock
from engine.share.lockfile import lock_text

WORKFLOW, LOCK, PARAMETERS = "weft_workflow", "weft_lock", "parameters"
LOCK_LIMIT = 256 * 1024
"""Bytes of a lock that a picture carries itself."""
SIDE = ".lock"
"""What the name of the file beside a picture ends in."""

TRAINED = "trainedAlgorithmicMedia"
COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
_IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_ENVELOPE = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:weft="urn:weft:1">',
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>',
)
_OURS = re.compile(r"<weft:(workflow|lock)>([^<]*)</weft:\1>")
_OTHERS = {PARAMETERS: "A1111 parameters", "prompt": "a ComfyUI prompt", "workflow": "a ComfyUI workflow"}


@dataclass(frozen=True, slots=True)
class Story:
    """How a picture was made: its lock, A1111's text of it, and its IPTC source type; either text may be empty."""

    lock: Lock
    parameters: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a picture carries, as text, empty where it does not; others: what other programs left, in words."""

    workflow: str = ""
    lock: str = ""
    parameters: str = ""
    source: str = ""
    others: tuple[str, ...] = ()


def with_story(data: bytes, stem: str, story: Story, software: str) -> tuple[bytes, tuple[str, bytes] | None]:
    """(a picture that carries its story; name and content of the file that must lie beside it, where it needs one).

    data: a PNG, WebP or JPEG without texts. stem: what that file's name begins with; the lock's digest follows, so that
    no two are called the same. software: name and version of weft.
    """
    kind = format_of(data)
    workflow = canonical_workflow(story.lock.document)
    lock = canonical(story.lock.data).decode()
    beside = None
    if kind == "JPEG" or len(lock.encode()) > LOCK_LIMIT:
        name = f"{stem}-{story.lock.digest[:8]}{SIDE}"
        beside = name, lock_text(story.lock)
        lock = json.dumps({"file": name, "sha256": story.lock.digest}, separators=(",", ":"))
    if kind == "PNG":
        items = [Text(PARAMETERS, story.parameters)] if story.parameters else []
        items += [Text(WORKFLOW, workflow), Text(LOCK, lock)]
        items += [Text(XMP, _xmp({}, story.source))] if story.source else []
        return with_chunks(data, items), beside
    ours = {"lock": lock} if kind == "JPEG" else {"workflow": workflow, "lock": lock}
    exif = block(story.parameters, software)
    if kind == "JPEG" and len(exif) > SEGMENT - 6:  # such a prompt has no room, and half of it would mislead
        exif = block("", software)
    return with_blocks(data, exif, _xmp(ours, story.source).encode()), beside


def found_in(data: bytes, name: str) -> Found:
    """What a picture carries; messages call it `name`.

    Raises E-DUPKEY where a workflow or a lock stands twice, and what `engine.pictures.texts` raises of a file that is
    damaged or too large.
    """
    mine: dict[str, list[str]] = {WORKFLOW: [], LOCK: []}
    parameters, source = "", ""
    others: list[str] = []
    for key, text in texts(data, name):
        if key in mine:
            mine[key].append(text)
        elif key == XMP:
            for called, inside in _OURS.findall(text):
                mine[f"weft_{called}"].append(html.unescape(inside))
            if match := re.search(rf"{re.escape(_IPTC)}(\w+)", text):
                source = match[1]
        elif key in _OTHERS:
            others.append(_OTHERS[key])
            parameters = parameters or (text if key == PARAMETERS else "")
    for key, found in mine.items():
        if len(found) > 1:
            what = f"two {key.removeprefix('weft_')}s in one image"
            raise error(Problem("E-DUPKEY", what, "take the file as weft wrote it", Place(name)))
    workflow, lock = ("".join(mine[key]) for key in (WORKFLOW, LOCK))
    return Found(workflow, lock, parameters, source, tuple(dict.fromkeys(others)))


def no_workflow(found: Found, name: str) -> Problem:
    """E-NOMETA for a picture that carries no workflow."""
    what = f"found {' and '.join(found.others)}" if found.others else "no generation data"
    hint = "try: weft import" if found.others else "open a picture that weft made, or the workflow's own file"
    return Problem("E-NOMETA", what, hint, Place(name))


def canonical_workflow(document: Mapping[str, Any]) -> str:
    """A workflow as a picture carries it: canonical JSON, but for integers beyond 2^53 - 1, which stay integers."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _xmp(ours: Mapping[str, str], source: str) -> str:
    # XML has no place for control characters; JSON has written all but the last two of them as escapes already
    texts_ = {name: html.escape(text, quote=False) for name, text in ours.items()}
    inside = "".join(f"<weft:{name}>{_no_controls(text)}</weft:{name}>" for name, text in texts_.items())
    if source:
        tag = "Iptc4xmpExt:DigitalSourceType"
        inside = f"<{tag}>{_IPTC}{source}</{tag}>" + inside
    return inside.join(_ENVELOPE)


def _no_controls(text: str) -> str:
    return re.sub("[\x7f-\x9f\ufffe\uffff]", lambda match: f"\\u{ord(match[0]):04x}", text)
