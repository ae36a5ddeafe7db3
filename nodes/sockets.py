"""The wire types: which values of diffusion/ travel between nodes, under what names, and how they become bytes."""

import os
from array import array
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion import recipes, types
from engine.values import Array, Packed, Socket, register

if TYPE_CHECKING:
    import numpy as np
    import torch

_NUMPY = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "int32": "I32", "uint32": "U32",
    "int64": "I64", "uint64": "U64", "float16": "F16", "float32": "F32", "float64": "F64",
}  # fmt: skip
_FROM = {name: dtype for dtype, name in _NUMPY.items()}


def from_numpy(array: "np.ndarray") -> Array:
    """A numpy array as bytes. From here on it cannot be written to: it may feed several nodes."""
    import numpy as np

    array.setflags(write=False)
    solid = np.ascontiguousarray(array)
    return Array(_NUMPY[solid.dtype.name], array.shape, solid.data if solid.size else b"")


def to_numpy(array: Array) -> "np.ndarray":
    """The numpy array of these bytes; it cannot be written to, as no input of a node may."""
    import numpy as np

    return np.frombuffer(bytes(array.data) if not array.data else array.data, _FROM[array.dtype]).reshape(array.shape)


def from_torch(tensor: "torch.Tensor") -> Array:
    """A tensor as bytes, from whatever device. bfloat16, which numpy lacks, by its bits."""
    import torch

    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        return Array("BF16", tuple(tensor.shape), from_numpy(tensor.view(torch.int16).numpy()).data)
    return from_numpy(tensor.numpy())


def to_torch(array: Array) -> "torch.Tensor":
    """The tensor of these bytes, on the CPU."""
    import torch

    if array.dtype == "BF16":
        return torch.from_numpy(to_numpy(Array("I16", array.shape, array.data)).copy()).view(torch.bfloat16)
    return torch.from_numpy(to_numpy(array).copy())


_BESIDE = ("mask", "covered", "kept")
"""What a latent may have beside its samples."""


def _pack_latent(latent: types.Latent) -> Packed:
    level = latent.level
    meta: dict[str, Any] = {"space": latent.space, "state": latent.state}
    meta["level"] = [level.t, level.alpha, level.sigma] if level else None
    arrays = {"samples": from_torch(latent.samples)}
    for name in _BESIDE:
        tensor = getattr(latent, name)
        if tensor is not None:
            arrays[name] = from_torch(tensor)
    return Packed(meta, arrays)


def _unpack_latent(packed: Packed) -> types.Latent:
    meta: Any = packed.meta
    level = types.Level(*meta["level"]) if meta["level"] else None
    beside = {name: to_torch(packed.arrays[name]) for name in _BESIDE if name in packed.arrays}
    return types.Latent(to_torch(packed.arrays["samples"]), meta["space"], meta["state"], level, **beside)


def _pack_conditioning(value: types.Conditioning) -> Packed:
    meta: dict[str, Any] = {"text": value.text}
    arrays = {name: from_torch(tensor) for name, tensor in value.tensors.items()}
    if not value.plain:
        scope = value.scope
        meta["scope"] = [scope.area, scope.unit, scope.crop, scope.strength, scope.start, scope.end]
        if scope.mask is not None:
            arrays["scope/mask"] = from_numpy(scope.mask.copy())
        others = [_pack_conditioning(other) for other in value.others]
        meta["others"] = [other.meta for other in others]
        for i, other in enumerate(others):
            arrays |= {f"{i}/{name}": array for name, array in other.arrays.items()}
    return Packed(meta, arrays)


def _unpack_conditioning(packed: Packed) -> types.Conditioning:
    meta: Any = packed.meta
    tensors = {name: to_torch(array) for name, array in packed.arrays.items() if "/" not in name}
    if "scope" not in meta:
        return types.Conditioning(tensors, meta["text"])
    area, unit, *rest = meta["scope"]
    mask = to_numpy(packed.arrays["scope/mask"]) if "scope/mask" in packed.arrays else None
    scope = types.Scope(area and tuple(area), unit, mask, *rest)
    others = tuple(_unpack_conditioning(_inner(packed, other, i)) for i, other in enumerate(meta["others"]))
    return types.Conditioning(tensors, meta["text"], scope, others)


