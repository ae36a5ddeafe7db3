"""Noise schedules: which levels (t, alpha, sigma) there are, and which of them a sampler visits.

A level mixes data and noise as x = alpha x0 + sigma eps. A *table* holds every level that a model was trained on:

    linear, scaled_linear, cosine    alpha = sqrt(alpha_bar), sigma = sqrt(1 - alpha_bar), alpha_bar = prod (1 - beta)
    flow                             alpha = 1 - sigma, sigma = t / train_steps, moved towards noise by a shift

A *spacing* picks the levels to visit from it, noisy to clean, and the clean level (0, 1, 0) is added at the end.
Tables are made in float32, since that is how the models that use them were trained.

Ho et al. 2020 (linear); Rombach et al. 2022 (scaled_linear); Nichol & Dhariwal 2021 (cosine); Liu et al. 2022 and
Lipman et al. 2022 (flow); Esser et al. 2024 (shift); Karras et al. 2022, equation 5 (karras); Lin et al. 2023 (zero
terminal SNR).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeVar

import numpy as np
import torch

from diffusion import comfy_spacing
from diffusion.kinds import COMFY
from diffusion.spacing import SPACINGS, SPREAD, spread, times
from diffusion.types import Level, Schedule, ScheduleConfig

KINDS = ("linear", "scaled_linear", "cosine", "flow")
Values = TypeVar("Values", torch.Tensor, np.ndarray)
CLEAN = Level(0.0, 1.0, 0.0)
Share = Literal["steps", "timesteps"]
"""What a fraction of a schedule is a fraction of."""


@dataclass(frozen=True, eq=False)
class Table:
    """All levels of a trained model, from clean to noisy: t, alpha and sigma, each (train_steps,) float32.

    noise: (train_steps,), what the spacings by noise space evenly: sigma / alpha, or sigma for flow.
    beta: (train_steps,), the variance that each step of the forward process adds; zeros for flow, which has none.
    """

    kind: str
    t: torch.Tensor
    alpha: torch.Tensor
    sigma: torch.Tensor
    noise: torch.Tensor
    beta: torch.Tensor

    @property
    def alpha_bar(self) -> torch.Tensor:
        """alpha squared: the share of the data's variance that is left. (train_steps,)"""
        return self.alpha**2

    @property
    def snr(self) -> torch.Tensor:
        """Signal-to-noise ratio (alpha / sigma)^2. (train_steps,)"""
        return (self.alpha / self.sigma) ** 2


