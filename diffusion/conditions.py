"""What is made from conditionings alone: zeros in their place, and the picture sizes that SDXL is told."""

from dataclasses import replace

import torch

from diffusion.types import Conditioning

EMBEDDINGS = ("prompt_embeds", "pooled")
"""What a text encoder made, by the names that families give it."""


def zeroed(conditioning: Conditioning) -> Conditioning:
    """The same with all embeddings zero; sizes stay. ValueError if it holds none, as labels do not."""
    if not any(name in conditioning.tensors for name in EMBEDDINGS):
        raise ValueError("the conditioning holds no text embeddings that could be zero")
    tensors = {
        name: torch.zeros_like(tensor) if name in EMBEDDINGS else tensor
        for name, tensor in conditioning.tensors.items()
    }
    return Conditioning(tensors)


def size_ids(
    width: int,
    height: int,
    crop_x: int = 0,
    crop_y: int = 0,
    target_width: int | None = None,
    target_height: int | None = None,
) -> torch.Tensor:
    """(1, 6) float32: height and width before cropping, top and left of the crop, height and width asked for."""
    target_width, target_height = target_width or width, target_height or height
    return torch.tensor([[height, width, crop_y, crop_x, target_height, target_width]], dtype=torch.float32)


def sized(conditioning: Conditioning, ids: torch.Tensor) -> Conditioning:
    """The conditioning with size ids (1, 6) for each of its prompts. ValueError if its family has none."""
    if "pooled" not in conditioning.tensors:
        raise ValueError("sizes are part of SDXL's conditioning, and this one is of another family")
    return replace(conditioning, tensors={**conditioning.tensors, "time_ids": ids.repeat(conditioning.prompts, 1)})
