"""What is done to latents between two denoisings: scaled, put together, taken apart, mixed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch.nn import functional

from diffusion.types import Latent

Method = Literal["nearest-exact", "bilinear", "bicubic", "area"]


def scaled(latent: Latent, width: int, height: int, method: Method) -> Latent:
    """The latent as (B, C, height, width), its mask too. No averaging over what is shrunk, but with area.

    An empty one stays empty. ValueError for one left partway: neighbours would share their noise, which the network
    has never seen and takes for a picture.
    """
    if latent.state == "noisy":
        raise ValueError(
            "the latent still holds noise, and scaled noise is no longer noise; denoise it to the end, scale it, "
            "and denoise it again from a CutSchedule"
        )
    size = (height, width)
    samples = functional.interpolate(latent.samples.float(), size, mode=method).to(latent.samples.dtype)
    mask = None if latent.mask is None else functional.interpolate(latent.mask.float(), size, mode="nearest-exact")
    covered = None if latent.covered is None else functional.interpolate(latent.covered.float(), size, mode=method)
    return replace(latent, samples=samples, mask=mask, covered=covered)


def together(latents: Sequence[Latent]) -> Latent:
    """One batch of several. Where one has a mask, those without are to be painted everywhere. Errors as in `mixed`."""
    first = latents[0]
    for other in latents[1:]:
        _alike(first, other)
    mask = None
    if any(latent.mask is not None for latent in latents):
        mask = torch.cat([_mask(latent, first) for latent in latents])
    covered = None
    if all(latent.covered is not None for latent in latents):
        covered = torch.cat([_each(latent.covered, latent).to(first.samples) for latent in latents])
    kept = None
    if first.state == "noisy" and mask is not None:
        # of one without a mask nothing is kept
        kept = torch.cat([(latent.samples if latent.kept is None else latent.kept).to(mask) for latent in latents])
    samples = torch.cat([latent.samples.to(first.samples) for latent in latents])
    return replace(first, samples=samples, mask=mask, covered=covered, kept=kept)


def some(latent: Latent, index: int, count: int) -> Latent:
    """`count` of a batch from `index` on. ValueError if it has fewer."""
    batch = latent.samples.shape[0]
    if index + count > batch:
        raise ValueError(f"the batch has {batch} latents, not {index + count}; make index or count smaller")
    part = slice(index, index + count)
    beside = (latent.mask, latent.covered, latent.kept)
    mask, covered, kept = (one if one is None or len(one) == 1 else one[part] for one in beside)
    return replace(latent, samples=latent.samples[part], mask=mask, covered=covered, kept=kept)


def mixed(first: Latent, second: Latent, share: float) -> Latent:
    """z = (1 - s) z_1 + s z_2, with the mask of the first.

    ValueError if they are of different spaces, sizes, states or noise levels, or of numbers of which none is 1.
    """
    _alike(first, second)
    one, two = first.samples.shape[0], second.samples.shape[0]
    if one != two and 1 not in (one, two):
        raise ValueError(f"one batch has {one} latents, and the other {two}")
    return replace(first, samples=torch.lerp(first.samples, second.samples.to(first.samples), share))


def _alike(first: Latent, second: Latent) -> None:
    if first.space != second.space:
        raise ValueError(f"the latents are in different spaces: {first.space} and {second.space}")
    sizes = [f"{latent.samples.shape[3]} x {latent.samples.shape[2]}" for latent in (first, second)]
    if first.samples.shape[1:] != second.samples.shape[1:]:
        raise ValueError(f"the latents are of different sizes: {sizes[0]} and {sizes[1]}; scale one with LatentScale")
    if (first.state, first.level) != (second.state, second.level):
        raise ValueError(f"the latents hold different amounts of noise: one is {first.state}, the other {second.state}")


def _each(tensor: torch.Tensor | None, latent: Latent) -> torch.Tensor:
    """What holds for a whole batch, once for each of it."""
    assert tensor is not None
    return tensor.expand(latent.samples.shape[0], -1, -1, -1)


def _mask(latent: Latent, like: Latent) -> torch.Tensor:
    """(B, 1, H, W)."""
    b, _, h, w = latent.samples.shape
    if latent.mask is None:
        return torch.ones(b, 1, h, w, device=like.samples.device)
    return latent.mask.to(like.samples.device).expand(b, -1, -1, -1)
