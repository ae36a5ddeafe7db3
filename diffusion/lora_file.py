"""Files of LoRAs, as trainers write them, to factors by the names that diffusers gives to layers.

    layout      names                                                      alpha
    kohya       lora_unet_…_to_q.lora_down.weight, lora_te1_…              a tensor beside each layer
    diffusers   unet.….to_q.lora.down.weight, …processor.to_q_lora.down…   r
    peft        unet.….to_q.lora_A.weight, base_model.model.…              in the metadata, adapter_config.json; else r

diffusers' own converters do the renaming. A file is read in two halves, that of the denoiser and that of the text
encoders, since either may be asked for alone.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from diffusion.identify import NAMES, identify
from diffusion.lora import Factors, Lora
from diffusion.patch_check import MisfitError, check_kind

Half = Literal["denoiser", "text"]

_TEXT = re.compile(r"(lora_te\d?_|text_encoder(_\d)?[._])")
_DENOISERS = {"sd3": "transformer", "flux": "transformer"}


def read(path: Path, family: str, half: Half, config: Any, dtype: torch.dtype) -> Lora:
    """One half of a file, for a model of a family; empty if it has nothing there.

    config: of the denoiser, whose number of layers a block settles what kohya's names mean. ValueError for a file that
    is damaged, MisfitError for one that is no LoRA, or a kind of LoRA that weft does not compute.
    """
    import safetensors.torch

    what = identify(path)
    tensors = safetensors.torch.load_file(path)
    check_kind(path.name, tensors)
    own = {name: tensor for name, tensor in tensors.items() if bool(_TEXT.match(name)) == (half == "text")}
    denoiser = _DENOISERS.get(family, "unet")
    told = _told(path, denoiser)
    try:
        named, alphas = _named(own, family, denoiser, config) if own else ({}, {})
    except (KeyError, ValueError, IndexError, RuntimeError, AttributeError) as err:
        known = NAMES.get(family, family)
        raise MisfitError(f"{path.name}: names that diffusers does not know for {known}: {err}") from err
    parts: dict[str, dict[str, Factors]] = {}
    for part, tensors_of in _by_part(named).items():
        mapping = _text_mapping() if half == "text" else _denoiser_mapping()
        layers = _renamed(tensors_of, mapping)
        beside = _renamed(_by_part(alphas).get(part, {}), mapping)
        alpha = {_layer(name): float(value) for name, value in beside.items()}
        parts[part] = _factors(path, layers, alpha, told.get(part, {}), dtype)
    return Lora(parts, path.name, NAMES.get(what.family, what.family))


def _named(
    tensors: dict[str, torch.Tensor], family: str, denoiser: str, config: Any
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and alphas under diffusers' names of the part and the layer."""
    from diffusers.loaders.lora_pipeline import (
        FluxLoraLoaderMixin,
        SD3LoraLoaderMixin,
        StableDiffusionLoraLoaderMixin,
    )

    tensors = {_prefixed(name.removeprefix("base_model.model."), denoiser): tensor for name, tensor in tensors.items()}
    if family == "flux":
        named, alphas = FluxLoraLoaderMixin.lora_state_dict(tensors, return_alphas=True)
    elif family == "sd3":
        named, alphas = SD3LoraLoaderMixin.lora_state_dict(tensors), None
    else:
        named, alphas = StableDiffusionLoraLoaderMixin.lora_state_dict(tensors, unet_config=config)
    alphas = dict(alphas or {})
    alphas |= {name: named.pop(name) for name in list(named) if name.endswith(".alpha")}
    return named, {name: value for name, value in alphas.items() if value is not None}


def _prefixed(name: str, denoiser: str) -> str:
    """A name that says which part it is of; those without are of the denoiser."""
    known = ("lora_", "unet.", "transformer.", "text_encoder", "double_blocks", "single_blocks", "diffusion_model.")
    return name if name.startswith(known) else f"{denoiser}.{name}"


def _by_part(tensors: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    parts: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    return parts


def _denoiser_mapping() -> dict[str, str]:
    from diffusers.utils.state_dict_utils import UNET_TO_DIFFUSERS

    return dict(UNET_TO_DIFFUSERS)


def _text_mapping() -> dict[str, str]:
    from diffusers.utils.state_dict_utils import DIFFUSERS_OLD_TO_PEFT, DIFFUSERS_TO_PEFT

    return {**DIFFUSERS_TO_PEFT, **DIFFUSERS_OLD_TO_PEFT, ".lora.up": ".lora_B", ".lora.down": ".lora_A"}


def _renamed(tensors: Mapping[str, Any], mapping: dict[str, str]) -> dict[str, Any]:
    from diffusers.utils import state_dict_utils

    convert: Any = state_dict_utils.convert_state_dict
    renamed: dict[str, Any] = convert(tensors, mapping)
    return renamed


def _layer(name: str) -> str:
    """The layer that a name belongs to."""
    return re.sub(r"(\.lora_[AB])?(\.weight)?(\.alpha)?$", "", name)


def _factors(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    alphas: Mapping[str, float],
    told: Mapping[str, Any],
    dtype: torch.dtype,
) -> dict[str, Factors]:
    """A, B and alpha / r of each layer."""
    found: dict[str, Factors] = {}
    for name, down in tensors.items():
        layer = _layer(name)
        if name != f"{layer}.lora_A.weight":
            if name != f"{layer}.lora_B.weight":
                raise MisfitError(f"{path.name} holds what is no part of a LoRA: {name}")
            continue
        up = tensors.get(f"{layer}.lora_B.weight")
        if up is None:
            raise MisfitError(f"{path.name} has lora_A without lora_B: {name}")
        rank = down.shape[0]
        alpha = alphas.get(layer, _alpha(told, layer, rank))
        scale = alpha / (math.sqrt(rank) if told.get("use_rslora") else rank)
        found[layer] = Factors(down.to(dtype), up.to(dtype), scale)
    alone = [name for name in tensors if name.endswith(".lora_B.weight") and _layer(name) not in found]
    if alone:
        raise MisfitError(f"{path.name} has lora_B without lora_A: {alone[0]}")
    return found


def _alpha(told: Mapping[str, Any], layer: str, rank: int) -> float:
    """What peft's configuration says of a layer, or r where it says nothing."""
    for pattern, alpha in (told.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", layer):
            return float(alpha)
    return float(told.get("lora_alpha") or rank)


def _told(path: Path, denoiser: str) -> dict[str, dict[str, Any]]:
    """What peft's configuration says, by part: from the file's metadata, or adapter_config.json beside it."""
    from diffusion.header import read as header_of

    beside = path.with_name("adapter_config.json")
    try:
        said = json.loads(header_of(path).metadata.get("lora_adapter_metadata", "{}"))
        if not said and path.name.startswith("adapter_model") and beside.is_file():
            said = {f"{denoiser}.{name}": value for name, value in json.loads(beside.read_text("utf-8")).items()}
    except ValueError as err:
        raise MisfitError(f"{path.name}: a configuration that is not JSON: {err}") from err
    return _by_part(said) if isinstance(said, dict) else {}
