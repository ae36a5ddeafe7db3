"""A model folder made from others: some parts with weights of their own, the rest taken over as it is.

Whatever a model is loaded from, what is written is a folder in diffusers layout: a single file is taken apart, and
LoRAs become part of the weights.
"""

import contextlib
import hashlib
import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from diffusion import folder as layout
from diffusion import header, patches, vae_loading
from diffusion.clip import TextEncoders
from diffusion.family import family_of
from diffusion.recipes import ControlNetRecipe, ModelRecipe, TextEncoderRecipe, VAERecipe, text_encoder_of
from diffusion.soundness import look

Recipes = tuple[ModelRecipe, TextEncoderRecipe, VAERecipe]

_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16}
_PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction"}


def write(
    target: Path,
    model: ModelRecipe,
    text_encoder: TextEncoderRecipe | None = None,
    vae: VAERecipe | None = None,
    parts: Mapping[str, nn.Module] | None = None,
) -> None:
    """Write the folder `target`: a model with its text encoders and VAE, or with others, each as it is kept.

    parts: modules to be written in the place of those that are there, by their names in the folder (unet, vae,
    text_encoder, …). What lies in a folder in diffusers layout is linked, or copied where it cannot be.
    MisfitError as `diffusion.patches.merged`; other errors as `diffusion.folder.read` and as the family's `load`.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    network, given = layout.NETWORKS[model.family], parts or {}
    for recipe, kinds in (
        (model, (network, "scheduler", layout.INDEX)),
        (text_encoder or text_encoder_of(model), ("text_encoder", "tokenizer")),
        (vae or _vae_of(model), ("vae",)),
    ):
        modules = {name: module for name, module in given.items() if name.startswith(kinds)} or _loaded(recipe)
        for name, module in modules.items():
            module.save_pretrained(target / name, safe_serialization=True)  # type: ignore[operator]
            # the library notes where a part was loaded from: a folder of this machine, which is no content
            set_config(target / name, _name_or_path=None)
        source = Path(recipe.config or recipe.source)
        for file in _files(recipe):
            place = file.relative_to(source)
            if place.parts[0].startswith(kinds) and place.parts[0] not in modules:
                _take_over(file, target / place)
    if model.config:
        # what the file says of itself goes before the folder with its configurations
        told = {
            "prediction_type": _PREDICTIONS[model.prediction], "rescale_betas_zero_snr": model.schedule.zero_snr,
        }  # fmt: skip
        _change(target / "scheduler" / "scheduler_config.json", told)


def fresh(recipe: ModelRecipe | TextEncoderRecipe | VAERecipe) -> nn.Module:
    """The module of a recipe for oneself, on the CPU, its LoRAs in its weights, in the dtype that its files have.
    Errors as the family's `load` and `diffusion.patches.merged`."""
    module = family_of(recipe).load(recipe, kept_dtype(recipe)).requires_grad_(False).eval()
    look(module.state_dict(), recipe.source)
    return module if isinstance(recipe, VAERecipe) else patches.merged(module, recipe)


def recipes(folder: Path) -> Recipes:
    """The recipes of a folder, whose digest is that of what its files hold, wherever it lies. Errors as
    `diffusion.folder.recipes`."""
    found = layout.recipes(folder)
    digest = content_of(folder)
    return replace(found[0], digest=digest), replace(found[1], digest=digest), replace(found[2], digest=digest)


def content_of(folder: Path) -> str:
    """SHA-256 over the names and the contents of a model folder's files, as hexadecimal digits."""
    seen = hashlib.sha256()
    for file in sorted(layout.read(folder).files):
        with file.open("rb") as data:
            digest = hashlib.file_digest(data, "sha256").hexdigest()
        seen.update(f"{file.relative_to(folder).as_posix()} {digest}\n".encode())
    return seen.hexdigest()


def set_config(folder: Path, **values: Any) -> None:
    """Change some values of a part's config.json; None takes one out."""
    _change(folder / "config.json", values)


def _change(file: Path, values: Mapping[str, Any]) -> None:
    changed = {**json.loads(file.read_text("utf-8")), **values}
    kept = {name: value for name, value in changed.items() if name not in values or value is not None}
    file.unlink()  # it may be linked to another model's
    file.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")


def _vae_of(model: ModelRecipe) -> VAERecipe:
    sizes = {"space": model.space, "channels": model.channels, "factor": model.factor}
    kept = {"variant": model.variant, "config": model.config}
    return VAERecipe(model.family, model.source, model.digest, model.dtype, **sizes, **kept)  # type: ignore[arg-type]


def _whole(recipe: ModelRecipe | TextEncoderRecipe | VAERecipe) -> bool:
    """Whether a recipe's files are a whole model in diffusers layout."""
    return (Path(recipe.source) / layout.INDEX).is_file()


def _files(recipe: ModelRecipe | TextEncoderRecipe | VAERecipe) -> tuple[Path, ...]:
    """The files of the model that a recipe is a part of, or of the folder that says how to read it."""
    if recipe.config:
        return layout.read(Path(recipe.config), weights=False).files
    return layout.read(Path(recipe.source), recipe.variant).files if _whole(recipe) else ()


def _loaded(recipe: ModelRecipe | TextEncoderRecipe | VAERecipe) -> dict[str, nn.Module]:
    """The modules of a recipe whose files cannot be taken over as they are, by their names in a folder."""
    patched = not isinstance(recipe, VAERecipe) and recipe.patches
    if _whole(recipe) and not patched:
        return {}
    module = fresh(recipe)
    if isinstance(module, TextEncoders):
        return module.named_parts()
    return {"vae" if isinstance(recipe, VAERecipe) else layout.NETWORKS[recipe.family]: module}


def kept_dtype(recipe: ModelRecipe | TextEncoderRecipe | VAERecipe | ControlNetRecipe) -> torch.dtype:
    """What most numbers of a recipe's files are kept in, of those dtypes that networks are kept in."""
    source = Path(recipe.source)
    if source.is_file():
        tensors = [*header.read(source).tensors.values()]
    elif not isinstance(recipe, ControlNetRecipe) and _whole(recipe):
        kind = {ModelRecipe: layout.NETWORKS[recipe.family], TextEncoderRecipe: "text_encoder", VAERecipe: "vae"}
        found = layout.read(source, recipe.variant).tensors.items()
        tensors = [one for part, of in found if part.startswith(kind[type(recipe)]) for one in of.values()]
    else:
        files = vae_loading.files_of(source, recipe.family, recipe.variant)
        tensors = [one for file in files if file.suffix == ".safetensors" for one in header.read(file).tensors.values()]
    numbers = Counter[str]()
    for one in tensors:
        numbers[one.dtype] += math.prod(one.shape)
    return _DTYPES.get(numbers.most_common(1)[0][0], torch.float32)


def _take_over(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        os.link(file.resolve(), target)
        return
    shutil.copyfile(file, target)
