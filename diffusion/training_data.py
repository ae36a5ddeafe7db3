"""What a denoiser is taught from: the model to begin with, and a data set as pixels, latents and tokens of captions."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from diffusion import captions
from diffusion.clip import TextEncoders
from diffusion.family import family_of
from diffusion.recipes import ModelRecipe, VAERecipe
from diffusion.types import Dataset, Image, ScheduleConfig

ENCODED = 64
"""Pictures that are put into latents at a time."""


@dataclass(frozen=True, eq=False)
class Base:
    """A model as a training begins with it: its loaded parts, and what they are."""

    denoiser: nn.Module
    encoders: TextEncoders
    vae: nn.Module
    model: ModelRecipe
    vae_recipe: VAERecipe


@dataclass(frozen=True, eq=False)
class Examples:
    """latents: (N, C, h, w) as a denoiser sees them. ids: tokens of the captions. empty: those of no caption, a row."""

    latents: torch.Tensor
    ids: Sequence[torch.Tensor]
    empty: Sequence[torch.Tensor]


def examples(base: Base, dataset: Dataset, told: Callable[[int, int], None] = lambda done, total: None) -> Examples:
    """A data set as what a denoiser learns from. told: pictures done, and in all.

    ValueError if pictures have no captions, or sides that the VAE does not take.
    """
    if len(dataset.captions) != len(dataset):
        raise ValueError(f"{dataset.name}: {len(dataset)} pictures, but {len(dataset.captions)} captions")
    family, parts = family_of(base.vae_recipe), []
    for start in range(0, len(dataset), ENCODED):
        pixels = dataset.images[start : start + ENCODED].astype(np.float32) / 255
        parts.append(family.encode(base.vae, base.vae_recipe, Image(pixels)).samples.cpu())
        told(min(start + ENCODED, len(dataset)), len(dataset))
    read = captions.tokens(base.encoders, [*dataset.captions, ""])
    return Examples(torch.cat(parts), [one[:-1] for one in read], [one[-1:] for one in read])


def told(
    model: ModelRecipe, encoders: TextEncoders, ids: captions.Ids, empty: captions.Ids, dropped: torch.Tensor
) -> captions.Embeds:
    """What a network is fed for captions of which some, (B,) of booleans, are left out: zeros for a model that takes
    these for none, and else what its encoders make of an empty text."""
    if model.zero_negative:
        embeds = captions.embed(model.family, encoders, ids)
        return {name: e * ~dropped.view(-1, *[1] * (e.ndim - 1)) for name, e in embeds.items()}
    kept = [torch.where(dropped[:, None], none.to(one.device), one) for one, none in zip(ids, empty, strict=True)]
    return captions.embed(model.family, encoders, kept)


def training_table(config: ScheduleConfig) -> ScheduleConfig:
    """The table to learn: where the shift follows the size, it is a matter of sampling, and the table has none."""
    return replace(config, base_shift=None, mu=None, shift=1.0) if config.base_shift is not None else config


def pixels(images: torch.Tensor) -> torch.Tensor:
    """uint8 (B, H, W, C) as float32 (B, C, H, W) in -1 … 1: p / 127.5 - 1."""
    return images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1


def content_of(dataset: Dataset) -> str:
    """SHA-256 of pictures, labels and captions, as hexadecimal digits."""
    seen = hashlib.sha256(dataset.images.tobytes())
    seen.update(b"" if dataset.labels is None else dataset.labels.tobytes())
    seen.update("\n".join(dataset.captions).encode())
    return seen.hexdigest()
