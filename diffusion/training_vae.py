"""Teaching a VAE to put pictures into few numbers and to get them out again (Kingma & Welling 2014; Rombach et al.
2022).

    z = m(p) + s(p) eps,   eps ~ N(0, 1)
    loss = mean (p' - p)^2 + |p' - p| / 10 + beta KL(N(m, s^2) || N(0, 1))

with p' = decoder(z). Squares alone blur edges, absolute differences alone give up small shapes. Afterwards scaling and
shift are measured, so that the latents of the data have mean 0 and deviation 1, which a denoiser starts from.
"""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from diffusion.loop import LoopConfig, Report, loop, mixed_precision, seeded
from diffusion.training_data import content_of, pixels
from diffusion.types import Dataset

SHARP = 0.1
"""Share of the absolute differences in the loss."""
MEASURED = 512
"""Pictures that scaling and shift are measured on."""


@dataclass(frozen=True)
class VAETraining:
    """batch: pictures at a step. kl: beta, small, so that latents stay near each other and no information is lost.
    part: all, or the decoder alone, which leaves the latents as they are."""

    loop: LoopConfig
    batch: int = 16
    kl: float = 1e-6
    part: Literal["all", "decoder"] = "all"


def train(
    vae: Any,
    dataset: Dataset,
    config: VAETraining,
    identity: dict[str, Any],
    progress: Path | None = None,
    device: str = "cpu",
    report: Report | None = None,
) -> tuple[nn.Module, tuple[float, ...]]:
    """A VAE of diffusers that learned from a data set, and the loss of every step. The one given is left as it is.

    identity: what decides the weights that it starts from. Other arguments and errors as `diffusion.loop.loop`.
    """
    images = dataset.alike.images
    with torch.random.fork_rng(devices=[]):
        seeded(config.loop.seed)
        model = copy.deepcopy(vae).to(device, torch.float32).to(memory_format=torch.channels_last)
        model.requires_grad_(config.part == "all").train()
        for module in (model.decoder, model.post_quant_conv):
            if module is not None:
                module.requires_grad_(True)
        average = copy.deepcopy(model).requires_grad_(False).eval()

        def loss_of(step: int) -> torch.Tensor:
            chosen = torch.randint(len(images), (config.batch,))
            p = pixels(torch.tensor(images[chosen.numpy()])).to(device)
            with mixed_precision(torch.device(device).type, config.loop.bfloat16):
                q = model.encode(p).latent_dist
                again = model.decode(q.mean + q.std * torch.randn_like(q.mean)).sample.float()
            # KL of each picture is a sum over its latent; beta is per number, as for a mean
            kl = q.kl().float().mean() / q.mean[0].numel()
            loss: torch.Tensor = F.mse_loss(again, p) + SHARP * F.l1_loss(again, p) + config.kl * kl
            return loss

        losses = loop(
            model, average, config.loop, loss_of, {**identity, "dataset": content_of(dataset)}, progress, report=report
        )
    return average, losses


@torch.no_grad()
def scale(vae: Any, dataset: Dataset) -> tuple[float, float]:
    """(scaling_factor, shift_factor) with which the latents of a data set have deviation 1 and mean 0."""
    weight = next(vae.parameters())
    images = dataset.images[:MEASURED]
    parts = [torch.tensor(images[i : i + 64]) for i in range(0, len(images), 64)]
    z = torch.cat([vae.encode(pixels(part).to(weight.device, weight.dtype)).latent_dist.mean for part in parts])
    return 1 / float(z.std()), float(z.mean())