def _pack_dataset(value: types.Dataset) -> Packed:
    arrays = {"images": from_numpy(value.images)}
    for name in ("labels", "crops"):
        array = getattr(value, name)
        if array is not None:
            arrays[name] = from_numpy(array)
    meta: dict[str, Any] = {
        "captions": list(value.captions),
        "class_names": list(value.class_names),
        "name": value.name,
    }
    if value.others:
        others = [_pack_dataset(other) for other in value.others]
        meta["others"] = [other.meta for other in others]
        for i, other in enumerate(others):
            arrays |= {f"{i}/{name}": array for name, array in other.arrays.items()}
    return Packed(meta, arrays)


def _unpack_dataset(packed: Packed) -> types.Dataset:
    meta: Any = packed.meta
    images, labels, crops = (
        to_numpy(packed.arrays[name]) if name in packed.arrays else None for name in ("images", "labels", "crops")
    )
    assert images is not None
    others = tuple(_unpack_dataset(_inner(packed, other, i)) for i, other in enumerate(meta.get("others", ())))
    return types.Dataset(
        images, labels, tuple(meta["captions"]), tuple(meta["class_names"]), meta["name"], crops, others
    )


def _inner(packed: Packed, meta: Any, i: int) -> Packed:
    """What was packed as the i-th other beside a value."""
    return Packed(meta, {n.removeprefix(f"{i}/"): array for n, array in packed.arrays.items() if n.startswith(f"{i}/")})


def _pack_recipe(recipe: recipes.Recipe) -> Packed:
    """A recipe whose model lies in a folder: the cache takes the folder's files over. The path itself is no content."""
    source = Path(recipe.source)
    found = sorted(p for p in source.rglob("*") if p.is_file())
    return Packed({**recipes.to_json(recipe), "source": ""}, {}, {p.relative_to(source).as_posix(): p for p in found})


def _unpack_recipe(packed: Packed) -> recipes.Recipe:
    meta: Any = packed.meta
    name, path = next(iter(packed.files.items()))
    # the folder in which all of them lie under their names
    return recipes.from_json({**meta, "source": str(path.parents[name.count("/")])})


_PLACES = ("source", "digest", "config")
"""What names files of this machine in a recipe. What is in them a lock tells by their own digests."""


def _bare(value: Any) -> Any:
    """JSON of a recipe without the places of its files."""
    if isinstance(value, types.Picture):
        return value.digest
    if is_dataclass(value):
        return {f.name: _bare(getattr(value, f.name)) for f in fields(value) if f.name not in _PLACES}
    if isinstance(value, list | tuple):
        return [_bare(item) for item in value]
    return None if isinstance(value, str) and os.path.isabs(value) else value


def _tell_recipe(recipe: recipes.Recipe) -> Packed:
    return Packed(_bare(recipe))


def _tell_schedule(schedule: types.Schedule) -> Packed:
    """The levels bit by bit, since a step depends on each."""
    numbers = array("d", (n for level in schedule.levels for n in (level.t, level.alpha, level.sigma)))
    levels = Array("F64", (len(schedule.levels), 3), numbers.tobytes())
    return Packed({"kind": schedule.kind, "first": schedule.first, "total": schedule.total}, {"levels": levels})


def _tell_sampler(sampler: types.Sampler) -> Packed:
    return Packed({"kind": sampler.kind, "eta": sampler.eta})


NOISE_TOLD = 64
"""How many numbers of a stream of noise a lock digests: enough to tell whether two generators agree."""


