"""The levels that ComfyUI's schedulers visit, so that an imported graph walks the same ones.

With the noise s of a table of T levels (sigma / alpha; sigma for flow), clean to noisy, and n steps:

    comfy_normal             n timesteps from the noisiest to the cleanest in equal parts
    comfy_sgm_uniform        n + 1 of these, without the last
    comfy_simple             s at T - 1 - int(i T / n)
    comfy_ddim_uniform       s at 1, 1 + r, 1 + 2 r, … with r = T // n: often a step more or less than n
    comfy_beta               s at (T - 1) F^-1(1 - i / n), rounded; F the Beta(0.6, 0.6) distribution
    comfy_karras             (s_max^(1/7) + u (s_min^(1/7) - s_max^(1/7)))^7
    comfy_exponential        log s in equal parts
    comfy_kl_optimal         tan(u atan(s_min) + (1 - u) atan(s_max))
    comfy_linear_quadratic   1 - s first rises linearly to 0.025, then as a square to 1; times s_max

A fractional timestep lies between two levels on the scale of log s. Networks that are told a timestep of a table are
told the nearest whole one. A flow whose shift follows the size of the picture has 10,000 levels, others 1,000; where
nobody says the size, its logarithm is max_shift, as for a picture of 1024 x 1024.

Karras et al. 2022, equation 5; Lee et al. 2024 (beta); Sabour et al. 2024 (kl_optimal). What ComfyUI does with these
was read from its code, version 0.3.64.
"""

import math

import numpy as np

from diffusion.spacing import spread
from diffusion.types import Level, ScheduleConfig

PREFIX = "comfy_"
SIZED_LEVELS = 10_000
"""Levels of a flow's table where the shift follows the size of the picture."""


def levels(config: ScheduleConfig, noise: np.ndarray, steps: int) -> list[Level]:
    """The levels of a schedule, noisy to clean, without the clean one.

    noise: (T,), the noise of every level of the model's own table, clean to noisy.
    Raises ValueError for more steps than the table has levels, and as `diffusion.spacing.spread` does.
    """
    flow = config.kind == "flow"
    if flow and config.mu is not None:
        noise = _shifted(np.arange(1, SIZED_LEVELS + 1) / SIZED_LEVELS, math.exp(config.mu))
    # one level more, of which the last but one is left out
    steps = steps + 1 if config.placing == "penultimate" else steps
    found = _noises(config, noise.astype(np.float64), steps)
    if config.placing == "penultimate":
        found = found[:-1]
    if flow:
        return [Level(s * config.train_steps, 1 - s, s) for s in found]
    logs = np.log(noise.astype(np.float64))
    return [_level(s, float(np.abs(math.log(s) - logs).argmin())) for s in found]


def _noises(config: ScheduleConfig, noise: np.ndarray, steps: int) -> list[float]:
    scheduler, total = config.spacing.removeprefix(PREFIX), len(noise)
    if not 1 <= steps <= total:
        raise ValueError(f"steps must lie in 1 … {total}, got {steps}")
    least, most = float(noise[0]), float(noise[-1])
    if scheduler in ("karras", "exponential"):
        return [float(s) for s in spread(least, most, scheduler, steps)]
    if scheduler == "kl_optimal":
        u = np.linspace(0, 1, steps)
        return [float(s) for s in np.tan(u * math.atan(least) + (1 - u) * math.atan(most))]
    if scheduler == "linear_quadratic":
        return [most * s for s in _linear_quadratic(steps)]
    if scheduler in ("normal", "sgm_uniform"):
        first, last = (total - 1.0, 0.0) if config.kind != "flow" else (most, least)
        parts = steps if scheduler == "normal" else steps + 1
        times = np.linspace(first, last, parts)[:steps]
        return [_at(config, noise, float(t)) for t in times]
    if scheduler == "simple":
        return [float(noise[total - 1 - int(i * (total / steps))]) for i in range(steps)]
    if scheduler == "ddim_uniform":
        return [float(noise[i]) for i in range(1, total, max(total // steps, 1))][::-1]
    from scipy.stats import beta  # type: ignore[import-untyped]  # only this scheduler needs it

    u = 1 - np.linspace(0, 1, steps, endpoint=False)
    places = np.rint(beta.ppf(u, 0.6, 0.6) * (total - 1)).astype(int)
    # two that fall on one level are one step
    return [float(noise[i]) for i in dict.fromkeys(places.tolist())]


def _at(config: ScheduleConfig, noise: np.ndarray, t: float) -> float:
    """The noise of a timestep; for a flow t is in 0 … 1, and is shifted."""
    if config.kind == "flow":
        return float(_shifted(np.array(t), config.shift if config.mu is None else math.exp(config.mu)))
    return float(np.exp(np.interp(t, np.arange(len(noise)), np.log(noise))))


def _linear_quadratic(steps: int, threshold: float = 0.025) -> list[float]:
    """1 - i threshold / k for the first k = n // 2 steps, then 1 - (a i^2 + b i + c), smooth where they meet."""
    if steps == 1:
        return [1.0]
    k = steps // 2
    rest, over = steps - k, k - threshold * steps
    a = over / (k * rest**2)
    b = threshold / k - 2 * over / rest**2
    straight = [1 - i * threshold / k for i in range(k)]
    return straight + [1 - (a * i**2 + b * i + a * k**2) for i in range(k, steps)]


def _shifted(sigma: np.ndarray, shift: float) -> np.ndarray:
    # sigma' = shift sigma / (1 + (shift - 1) sigma)
    return shift * sigma / (1 + (shift - 1) * sigma)


def _level(noise: float, t: float) -> Level:
    # alpha^2 + sigma^2 = 1 and s = sigma / alpha give alpha = 1 / sqrt(1 + s^2)
    if math.isinf(noise):
        return Level(t, 0.0, 1.0)
    alpha = 1 / math.sqrt(1 + noise**2)
    return Level(t, alpha, noise * alpha)
