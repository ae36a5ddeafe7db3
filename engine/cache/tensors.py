"""The safetensors layout, written and read strictly: eight bytes of length, a JSON header, then each array's bytes.

Nothing in such a file can run code. The reader accepts only what is consistent from end to end, because these files
come from strangers: https://huggingface.co/docs/safetensors describes the layout.
"""

import json
from collections.abc import Mapping
from typing import Any

from engine.values import Array, Buffer

HEADER_LIMIT = 100 * 1024 * 1024
COUNT_LIMIT = 1_000_000
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16,
    "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


class Damaged(ValueError):
    """A file that is not what its header says, or no safetensors file at all."""


def encode(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> list[Buffer]:
    """The file as pieces to be written one after another; equal values give equal bytes."""
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    offset = 0
    bodies: list[Buffer] = []
    for name in sorted(arrays):
        array = arrays[name]
        body = memoryview(array.data).cast("B") if len(memoryview(array.data)) else b""
        header[name] = {
            "dtype": array.dtype,
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(body)],
        }
        offset += len(body)
        bodies.append(body)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little") + text, *bodies]


def decode(data: Buffer) -> tuple[dict[str, Array], dict[str, str]]:
    """(arrays by name, metadata) of a whole file in memory; the arrays are views of it. Raises Damaged."""
    view = memoryview(data)
    header, start = parse_header(bytes(view[:8]), view[8:], len(view))
    arrays = {
        name: Array(dtype, shape, view[start + a : start + b]) for name, (dtype, shape, a, b) in header[0].items()
    }
    return arrays, header[1]


Entries = dict[str, tuple[str, tuple[int, ...], int, int]]


def parse_header(length: bytes, rest: Buffer, total: int) -> tuple[tuple[Entries, dict[str, str]], int]:
    """((name -> dtype, shape, begin, end; metadata), where the arrays begin). `total` is the size of the file."""
    if len(length) < 8:
        raise Damaged(f"{len(length)} bytes; too short for a header")
    size = int.from_bytes(length, "little")
    if size > HEADER_LIMIT or size + 8 > total:
        raise Damaged(f"the header claims {size} bytes; the file has {total}")
    try:
        header = json.loads(bytes(memoryview(rest)[:size]), object_pairs_hook=_unique, parse_constant=_refuse)
    except (UnicodeDecodeError, RecursionError, json.JSONDecodeError) as why:
        raise Damaged(f"the header is not JSON: {why}") from why
    if not isinstance(header, dict):
        raise Damaged("the header is not an object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise Damaged("the header's metadata is not text")
    if len(header) > COUNT_LIMIT:
        raise Damaged(f"{len(header)} tensors, limit {COUNT_LIMIT}")
    entries = {name: _entry(name, value) for name, value in header.items()}
    _check_layout(entries, total - 8 - size)
    return (entries, metadata), 8 + size


def _entry(name: str, value: Any) -> tuple[str, tuple[int, ...], int, int]:
    if name.startswith("__"):
        raise Damaged(f"tensor name {name!r} is reserved")
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise Damaged(f"tensor {name!r} lacks dtype, shape or data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if dtype not in _BITS:
        raise Damaged(f"tensor {name!r} has the unknown dtype {dtype!r}")
    if not isinstance(shape, list) or any(type(n) is not int or n < 0 for n in shape):
        raise Damaged(f"tensor {name!r} has the shape {shape!r}")
    if not isinstance(offsets, list) or len(offsets) != 2 or any(type(n) is not int or n < 0 for n in offsets):
        raise Damaged(f"tensor {name!r} has the offsets {offsets!r}")
    count = 1
    for n in shape:
        count *= n
        if count > 2**60:
            raise Damaged(f"tensor {name!r} has the shape {shape!r}, which overflows")
    begin, end = offsets
    if end - begin != count * _BITS[dtype] // 8:
        raise Damaged(f"tensor {name!r} takes {end - begin} bytes, but its shape needs {count * _BITS[dtype] // 8}")
    return dtype, tuple(shape), begin, end


def _check_layout(entries: Entries, available: int) -> None:
    position = 0
    for name, (_, _, begin, end) in sorted(entries.items(), key=lambda item: (item[1][2], item[1][3])):
        if begin != position:
            raise Damaged(f"tensor {name!r} {'overlaps another' if begin < position else 'leaves a gap'}")
        position = end
    if position != available:
        raise Damaged(f"the tensors take {position} bytes, the file has {available} for them")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Damaged("a name stands twice in the header")
    return found


def _refuse(name: str) -> None:
    raise Damaged(f"{name} in the header")
