"""Teaching a ControlNet what a picture says about another, such as its edges (Zhang et al. 2023).

    o = denoiser(x, t, c, r),   r = net(x, t, c, hint),   loss as in `diffusion.objective`

The net begins as a copy of the first half of the U-Net, and the convolutions that join it to the U-Net begin at zero,
so that a new one changes nothing. The U-Net and the text encoders are left as they are.
"""

import copy
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from diffusion import control_loading
from diffusion.control import Steering
from diffusion.family import family_of
from diffusion.guidance import Inputs, Network
from diffusion.look import look
from diffusion.loop import LoopConfig, loop, mixed_precision, seeded
from diffusion.objective import Times, loss, noise
from diffusion.recipes import Control, ControlNetRecipe, ModelRecipe
from diffusion.schedule import schedule, table
from diffusion.training_data import Base, Examples, told, training_table
from diffusion.types import Image, Level, Picture

SHOWN = 4
"""Pictures in a look at what was learned."""

Look = Callable[[], Image]
Report = Callable[[int, int, float, Look], None]
"""Told after each step: steps done, steps in all, loss, and what makes a few pictures. It may raise to stop."""


@dataclass(frozen=True)
class ControlTraining:
    """batch: pictures at a step. caption_dropout: share of captions replaced by none, which makes the net rely on the
    picture. min_snr: gamma, 0 for none. times: how levels are drawn."""

    loop: LoopConfig
    batch: int = 16
    caption_dropout: float = 0.5
    min_snr: float = 0.0
    times: Times = "uniform"


def new_net(denoiser: nn.Module, model: ModelRecipe) -> nn.Module:
    """A ControlNet that changes nothing yet, for pictures of `factor` times the side of a latent.

    ValueError for a model that is no U-Net, or whose latents are smaller by no power of 2.
    """
    from diffusers import ControlNetModel

    if why := control_loading.unlike(model):
        raise ValueError(why)
    halvings = math.log2(model.factor)
    if halvings != int(halvings):
        raise ValueError(f"latents smaller by {model.factor}, which is no power of 2")
    # each width after the first halves the picture, down to the size of a latent
    widths = (16, 32, 96, *[256] * 8)[: int(halvings) + 1]
    net: nn.Module = ControlNetModel.from_unet(cast(Any, denoiser), conditioning_embedding_out_channels=widths)
    return net.to(torch.float32)


def steered(denoiser: nn.Module, model: ModelRecipe, net: nn.Module) -> Network:
    """The denoiser with the net beside it; the input control_0 is what the net sees."""
    blank = Picture("", Image(np.zeros((1, 1, 1, 3), np.float32)))
    told_of = replace(model, controls=(Control(ControlNetRecipe(model.family, ""), blank),))
    steer = Steering(told_of, denoiser, schedule(training_table(model.schedule), 1), lambda recipe: net)
    return family_of(model).network(denoiser, told_of, steer)


def train(
    base: Base,
    data: Examples,
    hints: np.ndarray,
    config: ControlTraining,
    identity: dict[str, Any],
    progress: Path | None = None,
    device: str = "cpu",
    report: Report | None = None,
) -> tuple[nn.Module, tuple[float, ...]]:
    """A ControlNet, its weights averaged, and the loss of every step.

    hints: uint8 (N, H, W, 3), what the net sees of each picture. identity: what decides the data and the weights of the
    denoiser. Other arguments and errors as `diffusion.loop.loop` and `new_net`.
    """
    model, denoiser, encoders = base.model, base.denoiser, base.encoders
    with torch.random.fork_rng(devices=[]):
        seeded(config.loop.seed)
        net = new_net(denoiser, model).to(device).to(memory_format=torch.channels_last).train()
        average = copy.deepcopy(net).requires_grad_(False).eval()
        network, averaged = steered(denoiser, model, net), steered(denoiser, model, average)
        levels = table(training_table(model.schedule))

        def inputs(chosen: torch.Tensor, dropped: torch.Tensor) -> Inputs:
            with torch.no_grad():
                ids = [one[chosen].to(device) for one in data.ids]
                embeds = told(model, encoders, ids, data.empty, dropped.to(device))
            hint = torch.tensor(hints[chosen.numpy()]).permute(0, 3, 1, 2).float() / 255
            return {
                **embeds,
                "control_0": hint.to(device),
                "control_0_strength": torch.ones(len(chosen), device=device),
            }

        def loss_of(step: int) -> torch.Tensor:
            chosen = torch.randint(len(data.latents), (config.batch,))
            dropped = torch.rand(config.batch) < config.caption_dropout
            x0 = data.latents[chosen].to(device).contiguous(memory_format=torch.channels_last)
            drawn = noise(x0, levels, config.times)
            with mixed_precision(device, config.loop.bfloat16):
                # one level an item: only the timestep is told
                o = network(drawn.x, Level(cast(float, drawn.t), 0.0, 0.0), inputs(chosen, dropped))
            return loss(model.prediction, o, drawn, config.min_snr)

        def shown() -> Image:
            first = torch.arange(min(SHOWN, len(data.latents)))
            positive, negative = (inputs(first, torch.full((len(first),), none)) for none in (False, True))
            return look(averaged, model, positive, negative, data.latents[first].to(device), base.vae, base.vae_recipe)

        def tell(step: int, total: int, value: float) -> None:
            if report is not None:
                report(step, total, value, shown)

        losses = loop(net, average, config.loop, loss_of, identity, progress, report=tell)
    return average, losses


def save(net: nn.Module, folder: Path) -> ControlNetRecipe:
    """Write the folder of a net in diffusers layout, and give its recipe, whose digest is that of the content."""
    cast(Any, net).save_pretrained(folder, safe_serialization=True)
    seen = hashlib.sha256()
    for file in control_loading.files_of(folder):
        with file.open("rb") as data:
            seen.update(hashlib.file_digest(data, "sha256").digest())
    return replace(control_loading.recipe_of(folder), digest=seen.hexdigest())
