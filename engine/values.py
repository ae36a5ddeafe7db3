"""What travels on wires, as the engine sees it: sockets (named types) and how their values become bytes.

The engine knows no tensor library. A value that is to be cached or hashed is turned into a `Packed`: plain JSON,
named arrays of raw bytes, and files. Whoever defines a wire type registers how.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Buffer = bytes | bytearray | memoryview
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class Array:
    """A tensor as bytes: a safetensors dtype name ("F32", "BF16", "I64", ...), its shape, and row-major data."""

    dtype: str
    shape: tuple[int, ...]
    data: Buffer


@dataclass(frozen=True, slots=True)
class Packed:
    """A value taken apart: JSON, arrays by name, and files by name that the cache takes over."""

    meta: Json
    arrays: Mapping[str, Array] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Socket:
    """A type of wire.

    name: how it is written in messages and drawings, such as LATENT.
    pack, unpack: to and from `Packed`; None for a value that is cheaper to make again than to store.
    tell: what of a value a lock digests, where that is not all that `pack` gives, or nothing is packed.
    numeric: its bits depend on device, dtype and library, which therefore belong in the key of a node that makes it.
    resident: it stands for loaded weights, so the executor keeps the nodes that share one together.
    """

    type: type
    name: str
    pack: Callable[[Any], Packed] | None = None
    unpack: Callable[[Packed], Any] | None = None
    tell: Callable[[Any], Packed] | None = None
    numeric: bool = False
    resident: bool = False


_sockets: dict[type, Socket] = {}


def register(socket: Socket) -> Socket:
    """Make a Python class usable as the type of inputs and outputs. The last registration of a class counts."""
    if socket.type.__module__ != "builtins":
        socket.type.__get_pydantic_core_schema__ = classmethod(_instance)  # type: ignore[attr-defined]
    _sockets[socket.type] = socket
    return socket


def _instance(kind: type, source: Any, handler: Any) -> Any:
    """Have pydantic pass a value on as it is: left to itself, it would take a dataclass apart and copy it."""
    from pydantic_core import core_schema

    return core_schema.is_instance_schema(kind)


def socket_of(kind: type) -> Socket:
    """The socket of a class: its own, or that of its nearest registered base. KeyError if there is none."""
    for base in kind.__mro__:
        if base in _sockets:
            return _sockets[base]
    raise KeyError(kind)


@dataclass(frozen=True, slots=True)
class SavedFile:
    """One file that an effect wrote: where, and for pictures the digest of the pixels (SHA-256)."""

    path: Path
    digest: str = ""
    mime: str = ""


@dataclass(frozen=True, slots=True)
class Saved:
    """What an effect returns: the files it wrote, and lines of text to show."""

    files: tuple[SavedFile, ...] = ()
    text: str = ""


def _plain(value: Any) -> Packed:
    return Packed(value)


def _value(packed: Packed) -> Any:
    return packed.meta


for _type, _name in ((bool, "BOOLEAN"), (int, "INT"), (float, "NUMBER"), (str, "TEXT"), (dict, "VALUES")):
    register(Socket(_type, _name, _plain, _value))
register(Socket(Saved, "FILE"))
