"""From the values on wires to bytes under a digest, and back."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, get_args

from engine.cache.blobs import digest_of, file_digest
from engine.cache.tensors import Damaged, decode, encode
from engine.jsontext import dump_canonical
from engine.values import Array, Buffer, Packed, Socket, socket_of

if TYPE_CHECKING:
    from engine.node import Node

INLINE = 4096
"""A value of no more JSON than this, and no arrays, is kept in the index itself."""
NOTHING = "NONE"
"""The kind of an output that is None."""


@dataclass(slots=True, eq=False)
class Coded:
    """One output as bytes.

    digest: of its kind, JSON, arrays and files. packed: the value taken apart; None for the value None. pieces: its
    blob, one piece after another; none where the JSON alone says it all. file_digests: by name of the file. bytes:
    those of the blob or the JSON, without the files.
    """

    kind: str
    digest: str
    packed: Packed | None = None
    pieces: Sequence[Buffer] = ()
    file_digests: Mapping[str, str] = field(default_factory=dict)
    bytes: int = 0


@functools.cache
def sockets(cls: "type[Node]") -> dict[str, Socket]:
    """The sockets of a node's outputs, by name."""
    return {name: _socket(annotation) for name, annotation in cls.outputs.items()}


@functools.cache
def is_stored(cls: "type[Node]") -> bool:
    """See Node.is_stored; asked for each result, so remembered."""
    return cls.is_stored()


def _socket(annotation: Any) -> Socket:
    parts = [p for p in get_args(annotation) if p is not type(None)] or [annotation]
    return socket_of(parts[0])


def code(value: Any, socket: Socket) -> Coded:
    """A value as bytes. Raises OSError if a file of it cannot be read, TypeError if its JSON is none."""
    if value is None:
        return Coded(NOTHING, digest_of([NOTHING.encode()]))
    assert socket.pack is not None, f"{socket.name} cannot be stored"
    return _coded(socket.pack(value), socket)


def told(value: Any, socket: Socket) -> str:
    """The digest of a value that is not stored, for a lock; empty where its socket has nothing to tell."""
    if value is None:
        return digest_of([NOTHING.encode()])
    tell = socket.tell or socket.pack
    return _coded(tell(value), socket).digest if tell is not None else ""


def _coded(packed: Packed, socket: Socket) -> Coded:
    for name in packed.files:
        check_name(name)
    files = {name: file_digest(path) for name, path in packed.files.items()}
    meta = dump_meta(packed.meta)
    about = {"kind": socket.name, "meta": meta}
    if files:
        about["files"] = dump_canonical(dict(files))
    if packed.arrays or len(meta) > INLINE:
        pieces = encode(packed.arrays, about)
        size = sum(memoryview(p).nbytes for p in pieces)
        return Coded(socket.name, digest_of(pieces), packed, pieces, files, size)
    text = " ".join(about.values()).encode()
    return Coded(socket.name, digest_of([text]), packed, (), files, len(text))


def value_of(socket: Socket, meta: Any, blob: bytes | None, files: Mapping[str, Path]) -> Any:
    """The value again; `files` is where its files lie now. Raises Damaged."""
    if socket.unpack is None:
        raise Damaged(f"{socket.name} is not kept")
    arrays: Mapping[str, Array] = {}
    if blob is not None:
        arrays, about = decode(blob)
        if about.get("kind") != socket.name or "meta" not in about:
            raise Damaged(f"holds {about.get('kind')}, not {socket.name}")
        meta = json.loads(about["meta"])
    return socket.unpack(Packed(meta, arrays, files))


def check_name(name: str) -> None:
    """Refuse the name of a file in a result that would leave the result's folder."""
    path = PurePosixPath(name)
    if (
        name != str(path)
        or path.is_absolute()
        or ".." in path.parts
        or not path.name
        or any(c in name for c in "\\:\0")
    ):
        raise Damaged(f"file name {name!r} is not one inside a folder")


def dump_meta(meta: Any) -> str:
    """JSON as it is digested. NaN and infinities, which a node may well compute, are written by name."""
    if type(meta) is int:
        return str(meta)
    _check_keys(meta)
    try:
        return dump_canonical(meta)
    except ValueError:
        return json.dumps(meta, sort_keys=True, separators=(",", ":"))


def _check_keys(meta: Any) -> None:
    """JSON would turn any other key into text, and the value would come back changed."""
    if isinstance(meta, dict):
        for key, value in meta.items():
            if type(key) is not str:
                raise TypeError(f"the key {key!r} of an object is no text")
            _check_keys(value)
    elif isinstance(meta, list | tuple):
        for value in meta:
            _check_keys(value)
