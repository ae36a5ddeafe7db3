"""What a sampler walks along, and the two coordinates that solvers of the probability-flow ODE know.

Such a solver moves y with dy/ds = slope. Karras et al. 2022: y = x / alpha, s = sigma / alpha, and the slope is eps.
For a flow, x itself moves with s = sigma, and the slope is eps - x0. Either way y = x0 + s slope.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from diffusion.guidance import Denoiser
from diffusion.noise import Streams
from diffusion.types import Level, Schedule


@dataclass(frozen=True, eq=False)
class Run:
    """One way down a schedule.

    eta: the share of fresh noise. keep(i, x): x as it is at the end of step i (from 0), with what a mask keeps put
    back, for a walk that looks there before it steps. after(i, x, x0): called with the new x after step i; gives back
    the x to go on with.
    """

    denoise: Denoiser
    schedule: Schedule
    streams: Streams
    eta: float
    keep: Callable[[int, torch.Tensor], torch.Tensor]
    after: Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor]


Walk = Callable[[Run, torch.Tensor], torch.Tensor]
"""A sampler: x (B, C, H, W) at the first level of a run, to x at its last."""


def noise_of(level: Level, flow: bool) -> float:
    """s of a level: sigma / alpha, or sigma for a flow. ZeroDivisionError for noise alone that is not a flow's."""
    return level.sigma / (1.0 if flow else level.alpha)


def rounded(level: Level, schedule: Schedule) -> Level:
    """The level with a whole t where the spacing is karras: so some of diffusers' solvers tell it to networks."""
    return replace(level, t=float(round(level.t))) if schedule.spacing == "karras" else level


def slope(x0: torch.Tensor, eps: torch.Tensor, flow: bool) -> torch.Tensor:
    """dy/ds from what a denoiser says, (B, C, H, W)."""
    return eps - x0 if flow else eps


def moved(x: torch.Tensor, slope: torch.Tensor, here: Level, there: Level, flow: bool) -> torch.Tensor:
    """x (B, C, H, W) at the level there, reached from the level here along a straight line of that slope."""
    # y' = y + (s' - s) dy/ds
    if flow:
        return x + (there.sigma - here.sigma) * slope
    return there.alpha * (x / here.alpha + (noise_of(there, flow) - noise_of(here, flow)) * slope)
