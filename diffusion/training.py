"""How the network learns: noise a picture, let it guess, correct it; thousands of times (Ho et al. 2020, algorithm 1).

    t ~ uniform,  eps ~ N(0, 1),  x = alpha_t x0 + sigma_t eps
    loss = mean (o(x, t, label) - target)^2,   the target being eps, x0, v or the flow (see parameterisation)

Every random number of a step comes from a generator seeded by (seed, step), so a run that was interrupted and goes on
from its checkpoint ends on the same weights as one that was not.
"""

import hashlib
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional as F

from diffusion.checkpoint import WEIGHTS, PixelConfig, write_atomically, write_config
from diffusion.forward import noised
from diffusion.parameterisation import target
from diffusion.progress import Progress
from diffusion.schedule import Table, table
from diffusion.types import Dataset, Prediction, ScheduleConfig
from diffusion.unet import UNet, UNetConfig


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the weights. The defaults are those of the shipped digits model."""

    prediction: Prediction = "v"
    """What the network puts out."""
    schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig("cosine"))
    """The noise table it learns."""
    steps: int = 1500
    """Updates of the weights."""
    batch: int = 128
    """Pictures in each."""
    lr: float = 2e-3
    """The highest learning rate; it rises to that over `warmup` steps, then falls to 0 as half a cosine."""
    warmup: int = 50
    """Steps of rising learning rate."""
    weight_decay: float = 0.01
    """Pull of the weights towards 0 (AdamW)."""
    clip_norm: float = 1.0
    """Longest gradient; a longer one is shortened to it."""
    label_dropout: float = 0.1
    """Share of labels replaced by "no class", so that guidance has something to push away from."""
    ema: float = 0.998
    """Share of the averaged weights that stays at each step, once warm; samples are made with the average."""
    seed: int = 0
    """Decides the first weights, the order of the pictures and the noise."""
    bfloat16: bool = False
    """Multiply in bfloat16 where that is safe. Quicker only where the processor has instructions for it."""

    def __post_init__(self) -> None:
        for name, low, high in (("steps", 1, 10**8), ("batch", 1, 65536), ("label_dropout", 0, 1), ("ema", 0, 1)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must lie in {low} … {high}, got {value:g}")
        if not self.lr > 0:
            raise ValueError(f"lr must be above 0, got {self.lr:g}")


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, its averaged weights in `model`, and the loss of every step."""

    model: UNet
    losses: tuple[float, ...]


Report = Callable[[int, int, float, UNet], None]
"""Told after each step: steps done, steps in all, loss, and the network with averaged weights. It may raise to stop."""


def train(
    dataset: Dataset,
    unet: UNetConfig,
    config: TrainingConfig,
    progress: Path | None = None,
    save_every: int = 100,
    device: str = "cpu",
    report: Report | None = None,
) -> Trained:
    """Train a network on a data set.

    progress: a file that keeps the state, written every `save_every` steps and when `report` stops the run; where it
    is there already, the training goes on from it.
    device: where to train; on a CPU the result depends on nothing but the arguments and the version of torch.
    Raises ValueError if the network does not fit the data, or the file is damaged or of another training.
    """
    _check(dataset, unet)
    images, labels = _tensors(dataset, unet, device)
    levels = table(config.schedule)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_mixed(config.seed, -1))
        model = UNet(unet).to(device).to(memory_format=torch.channels_last)
        average = UNet(unet).to(device).to(memory_format=torch.channels_last).requires_grad_(False).eval()
        average.load_state_dict(model.state_dict())
        optimiser = torch.optim.AdamW(
            model.parameters(), lr=config.lr, betas=(0.9, 0.99), weight_decay=config.weight_decay
        )
        state = Progress(progress, model, average, optimiser, _identity(dataset, unet, config))
        losses = state.restore()
        for step in range(len(losses), config.steps):
            torch.manual_seed(_mixed(config.seed, step))
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(config, step)
            losses.append(_update(model, optimiser, images, labels, levels, config))
            _average(average, model, ema_decay(config.ema, step))
            if (step + 1) % save_every == 0 or step + 1 == config.steps:
                state.save(losses)
            if report is not None:
                try:
                    report(step + 1, config.steps, losses[-1], average)
                except BaseException:
                    # only here is a step whole: an interrupt elsewhere goes on from the last regular save
                    state.save(losses)
                    raise
    return Trained(average, tuple(losses))


