"""Which model a file is, as far as its name and the nodes around it tell, and under which name weft finds it."""

import re
from collections.abc import Collection

NAMES = (
    (r"refiner", "sdxl-refiner"),
    (r"flux.*schnell|schnell", "flux-schnell"),
    (r"flux", "flux"),
    (r"sd_?3|stable-diffusion-3", "sd3"),
    (r"xl|pony|illustrious|noob", "sdxl"),
    (r"v2-1|v2_1|sd_?v?2|512-base|768-v|stable-diffusion-2", "sd2"),
    (r"v1-5|v1_5|sd_?v?1|stable-diffusion-v1", "sd"),
)
HINTS = (
    ({"ModelSamplingFlux", "FluxGuidance", "CLIPTextEncodeFlux"}, "flux"),
    ({"CLIPTextEncodeSDXL"}, "sdxl"),
    ({"ModelSamplingSD3", "CLIPTextEncodeSD3", "TripleCLIPLoader", "EmptySD3LatentImage"}, "sd3"),
)
"""Node types that only go with one kind of model, the surest first."""

SPACES = {"sd2": "sd", "sdxl-refiner": "sdxl", "flux-schnell": "flux"}
"""The family of a kind's latents, where it is not called so itself."""

USUAL = {
    "sd": "stable-diffusion-v1-5/stable-diffusion-v1-5", "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "sd3": "stabilityai/stable-diffusion-3-medium-diffusers", "flux": "black-forest-labs/FLUX.1-dev",
}  # fmt: skip
"""The best known model of each family."""

CLIP_TYPES = {"stable_diffusion": "sd", "flux": "flux", "sd3": "sd3", "sdxl": "sdxl"}
"""What the type of a CLIP loader says."""

FLOWS = ("sd3", "flux", "flux-schnell")

FOLDERS = (
    (r"flux1-dev(?:[-_](?:fp8|fp16|bf16|e4m3fn|e5m2|scaled|.*Q\d.*))?(?:\.safetensors|\.gguf|\.sft)",
     "black-forest-labs/FLUX.1-dev"),
    (r"flux1-schnell.*(?:\.safetensors|\.gguf|\.sft)", "black-forest-labs/FLUX.1-schnell"),
    (r"sd3_medium.*\.safetensors", "stabilityai/stable-diffusion-3-medium-diffusers"),
    (r"sd3\.5_medium.*\.safetensors", "stabilityai/stable-diffusion-3.5-medium"),
    (r"sd3\.5_large_turbo.*\.safetensors", "stabilityai/stable-diffusion-3.5-large-turbo"),
    (r"sd3\.5_large.*\.safetensors", "stabilityai/stable-diffusion-3.5-large"),
)  # fmt: skip
"""Files that hold a transformer, alone or with its encoders, and the hub id under which weft loads the whole model."""


def kind_of(name: str, types: Collection[str], alone: bool) -> tuple[str, bool]:
    """(the kind of a model, whether that is a guess), by the name of its file, or by the types of the nodes around it.

    alone: whether it is the only model of the graph, so that these nodes speak of it.
    """
    lower = name.lower()
    for pattern, kind in NAMES:
        if re.search(pattern, lower):
            return kind, False
    for hints, kind in HINTS if alone else ():
        if hints & set(types):
            return kind, False
    return "sd", True


def folder_of(name: str) -> str:
    """The hub id under which weft loads a file's whole model; empty if it loads the file itself."""
    base = name.rpartition("/")[2]
    return next((hub for pattern, hub in FOLDERS if re.fullmatch(pattern, base, re.IGNORECASE)), "")


def space_of(kind: str) -> str:
    """The family of a kind's latents: sd, sdxl, sd3 or flux."""
    return SPACES.get(kind, kind)


def file_name(name: str) -> str:
    """The name of a file in ComfyUI's folders, as it is written everywhere."""
    return name.replace("\\", "/")
