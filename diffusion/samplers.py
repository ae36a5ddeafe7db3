"""Sampling: from noise to a picture, one step of a schedule at a time.

A sampler is one plain function `walk(run, x) -> x` over all the steps of a run; `KINDS` names them. Adding one is
writing such a function and a line in that table.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from diffusion.forward import noised
from diffusion.guidance import Denoiser
from diffusion.noise import Streams
from diffusion.step import fresh_noise, step
from diffusion.types import Latent, Level, Noise, Sampler, Schedule

OnStep = Callable[[int, int, torch.Tensor], None]
"""Told after each step: steps done (from 1), steps in all, x0 as it looks now (B, C, H, W). It may raise to stop."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a sampler walks along.

    eta: the share of fresh noise. after(i, x, x0): called with the new x after step i (from 0); gives back the x to
    go on with.
    """

    denoise: Denoiser
    levels: Sequence[Level]
    streams: Streams
    eta: float
    after: Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor]


Walk = Callable[[Run, torch.Tensor], torch.Tensor]


def first_order(run: Run, x: torch.Tensor) -> torch.Tensor:
    """The one step law of `diffusion.step`, over and over: DDPM, DDIM, Euler, Euler ancestral and flow Euler."""
    for i, (here, there) in enumerate(pairwise(run.levels)):
        x0, eps = run.denoise(x, here)
        z = run.streams.draw() if fresh_noise(here, there, run.eta) > 0 else None
        x = run.after(i, step(x0, eps, here, there, run.eta, z), x0)
    return x


def heun(run: Run, x: torch.Tensor) -> torch.Tensor:
    """Heun's method on the probability-flow ODE: a trial step, then one with the mean of both slopes.

    Karras et al. 2022 (algorithm 1) solve for x / alpha, whose slope is eps. Solved here for y = x / sigma over
    r = alpha / sigma, whose slope is x0: dy/dr = x0. It is the same ODE, and stays finite where alpha is 0.
    The last step is first order.
    """
    for i, (here, there) in enumerate(pairwise(run.levels)):
        x0, eps = run.denoise(x, here)
        moved = step(x0, eps, here, there)
        if there.sigma > 0:
            after, _ = run.denoise(moved, there)
            # y' = y + (r' - r) (x0 + x0_trial) / 2, times sigma'
            ratio = there.sigma / here.sigma
            moved = ratio * x + (there.alpha - ratio * here.alpha) * 0.5 * (x0 + after)
        x = run.after(i, moved, x0)
    return x


def dpmpp_2m(run: Run, x: torch.Tensor) -> torch.Tensor:
    """DPM-Solver++(2M): the first-order step with x0 drawn on along its last change (Lu et al. 2022, algorithm 2).

    lambda = log(alpha / sigma) is the time in which x0 changes evenly. The first and the last step are first order.
    """
    last_x0, last_h = x, math.inf
    for i, (here, there) in enumerate(pairwise(run.levels)):
        x0, eps = run.denoise(x, here)
        h = _log_snr(there) - _log_snr(here)
        ahead = x0
        if math.isfinite(h) and math.isfinite(last_h):
            # D = x0 + (h / (2 h_last)) (x0 - x0_last),   and the noise that goes with it
            ahead = x0 + (h / (2 * last_h)) * (x0 - last_x0)
            eps = (x - here.alpha * ahead) / here.sigma
        x = run.after(i, step(ahead, eps, here, there), x0)
        last_x0, last_h = x0, h
    return x


@dataclass(frozen=True)
class Kind:
    """One sampler: its walk, and the eta it is defined by; random: eta may be chosen.

    unit: pure noise begins with deviation 1, as in Ho et al. 2020, rather than with the first level's sigma.
    flow: it is for flow schedules only.
    """

    walk: Walk
    eta: float = 0.0
    random: bool = False
    unit: bool = False
    flow: bool = False


KINDS: dict[str, Kind] = {
    "ddpm": Kind(first_order, eta=1.0, random=True, unit=True),
    "ddim": Kind(first_order, eta=0.0, random=True, unit=True),
    "euler": Kind(first_order),
    "euler_ancestral": Kind(first_order, eta=1.0, random=True),
    "flow_euler": Kind(first_order, flow=True),
    "heun": Kind(heun),
    "dpmpp_2m": Kind(dpmpp_2m),
}


def kind_of(sampler: Sampler, schedule: Schedule) -> tuple[Kind, float]:
    """The sampler's entry in `KINDS` and its eta. ValueError if there is none, or it does not take eta or schedule."""
    kind = KINDS.get(sampler.kind)
    if kind is None:
        raise ValueError(f'unknown sampler "{sampler.kind}"; known: {", ".join(KINDS)}')
    if kind.flow and schedule.kind != "flow":
        others = ", ".join(name for name, k in KINDS.items() if not k.flow)
        raise ValueError(
            f'sampler "{sampler.kind}" needs a flow schedule, not {schedule.kind}; this one takes {others}'
        )
    eta = kind.eta if sampler.eta is None else sampler.eta
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in 0 … 1, got {eta:g}")
    if eta > 0 and not kind.random:
        those = ", ".join(name for name, k in KINDS.items() if k.random)
        raise ValueError(f'sampler "{sampler.kind}" draws no noise and takes no eta; those that do: {those}')
    return kind, eta


