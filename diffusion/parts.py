"""The files of one part of a model folder: which of them hold its weights, in one file or in shards, and in which
variant. Importing this file imports no tensor library.

    NAME.safetensors, NAME.fp16.safetensors                                whole: plain, and a variant
    NAME.safetensors.index.json, NAME.safetensors.index.fp16.json          shards, listed by the tensors they hold
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusion import header
from diffusion.header import PickleError, Tensor

MOST_BYTES = 64 << 20
"""No JSON file of a model is larger; a vocabulary has a few million bytes."""

PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
"""How files end that hold pickles."""


class VariantError(FileNotFoundError):
    """The variant that was asked for is not there, or nobody said which of several to take."""


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of a part. variant: empty for the plain ones. files: an index too, where there is one."""

    variant: str
    files: tuple[Path, ...]
    tensors: Mapping[str, Tensor]


def variant_of(folder: Path, name: str, wanted: str = "") -> str:
    """The variant of a part's weights to take: the one wanted; else the plain ones; else the only one that is there.

    name: of the plain file, such as model.safetensors. Raises VariantError naming those that are there, PickleError
    where there are only pickles, and FileNotFoundError.
    """
    there = _variants(folder, name)
    if wanted:
        if wanted in there:
            return wanted
        known = ", ".join(one or "the plain one" for one in there)
        if there:
            raise VariantError(f"{folder} has no variant {wanted!r}; there: {known}")
    elif "" in there or len(there) == 1:
        return there[0]
    elif there:
        raise VariantError(f"{folder} has no plain weights; name one of the variants: {', '.join(there)}")
    if folder.is_dir() and any(path.suffix in PICKLES for path in folder.iterdir()):
        raise PickleError(f"{folder} holds its weights as a pickle only; not loaded")
    raise FileNotFoundError(f"{folder / name} is missing")


def weights_of(folder: Path, name: str, wanted: str = "") -> Weights:
    """The weights of a part, headers checked. Errors as in `variant_of` and `diffusion.header.read`."""
    variant = variant_of(folder, name, wanted)
    stem, _, end = name.rpartition(".")
    dot = f".{variant}" if variant else ""
    whole, shards = folder / f"{stem}{dot}.{end}", folder / f"{name}.index{dot}.json"
    if whole.is_file():
        return Weights(variant, (whole,), header.read(whole).tensors)
    listed = read_json(shards).get("weight_map")
    if not isinstance(listed, dict):
        raise header.DamagedError(f"{shards}: lists no weights (weight_map)")
    names = sorted({str(shard) for shard in listed.values()})
    if any("/" in shard or "\\" in shard for shard in names):
        raise header.DamagedError(f"{shards}: names a file outside its folder")
    tensors: dict[str, Tensor] = {}
    for shard in names:
        tensors.update(header.read(folder / shard).tensors)
    return Weights(variant, (shards, *(folder / shard for shard in names)), tensors)


def read_json(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file of a model. Raises FileNotFoundError and DamagedError."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    if path.stat().st_size > MOST_BYTES:
        raise header.DamagedError(f"{path}: larger than {MOST_BYTES} bytes")
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as err:
        raise header.DamagedError(f"{path}: not valid JSON: {err}") from err
    if not isinstance(value, dict):
        raise header.DamagedError(f"{path}: not a JSON object")
    return value


def _variants(folder: Path, name: str) -> list[str]:
    """The variants of the weights that are in a folder, the plain ones ("") first."""
    stem, _, end = name.rpartition(".")
    found = set()
    for path in folder.glob(f"{stem}*") if folder.is_dir() else ():
        if path.name == name or path.name == f"{name}.index.json":
            found.add("")
        elif path.name.startswith(f"{name}.index.") and path.name.endswith(".json"):
            found.add(path.name.removeprefix(f"{name}.index.").removesuffix(".json"))
        elif path.name.startswith(f"{stem}.") and path.name.endswith(f".{end}"):
            found.add(path.name.removeprefix(f"{stem}.").removesuffix(f".{end}"))
    return sorted(one for one in found if "-of-" not in one)
