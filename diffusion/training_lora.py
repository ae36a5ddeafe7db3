"""Teaching a LoRA: low-rank changes beside the weights of a model that stays as it is (Hu et al. 2021).

    y = W x + (alpha / r) B A x,   A ~ N(0, 1 / r), B = 0 at first, so that nothing is changed
    loss as in `diffusion.objective`, plus w_prior times the same on pictures of the kind in general (Ruiz et al. 2023)

The factors lie in layers whose names end in one of the targets, in the denoiser and, if wanted, in its text encoders.
"""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save as packed
from torch import nn

from diffusion.checkpoint import with_metadata, write_atomically
from diffusion.clip import TextEncoders
from diffusion.family import family_of
from diffusion.folder import NETWORKS
from diffusion.guidance import Inputs
from diffusion.look import look
from diffusion.loop import LoopConfig, loop, mixed_precision, seeded
from diffusion.lora import Factors, Lora, Strengths, install
from diffusion.objective import Times, loss, noise
from diffusion.patches import shared_copy
from diffusion.schedule import table
from diffusion.training_data import Base, Examples, told, training_table
from diffusion.types import Image, Level

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
TEXT = ("q_proj", "k_proj", "v_proj", "out_proj")
"""The layers of a text encoder that are taught, if it is."""
SHOWN = 4
"""Pictures in a look at what was learned."""

Report = Callable[[int, int, float, Callable[[], Image]], None]
"""Told after each step: steps done, steps in all, loss, and what makes a few pictures. It may raise to stop."""


@dataclass(frozen=True)
class LoRATraining:
    """rank: r. alpha: the change is multiplied by alpha / r. targets: ends of the names of the layers that are changed.
    text: whether the text encoders learn too. batch, caption_dropout, min_snr, times: as in `TextTraining`.
    prior_weight: of the pictures of the kind in general. checkpointing: compute activations twice and keep fewer."""

    loop: LoopConfig
    rank: int = 8
    alpha: float = 8.0
    targets: tuple[str, ...] = ATTENTION
    text: bool = False
    batch: int = 4
    caption_dropout: float = 0.0
    min_snr: float = 0.0
    times: Times = "uniform"
    prior_weight: float = 1.0
    checkpointing: bool = False


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
    data: Examples,
    prior: Examples | None,
    config: LoRATraining,
    identity: dict[str, Any],
    progress: Path | None = None,
    device: str = "cpu",
    report: Report | None = None,
) -> tuple[Lora, tuple[float, ...]]:
    """A LoRA, its factors averaged, and the loss of every step.

    prior: pictures of the kind in general, so that the model does not forget them. identity: what decides the data and
    the model. Other arguments and errors as `diffusion.loop.loop` and `new_factors`.
    """
    model, denoiser, encoders = base.model, base.denoiser, base.encoders
    with torch.random.fork_rng(devices=[]):
        seeded(config.loop.seed)
        parts = {NETWORKS[model.family]: new_factors(denoiser, config.targets, config.rank, config.alpha)}
        if config.text:
            for name, encoder in encoders.named_parts().items():
                parts[name] = new_factors(encoder, TEXT, config.rank, config.alpha)
        taught = Lora(parts, "the LoRA in training").to(device)
        average = copy.deepcopy(taught).requires_grad_(False)
        (unet, read), (seen_unet, seen_read) = (_with(one, denoiser, encoders) for one in (taught, average))
        if config.checkpointing:
            cast(Any, unet).enable_gradient_checkpointing()
            unet.train()
        family, levels = family_of(model), table(training_table(model.schedule))
        network, averaged = family.network(unet, model), family.network(seen_unet, model)

        def inputs(source: Examples, chosen: torch.Tensor, dropped: torch.Tensor, reader: TextEncoders) -> Inputs:
            ids = [one[chosen].to(device) for one in source.ids]
            with torch.set_grad_enabled(config.text and torch.is_grad_enabled()):
                return told(model, reader, ids, source.empty, dropped.to(device))

        def part_of(source: Examples) -> torch.Tensor:
            chosen = torch.randint(len(source.latents), (config.batch,))
            dropped = torch.rand(config.batch) < config.caption_dropout
            drawn = noise(source.latents[chosen].to(device), levels, config.times)
            with mixed_precision(device, config.loop.bfloat16, config.checkpointing):
                fed = inputs(source, chosen, dropped, read)
                # one level an item: only the timestep is told
                o = network(drawn.x, Level(cast(float, drawn.t), 0.0, 0.0), fed)
            return loss(model.prediction, o, drawn, config.min_snr)

        def loss_of(step: int) -> torch.Tensor:
            own = part_of(data)
            return own if prior is None else own + config.prior_weight * part_of(prior)

        @torch.no_grad()
        def shown() -> Image:
            first = torch.arange(min(SHOWN, len(data.latents)))
            positive, negative = (
                inputs(data, first, torch.full((len(first),), none), seen_read) for none in (False, True)
            )
            return look(averaged, model, positive, negative, data.latents[first].to(device), base.vae, base.vae_recipe)

        def tell(step: int, total: int, value: float) -> None:
            if report is not None:
                report(step, total, value, shown)

        losses = loop(taught, average, config.loop, loss_of, identity, progress, report=tell)
    return average, losses


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


def _with(one: Lora, denoiser: nn.Module, encoders: TextEncoders) -> tuple[nn.Module, TextEncoders]:
    """Copies of the structure of both, with the LoRA in them; the weights are those given."""
    strengths = Strengths([1.0])
    network, read = shared_copy(denoiser), cast(TextEncoders, shared_copy(encoders))
    for part in one.parts:
        install(read.part(part) or network, one, part, strengths, 0)
    return network, read
