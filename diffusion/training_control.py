"""Teaching a ControlNet what a picture says about another, such as its edges (Zhang et al. 2023).

    o = denoiser(x, t, c, r),   r = net(x, t, c, hint),   loss as in `diffusion.objective`

The net begins as a copy of the first half of the U-Net, and the convolutions that join it to the U-Net begin at zero,
so that a new one changes nothing. The U-Net and the text encoders are left as they are.
"""

import copy
import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from diffusion import control_loading
from diffusion.control import Steering
from diffusion.family import family_of
from diffusion.guidance import Inputs, Network
from diffusion.loop import seeded
from diffusion.patches import shared_copy
from diffusion.recipes import Control, ControlNetRecipe, ModelRecipe
from diffusion.schedule import schedule, table
from diffusion.training_data import Base, Examples, told, training_table
from diffusion.training_look import Run, Viewer, watched
from diffusion.training_step import Teaching, loss_on
from diffusion.types import Image, Picture


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
    data: Sequence[Examples],
    config: Teaching,
    run: Run,
    begun: nn.Module | None = None,
) -> tuple[nn.Module, tuple[float, ...], Image]:
    """A ControlNet, its weights averaged, the loss of every step, and the pictures kept.

    data: with hints. begun: a net to go on from, in float32, which is left as it is; None for a new one. Errors as
    `diffusion.loop.loop` and `new_net`.
    """
    model, encoders, device = base.model, base.encoders, run.device
    with torch.random.fork_rng(devices=[]):
        seeded(config.loop.seed)
        net = copy.deepcopy(begun).requires_grad_(True) if begun else new_net(base.denoiser, model)
        net = net.to(device).to(memory_format=torch.channels_last).train()
        average = copy.deepcopy(net).requires_grad_(False).eval()
        denoiser = base.denoiser
        if config.checkpointing:
            denoiser = shared_copy(denoiser).train()
            for one in (denoiser, net):
                cast(Any, one).enable_gradient_checkpointing()
        network, averaged = steered(denoiser, model, net), steered(base.denoiser, model, average)
        levels = table(training_table(model.schedule, config.shift))

        def feed(one: Examples, chosen: torch.Tensor, dropped: torch.Tensor) -> Inputs:
            with torch.no_grad():
                embeds = told(model, encoders, one, chosen, dropped, device, config.shuffle)
            assert one.hints is not None
            hint = one.hints[chosen].permute(0, 3, 1, 2).float() / 255
            return {
                **embeds,
                "control_0": hint.to(device),
                "control_0_strength": torch.ones(len(chosen), device=device),
            }

        def loss_of() -> torch.Tensor:
            return loss_on(data, network, feed, model, levels, config, device, torch.channels_last)

        viewer = Viewer(base, averaged, feed, data[0], run)
        losses, kept = watched(net, average, config.loop, loss_of, run, viewer)
    return average, losses, kept


def save(net: nn.Module, folder: Path) -> ControlNetRecipe:
    """Write the folder of a net in diffusers layout, and give its recipe, whose digest is that of the content."""
    cast(Any, net).save_pretrained(folder, safe_serialization=True)
    seen = hashlib.sha256()
    for file in control_loading.files_of(folder):
        with file.open("rb") as data:
            seen.update(hashlib.file_digest(data, "sha256").digest())
    return replace(control_loading.recipe_of(folder), digest=seen.hexdigest())
