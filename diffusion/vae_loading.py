"""VAEs by themselves on disk: whose latents one codes, told from config.json and header, and the module with weights.

    a model's folder    its vae/ alone
    a folder            config.json and diffusion_pytorch_model.safetensors, whole or in shards
    a file              *.safetensors, with its config.json beside it or without; then its sizes are read from the
                        shapes of its tensors, in the layout of diffusers or in that of the VAE's authors

Shapes do not tell the scale of the latents, by which two families with as many channels differ: it is in config.json,
or else known of the family that somebody names. Importing this file imports no tensor library.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion import folder, header, weights_check
from diffusion.identify import NAMES, identify
from diffusion.parts import read_json, weights_of
from diffusion.recipes import VAERecipe

if TYPE_CHECKING:
    import torch
    from torch import nn

CONFIG = "config.json"
CLASS = "AutoencoderKL"

SCALES: Mapping[str, tuple[int, float, float]] = {
    "sd": (4, 0.18215, 0.0),
    "sdxl": (4, 0.13025, 0.0),
    "sd3": (16, 1.5305, 0.0609),
    "flux": (16, 0.3611, 0.1159),
}
"""Channels, scaling_factor and shift_factor of a family's latents, as its authors published them."""

GROUPS = 32
"""Of channels that are normalised together, in every published VAE of these families; shapes do not tell."""

_PREFIX = re.compile(r"^(first_stage_model|vae)\.")


class UntoldError(ValueError):
    """A VAE that does not tell whose latents it codes."""


@dataclass(frozen=True, eq=False)
class _Found:
    files: tuple[Path, ...]
    config: Mapping[str, Any]
    family: str
    variant: str = ""


def files_of(path: Path, family: str = "", variant: str = "") -> tuple[Path, ...]:
    """The files of a VAE: config.json if there is one, and the weights. Errors as in `recipe_of`."""
    return _found(path, family, variant).files


def recipe_of(path: Path, family: str = "", variant: str = "") -> VAERecipe:
    """The recipe of a VAE in a folder or a file. family: whose latents it codes, where it does not tell.

    Raises what `diffusion.parts.weights_of` raises, UntoldError where neither says whose latents, and ValueError for
    what is no VAE, one of another family than was said, or weights that do not fit their configuration.
    """
    found = _found(path, family, variant)
    return VAERecipe(
        found.family,
        str(path),
        folder.identity_of(found.files),
        space=found.family,
        channels=int(found.config["latent_channels"]),
        factor=2 ** (len(found.config["block_out_channels"]) - 1),
        variant=variant,
    )


def load_file(recipe: VAERecipe, dtype: "torch.dtype") -> "nn.Module":
    """The VAE of a file by itself, on the CPU. ValueError for weights that are missing, or that no VAE has."""
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
    from safetensors import torch as safetensors

    path = Path(recipe.source)
    config = _found(path, recipe.family, "").config
    weights = safetensors.load_file(path)
    if _is_original(weights):
        convert: Any = convert_ldm_vae_checkpoint
        weights = convert(weights, config)
    make: Any = AutoencoderKL.from_config
    module: nn.Module = make(dict(config))
    module.load_state_dict({_PREFIX.sub("", name): tensor for name, tensor in weights.items()})
    return module.to(dtype)


def _found(path: Path, family: str, variant: str) -> _Found:
    if path.is_file():
        return _of_file(path, family)
    index = path / folder.INDEX
    known = ""
    if index.is_file():
        known = folder.PIPELINES.get(str(read_json(index).get("_class_name")), "")
        path = path / "vae"
    config = read_json(path / CONFIG)
    if config.get("_class_name") != CLASS:
        raise ValueError(f"{path / CONFIG}: a {config.get('_class_name')}, and weft decodes with {CLASS}")
    weights = weights_of(path, folder.WEIGHTS["vae"], variant)
    weights_check.check(str(path), "vae", config, weights.tensors)
    config = {"latent_channels": 4, "scaling_factor": SCALES["sd"][1], **config}
    return _Found((path / CONFIG, *weights.files), config, _family(path, known or _told(config), family, config))


def _of_file(path: Path, family: str) -> _Found:
    what = identify(path)
    if what.what != "vae":
        raise ValueError(f"{path} is {what}" + (f"; {what.hint}" if what.hint else ""))
    beside = path.parent / CONFIG
    if beside.is_file() and (config := read_json(beside)).get("_class_name") == CLASS:
        config = {"latent_channels": 4, "scaling_factor": SCALES["sd"][1], **config}
        return _Found((beside, path), config, _family(path, _told(config), family, config))
    shapes = {_PREFIX.sub("", name): tensor.shape for name, tensor in header.read(path).tensors.items()}
    sizes = _sizes(path, shapes)
    family = _family(path, "", family, sizes)
    _, scaling, shift = SCALES[family]
    return _Found((path,), {**sizes, "scaling_factor": scaling, "shift_factor": shift or None}, family)


def _told(config: Mapping[str, Any]) -> str:
    """The family whose latents have that scale; empty if none has."""
    said = config["latent_channels"], config["scaling_factor"], config.get("shift_factor") or 0.0
    return next((family for family, scale in SCALES.items() if scale == said), "")


def _family(path: Path, told: str, wanted: str, config: Mapping[str, Any]) -> str:
    channels = config["latent_channels"]
    fitting = [family for family, scale in SCALES.items() if scale[0] == channels]
    if told and wanted and told != wanted:
        raise ValueError(f"{path} codes latents of {NAMES[told]}, not of {NAMES[wanted]}")
    if not told and not wanted:
        raise UntoldError(
            f"{path} is a VAE with latents of {channels} channels, and does not tell whose" + _choice(fitting)
        )
    family = told or wanted
    if family not in fitting:
        raise ValueError(f"{path} has latents of {channels} channels, and {NAMES[family]} has {SCALES[family][0]}")
    return family


def _choice(fitting: list[str]) -> str:
    return f": {' or '.join(fitting)}" if fitting else ""


def _is_original(names: Mapping[str, object]) -> bool:
    return any(_PREFIX.sub("", name).startswith("decoder.mid.") for name in names)


def _sizes(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The configuration of an AutoencoderKL with tensors of these names and shapes, without its scale."""
    level, layer = ("down", "block") if _is_original(shapes) else ("down_blocks", "resnets")
    pattern = re.compile(rf"encoder\.{level}\.(\d+)\.{layer}\.(\d+)\.conv2\.weight$")
    found = {(int(m[1]), int(m[2])): shapes[name][0] for name in shapes if (m := pattern.match(name))}
    widths = [found[i, 0] for i in range(len({i for i, _ in found})) if (i, 0) in found]
    if not widths or any(width % GROUPS for width in widths):
        raise ValueError(
            f"{path}: a VAE with levels of {widths} channels, unlike known ones; put its {CONFIG} beside it"
        )
    return {
        "_class_name": CLASS,
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": shapes["decoder.conv_in.weight"][1],
        "block_out_channels": widths,
        "layers_per_block": 1 + max(j for _, j in found),
        "norm_num_groups": GROUPS,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
    }