@torch.no_grad()
def sample(
    denoise: Denoiser,
    schedule: Schedule,
    sampler: Sampler,
    noise: Noise | Sequence[Noise],
    latent: Latent,
    on_step: OnStep | None = None,
) -> Latent:
    """Walk a latent down a schedule. The result is clean, or noisy at the last level where the end was cut off.

    noise: one source, or one for each of several equal parts of the batch.
    Raises ValueError for a sampler that does not fit, an empty latent and a schedule without its start, a noisy latent
    at another level than the schedule's first, and a mask on a latent that is not clean.
    """
    kind, eta = kind_of(sampler, schedule)
    samples, levels, first = latent.samples, schedule.levels, schedule.levels[0]
    streams = Streams(noise, samples.shape, samples.device)
    _check(latent, schedule)
    if latent.state == "noisy":
        # what the earlier part of a cut schedule drew is passed over, so that the parts together are the whole
        drawn, x = None, samples
        for _ in range(schedule.first + 1 if eta > 0 else 0):
            streams.draw()
    else:
        drawn = streams.initial()
        deviation = 1.0 if kind.unit or schedule.spacing == "leading" else first.sigma
        x = deviation * drawn if latent.state == "empty" else noised(samples, drawn, first.alpha, first.sigma)

    def after(i: int, x: torch.Tensor, x0: torch.Tensor) -> torch.Tensor:
        if latent.mask is not None and drawn is not None:
            # outside the mask the picture stays what it was, at the noise of the level just reached
            kept = noised(samples, drawn, levels[i + 1].alpha, levels[i + 1].sigma)
            x = latent.mask * x + (1 - latent.mask) * kept
        if on_step is not None:
            on_step(i + 1, schedule.steps, x0)
        return x

    x = kind.walk(Run(denoise, levels, streams, eta, after), x)
    if schedule.ends_clean:
        return replace(latent, samples=x, state="clean", level=None, mask=None)
    return replace(latent, samples=x, state="noisy", level=levels[-1], mask=None)


def _check(latent: Latent, schedule: Schedule) -> None:
    if latent.state == "empty" and not schedule.starts_whole:
        raise ValueError("an empty latent is pure noise and needs the start of the schedule, which was cut off")
    if latent.mask is not None and latent.state != "clean":
        raise ValueError(f"a mask keeps part of a clean latent; this one is {latent.state}")
    if latent.state == "noisy":
        here, first = latent.level, schedule.levels[0]
        if here is None or abs(here.alpha - first.alpha) > 1e-5 or abs(here.sigma - first.sigma) > 1e-5 * first.sigma:
            at = "an unknown level" if here is None else f"t = {here.t:g} (sigma {here.sigma:.4g})"
            raise ValueError(
                f"the latent was left at {at}, and the schedule goes on from t = {first.t:g} (sigma {first.sigma:.4g})"
            )


def _log_snr(level: Level) -> float:
    # lambda = log(alpha / sigma)
    if level.alpha == 0:
        return -math.inf
    return math.log(level.alpha / level.sigma) if level.sigma > 0 else math.inf
