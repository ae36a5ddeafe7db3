"""Noise schedules: which noise levels a sampler visits."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from diffusion.recipes import ModelRecipe
from diffusion.types import Sampler, ScheduleConfig
from engine.context import Context
from engine.node import Input, Node
from nodes.sockets import Model, Schedule

Kind = Literal["model", "linear", "scaled_linear", "cosine", "flow"]
Spacing = Literal[
    "model", "leading", "trailing", "linspace", "lcm", "karras", "exponential", "beta", "comfy_normal", "comfy_simple",
    "comfy_sgm_uniform", "comfy_ddim_uniform", "comfy_beta", "comfy_karras", "comfy_exponential", "comfy_kl_optimal",
    "comfy_linear_quadratic",
]  # fmt: skip


class NoiseSchedule(Node):
    """The noise levels (t, alpha, sigma) from noisy to clean, of x_t = alpha x0 + sigma eps.

    alpha = sqrt(alpha_bar) and sigma = sqrt(1 - alpha_bar), where alpha_bar is the product of 1 - beta:
    linear         beta runs evenly from 1e-4 to 0.02 (Ho et al. 2020)
    scaled_linear  sqrt(beta) runs evenly (Rombach et al. 2022)
    cosine         alpha_bar = cos^2 of a quarter turn (Nichol & Dhariwal 2021)
    flow           alpha = 1 - t, sigma = t (Lipman et al. 2023), moved towards noise (Esser et al. 2024):
                   sigma' = shift sigma / (1 + (shift - 1) sigma)
    Where a flow model says that its shift follows the size of the picture (Flux dev), shift = e^mu with
    mu = base_shift + (max_shift - base_shift) (tokens - 256) / (4096 - 256), tokens = (width / 16) (height / 16).

    Told the sampler, it puts the levels where diffusers' own scheduler for it does: DPM-Solver++, DEIS and UniPC divide
    the table into one part more than Euler and DDIM do, and each scheduler has a spacing of its own for a model that
    names none. Without it all samplers walk the same levels.

    Spacings that begin with comfy_ are ComfyUI's schedulers, to the level. Told the sampler, they leave out a level for
    dpm2, dpm2_ancestral and unipc, as its KSampler does. A shift that follows the size takes that of width and height
    if they are given, and else that of 1024 x 1024.
    """

    version = 1
    model: Model | None = Input(None, about="whose own table and spacing to use where kind and spacing say model")
    sampler: Sampler | None = Input(None, about="what will walk these levels: they are placed as is usual for it")
    kind: Kind = Input("model", about="the noise table")
    steps: int = Input(50, ge=1, le=10000, about="how many steps a sampler takes")
    train_steps: int = Input(1000, ge=2, le=10000, about="levels in the table; a model brings its own")
    spacing: Spacing = Input("model", about="how the levels are chosen from the table")
    shift: float | None = Input(
        None, ge=0.01, le=100.0, about="moves a flow schedule towards noise; default: the model's"
    )
    width: int | None = Input(
        None, ge=16, le=16384, about="of the picture, for a shift that follows it; default: the model's"
    )
    height: int | None = Input(
        None, ge=16, le=16384, about="of the picture, for a shift that follows it; default: the model's"
    )
    zero_snr: bool = Input(False, about="rescale so that the first level is pure noise (Lin et al. 2023)")
    timesteps: list[float] | None = Input(None, about="the timesteps outright, falling; steps is then not used")
    sigmas: list[float] | None = Input(None, about="sigma / alpha of each level outright, falling")

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The kind of the noise table."""
        kind, model = known.get("kind"), known.get("model", ...)
        if kind == "model" and model is None:
            return {"schedule": ScheduleConfig().kind}
        if kind == "model":
            return {"schedule": model.schedule.kind} if isinstance(model, ModelRecipe) else {}
        return {"schedule": kind} if kind else {}

    def run(self, ctx: Context) -> Schedule:
        from diffusion.schedule import schedule

        config = self.config()
        if self.timesteps is not None:
            return schedule(config, timesteps=self.timesteps, sigmas=self.sigmas)
        if self.sigmas is not None:
            return schedule(config, sigmas=self.sigmas)
        return schedule(config, self.steps)

    def config(self) -> ScheduleConfig:
        """The model's table, or a plain one, with what this node says in its place."""
        from diffusion.kinds import COMFY
        from diffusion.schedule import for_tokens
        from diffusion.spacing import placed

        config = self.model.schedule if self.model else ScheduleConfig(train_steps=self.train_steps)
        if self.kind not in ("model", config.kind):
            config = replace(config, kind=self.kind, shift=1.0, base_shift=None)
        wanted = None if self.spacing == "model" else self.spacing
        if self.sampler is not None:
            config = placed(config, self._walker(), wanted)
        elif wanted is not None:
            config = replace(config, spacing=wanted, even=config.even if config.kind == "flow" else "linspace")
        if self.shift is not None:
            config = replace(config, shift=self.shift, base_shift=None)
        elif config.spacing in COMFY and self.width is None and self.height is None:
            config = replace(config, mu=None if config.base_shift is None else config.max_shift)
        elif self.model:
            width, height = self.width or self.model.width, self.height or self.model.height
            config = for_tokens(config, (width // self.model.multiple) * (height // self.model.multiple))
        return replace(config, zero_snr=config.zero_snr or self.zero_snr)

    def _walker(self) -> str:
        """The kind of the sampler; what "model" stands for is the model's to say."""
        assert self.sampler is not None
        if self.sampler.kind != "model":
            return self.sampler.kind
        if self.model is None:
            raise ValueError('the sampler is the model\'s own (kind "model"): give the schedule the model too')
        return self.model.sampler


class CutSchedule(Node):
    """Part of a schedule, between two fractions of it: 0 is the noisiest, 1 is clean.

    start = 0.4 leaves the last 60 % of the steps: a picture noised to there and denoised again keeps its rough shape
    (SDEdit, Meng et al. 2021). Two parts that meet, one after the other, are the whole.

    by = timesteps divides the model's table, and not the steps: with f = 0.8 of 1000 timesteps, what comes before has
    t >= 200. So diffusers counts denoising_end and denoising_start. The two differ where the steps are not spread
    evenly over the table: of SDXL's 30 steps 24 come before 0.8, but only 23 have t >= 200.
    """

    version = 1
    schedule: Schedule
    start: float = Input(0.0, ge=0, le=1, about="where the part begins; 0: with pure noise")
    end: float = Input(1.0, ge=0, le=1, about="where the part ends; 1: clean")
    by: Literal["steps", "timesteps"] = Input("steps", about="what start and end are fractions of")
    finish: bool = Input(False, about="whether the last step of the part goes on to no noise at all")

    def run(self, ctx: Context) -> Schedule:
        from diffusion.schedule import cut

        return cut(self.schedule, self.start, self.end, self.by, self.finish)
