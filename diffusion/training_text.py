"""Teaching a denoiser to draw what captions say: U-Nets and transformers, in latents, with their text encoders or
without (Rombach et al. 2022; Esser et al. 2024).

    x0 = scaled latent of a picture,   c = what the text encoders make of its caption
    loss as in `diffusion.objective`, the network being told c

One caption in ten is replaced by none, so that the model learns to draw without a caption too, which guidance needs.
"""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from diffusion.clip import TextEncoders
from diffusion.family import family_of
from diffusion.loop import LoopConfig, Report, loop, mixed_precision, seeded
from diffusion.objective import Times, loss, noise
from diffusion.schedule import table
from diffusion.training_data import Base, Examples, told, training_table
from diffusion.types import Level


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


def train(
    base: Base,
    data: Examples,
    config: TextTraining,
    identity: dict[str, Any],
    progress: Path | None = None,
    device: str = "cpu",
    report: Report | None = None,
) -> tuple[nn.Module, TextEncoders, tuple[float, ...]]:
    """A denoiser and text encoders that learned, and the loss of every step. Those of `base` are left as they are.

    identity: what decides the data and the weights it starts from. Other arguments and errors as `diffusion.loop.loop`.
    """
    model = base.model
    with torch.random.fork_rng(devices=[]):
        seeded(config.loop.seed)
        pair = nn.ModuleDict({"denoiser": copy.deepcopy(base.denoiser), "text": copy.deepcopy(base.encoders)})
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