def betas(config: ScheduleConfig) -> torch.Tensor:
    """The variances beta_t that the forward process adds step by step, (train_steps,) float32. Not for flow."""
    first, last, count = config.beta_start, config.beta_end, config.train_steps
    if config.kind == "linear":
        # beta_t = from beta_start to beta_end in equal steps
        return torch.linspace(first, last, count)
    if config.kind == "scaled_linear":
        # sqrt(beta_t) = from sqrt(beta_start) to sqrt(beta_end) in equal steps
        return torch.linspace(first**0.5, last**0.5, count) ** 2

    # alpha_bar(u) = cos^2((u + 0.008) / 1.008 * pi / 2),   beta_t = 1 - alpha_bar((t + 1) / T) / alpha_bar(t / T)
    def alpha_bar(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    ratios = [alpha_bar((t + 1) / count) / alpha_bar(t / count) for t in range(count)]
    return torch.tensor([min(1 - ratio, 0.999) for ratio in ratios], dtype=torch.float32)


def table(config: ScheduleConfig) -> Table:
    """Every level of a model's schedule. Raises ValueError for an unknown kind or a setting out of range."""
    _check(config)
    count = config.train_steps
    if config.kind == "flow":
        # a shift that follows the size moves what is picked from the table, and not the table
        shift = config.shift if config.mu is None else 1.0
        sigma = shifted(torch.arange(1, count + 1, dtype=torch.float32) / count, shift)
        return Table("flow", sigma * count, 1 - sigma, sigma, sigma, torch.zeros(count))
    beta = betas(config)
    # alpha_bar_t = (1 - beta_1) (1 - beta_2) ... (1 - beta_t)
    alpha_bar = torch.cumprod(1 - beta, 0)
    if config.zero_snr:
        alpha_bar = zero_terminal_snr(alpha_bar)
        previous = torch.cat([torch.ones(1), alpha_bar[:-1]])
        beta = 1 - alpha_bar / previous
        # by way of beta, as the models that use it were trained: rounding, but next to pure noise it counts
        alpha_bar = torch.cumprod(1 - beta, 0)
    t = torch.arange(count, dtype=torch.float32)
    # sigma / alpha = sqrt((1 - alpha_bar) / alpha_bar)
    noise = ((1 - alpha_bar) / alpha_bar) ** 0.5
    return Table(config.kind, t, alpha_bar**0.5, (1 - alpha_bar) ** 0.5, noise, beta)


def shifted(sigma: Values, shift: float) -> Values:
    """Flow levels moved towards noise, as large pictures need: sigma' = shift sigma / (1 + (shift - 1) sigma)."""
    return shift * sigma / (1 + (shift - 1) * sigma)


def for_tokens(config: ScheduleConfig, tokens: int) -> ScheduleConfig:
    """The table for a picture that the network sees as so many tokens, where the shift follows the size; else as it is.

    mu runs along a line through base_shift at base_tokens and max_shift at max_tokens, and the shift is e^mu.
    """
    if config.base_shift is None:
        return config
    # mu = m tokens + b,   m = (max_shift - base_shift) / (max_tokens - base_tokens),   b = base_shift - m base_tokens
    m = (config.max_shift - config.base_shift) / (config.max_tokens - config.base_tokens)
    return replace(config, mu=tokens * m + (config.base_shift - m * config.base_tokens))


def fits_tokens(made: Schedule, tokens: int) -> bool:
    """False where the shift of a schedule follows the size, and it was made for a picture of another size."""
    config = made.config
    if made.spacing in ("timesteps", "sigmas", *COMFY) or config.base_shift is None:
        return True
    return config.mu == for_tokens(config, tokens).mu


def zero_terminal_snr(alpha_bar: torch.Tensor) -> torch.Tensor:
    """The same table, stretched so that its last level is noise alone (Lin et al. 2023, algorithm 1)."""
    root = alpha_bar.sqrt()
    # with a_t = sqrt(alpha_bar_t):   a_t' = (a_t - a_T) a_1 / (a_1 - a_T)
    stretched = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
    return stretched**2


def schedule(
    config: ScheduleConfig,
    steps: int | None = None,
    *,
    timesteps: Sequence[float] | None = None,
    sigmas: Sequence[float] | None = None,
) -> Schedule:
    """The levels that a sampler visits, ending clean. Give exactly one of the three.

    steps: how many, at least 1, spaced as config.spacing says.
    timesteps: the t of each level, falling; a fraction falls between two levels of the table.
    sigmas: the noise of each level, falling: sigma / alpha, or for flow sigma in 0 … 1. A last 0 may be left out.
    Raises ValueError for what is out of range, not falling, or cannot be spaced so.
    """
    given = [
        name for name, value in (("steps", steps), ("timesteps", timesteps), ("sigmas", sigmas)) if value is not None
    ]
    if len(given) != 1:
        raise ValueError(f"a schedule takes one of steps, timesteps or sigmas, not {' and '.join(given) or 'none'}")
    levels = table(config)
    if timesteps is not None:
        _check_falling("timesteps", timesteps)
        top = float(levels.t[-1])
        if timesteps[0] > top or timesteps[-1] < 0:
            raise ValueError(f"timesteps must lie in 0 … {top:g}, got {timesteps[0]:g} … {timesteps[-1]:g}")
        chosen, spacing = [_at(levels, t) for t in timesteps], "timesteps"
    elif sigmas is not None:
        kept = [s for i, s in enumerate(sigmas) if s != 0 or i < len(sigmas) - 1]
        _check_falling("sigmas", kept)
        if kept[-1] <= 0 or (config.kind == "flow" and kept[0] > 1):
            raise ValueError(f"sigmas must be above 0{' and at most 1' if config.kind == 'flow' else ''}")
        chosen, spacing = [level_of(levels, s) for s in kept], "sigmas"
    else:
        assert steps is not None
        chosen, spacing = _spaced(levels, config, steps), config.spacing
    return Schedule((*chosen, CLEAN), config.kind, spacing, 0, len(chosen), config)


def least_noisy(config: ScheduleConfig) -> Level:
    """The level at the clean end of a model's table, which is not quite clean."""
    return _at(table(config), float(table(config).t[0]))


def cut(whole: Schedule, start: float = 0.0, end: float = 1.0, by: Share = "steps", finish: bool = False) -> Schedule:
    """The part of a schedule between two fractions of it, 0 the noisiest and 1 clean.

    A picture noised to the first level of cut(s, 0.4) keeps its rough shape (image to image with strength 0.6);
    cut(s, 0, 0.8) and cut(s, 0.8) are a base model's and a refiner's part. Fractions are of the uncut schedule:
    of its steps, step i of n to round(f n); or of its table of T timesteps, those with t >= round(T - f T) come before.
    finish: the part's last level is the clean one, whatever was cut off behind it.
    Raises ValueError if no step is left, or if the part lies outside what an earlier cut left.
    """
    if not 0 <= start < end <= 1:
        raise ValueError(f"cut needs 0 <= start < end <= 1, got start {start:g} and end {end:g}")
    low, high = (_before(whole, fraction, by) for fraction in (start, end))
    low, high = max(low, 0), min(high, whole.steps)
    if low >= high:
        raise ValueError(f"no step is left of {whole.steps} between {start:g} and {end:g}")
    kept = whole.levels[low : high + 1]
    return replace(whole, levels=(*kept[:-1], CLEAN) if finish else kept, first=whole.first + low)


def _before(whole: Schedule, fraction: float, by: Share) -> int:
    """How many steps of what an earlier cut left come before a fraction; negative where it cut off more."""
    if by == "steps" or fraction in (0, 1):
        return round(fraction * whole.total) - whole.first
    count = whole.config.train_steps
    return sum(level.t >= round(count - fraction * count) for level in whole.levels[:-1])


def _spaced(levels: Table, config: ScheduleConfig, steps: int) -> list[Level]:
    count, spacing = config.train_steps, config.spacing
    if spacing in COMFY:
        return comfy_spacing.levels(config, levels.noise.numpy(), steps)
    if not 1 <= steps <= count:
        raise ValueError(f"steps must lie in 1 … {count}, got {steps}")
    if config.kind == "flow":
        return [level_of(levels, float(s)) for s in _flowing(levels, config, steps)]
    if spacing in SPREAD:
        ends = times(replace(config, spacing=config.even, placing="even"), steps)
        most, least = float(levels.noise[int(ends[0])]), float(levels.noise[int(ends[-1])])
        return [level_of(levels, s) for s in spread(least, most, spacing, steps)]
    return [_at(levels, float(t)) for t in times(config, steps)]


def _flowing(levels: Table, config: ScheduleConfig, steps: int) -> Sequence[float]:
    """The sigmas of a flow, noisy to clean, in the precision that diffusers takes at each place."""
    by_noise, count = config.spacing in SPREAD, config.train_steps
    if config.placing == "ahead":
        # 1 - 1 / T … 0 in n equal parts, without 0
        sigma = (1 - np.linspace(1, 1 / count, steps + 1))[:0:-1]
    elif config.placing == "behind":
        # 1 … 1 / T in n equal parts, without 1 / T
        sigma = np.linspace(1, 1 / count, steps + 1)[:-1]
    elif (config.even if by_noise else config.spacing) == "linspace":
        # from the table's last level to its first in equal steps, and these are moved once more (so is SD3 sampled)
        t = np.linspace(float(levels.sigma[-1]) * count, float(levels.sigma[0]) * count, steps)
        sigma = t / count
    else:
        # sigma = 1, (n - 1) / n, ..., 1 / n
        sigma = np.linspace(1, 1 / steps, steps).astype(np.float32)
    if config.mu is None:
        sigma = shifted(sigma, config.shift)
    else:
        # e^mu / (e^mu + 1 / sigma - 1), which is `shifted` with the shift e^mu
        sigma = math.exp(config.mu) / (math.exp(config.mu) + (1 / sigma - 1))
    return spread(float(sigma[-1]), float(sigma[0]), config.spacing, steps) if by_noise else list(sigma)


def _at(levels: Table, t: float) -> Level:
    """The level of timestep t; between two levels of the table the noise is interpolated."""
    index = np.interp(t, levels.t.double().numpy(), np.arange(len(levels.t)))
    if index == int(index):
        i = int(index)
        return Level(t, float(levels.alpha[i]), float(levels.sigma[i]))
    noise = levels.noise.double()
    low = int(index)
    return _mix(levels.kind, t, float(noise[low] + (index - low) * (noise[low + 1] - noise[low])))


def level_of(levels: Table, noise: float) -> Level:
    """The level at a given sigma / alpha (flow: sigma) above 0. Its t is interpolated on the scale of log noise."""
    if levels.kind == "flow":
        # in float32, as the models that use it were told it
        sigma = np.float32(noise)
        return Level(float(sigma * np.float32(len(levels.t))), float(np.float32(1) - sigma), float(sigma))
    t = np.interp(math.log(noise), np.log(levels.noise.numpy()), levels.t.double().numpy())
    return _mix(levels.kind, float(t), noise)


def _mix(kind: str, t: float, noise: float) -> Level:
    if kind == "flow":
        return Level(t, 1 - noise, noise)
    if math.isinf(noise):
        return Level(t, 0.0, 1.0)
    # alpha^2 + sigma^2 = 1 and s = sigma / alpha give alpha = 1 / sqrt(1 + s^2)
    alpha = 1 / math.sqrt(1 + noise**2)
    return Level(t, alpha, noise * alpha)


def _check(config: ScheduleConfig) -> None:
    if config.kind not in KINDS:
        raise ValueError(f'unknown schedule kind "{config.kind}"; known: {", ".join(KINDS)}')
    if config.spacing not in SPACINGS:
        raise ValueError(f'unknown spacing "{config.spacing}"; known: {", ".join(SPACINGS)}')
    if config.train_steps < 1:
        raise ValueError(f"train_steps must be at least 1, got {config.train_steps}")
    if config.shift <= 0:
        raise ValueError(f"shift must be above 0, got {config.shift:g}")
    if config.shift != 1 and config.kind != "flow":
        raise ValueError(f"shift moves flow schedules only, not {config.kind}")
    if config.base_shift is not None and config.mu is None:
        raise ValueError("the shift of this table follows the size of the picture: say the size first")
    if config.zero_snr and config.kind == "flow":
        raise ValueError("a flow schedule ends in pure noise already: zero_snr is for the others")
    if not 0 < config.beta_start <= config.beta_end < 1:
        raise ValueError(f"betas need 0 < start <= end < 1, got {config.beta_start:g} and {config.beta_end:g}")


def _check_falling(name: str, values: Sequence[float]) -> None:
    if not values:
        raise ValueError(f"{name} is empty")
    for i, (high, low) in enumerate(pairwise(values), 1):
        if not low < high:
            raise ValueError(f"{name} must fall: number {i + 1} is {low:g} after {high:g}")
