"""Samplers that remember earlier steps, by diffusers' schedulers: ours says the levels, theirs does the arithmetic.

A scheduler of diffusers makes its own levels from its own table. Here it is given ours instead: as its sigmas, or, to
PNDM, as its whole table. It is told x0 or eps, so it never needs to know what the network predicts. The last step, to
the clean level, ends on x0 itself with all solvers but LMS and PNDM.
"""

import math
import warnings
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch

from diffusion.types import Level, Schedule
from diffusion.walk import Run, Walk, noise_of, rounded, slope

LEAST_FLOW_ALPHA = 1e-6
LEAST_ALPHA = 2.0**-12
"""What stands for alpha = 0, whose log signal-to-noise ratio no solver could step from; diffusers has the same two."""


def multistep(scheduler: str, **settings: object) -> Walk:
    """A walk by one of diffusers' solvers in log(alpha / sigma): DPM-Solver++, DEIS or UniPC, with its settings."""

    def walk(run: Run, x: torch.Tensor) -> torch.Tensor:
        schedule = run.schedule
        flow = schedule.kind == "flow"
        solver = _scheduler(scheduler, prediction_type="sample", use_flow_sigmas=flow, **settings)
        # Levels that were cut off are kept as places: some of these solvers take lower orders near the ends of the
        # whole schedule, and count from its start.
        total = max(schedule.total, schedule.first + schedule.steps)
        levels = [_finite(level, flow) for level in schedule.levels]
        before, behind = levels[:1] * schedule.first, [0.0] * (total - schedule.first - schedule.steps)
        solver.sigmas = torch.tensor(before + levels + behind)
        solver.timesteps, solver.num_inference_steps = torch.arange(total), total
        solver.set_begin_index(schedule.first)
        if hasattr(solver, "order_list"):
            solver.order_list = solver.get_order_list(total)
        fresh = settings.get("algorithm_type") == "sde-dpmsolver++"
        for i, (here, there) in enumerate(pairwise(schedule.levels)):
            x0, _ = run.denoise(x, told(here, schedule))
            if there.sigma == 0:
                moved = there.alpha * x0
            else:
                noise = {"variance_noise": run.streams.draw()} if fresh else {}
                with warnings.catch_warnings():
                    # DEIS takes logarithms of tensors with numpy, which numpy will not do for ever
                    warnings.simplefilter("ignore", DeprecationWarning)
                    moved = solver.step(x0, solver.timesteps[i], x, **noise)[0]
            x = run.after(i, moved, x0)
        return x

    return walk


def told(level: Level, schedule: Schedule) -> Level:
    """The level as these solvers have always told it to networks: its t is a whole number.

    Rounded for karras spacing, cut off for the others whose t falls between two levels of the table.
    """
    if schedule.kind == "flow":
        # sigma is a float32: a t that is whole but for its rounding must not lose one
        return replace(level, t=float(math.floor(_finite(level, True) * schedule.config.train_steps + 1e-4)))
    if schedule.spacing in ("exponential", "beta") or (schedule.spacing == "karras" and schedule.kind == "cosine"):
        return replace(level, t=float(math.floor(level.t)))
    return rounded(level, schedule)


def lms(run: Run, x: torch.Tensor) -> torch.Tensor:
    """Linear multistep: the slope is integrated along a cubic through its last four values."""
    solver = _scheduler("LMSDiscreteScheduler")
    flow = run.schedule.kind == "flow"
    solver.sigmas = [noise_of(level, flow) for level in run.schedule.levels]
    solver.timesteps, solver.is_scale_input_called = torch.arange(run.schedule.steps), True
    solver.set_begin_index(0)
    for i, (here, there) in enumerate(pairwise(run.schedule.levels)):
        x0, eps = run.denoise(x, here)
        # it works on y = x / alpha, where x0 holds noise of sigma / alpha; a flow's own x moves along the same law
        y = x if flow else x / here.alpha
        y = solver.step(slope(x0, eps, flow), solver.timesteps[i], y)[0]
        x = run.after(i, y if flow else there.alpha * y, x0)
    return x


def pndm(run: Run, x: torch.Tensor) -> torch.Tensor:
    """Pseudo linear multistep: the DDIM step with eps drawn on along a cubic through its last four values.

    The second level is looked at twice, so n steps ask the model n + 1 times.
    """
    levels = run.schedule.levels
    steps = len(levels) - 1
    solver = _scheduler("PNDMScheduler", num_train_timesteps=steps, skip_prk_steps=True)
    # its table: level i of ours is its timestep steps - 1 - i, so each step goes from one timestep to the one before
    solver.alphas_cumprod = torch.tensor([level.alpha**2 for level in reversed(levels[:-1])])
    solver.final_alpha_cumprod = torch.tensor(levels[-1].alpha ** 2)
    solver.num_inference_steps = steps
    for i, here in enumerate(levels[:-1]):
        at = steps - 1 - i
        x0, eps = run.denoise(x, here)
        moved = solver.step_plms(eps, at, x)[0]
        if i == 0 and steps > 1:
            _, eps = run.denoise(run.keep(0, moved), levels[1])
            moved = solver.step_plms(eps, at - 1, moved)[0]
        x = run.after(i, moved, x0)
    return x


def _finite(level: Level, flow: bool) -> float:
    if flow:
        return min(level.sigma, 1 - LEAST_FLOW_ALPHA)
    return level.sigma / max(level.alpha, LEAST_ALPHA)


def _scheduler(name: str, **settings: object) -> Any:
    import diffusers

    with warnings.catch_warnings():
        # some make their own table at once, with numpy's older ways
        warnings.simplefilter("ignore", DeprecationWarning)
        return getattr(diffusers, name)(**settings)
