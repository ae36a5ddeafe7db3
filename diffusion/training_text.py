"""Teaching a denoiser to draw what captions say: U-Nets and transformers, in latents, with their text encoders or
without (Rombach et al. 2022; Esser et al. 2024).

    x0 = scaled latent of a picture,   c = what the text encoders make of its caption
    loss as in `diffusion.objective`, the network being told c

One caption in ten is replaced by none, so that the model learns to draw without a caption too, which guidance needs.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from diffusion import captions
from diffusion.clip import TextEncoders
from diffusion.family import family_of
from diffusion.loop import LoopConfig, Report, loop, mixed_precision, seeded
from diffusion.objective import Times, loss, noise
from diffusion.recipes import ModelRecipe, VAERecipe
from diffusion.schedule import table
from diffusion.training_data import content_of
from diffusion.types import Dataset, Image, Level, ScheduleConfig

ENCODED = 64
"""Pictures that are put into latents at a time."""


@dataclass(frozen=True)
class TextTraining:
    """batch: pictures at a step. caption_dropout: share of captions replaced by none. min_snr: gamma, 0 for none.
    times: how levels are drawn. text: whether the text encoders learn too."""

    loop: LoopConfig
    batch: int = 64
    caption_dropout: float = 0.1
    min_snr: float = 0.0
    times: Times = "uniform"
    text: bool = True


@dataclass(frozen=True, eq=False)
class Examples:
    """latents: (N, C, h, w) as a denoiser sees them. ids: tokens of the captions. empty: those of no caption, a row."""

    latents: torch.Tensor
    ids: Sequence[torch.Tensor]
    empty: Sequence[torch.Tensor]


def examples(
    dataset: Dataset,
    vae: nn.Module,
    vae_recipe: VAERecipe,
    encoders: TextEncoders,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Examples:
    """A data set as what a denoiser learns from. told: pictures done, and in all.

    ValueError if pictures have no captions, or sides that the VAE does not take.
    """
    if len(dataset.captions) != len(dataset):
        raise ValueError(f"{dataset.name}: {len(dataset)} pictures, but {len(dataset.captions)} captions")
    family, parts = family_of(vae_recipe), []
    for start in range(0, len(dataset), ENCODED):
        pixels = dataset.images[start : start + ENCODED].astype(np.float32) / 255
        parts.append(family.encode(vae, vae_recipe, Image(pixels)).samples.cpu())
        told(min(start + ENCODED, len(dataset)), len(dataset))
    read = captions.tokens(encoders, [*dataset.captions, ""])
    return Examples(torch.cat(parts), [one[:-1] for one in read], [one[-1:] for one in read])


def train(
    denoiser: nn.Module,
    encoders: TextEncoders,
    model: ModelRecipe,
    data: Examples,
    config: TextTraining,
    identity: dict[str, Any],
    progress: Path | None = None,
    device: str = "cpu",
    report: Report | None = None,
) -> tuple[nn.Module, TextEncoders, tuple[float, ...]]:
    """A denoiser and text encoders that learned, and the loss of every step. Those given are left as they are.

    identity: what decides the data and the weights it starts from. Other arguments and errors as `diffusion.loop.loop`.
    """
    with torch.random.fork_rng(devices=[]):
        seeded(config.loop.seed)
        pair = nn.ModuleDict({"denoiser": copy.deepcopy(denoiser), "text": copy.deepcopy(encoders)})
        pair = pair.to(device, torch.float32).to(memory_format=torch.channels_last)
        pair["denoiser"].requires_grad_(True).train()
        pair["text"].requires_grad_(config.text).train(config.text)
        average = copy.deepcopy(pair).requires_grad_(False).eval()
        read = cast(TextEncoders, pair["text"])
        network = family_of(model).network(pair["denoiser"], model)
        levels = table(training_table(model.schedule))

        def loss_of(step: int) -> torch.Tensor:
            chosen = torch.randint(len(data.latents), (config.batch,))
            dropped = torch.rand(config.batch) < config.caption_dropout
            drawn = noise(
                data.latents[chosen].to(device).contiguous(memory_format=torch.channels_last), levels, config.times
            )
            ids = [one[chosen].to(device) for one in data.ids]
            with mixed_precision(device, config.loop.bfloat16):
                inputs = told(model, read, ids, data.empty, dropped.to(device))
                # one level an item: only the timestep is told
                o = network(drawn.x, Level(cast(float, drawn.t), 0.0, 0.0), inputs)
            return loss(model.prediction, o, drawn, config.min_snr)

        losses = loop(pair, average, config.loop, loss_of, identity, progress, report=report)
    return average["denoiser"], cast(TextEncoders, average["text"]), losses


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


def identity_of(dataset: Dataset, *digests: str) -> dict[str, Any]:
    """What decides a training beside its settings: the data, and the models it starts from."""
    return {"dataset": content_of(dataset), "from": list(digests)}
