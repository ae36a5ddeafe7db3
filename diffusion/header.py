"""The header of a safetensors file, read and checked before any library opens the file. Imports no tensor library.

    8 bytes            length n of the header, little endian
    n bytes            JSON: {"name": {"dtype": "F16", "shape": […], "data_offsets": [begin, end]}, "__metadata__": {…}}
    the rest           the tensors, without gaps or overlaps, in the order of their offsets

Reading it costs a few milliseconds whatever the size of the file, so `weft check` can afford it.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_BYTES = 8 << 20
"""Of a header. Those of the largest models have less than one million."""

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64, "C64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64,
}  # fmt: skip
"""The dtypes that the format knows, and how many bits a number has."""

ELSEWHERE = {
    b"GGUF": "it is a GGUF file, which weft does not read; get the safetensors file",
    b"version https://git-lfs": "it is a Git LFS pointer, not the file itself; get it with git lfs pull",
    b"<!DOCTYPE": "it is a web page, not the file itself; download it again",
    b"<html": "it is a web page, not the file itself; download it again",
}
"""How files begin that people take for models."""


class DamagedError(ValueError):
    """A file that is no safetensors file, or a damaged one."""


class PickleError(ValueError):
    """Weights in a pickle, which could run code."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """What the header says of one tensor."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Header:
    """The tensors of a file by name, and its metadata: texts that its author put there."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]


def read(path: Path) -> Header:
    """The header of a file, checked against the length of the file.

    Raises FileNotFoundError, PickleError for a pickle whatever its name, and DamagedError with the reason.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(32)
        _check_start(path, size, start)
        length = int.from_bytes(start[:8], "little")
        if length > size - 8:
            raise DamagedError(f"{path}: a header of {length} bytes in a file of {size}; cut short, or no safetensors")
        if length > MOST_BYTES:
            raise DamagedError(f"{path}: a header of {length} bytes; at most {MOST_BYTES} are read")
        file.seek(8)
        text = file.read(length)
    try:
        value = _json(text)
        tensors, end = _tensors(value)
    except DamagedError as why:
        raise DamagedError(f"{path}: {why}") from None
    if size != 8 + length + end:
        short = "cut short" if size < 8 + length + end else "something was added"
        raise DamagedError(f"{path}: {size} bytes where its header says {8 + length + end}; {short}")
    return Header(tensors, _metadata(value))


def is_pickle(start: bytes) -> bool:
    """Whether a file that begins so is a pickle, or the zip that torch.save puts one into."""
    if start[8:9] == b"{":
        return False
    return start[:4] == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"))


def _check_start(path: Path, size: int, start: bytes) -> None:
    if is_pickle(start):
        raise PickleError(f"{path} is a pickle, which could run code; not loaded")
    if size < 8:
        raise DamagedError(f"{path}: {size} bytes; cut short, or no safetensors file")
    for begin, what in ELSEWHERE.items():
        if start.startswith(begin):
            raise DamagedError(f"{path}: {what}")


def _json(text: bytes) -> dict[str, Any]:
    """A JSON object in which no name stands twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
            raise DamagedError(f"{twice!r} stands twice in its header")
        return found

    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=once)
    except UnicodeDecodeError as err:
        raise DamagedError("its header is not UTF-8") from err
    except DamagedError:
        raise
    except (ValueError, RecursionError) as err:
        raise DamagedError("its header is not JSON") from err
    if not isinstance(value, dict):
        raise DamagedError("its header is not a JSON object")
    return value


def _tensors(value: Mapping[str, Any]) -> tuple[dict[str, Tensor], int]:
    """The tensors, and where the last of them ends."""
    found: dict[str, Tensor] = {}
    spans: list[tuple[int, int, str]] = []
    for name, entry in value.items():
        if name == "__metadata__":
            continue
        if name.startswith("__"):
            raise DamagedError(f"a tensor called {name!r}; names that begin with __ are not for tensors")
        match entry:
            case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)]}:
                pass
            case _:
                raise DamagedError(f"tensor {name!r} lacks dtype, shape or data_offsets")
        if dtype not in BITS:
            raise DamagedError(f"tensor {name!r} has the unknown dtype {dtype!r}")
        if not all(type(side) is int and 0 <= side < 1 << 48 for side in shape) or len(shape) > 32:
            raise DamagedError(f"tensor {name!r} has an impossible shape")
        if not 0 <= begin <= end or (end - begin) * 8 != math.prod(shape) * BITS[dtype]:
            raise DamagedError(f"tensor {name!r} has {end - begin} bytes, which are not {dtype} {shape}")
        spans.append((begin, end, name))
        found[name] = Tensor(dtype, tuple(shape))
    at = 0
    for begin, end, name in sorted(spans):
        if begin != at:
            raise DamagedError(f"tensor {name!r} {'overlaps another' if begin < at else 'leaves a gap before it'}")
        at = end
    return found, at


def _metadata(value: Mapping[str, Any]) -> dict[str, str]:
    given = value.get("__metadata__")
    return {k: v for k, v in given.items() if isinstance(v, str)} if isinstance(given, dict) else {}
