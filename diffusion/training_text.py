"""Teaching a denoiser to draw what captions say: U-Nets and transformers, in latents, with their text encoders or
without (Rombach et al. 2022; Esser et al. 2024).

    x0 = scaled latent of a picture,   c = what the text encoders make of its caption
    loss as in `diffusion.objective`, the network being told c

One caption in ten is replaced by none, so that the model learns to draw without a caption too, which guidance needs.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from diffusion.clip import TextEncoders
from diffusion.family import family_of
from diffusion.loop import seeded
from diffusion.optimisers import Part
from diffusion.schedule import table
from diffusion.training_data import Base, Examples, told, training_table
from diffusion.training_look import Run, Viewer, watched
from diffusion.training_step import Feed, Teaching, loss_on
from diffusion.types import Image


@dataclass(frozen=True)
class TextTraining(Teaching):
    """text: whether the text encoders learn too. text_rate: what their learning rate is multiplied with."""

    text: bool = True
    text_rate: float = 1.0


def train(
    base: Base,
    data: Sequence[Examples],
    config: TextTraining,
    run: Run,
) -> tuple[nn.Module, TextEncoders, tuple[float, ...], Image]:
    """A denoiser and text encoders that learned, the loss of every step, and the pictures kept. Those of `base` are
    left as they are.

    Errors as `diffusion.loop.loop`.
    """
    model, device = base.model, run.device
    with torch.random.fork_rng(devices=[]):
        seeded(config.loop.seed)
        pair = nn.ModuleDict({"denoiser": copy.deepcopy(base.denoiser), "text": copy.deepcopy(base.encoders)})
        pair = pair.to(device, torch.float32).to(memory_format=torch.channels_last)
        pair["denoiser"].requires_grad_(True).train()
        pair["text"].requires_grad_(config.text).train(config.text)
        average = copy.deepcopy(pair).requires_grad_(False).eval()
        if config.checkpointing:
            cast(Any, pair["denoiser"]).enable_gradient_checkpointing()
        network, averaged = (family_of(model).network(both["denoiser"], model) for both in (pair, average))
        levels = table(training_table(model.schedule, config.shift))

        def feed_of(both: nn.ModuleDict, shuffle: bool) -> Feed:
            reader = cast(TextEncoders, both["text"])
            return lambda one, chosen, dropped: told(model, reader, one, chosen, dropped, device, shuffle)

        feed, looking = feed_of(pair, config.shuffle), feed_of(average, False)

        def loss_of() -> torch.Tensor:
            return loss_on(data, network, feed, model, levels, config, device, torch.channels_last)

        viewer = Viewer(base, averaged, looking, data[0], run)
        encoders = cast(TextEncoders, pair["text"])
        paced = [(weights, pace * config.text_rate) for weights, pace in encoders.paces()] if config.text else []
        groups: list[Part] = [(list(pair["denoiser"].parameters()), 1.0), *paced]
        losses, kept = watched(pair, average, config.loop, loss_of, run, viewer, groups)
    return average["denoiser"], cast(TextEncoders, average["text"]), losses, kept
