"""Which timesteps of a table of T levels n steps visit, and where the spacings by noise put them.

Samplers grew up apart, and what is called by one name is not the same everywhere. With r = T // n and an offset o:

    placing   leading                        linspace                             trailing
    even      o, o + r, …, o + (n - 1) r     0 … T - 1 in n - 1 equal parts       T - 1, T - 1 - T / n, …
    whole     the same                       the same, rounded                    the same
    ahead     o + r', …, o + n r'            0 … T - 1 in n parts, rounded,       the same
              r' = T // (n + 1)              without 0

    lcm       every k-th of the T levels are the m that it was distilled on, k = T // m; n of these, evenly

    On a flow     sigma, before it is shifted
    even          1 … 1 / T in n - 1 equal parts (linspace), or 1 … 1 / n (leading, trailing)
    ahead         1 - 1 / T … 0 in n equal parts, without 0
    behind        1 … 1 / T in n equal parts, without 1 / T

Those whose names begin with comfy_ are ComfyUI's (`diffusion.comfy_spacing`).

karras, exponential and beta run between two ends: those of an even spacing, or of the whole table (which is linspace).
`placed` gives a table the placing that diffusers' own scheduler of a sampler has, so that pictures match.

Lin et al. 2023, table 2 (leading, linspace, trailing); Karras et al. 2022, equation 5; Lee et al. 2024 (beta);
Luo et al. 2023 (lcm).
"""

import math
from dataclasses import replace

import numpy as np

from diffusion.kinds import COMFY, KINDS
from diffusion.types import ScheduleConfig

SPREAD = ("karras", "exponential", "beta")
EVEN = ("leading", "trailing", "linspace")
SPACINGS = (*EVEN, "lcm", *SPREAD, *COMFY)
COMFY_LEAVES_OUT = ("dpm2", "dpm2_ancestral", "unipc")
"""Samplers for which ComfyUI makes a level more and leaves out the last but one."""
ON_A_FLOW = {
    **dict.fromkeys(("dpmpp_2s", "dpmpp_2m", "dpmpp_3m", "dpmpp_2m_sde", "deis"), "ahead"),
    "unipc": "behind",
}
"""The samplers whose schedulers in diffusers do not place the levels of a flow evenly, and how they do."""


def placed(config: ScheduleConfig, sampler: str, spacing: str | None = None) -> ScheduleConfig:
    """The table, with levels where diffusers' scheduler of this sampler puts them.

    spacing: what to take whatever the model says. A spacing that its file does not state is that of the scheduler.
    ValueError for an unknown sampler.
    """
    kind = KINDS.get(sampler)
    if kind is None:
        raise ValueError(f'unknown sampler "{sampler}"; known: {", ".join(KINDS)}')
    if spacing in COMFY:
        return replace(config, spacing=spacing, placing="penultimate" if sampler in COMFY_LEAVES_OUT else "even")
    if config.kind == "flow":
        if spacing or config.spacing in SPREAD:
            return replace(config, spacing=spacing or config.spacing)
        return replace(config, placing=ON_A_FLOW.get(sampler, "even"))
    by_noise = config.spacing in SPREAD
    even = config.even if by_noise else config.spacing
    if kind.own_spacing or not config.states_spacing or even not in EVEN:
        even = kind.spacing
    spacing = spacing or (config.spacing if by_noise else even)
    if spacing in SPREAD:
        # the solvers that place ahead take the ends of the whole table
        return replace(config, spacing=spacing, even=even if kind.placing != "ahead" and even in EVEN else "linspace")
    return replace(config, spacing=spacing, placing=kind.placing)


def times(config: ScheduleConfig, steps: int) -> np.ndarray:
    """The timesteps of a spacing by time, falling: (steps,). ValueError for more than the spacing has."""
    count, spacing, ahead = config.train_steps, config.spacing, config.placing == "ahead"
    t: np.ndarray
    if spacing == "lcm":
        # t = k m - 1, …, 2 k - 1, k - 1, and of these the ones at 0, m / n, 2 m / n, … rounded down
        if steps > config.distilled_steps:
            raise ValueError(f"lcm spacing has {config.distilled_steps} timesteps, which is less than {steps} steps")
        distilled = np.arange(config.distilled_steps, 0, -1) * (count // config.distilled_steps) - 1
        t = distilled[np.floor(np.linspace(0, config.distilled_steps, steps, endpoint=False)).astype(int)]
    elif spacing == "trailing":
        # t = T - 1, T - 1 - T / n, ...: begins at pure noise
        t = np.round(np.arange(count, 0, -count / steps)) - 1
    elif spacing == "leading":
        # t = ..., 2 r, r, 0 with r = T // n, plus an offset: ends at the least noise
        parts = steps + 1 if ahead else steps
        t = np.arange(parts)[::-1] * (count // parts) + config.steps_offset
        t = np.minimum(t, count - 1)
    else:
        # t = T - 1, ..., 0 in equal steps; fractions are kept where they are even
        t = np.linspace(0, count - 1, steps + 1 if ahead else steps)[::-1]
        t = t if len(t) > 1 else np.array([count - 1.0])
        t = t if config.placing == "even" else np.round(t)
    return t[:steps]


def spread(least: float, most: float, spacing: str, steps: int) -> list[float]:
    """Noises from most to least, spaced as karras, exponential or beta says. ValueError if the most is infinite."""
    if not math.isfinite(most):
        raise ValueError(
            f"{spacing} spacing needs a largest sigma / alpha, which a zero-SNR table has not: use trailing"
        )
    ramp = np.linspace(0, 1, steps)
    if spacing == "karras":
        # s = (s_max^(1/7) + u (s_min^(1/7) - s_max^(1/7)))^7
        return list((most ** (1 / 7) + ramp * (least ** (1 / 7) - most ** (1 / 7))) ** 7)
    if spacing == "exponential":
        # log s in equal steps
        return list(np.exp(np.linspace(math.log(most), math.log(least), steps)))
    from scipy.stats import beta  # type: ignore[import-untyped]  # only this spacing needs it, and it is slow to import

    # s = s_min + (s_max - s_min) F^-1(1 - u), F the Beta(0.6, 0.6) distribution: dense at both ends (Lee et al. 2024)
    return list(least + (most - least) * beta.ppf(1 - ramp, 0.6, 0.6))
