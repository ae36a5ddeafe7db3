"""The loop that all trainings share: a loss, a gradient, a step of the weights, an average, and now and then a save.

Every random number of a step comes from a generator seeded by (seed, step), so a run that was interrupted and goes on
from its checkpoint ends on the same weights as one that was not.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from diffusion.optimisers import KINDS, Kind, Optimisers, Part
from diffusion.progress import Progress

Loss = Callable[[int], torch.Tensor]
"""The loss of a step, a scalar with its gradient; it may draw from torch's default generator."""

Report = Callable[[int, int, float], None]
"""Told after each step: steps done, steps in all, loss. It may raise to stop."""

DIFFERENTIABLE = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""Kernels of attention to learn with. The first choice of torch 2.11 on a Hopper GPU is that of cuDNN, whose backward
pass fails for small models: "Expected mha_graph.execute(...) to be true", or cuBLAS says so at the next product."""

Decay = Literal["cosine", "linear", "constant"]

DECAYS: dict[str, Callable[[float], float]] = {
    "cosine": lambda part: 0.5 * (1 + math.cos(math.pi * part)),
    "linear": lambda part: 1 - part,
    "constant": lambda part: 1.0,
}
"""What the learning rate is multiplied with when a part of the steps, 0 … 1, is done."""


@dataclass(frozen=True)
class LoopConfig:
    """How the weights are moved.

    steps: updates. lr: the highest learning rate; it rises to that over `warmup` steps, then goes on as `decay` says.
    weight_decay: pull of the weights towards 0. clip_norm: a longer gradient is shortened to it.
    ema: share of the averaged weights that stays at each step, once warm. accumulate: gradients added up for a step.
    bfloat16: multiply in bfloat16 where that is safe. optimizer: see `diffusion.optimisers`.
    """

    steps: int
    lr: float
    warmup: int = 50
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema: float = 0.998
    seed: int = 0
    accumulate: int = 1
    bfloat16: bool = False
    decay: Decay = "cosine"
    optimizer: Kind = "adamw"

    def __post_init__(self) -> None:
        if self.decay not in DECAYS:
            raise ValueError(f'unknown decay "{self.decay}"; known: {", ".join(DECAYS)}')
        if self.optimizer not in KINDS:
            raise ValueError(f'unknown optimizer "{self.optimizer}"; known: {", ".join(KINDS)}')
        for name, low, high in (("steps", 1, 10**8), ("ema", 0, 1), ("accumulate", 1, 65536)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must lie in {low} … {high}, got {value:g}")
        if not self.lr > 0:
            raise ValueError(f"lr must be above 0, got {self.lr:g}")


def seeded(seed: int, step: int = -1) -> None:
    """Seed torch's default generator for a step; -1 is what comes before the first."""
    # an odd multiplier keeps neighbouring seeds and steps apart; generators take 64 bits
    torch.manual_seed((seed * 0x9E3779B97F4A7C15 + step + 1) % 2**63)


@sdpa_kernel(DIFFERENTIABLE)
def loop(
    model: nn.Module,
    average: nn.Module,
    config: LoopConfig,
    loss_of: Loss,
    identity: dict[str, Any],
    progress: Path | None = None,
    save_every: int = 100,
    report: Report | None = None,
    groups: Sequence[Part] = (),
) -> tuple[float, ...]:
    """Train `model`, and keep the exponential moving average of its weights in `average`. Gives the loss of each step.

    Only parameters that require a gradient are trained; average has the same ones, or is the model itself, for no
    average. identity: what decides the result.
    progress: a file that keeps the state, written every `save_every` steps and when `report` stops the run; where it
    is there already, the training goes on from it. ValueError if it is damaged or of another training.
    groups: all that is trained, in parts, each with what the learning rate is multiplied with; by default one part.
    """
    trained: list[torch.Tensor] = [p for p in model.parameters() if p.requires_grad]
    averaged: list[torch.Tensor] = (
        []
        if average is model
        else [a for a, p in zip(average.parameters(), model.parameters(), strict=True) if p.requires_grad]
    )
    parts = groups or [(trained, 1.0)]
    optimisers = Optimisers(config.optimizer, model, parts, config.lr, config.weight_decay)
    state = Progress(progress, model, average, optimisers, identity)
    losses = state.restore()
    for step in range(len(losses), config.steps):
        seeded(config.seed, step)
        for group in optimisers.groups:
            group["lr"] = learning_rate(config, step) * group["factor"]
        optimisers.zero_grad()
        whole = 0.0
        for _ in range(config.accumulate):
            loss = loss_of(step) / config.accumulate
            loss.backward()  # type: ignore[no-untyped-call]
            whole += float(loss.detach())
        nn.utils.clip_grad_norm_(trained, config.clip_norm)
        optimisers.step()
        losses.append(whole)
        if averaged:
            with torch.no_grad():
                # w_average = d w_average + (1 - d) w
                torch._foreach_lerp_(averaged, trained, 1 - ema_decay(config.ema, step))
        if (step + 1) % save_every == 0 or step + 1 == config.steps:
            state.save(losses)
        if report is not None:
            try:
                report(step + 1, config.steps, whole)
            except BaseException:
                # only here is a step whole: an interrupt elsewhere goes on from the last regular save
                state.save(losses)
                raise
    return tuple(losses)


def learning_rate(config: LoopConfig, step: int) -> float:
    """Rising from 0 in `warmup` steps, and falling all the while: lr (1 + cos(pi step / steps)) / 2 for a cosine."""
    rise = min(1.0, (step + 1) / max(config.warmup, 1))
    return config.lr * rise * DECAYS[config.decay](step / config.steps)


def ema_decay(most: float, step: int) -> float:
    """Share of the average that stays: little at first, so that the random first weights are soon forgotten."""
    return min(most, (1 + step) / (10 + step))


@contextmanager
def mixed_precision(device: str, bfloat16: bool, recomputed: bool = False) -> Iterator[None]:
    """Within it, multiplications are in bfloat16 where that is safe. recomputed: what is done within is done again for
    the gradient, outside of it (gradient checkpointing)."""
    kind = torch.device(device).type
    # on a CPU the gradient of torch's fused attention takes five times as long as that of the matrices written out
    plain = sdpa_kernel(SDPBackend.MATH) if kind == "cpu" and not recomputed else nullcontext()
    with torch.autocast(kind, torch.bfloat16) if bfloat16 else nullcontext(), plain, warnings.catch_warnings():
        # Flux's norms keep their weights in float32, which torch finds worth telling
        warnings.filterwarnings("ignore", "Mismatch dtype between input and weight")
        yield
