"""Whether what changes a model was made for it, told from headers and configurations alone. Imports no tensors."""

import json
from collections.abc import Iterable
from pathlib import Path

from diffusion.header import read
from diffusion.identify import NAMES, Identity, of_header
from diffusion.recipes import ModelRecipe, Patch

_KINDS = {"hada_": "LoHa", "lokr_": "LoKr", "lora_mid": "LoCon with a core", "oft_": "OFT", "boft_": "BOFT"}
_DORA = ("dora_scale", "lora_magnitude_vector")
_WIDTHS = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 1280: "the SDXL refiner", 2048: "SDXL"}
_PICTURES = ("image_proj.proj.weight", "image_proj.proj.3.weight")
_FACES = ("image_proj.perceiver_resampler.proj_in.weight", "image_proj.norm.weight")


class MisfitError(ValueError):
    """A change to a model that was made for another, or that weft does not compute."""


def check_lora(path: Path, model: ModelRecipe) -> None:
    """MisfitError for a LoRA for another model, and for other kinds of low-rank changes. Errors as `header.read`."""
    header = read(path)
    check_kind(path.name, header.tensors)
    check_family(path.name, of_header(header), model)


def check_ip_adapter(path: Path, model: ModelRecipe) -> None:
    """MisfitError for an IP-Adapter for another model, and for one that sees faces. Errors as `header.read`."""
    header = read(path)
    check_pictures(path.name, header.tensors)
    if model.family not in ("sd", "sdxl"):
        raise MisfitError(f"{path.name} is an IP-Adapter for Stable Diffusion or SDXL, and this model is neither")
    check_family(path.name, of_header(header), model)


def check_kind(name: str, tensors: Iterable[str]) -> None:
    """MisfitError for a file of low-rank changes that are not y = W x + s (alpha / r) B A x."""
    for tensor in tensors:
        kind = next((kind for mark, kind in _KINDS.items() if mark in tensor), "")
        if any(mark in tensor for mark in _DORA):
            kind = "DoRA"
        if kind:
            raise MisfitError(f"{name} is a {kind}, and weft computes plain LoRAs: {tensor}")


def check_pictures(name: str, tensors: Iterable[str]) -> None:
    """MisfitError for an IP-Adapter that does not see what CLIP makes of a picture, but a face."""
    names = set(tensors)
    if not names.intersection(_PICTURES) and names.intersection(_FACES):
        raise MisfitError(f"{name} is an IP-Adapter for faces (FaceID), whose embeddings weft does not make")


def check_family(name: str, what: Identity, model: ModelRecipe) -> None:
    """MisfitError where a file says that it is for another family, or for text embeddings of another width."""
    if what.family and what.family != model.family:
        raise MisfitError(f"{name} is {what}, and this model is {NAMES.get(model.family, model.family)}")
    here, there = what.facts.get("context"), _context(model)
    if here and there and here != there:
        raise MisfitError(f"{name} is for text embeddings {_known(here)}, and this model takes {_known(there)}")


def no_weights(patch: Patch) -> str:
    """Why what a patch does cannot become part of a model's weights; empty if it can."""
    name = Path(patch.source).name
    if patch.kind != "lora":
        what = "a word of its own" if patch.kind == "inversion" else "a look at pictures"
        return f"{name} is {what}, which cannot become part of a model's weights"
    if patch.number("start", 0.0) > 0 or patch.number("end", 1.0) < 1:
        return f"{name} acts in a part of the schedule, which weights cannot"
    return ""


def _context(model: ModelRecipe) -> object:
    """Width of the text embeddings that a model's U-Net attends to; None if it has none, or is a single file."""
    config = Path(model.config or model.source) / "unet" / "config.json"
    return json.loads(config.read_text("utf-8")).get("cross_attention_dim") if config.is_file() else None


def _known(width: object) -> str:
    known = _WIDTHS.get(width) if isinstance(width, int) else None
    return f"{width} wide ({known})" if known else f"{width} wide"
