"""Locks as files: JSON for people and programs to read, with the workflow beside the lock.

    {"weft_lock": 1, "digest": SHA-256 of the lock's canonical JSON, "lock": {…}, "document": {…}, "files": {…}}

files: what was saved, with the SHA-256 of each whole file. It is told for information and is not in the digest, since
another version of a library may write the same pixels as other bytes.
"""

import json
from collections.abc import Mapping
from typing import Any

from engine.canonical import digest
from engine.errors import Place, Problem, WeftError, error
from engine.jsontext import parse
from engine.share.lock import FORMAT, Lock
from engine.source import Source

_SHAPES: dict[str, type] = {
    "workflow": dict, "settings": dict, "models": list, "inputs": list, "nodes": dict, "packs": dict,
    "environment": dict, "outputs": dict,
}  # fmt: skip


def lock_text(lock: Lock, files: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a lock's file."""
    whole: dict[str, Any] = {"weft_lock": FORMAT, "digest": lock.digest, "lock": _sorted(lock.data)}
    whole["document"] = dict(lock.document)
    if files:
        whole["files"] = dict(sorted(files.items()))
    return (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()


def is_lock(value: object) -> bool:
    """Whether JSON is that of a lock's file."""
    return isinstance(value, dict) and "weft_lock" in value and "document" in value


def lock_in(source: Source) -> Lock:
    """The lock in a file. Raises what `engine.jsontext.parse` raises; E-VERSION for one of a newer weft; E-LOCK for one
    that is damaged, and E-DIGEST for one that was changed by hand."""
    value = parse(source).value
    place = Place(source.name)
    if not isinstance(value, dict) or not is_lock(value):
        raise _damaged(place, "it holds no lock")
    if value["weft_lock"] != FORMAT:
        raise error(Problem("E-VERSION", "a lock of a newer weft", "update weft", place))
    lock = checked(value.get("lock"), value["document"], source.name)
    if lock.digest != value.get("digest"):
        what = f"the lock's digest is {lock.digest[:16]}…, and not the one that it names"
        raise error(Problem("E-DIGEST", what, "it was changed after weft wrote it; make it again", place))
    return lock


def checked(data: object, document: object, name: str) -> Lock:
    """A lock of these parts, once their shapes are those of one, and the workflow is the one that it names."""
    place = Place(name)
    if not isinstance(data, dict) or not isinstance(document, dict) or not isinstance(document.get("nodes"), dict):
        raise _damaged(place, "a part of it is missing")
    for key, kind in _SHAPES.items():
        if not isinstance(data.get(key), kind):
            raise _damaged(place, f'"{key}" is not what it must be')
    for node in data["nodes"].values():
        given = isinstance(node, dict) and isinstance(node.get("inputs"), dict)
        if not given or not isinstance(node.get("type"), str) or not isinstance(node.get("outputs", {}), dict):
            raise _damaged(place, "a node in it is not what it must be")
    for entry in (*data["models"], *data["inputs"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("files"), list):
            raise _damaged(place, '"models" and "inputs" must list files')
        for file in entry["files"]:
            if not isinstance(file, dict) or not isinstance(file.get("sha256"), str):
                raise _damaged(place, "a file in it has no digest")
    lock = Lock(data, document)
    if data["workflow"].get("digest") != digest(document):
        hint = "take the file as weft wrote it"
        raise error(Problem("E-DIGEST", "its workflow is not the one that its lock names", hint, place))
    return lock


def _damaged(place: Place, why: str) -> WeftError:
    return error(Problem("E-LOCK", f"damaged: {why}", "get it again, or make it with weft lock", place))


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list | tuple) else value
