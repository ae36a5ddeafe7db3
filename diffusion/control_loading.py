"""ControlNets on disk: which family one is for, from its config.json and headers, and the module with its weights.

    a folder    config.json and diffusion_pytorch_model.safetensors, whole or in shards
    a file      *.safetensors, with its config.json beside it or without; a net for a U-Net may then also have the
                layout of the first ControlNets, and its configuration is read from the shapes of its tensors

Importing this file imports no tensor library.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion import header
from diffusion.control_shapes import config_of, is_original, layers_of_original
from diffusion.identify import identify
from diffusion.recipes import ControlNetRecipe, Hint, ModelRecipe

if TYPE_CHECKING:
    import torch
    from torch import nn

CONFIG = "config.json"
NAME = "diffusion_pytorch_model"
CLASSES = ("ControlNetModel", "ControlNetUnionModel", "SD3ControlNetModel", "FluxControlNetModel")
"""The classes of diffusers that are known; `config.json` names one."""
COPIED = ("sd", "sdxl")
"""The families whose denoiser is a U-Net, of which weft makes ControlNets."""
MOST_BYTES = 1 << 20
"""Of a config.json, which has a few thousand."""


def unlike(model: ModelRecipe) -> str:
    """Why no ControlNet can be made from a denoiser, as a copy of its first half; empty if one can."""
    if model.family not in COPIED or model.inpaints:
        what = "an inpainting model" if model.inpaints else f"a model of the family {model.family}"
        return f"a ControlNet is made from a plain U-Net, of {' or '.join(COPIED)}, and this is {what}"
    return ""


def files_of(path: Path, variant: str = "") -> list[Path]:
    """The files of a ControlNet: config.json if there is one, and the weights, headers checked.

    Raises FileNotFoundError, `diffusion.header.PickleError`, and ValueError for a damaged file.
    """
    if path.is_file():
        header.read(path)
        beside = path.parent / CONFIG
        return [beside, path] if _is_control(beside) else [path]
    config = path / CONFIG
    if not config.is_file():
        raise FileNotFoundError(f"{config} is missing")
    end = f".{variant}" if variant else ""
    whole, shards = path / f"{NAME}{end}.safetensors", path / f"{NAME}.safetensors.index{end}.json"
    if whole.is_file():
        header.read(whole)
        return [config, whole]
    if not shards.is_file():
        if any(file.suffix in (".bin", ".ckpt", ".pt", ".pth", ".pkl") for file in path.iterdir()):
            raise header.PickleError(f"{path} holds its weights as a pickle only; not loaded")
        raise FileNotFoundError(f"{whole} is missing")
    names = sorted({str(name) for name in dict(_json(shards).get("weight_map", {})).values()})
    if any("/" in name or "\\" in name for name in names):
        raise ValueError(f"{shards}: names a file outside its folder")
    for name in names:
        header.read(path / name)
    return [config, shards, *(path / name for name in names)]


def variant_of(path: Path) -> str:
    """The variant of a folder's weights, such as fp16: none where the plain ones are there, else the first by name."""
    if not path.is_dir() or any(
        (path / f"{NAME}.{end}").is_file() for end in ("safetensors", "safetensors.index.json")
    ):
        return ""
    whole = [file.name.split(".")[1] for file in sorted(path.glob(f"{NAME}.*.safetensors")) if "-of-" not in file.name]
    shards = [file.name.split(".")[3] for file in sorted(path.glob(f"{NAME}.safetensors.index.*.json"))]
    return next(iter([*whole, *shards]), "")