def save_model(
    folder: Path, trained: UNet, dataset: Dataset, config: TrainingConfig, losses: tuple[float, ...]
) -> None:
    """Write a model folder (see `diffusion.checkpoint`): averaged weights in float32, and how they were made."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in trained.state_dict().items()}
    write_atomically(folder / WEIGHTS, save(weights))
    last = losses[-100:]
    training = {
        **asdict(config),
        "dataset": dataset.name,
        "images": len(dataset),
        "loss": sum(last) / max(len(last), 1),
    }
    height, width = dataset.images.shape[1:3]
    write_config(
        folder,
        PixelConfig(
            unet=asdict(trained.config),
            height=height,
            width=width,
            prediction=config.prediction,
            schedule=config.schedule,
            class_names=dataset.class_names if trained.config.classes else (),
            sampler="flow_euler" if config.schedule.kind == "flow" else "ddim",
            training=training,
        ),
    )


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Rising from 0 in `warmup` steps, then falling as half a cosine: lr (1 + cos(pi step / steps)) / 2."""
    rise = min(1.0, (step + 1) / max(config.warmup, 1))
    return config.lr * rise * 0.5 * (1 + math.cos(math.pi * step / config.steps))


def ema_decay(most: float, step: int) -> float:
    """Share of the average that stays: little at first, so that the random first weights are soon forgotten."""
    return min(most, (1 + step) / (10 + step))


def _update(
    model: UNet,
    optimiser: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor | None,
    levels: Table,
    config: TrainingConfig,
) -> float:
    batch, device = config.batch, images.device
    chosen = torch.randint(len(images), (batch,))
    x0 = images[chosen.to(device)]  # (B, C, H, W)
    label = None
    if labels is not None:
        dropped = torch.rand(batch) < config.label_dropout
        label = torch.where(dropped.to(device), model.config.classes, labels[chosen.to(device)])  # (B,)

    # t ~ uniform, one in each B-th part of the table, which makes the loss less noisy than independent draws
    part = (torch.rand(1) + torch.arange(batch) / batch) % 1
    index = (part * len(levels.t)).long().clamp(max=len(levels.t) - 1)  # (B,)
    alpha, sigma = (v[index].to(device).view(-1, 1, 1, 1) for v in (levels.alpha, levels.sigma))
    # x = alpha x0 + sigma eps
    eps = torch.randn(x0.shape).to(device)
    x = noised(x0, eps, alpha, sigma)

    with torch.autocast(device.type, torch.bfloat16) if config.bfloat16 else nullcontext():
        o = model(x.contiguous(memory_format=torch.channels_last), levels.t[index].to(device), label)
    # loss = mean (o - target)^2
    loss = F.mse_loss(o.float(), target(config.prediction, x0, eps, alpha, sigma))
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
    optimiser.step()
    return float(loss.detach())


@torch.no_grad()
def _average(average: nn.Module, model: nn.Module, decay: float) -> None:
    # w_average = d w_average + (1 - d) w
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)


def _tensors(dataset: Dataset, unet: UNetConfig, device: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    # p in 0 … 255 to x0 = p / 127.5 - 1 in -1 … 1
    images = torch.tensor(dataset.images).permute(0, 3, 1, 2).float() / 127.5 - 1  # (N, C, H, W)
    labels = torch.tensor(dataset.labels).to(device) if unet.classes and dataset.labels is not None else None
    return images.to(device), labels


def _mixed(seed: int, step: int) -> int:
    # an odd multiplier keeps neighbouring seeds and steps apart; generators take 64 bits
    return (seed * 0x9E3779B97F4A7C15 + step + 1) % 2**63


def _identity(dataset: Dataset, unet: UNetConfig, config: TrainingConfig) -> dict[str, Any]:
    content = hashlib.sha256(dataset.images.tobytes())
    content.update(b"" if dataset.labels is None else dataset.labels.tobytes())
    return {"dataset": content.hexdigest(), "unet": asdict(unet), "training": asdict(config)}


def _check(dataset: Dataset, unet: UNetConfig) -> None:
    count, height, width, channels = dataset.images.shape
    if not count:
        raise ValueError("the data set is empty")
    if channels != unet.channels:
        raise ValueError(f"the network takes {unet.channels} channels, and the pictures have {channels}")
    if height % unet.multiple or width % unet.multiple:
        raise ValueError(
            f"pictures of {height} x {width} are no multiple of the {unet.multiple} that the network needs"
        )
    if unet.classes and (dataset.labels is None or unet.classes != len(dataset.class_names)):
        has = "none" if dataset.labels is None else str(len(dataset.class_names))
        raise ValueError(f"the network is for {unet.classes} classes, and the data set has {has}")