def _tell_noise(noise: types.Noise) -> Packed:
    from diffusion.noise import Streams

    variation: list[Any] = [str(noise.variation_seed), noise.variation_strength]
    settings: dict[str, Any] = {"seed": str(noise.seed), "variation": variation}
    return Packed(settings, {"first": from_torch(Streams(noise, (1, NOISE_TOLD)).initial())})


def _tell_guider(guider: recipes.Guider) -> Packed:
    """Its numbers and its model; its conditionings have digests of their own."""
    told: dict[str, Any] = {"model": _bare(guider.model), "method": _bare(guider.method)}
    return Packed({**told, "numbers": [guider.scale, guider.rescale, guider.start, guider.stop]})


def _of_file(kind: type, name: str) -> Socket:
    """The socket of a recipe that is one file, which the cache takes over. The path itself is no content."""

    def pack(value: Any) -> Packed:
        return Packed({"digest": value.digest}, {}, {Path(value.source).name: Path(value.source)})

    def unpack(packed: Packed) -> Any:
        meta: Any = packed.meta
        return kind(str(next(iter(packed.files.values()))), meta["digest"])

    return Socket(kind, name, pack, unpack)


def _of_array(kind: type, name: str, field: str) -> Socket:
    """The socket of a value that is one numpy array."""

    def pack(value: Any) -> Packed:
        return Packed({}, {field: from_numpy(getattr(value, field))})

    def unpack(packed: Packed) -> Any:
        return kind(to_numpy(packed.arrays[field]))

    return Socket(kind, name, pack, unpack, numeric=True)


@dataclass(frozen=True)
class Losses:
    """The loss of every step of a training."""

    values: tuple[float, ...]


def _pack_losses(losses: Losses) -> Packed:
    data = array("d", losses.values)
    return Packed({}, {"values": Array("F64", (len(data),), data.tobytes())})


def _unpack_losses(packed: Packed) -> Losses:
    return Losses(tuple(array("d", bytes(packed.arrays["values"].data))))


register(Socket(Losses, "LOSSES", _pack_losses, _unpack_losses))
register(Socket(recipes.ModelRecipe, "MODEL", _pack_recipe, _unpack_recipe, _tell_recipe, resident=True))
register(Socket(recipes.TextEncoderRecipe, "TEXT ENCODER", _pack_recipe, _unpack_recipe, _tell_recipe, resident=True))
register(Socket(recipes.VAERecipe, "VAE", _pack_recipe, _unpack_recipe, _tell_recipe, resident=True))
register(Socket(recipes.ControlNetRecipe, "CONTROLNET", _pack_recipe, _unpack_recipe, _tell_recipe, resident=True))
register(_of_file(recipes.LoRAFile, "LORA"))
register(_of_file(recipes.EmbeddingFile, "EMBEDDING"))
register(Socket(types.Latent, "LATENT", _pack_latent, _unpack_latent, numeric=True))
register(Socket(types.Conditioning, "CONDITIONING", _pack_conditioning, _unpack_conditioning, numeric=True))
register(_of_array(types.Image, "IMAGE", "pixels"))
register(_of_array(types.Mask, "MASK", "values"))
register(Socket(types.Dataset, "DATASET", _pack_dataset, _unpack_dataset))
register(Socket(types.Schedule, "SCHEDULE", tell=_tell_schedule))
register(Socket(types.Sampler, "SAMPLER", tell=_tell_sampler))
register(Socket(types.Noise, "NOISE", tell=_tell_noise))
register(Socket(recipes.Guider, "GUIDER", tell=_tell_guider))

Model = recipes.ModelRecipe
TextEncoder = recipes.TextEncoderRecipe
VAE = recipes.VAERecipe
ControlNet = recipes.ControlNetRecipe
LoRAFile = recipes.LoRAFile
EmbeddingFile = recipes.EmbeddingFile
Latent = types.Latent
Conditioning = types.Conditioning
Image = types.Image
Mask = types.Mask
Dataset = types.Dataset
Schedule = types.Schedule
Noise = types.Noise
Guider = recipes.Guider
