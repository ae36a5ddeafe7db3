"""Sampling: from noise to a picture, one step of a schedule at a time.

A sampler is one plain function `walk(run, x) -> x` over all the steps of a run. Adding one is writing such a function,
a line in `WALKS`, and one in `diffusion.kinds` that says what it takes. Those that remember no earlier step are here;
those that do are diffusers' own (`diffusion.borrowed`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import torch

from diffusion.borrowed import lms, multistep, pndm
from diffusion.forward import noised
from diffusion.guidance import Denoiser
from diffusion.kinds import COMFY, Kind, kind_of
from diffusion.noise import Streams
from diffusion.schedule import level_of, table
from diffusion.spacing import SPREAD
from diffusion.step import fresh_noise, step
from diffusion.types import Latent, Noise, Sampler, Schedule
from diffusion.walk import Run, Walk, moved, noise_of, rounded, slope

OnStep = Callable[[int, int, torch.Tensor], None]
"""Told after each step: steps done (from 1), steps in all, x0 as it looks now (B, C, H, W). It may raise to stop."""


def first_order(run: Run, x: torch.Tensor) -> torch.Tensor:
    """The one step law of `diffusion.step`, over and over: DDPM, DDIM, Euler, Euler ancestral and flow Euler."""
    for i, (here, there) in enumerate(pairwise(run.schedule.levels)):
        x0, eps = run.denoise(x, here)
        z = run.streams.draw() if fresh_noise(here, there, run.eta) > 0 else None
        x = run.after(i, step(x0, eps, here, there, run.eta, z), x0)
    return x


def heun(run: Run, x: torch.Tensor) -> torch.Tensor:
    """Heun's method: a trial step, then one with the mean of the slopes at both ends (Karras et al. 2022, algorithm 1).

    The last step, to the clean level, is first order.
    """
    flow = run.schedule.kind == "flow"
    for i, (here, there) in enumerate(pairwise(run.schedule.levels)):
        x0, eps = run.denoise(x, here)
        first = slope(x0, eps, flow)
        after = step(x0, eps, here, there)
        if there.sigma > 0:
            after = run.keep(i, after)
            second = slope(*run.denoise(after, there), flow)
            after = moved(x, 0.5 * (first + second), here, there, flow)
        x = run.after(i, after, x0)
    return x


def dpm2(run: Run, x: torch.Tensor) -> torch.Tensor:
    """DPM-Solver-2: a trial step to the middle, then the whole step with the slope found there (Lu et al. 2022a).

    The middle lies at sqrt(s s'), half-way in log s. The last step is first order.
    """
    flow, levels = run.schedule.kind == "flow", table(run.schedule.config)
    for i, (here, there) in enumerate(pairwise(run.schedule.levels)):
        x0, eps = run.denoise(x, rounded(here, run.schedule))
        after = step(x0, eps, here, there)
        if there.sigma > 0:
            middle = level_of(levels, math.sqrt(noise_of(here, flow) * noise_of(there, flow)))
            trial = moved(x, slope(x0, eps, flow), here, middle, flow)
            after = moved(x, slope(*run.denoise(trial, middle), flow), here, there, flow)
        x = run.after(i, after, x0)
    return x


def dpm2_ancestral(run: Run, x: torch.Tensor) -> torch.Tensor:
    """DPM-Solver-2 to a level cleaner than the next one, and fresh noise on top that makes up for it.

    With n of `diffusion.step` for eta = 1 and u = n / alpha', the ODE is solved down to s_d = sqrt(s'^2 - u^2). That is
    s'^2 / s, so its middle sqrt(s s_d) is s' itself.
    """
    levels = table(run.schedule.config)
    for i, (here, there) in enumerate(pairwise(run.schedule.levels)):
        x0, eps = run.denoise(x, rounded(here, run.schedule))
        after = step(x0, eps, here, there)
        if there.sigma > 0:
            s, s_there = noise_of(here, False), noise_of(there, False)
            _, eps = run.denoise(after, replace(there, t=level_of(levels, s_there).t))
            # x' = alpha' (x / alpha + (s'^2 / s - s) eps) + n z
            n = fresh_noise(here, there, run.eta)
            after = there.alpha * (x / here.alpha + (s_there**2 / s - s) * eps) + n * run.streams.draw()
        x = run.after(i, after, x0)
    return x


def dpmpp_sde(run: Run, x: torch.Tensor) -> torch.Tensor:
    """DPM-Solver++ for the SDE: the step with fresh noise, with the x0 seen in the middle (Lu et al. 2022b).

    Both of its noises lie on one Brownian path over s, drawn piece by piece: to the middle, and from there on.
    """
    levels = table(run.schedule.config)
    for i, (here, there) in enumerate(pairwise(run.schedule.levels)):
        x0, eps = run.denoise(x, here)
        after = step(x0, eps, here, there)
        if there.sigma > 0:
            s, s_there = noise_of(here, False), noise_of(there, False)
            s_middle = math.sqrt(s * s_there)
            middle = level_of(levels, s_middle)
            z = run.streams.draw()
            ahead, _ = run.denoise(step(x0, eps, here, middle, run.eta, z), middle)
            # z' = (sqrt(s - s_m) z + sqrt(s_m - s') z_2) / sqrt(s - s')
            both = math.sqrt(s - s_middle) * z + math.sqrt(s_middle - s_there) * run.streams.draw()
            eps = (x - here.alpha * ahead) / here.sigma
            after = step(ahead, eps, here, there, run.eta, both / math.sqrt(s - s_there))
        x = run.after(i, after, x0)
    return x


def lcm(run: Run, x: torch.Tensor) -> torch.Tensor:
    """Consistency sampling: straight to the data, then back to the next level with fresh noise (Luo et al. 2023).

    What is taken for the data is c_skip x + c_out x0, which is x itself at t = 0. A flow takes x0.
    """
    flow = run.schedule.kind == "flow"
    for i, (here, there) in enumerate(pairwise(run.schedule.levels)):
        x0, _ = run.denoise(x, here)
        # c_skip = 0.5^2 / (u^2 + 0.5^2),  c_out = u / sqrt(u^2 + 0.5^2)  with u = 10 t
        u2 = 100 * here.t**2
        data = x0 if flow else math.sqrt(u2 / (u2 + 0.25)) * x0 + 0.25 / (u2 + 0.25) * x
        after = there.alpha * data
        if there.sigma > 0:
            after = after + there.sigma * run.streams.draw()
        x = run.after(i, after, x0)
    return x


WALKS: dict[str, Walk] = {
    "ddpm": first_order,
    "ddim": first_order,
    "euler": first_order,
    "euler_ancestral": first_order,
    "flow_euler": first_order,
    "heun": heun,
    "dpm2": dpm2,
    "dpm2_ancestral": dpm2_ancestral,
    "lms": lms,
    "dpmpp_2s": multistep("DPMSolverSinglestepScheduler", solver_order=2, lower_order_final=True),
    "dpmpp_2m": multistep("DPMSolverMultistepScheduler", solver_order=2),
    "dpmpp_3m": multistep("DPMSolverMultistepScheduler", solver_order=3),
    "dpmpp_sde": dpmpp_sde,
    "dpmpp_2m_sde": multistep("DPMSolverMultistepScheduler", solver_order=2, algorithm_type="sde-dpmsolver++"),
    "deis": multistep("DEISMultistepScheduler", solver_order=2),
    "unipc": multistep("UniPCMultistepScheduler", solver_order=2),
    "pndm": pndm,
    "lcm": lcm,
}


@torch.no_grad()
def sample(
    denoise: Denoiser,
    schedule: Schedule,
    sampler: Sampler,
    noise: Noise | Sequence[Noise],
    latent: Latent,
    on_step: OnStep | None = None,
) -> Latent:
    """Walk a latent down a schedule. The result is clean, or noisy at the last level where the end was cut off; then it
    takes its mask along, and what is kept outside of it.

    noise: one source, or one for each of several equal parts of the batch.
    Raises ValueError for a sampler that does not fit, an empty latent and a schedule without its start, a noisy latent
    at another level than the schedule's first, and a mask on a latent of which nothing is known that could be kept.
    """
    kind, eta = kind_of(sampler, schedule)
    samples, levels, first = latent.samples, schedule.levels, schedule.levels[0]
    streams = Streams(noise, samples.shape, samples.device)
    _check(latent, schedule)
    original, drawn = latent.original, streams.initial()
    if latent.state == "noisy":
        # what the earlier part of a cut schedule drew is passed over, so that the parts together are the whole
        x = samples
        for _ in range(schedule.first * kind.draws if eta > 0 else 0):
            streams.draw()
    else:
        deviation = 1.0 if _starts_with_unit(kind, schedule) else first.sigma
        # a part that is painted anew on the whole schedule has nothing to do with what was there
        alone = latent.state == "empty" or (latent.mask is not None and schedule.starts_whole)
        x = deviation * drawn if alone else noised(samples, drawn, first.alpha, first.sigma)
    last = schedule.total - schedule.first - 1

    def keep(i: int, x: torch.Tensor) -> torch.Tensor:
        if latent.mask is None or original is None:
            return x
        # outside the mask the picture stays what it was, at the noise of the level just reached
        kept = original if i == last else noised(original, drawn, levels[i + 1].alpha, levels[i + 1].sigma)
        return latent.mask * x + (1 - latent.mask) * kept

    def after(i: int, x: torch.Tensor, x0: torch.Tensor) -> torch.Tensor:
        x = keep(i, x)
        if on_step is not None:
            on_step(i + 1, schedule.steps, x0)
        return x

    x = WALKS[sampler.kind](Run(denoise, schedule, streams, eta, keep, after), x)
    if schedule.ends_clean:
        return replace(latent, samples=x, state="clean", level=None, mask=None, kept=None)
    return replace(latent, samples=x, state="noisy", level=levels[-1], kept=original)


def _starts_with_unit(kind: Kind, schedule: Schedule) -> bool:
    """Whether pure noise begins with deviation 1, rather than with the first level's sigma."""
    if schedule.spacing in COMFY:
        return schedule.levels[0].sigma >= float(table(schedule.config).sigma[-1]) * (1 - 1e-7)
    spacing = schedule.config.even if schedule.spacing in SPREAD else schedule.spacing
    return kind.unit or spacing == "leading"


def _check(latent: Latent, schedule: Schedule) -> None:
    if latent.state == "empty" and not schedule.starts_whole:
        raise ValueError("an empty latent is pure noise and needs the start of the schedule, which was cut off")
    if latent.mask is not None and latent.original is None:
        raise ValueError(f"a mask keeps part of a clean latent; this one is {latent.state}")
    if latent.state == "noisy":
        here, first = latent.level, schedule.levels[0]
        if here is None or abs(here.alpha - first.alpha) > 1e-5 or abs(here.sigma - first.sigma) > 1e-5 * first.sigma:
            at = "an unknown level" if here is None else f"t = {here.t:g} (sigma {here.sigma:.4g})"
            raise ValueError(
                f"the latent was left at {at}, and the schedule goes on from t = {first.t:g} (sigma {first.sigma:.4g})"
            )
