"""The KL autoencoder of latent diffusion (Rombach et al. 2022): pictures to latents and back."""

import copy
from typing import Any, cast

import torch
from torch import nn

from diffusion.pixel import in_channels
from diffusion.recipes import VAERecipe
from diffusion.transfer import fetched
from diffusion.types import Image, Latent


def piecewise(vae: nn.Module, tile: int = 0, slicing: bool = False) -> nn.Module:
    """The VAE as one that works in pieces; the same weights, and itself not changed.

    tile: code and decode in tiles of that many pixels a side, a quarter of each laid over its neighbours and mixed with
    them. So the memory needed does not grow with the picture; the result is near to that of the whole, not equal. A
    multiple of 32; 0 for the whole at once. slicing: one picture of a batch at a time, equal up to rounding.
    A model of pixels has no pieces.
    """
    if not (tile or slicing) or not hasattr(vae, "use_tiling"):
        return vae
    config: Any = vae.config
    parts: Any = copy.copy(vae)
    parts.use_slicing = slicing
    if tile:
        parts.use_tiling = True
        parts.tile_sample_min_size = tile
        parts.tile_latent_min_size = tile // 2 ** (len(config.block_out_channels) - 1)
    return cast(nn.Module, parts)


def encode(vae: nn.Module, recipe: VAERecipe, image: Image) -> Latent:
    """z = scaling_factor (mean of q(z | 2 p - 1) - shift_factor).

    ValueError for sides that are no multiple of the VAE's factor.
    """
    height, width = image.pixels.shape[1:3]
    if height % recipe.factor or width % recipe.factor:
        fits = f"{width // recipe.factor * recipe.factor} x {height // recipe.factor * recipe.factor}"
        raise ValueError(
            f"the VAE takes sides that are multiples of {recipe.factor}, not {width} x {height}; nearest below: {fits}"
        )
    exact, weight = _exact(vae)
    pixels = torch.tensor(in_channels(image.pixels, 3)).permute(0, 3, 1, 2).contiguous() * 2 - 1
    mean = exact.encode(pixels.to(weight.device, weight.dtype)).latent_dist.mean
    scaling, shift, spread = _scale(exact, mean)
    return Latent(((mean - shift) * scaling / spread).float(), recipe.space)


def decode(vae: nn.Module, samples: torch.Tensor) -> Image:
    """p = decoder(z / scaling_factor + shift_factor) / 2 + 1 / 2, clipped to 0 … 1."""
    exact, weight = _exact(vae)
    z = samples.to(weight.device, weight.dtype)
    scaling, shift, spread = _scale(exact, z)
    with torch.inference_mode():
        x = exact.decode(z * spread / scaling + shift, return_dict=False)[0]
        pixels = (x.float() * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    return Image(fetched(pixels))


def _exact(vae: Any) -> tuple[Any, torch.Tensor]:
    """The VAE and one of its weights; in float32 where it overflows in float16 and says so."""
    weight = next(vae.parameters())
    if weight.dtype == torch.float16 and vae.config.force_upcast:
        vae = vae.float()
        weight = next(vae.parameters())
    return vae, weight


def _scale(vae: Any, like: torch.Tensor) -> tuple[float, torch.Tensor | float, torch.Tensor | float]:
    """What latents are multiplied with, the shift before that, and what they are divided by after it.

    Shift and divisor are numbers, or mean and deviation of each channel where the VAE has them.
    """
    config: Any = vae.config
    if getattr(config, "latents_mean", None) is None or getattr(config, "latents_std", None) is None:
        return config.scaling_factor, getattr(config, "shift_factor", None) or 0.0, 1.0
    shift, spread = (
        torch.tensor(values).view(1, -1, 1, 1).to(like) for values in (config.latents_mean, config.latents_std)
    )
    return config.scaling_factor, shift, spread