def recipe_of(path: Path) -> ControlNetRecipe:
    """The recipe of a folder or file. Errors as in `files_of`, and ValueError for what is no ControlNet, or one that
    weft does not know."""
    variant = variant_of(path)
    files = files_of(path, variant)
    config = _json(files[0]) if files[0].name == CONFIG else _told_by_shapes(path)
    kind = config.get("_class_name")
    hint: Hint = "pixels"
    family, modes = "sd", 0
    if kind == "SD3ControlNetModel":
        family = "sd3"
        hint = "unshifted latent" if config.get("force_zeros_for_pooled_projection", True) else "latent"
    elif kind == "FluxControlNetModel":
        family, modes = "flux", int(config.get("num_mode") or 0)
        hint = "latent" if config.get("conditioning_embedding_channels") is None else "pixels"
    elif kind in CLASSES:
        told = config.get("addition_embed_type")
        family = "sdxl" if told == "text_time" else "sd"
        modes = int(config.get("num_control_type", 6)) if kind == "ControlNetUnionModel" else 0
        if told not in (None, "text_time") or config.get("class_embed_type") is not None:
            raise ValueError(f"{path}: it is fed otherwise (addition_embed_type, class_embed_type) than known ones")
    else:
        raise ValueError(f"{path}: a {kind}, which is none of the ControlNets that weft knows: {', '.join(CLASSES)}")
    return ControlNetRecipe(family, str(path), _identity(files), variant=variant, hint=hint, modes=modes)


def _told_by_shapes(path: Path) -> Mapping[str, Any]:
    """As much of the configuration of a file by itself as says which family it is for."""
    found = identify(path)
    if found.what != "controlnet":
        raise ValueError(f"{path}: this is {found}" + (f"; {found.hint}" if found.hint else ""))
    if found.family not in ("sd", "sdxl"):
        raise ValueError(f"{path}: this is {found}, whose shapes do not tell all; put its config.json beside it")
    told = "text_time" if found.family == "sdxl" else None
    return {"_class_name": "ControlNetModel", "addition_embed_type": told}


def load(recipe: ControlNetRecipe, dtype: "torch.dtype") -> "nn.Module":
    """The net with its weights, on the CPU. ValueError if it is damaged or does not fit its configuration."""
    import diffusers

    from diffusion.reading import unreadable

    path = Path(recipe.source)
    files = files_of(path, recipe.variant)
    config = _json(files[0]) if files[0].name == CONFIG else None
    try:
        if path.is_dir():
            cls: Any = getattr(diffusers, str(_json(files[0])["_class_name"]))
            module: nn.Module = cls.from_pretrained(
                str(path), torch_dtype=dtype, use_safetensors=True, local_files_only=True,
                variant=recipe.variant or None,
            )  # fmt: skip
            return module
        return _from_file(path, config).to(dtype)
    except (OSError, RuntimeError, KeyError, TypeError) as err:
        raise unreadable(path, err) from err


def _from_file(path: Path, config: Mapping[str, Any] | None) -> "nn.Module":
    import diffusers
    from diffusers.loaders import single_file_utils
    from safetensors.torch import load_file

    weights = load_file(path)
    if is_original(weights):
        convert: Any = single_file_utils.convert_controlnet_checkpoint
        weights = convert(weights, {"layers_per_block": layers_of_original(weights)})
    told = config or config_of({name: tuple(tensor.shape) for name, tensor in weights.items()})
    cls: Any = getattr(diffusers, str(told["_class_name"]))
    module: nn.Module = cls.from_config(dict(told))
    module.load_state_dict(weights)
    return module


def _is_control(config: Path) -> bool:
    return config.is_file() and _json(config).get("_class_name") in CLASSES


def _json(path: Path) -> Mapping[str, Any]:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path}: larger than {MOST_BYTES} bytes")
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as err:
        raise ValueError(f"{path}: not valid JSON: {err}") from err
    if not isinstance(value, dict):
        raise ValueError(f"{path}: not a JSON object")
    return value


def _identity(files: list[Path]) -> str:
    """SHA-256 over names, sizes and times of change, as hexadecimal digits."""
    seen = hashlib.sha256()
    for file in files:
        stat = file.stat()
        seen.update(f"{file.name}\n{stat.st_size}\n{stat.st_mtime_ns}\n".encode())
    return seen.hexdigest()
