"""Painting a part of a picture anew: what is fed, and what is kept.

    plain networks    after each step, x' = m x + (1 - m) (alpha' z + sigma' eps), z the picture and eps the first noise
    inpainting ones   see the mask and the picture with that part covered beside x: (x, m, z_covered), 2 C + 1 channels

m is 1 where it is to be painted anew. The rest is put back as in Lugmayr et al. 2022; networks of the second sort came
with Rombach et al. 2022.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch.nn.functional import interpolate

from diffusion.guidance import Inputs
from diffusion.recipes import ModelRecipe
from diffusion.types import Image, Latent, Mask

Edge = Literal["hard", "soft"]

MASK, COVERED = "mask", "covered"
"""The inputs of an inpainting network: (B, 1, H, W) in 0 … 1, and (B, C, H, W), the latent of the covered picture."""


def inpaint_latent(encode: Callable[[Image], Latent], image: Image, mask: Mask, edge: Edge = "hard") -> Latent:
    """A picture as a clean latent with a mask. ValueError for a mask of another size, or as many as do not fit.

    hard: 1 where the mask is at least a half, taken at one pixel for each place of the latent, as diffusers does it.
    soft: the mean of the mask over each place.
    """
    count, height, width = image.pixels.shape[:3]
    values = mask.values
    if values.shape[1:] != (height, width) or values.shape[0] not in (1, count):
        have, want = _shape(values.shape), _shape((count, height, width))
        raise ValueError(f"the mask is {have}, and the picture {want}: make them the same size")
    hole = values >= 0.5
    latent = encode(image)
    # what is covered is grey: 0 in -1 … 1
    covered = encode(Image(np.where(hole[..., None], np.float32(0.5), image.pixels)))
    m = torch.tensor(hole if edge == "hard" else values).float()[:, None]
    size = tuple(latent.samples.shape[2:])
    m = interpolate(m, size) if edge == "hard" else interpolate(m, size, mode="area")
    return replace(latent, mask=m, covered=covered.samples)


def masked(latent: Latent, mask: Mask) -> Latent:
    """A clean latent with a mask, resized to it. ValueError for one that holds noise, and for too many masks."""
    if latent.state != "clean":
        raise ValueError(f"a mask keeps part of a clean latent; this one is {latent.state}: take one made of a picture")
    if mask.values.shape[0] not in (1, latent.samples.shape[0]):
        raise ValueError(f"there are {mask.values.shape[0]} masks for {latent.samples.shape[0]} latents")
    m = torch.tensor(mask.values).float()[:, None]
    return replace(latent, mask=interpolate(m, tuple(latent.samples.shape[2:]), mode="bilinear"))


def inpaint_inputs(model: ModelRecipe, latent: Latent) -> dict[str, torch.Tensor]:
    """The mask and the covered picture, B rows, for an inpainting network; nothing for a plain one.

    ValueError if the latent has none.
    """
    if not model.inpaints:
        return {}
    if latent.mask is None or latent.covered is None:
        raise ValueError(
            "this model paints a part of a picture anew, and the latent does not say which: make the latent with "
            "InpaintLatent; a mask that is 1 everywhere paints all of it"
        )
    batch = latent.samples.shape[0]
    return {MASK: _rows(latent.mask, batch), COVERED: _rows(latent.covered, batch)}


def joined(x: torch.Tensor, model: ModelRecipe, inputs: Inputs) -> torch.Tensor:
    """What the network sees: x (B, C, H, W), for an inpainting network with mask and covered picture behind it."""
    return torch.cat([x, inputs[MASK], inputs[COVERED]], 1) if model.inpaints else x


def _rows(tensor: torch.Tensor, batch: int) -> torch.Tensor:
    return tensor.expand(batch, -1, -1, -1)


def _shape(shape: tuple[int, ...]) -> str:
    count, height, width = shape
    return f"{width} x {height}" if count == 1 else f"{count} of {width} x {height}"
