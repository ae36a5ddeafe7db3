"""Teaching a LoRA: low-rank changes beside the weights of a model that stays as it is (Hu et al. 2021).

    y = W x + (alpha / r) B A x,   A ~ N(0, 1 / r), B = 0 at first, so that nothing is changed
    loss as in `diffusion.objective`, plus w_prior times the same on pictures of the kind in general (Ruiz et al. 2023)

The factors lie in layers whose names end in one of the targets, in the denoiser and, if wanted, in its text encoders.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save as packed
from torch import nn

from diffusion.checkpoint import rewritten, with_metadata, write_atomically
from diffusion.clip import TextEncoders
from diffusion.family import family_of
from diffusion.folder import NETWORKS
from diffusion.guidance import Inputs
from diffusion.loop import seeded
from diffusion.lora import Factors, Lora, Strengths, install
from diffusion.patches import shared_copy
from diffusion.schedule import table
from diffusion.training_data import Base, Examples, told, training_table
from diffusion.training_look import Run, Viewer, watched
from diffusion.training_step import Feed, Teaching, loss_on
from diffusion.types import Image

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
TEXT = ("q_proj", "k_proj", "v_proj", "out_proj")
"""The layers of a text encoder that are taught, if it is."""


@dataclass(frozen=True)
class LoRATraining(Teaching):
    """rank: r. alpha: the change is multiplied by alpha / r. targets: ends of the names of the layers that are changed.
    text: whether the text encoders learn too. text_rate: what their learning rate is multiplied with. prior_weight: of
    the pictures of the kind in general."""

    rank: int = 8
    alpha: float = 8.0
    targets: tuple[str, ...] = ATTENTION
    text: bool = False
    text_rate: float = 1.0
    prior_weight: float = 1.0


def new_factors(root: nn.Module, targets: Sequence[str], rank: int, alpha: float) -> dict[str, Factors]:
    """Factors that change nothing yet, by the names of the layers. ValueError if no layer has such a name."""
    found: dict[str, Factors] = {}
    for path, layer in root.named_modules():
        fits = isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
        if not fits or not any(path == end or path.endswith(f".{end}") for end in targets):
            continue
        out, into, *kernel = cast(torch.Tensor, layer.weight).shape
        down = nn.Parameter(torch.randn(rank, into, *kernel) / rank)
        up = nn.Parameter(torch.zeros(out, rank, *[1] * len(kernel)))
        found[path] = Factors(down, up, alpha / rank)
    if not found:
        raise ValueError(f"no layer has a name that ends in {' or '.join(targets)}")
    return found


def train(
    base: Base,
    data: Sequence[Examples],
    prior: Sequence[Examples],
    config: LoRATraining,
    run: Run,
) -> tuple[Lora, tuple[float, ...], Image]:
    """A LoRA, its factors averaged, the loss of every step, and the pictures kept.

    prior: pictures of the kind in general, so that the model does not forget them. Errors as `diffusion.loop.loop` and
    `new_factors`.
    """
    model, denoiser, encoders, device = base.model, base.denoiser, base.encoders, run.device
    with torch.random.fork_rng(devices=[]):
        seeded(config.loop.seed)
        parts = {NETWORKS[model.family]: new_factors(denoiser, config.targets, config.rank, config.alpha)}
        if config.text:
            # of these alone, and not of T5, is there a way to say it in the file
            for name, encoder in zip(encoders.parts, encoders.encoders, strict=True):
                parts[name] = new_factors(encoder, TEXT, config.rank, config.alpha)
        taught = Lora(parts, "the LoRA in training").to(device)
        average = copy.deepcopy(taught).requires_grad_(False)
        (unet, read), (seen_unet, seen_read) = (_with(one, denoiser, encoders) for one in (taught, average))
        if config.checkpointing:
            cast(Any, unet).enable_gradient_checkpointing()
            unet.train()
        family, levels = family_of(model), table(training_table(model.schedule, config.shift))
        network, averaged = family.network(unet, model), family.network(seen_unet, model)

        def feed_of(reader: TextEncoders, shuffle: bool) -> Feed:
            def feed(one: Examples, chosen: torch.Tensor, dropped: torch.Tensor) -> Inputs:
                with torch.set_grad_enabled(config.text and torch.is_grad_enabled()):
                    return told(model, reader, one, chosen, dropped, device, shuffle)

            return feed

        feed = feed_of(read, config.shuffle)
        # what a caption calls is to be left as it was
        of_prior = replace(config, caption_dropout=0.0)

        def loss_of() -> torch.Tensor:
            own = loss_on(data, network, feed, model, levels, config, device)
            if not prior:
                return own
            return own + config.prior_weight * loss_on(prior, network, feed, model, levels, of_prior, device)

        viewer = Viewer(base, averaged, feed_of(seen_read, False), data[0], run)
        groups = [
            (
                [p for one in factors.values() for p in one.parameters()],
                config.text_rate if part in encoders.parts else 1.0,
            )
            for part, factors in taught.parts.items()
        ]
        losses, kept = watched(taught, average, config.loop, loss_of, run, viewer, groups)
    return average, losses, kept


def write(file: Path, taught: Lora, config: LoRATraining, about: Mapping[str, str]) -> None:
    """Write a LoRA in peft's names, with rank, alpha and layers as diffusers reads them, and more metadata: `about`."""
    tensors: dict[str, torch.Tensor] = {}
    told_of: dict[str, Any] = {}
    for part, factors in taught.parts.items():
        for path, one in factors.items():
            tensors[f"{part}.{path}.lora_A.weight"] = one.down.detach().cpu().contiguous()
            tensors[f"{part}.{path}.lora_B.weight"] = one.up.detach().cpu().contiguous()
        settings = {"r": config.rank, "lora_alpha": config.alpha, "target_modules": sorted(factors)}
        told_of |= {f"{part}.{name}": value for name, value in settings.items()}
    metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(told_of), **about}
    # not by safetensors itself, which puts metadata in another order each time
    write_atomically(file, with_metadata(packed(tensors), metadata))


def scaled(file: bytes, strength: float) -> bytes:
    """A LoRA as `write` makes it, whose strength 1 is so much of what was learned: B' = strength B."""
    return rewritten(file, lambda name, one: one * strength if name.endswith("lora_B.weight") else one)


def _with(one: Lora, denoiser: nn.Module, encoders: TextEncoders) -> tuple[nn.Module, TextEncoders]:
    """Copies of the structure of both, with the LoRA in them; the weights are those given."""
    strengths = Strengths([1.0])
    network, read = shared_copy(denoiser), cast(TextEncoders, shared_copy(encoders))
    for part in one.parts:
        install(read.part(part) or network, one, part, strengths, 0)
    return network, read
