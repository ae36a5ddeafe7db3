"""Sampling: noise, an empty latent, and the denoiser that walks down a schedule."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from diffusion.kinds import KINDS, fits_table, takes_eta
from diffusion.recipes import ModelRecipe, picture_size, unfit, without_strengths
from diffusion.types import Sampler as SamplerValue
from engine.context import Context
from engine.errors import Place, Problem, error
from engine.node import Input, Node, Seed
from engine.text import size
from nodes.compute import Previews, dtype_for, fitting, models
from nodes.sockets import Guider, Latent, Model, Schedule
from nodes.sockets import Noise as NoiseValue

if TYPE_CHECKING:
    import torch


Kind = Literal[
    "model", "ddpm", "ddim", "euler", "euler_ancestral", "flow_euler", "heun", "dpm2", "dpm2_ancestral", "lms",
    "dpmpp_2s", "dpmpp_2m", "dpmpp_3m", "dpmpp_sde", "dpmpp_2m_sde", "deis", "unipc", "pndm", "lcm",
]  # fmt: skip
LATENT_BYTES = 64 << 30
"""More than this in one latent is refused before it is allocated."""


class Sampler(Node):
    """How to step from one noise level (alpha, sigma) to the next (alpha', sigma').

    With x0 and eps as the model sees them, and z fresh noise:
    n  = eta sigma' sqrt(1 - (sigma' alpha / (alpha' sigma))^2)
    x' = alpha' x0 + sqrt(sigma'^2 - n^2) eps + n z
    ddpm             eta = 1 on all levels (Ho et al. 2020)
    ddim             eta = 0: no fresh noise (Song et al. 2021)
    euler            eta = 0: one slope a step (Karras et al. 2022)
    euler_ancestral  eta = 1 on any levels (Song et al. 2021)
    flow_euler       euler, on flow schedules only (Lipman et al. 2023)
    heun             the mean of the slopes at both ends (Karras et al. 2022, algorithm 1)
    dpm2             the slope in the middle (DPM-Solver-2, Lu et al. 2022a)
    dpm2_ancestral   dpm2 to a cleaner level, then fresh noise
    lms              a cubic through the last four slopes (linear multistep, Adams-Bashforth)
    dpmpp_2s         second order, every other level a halfway point (DPM-Solver++, Lu et al. 2022b)
    dpmpp_2m         second order from the last two x0 (DPM-Solver++, Lu et al. 2022b)
    dpmpp_3m         third order from the last three x0 (DPM-Solver++, Lu et al. 2022b)
    dpmpp_sde        eta = 1 with x0 taken in the middle; two draws a step (Lu et al. 2022b)
    dpmpp_2m_sde     dpmpp_2m with fresh noise (Lu et al. 2022b)
    deis             a line through the last two eps (Zhang & Chen 2023)
    unipc            predicts, then corrects with what the next step sees (Zhao et al. 2023)
    pndm             a cubic through the last four eps, evenly spaced (Liu et al. 2022)
    lcm              to x0 and back with fresh noise, a few steps (Luo et al. 2023)

    n steps ask the model n times; heun, dpm2, dpm2_ancestral and dpmpp_sde ask it 2 n - 1 times, pndm n + 1 times.
    """

    version = 2
    kind: Kind = Input("model", about="the sampler; model: what the checkpoint names")
    eta: float | None = Input(None, ge=0, le=1, about="share of fresh noise, for ddpm, ddim and euler_ancestral")

    @classmethod
    def check(cls, literals: Mapping[str, Any]) -> Iterable[Problem]:
        """Refuse an eta that the kind does not take."""
        kind, eta = KINDS.get(literals.get("kind", "model")), literals.get("eta")
        if kind is not None and eta is not None and eta != kind.eta and not kind.random:
            what = f'sampler "{literals["kind"]}" takes no eta'
            yield Problem("E-RANGE", what, f"those that do: {', '.join(takes_eta())}", Place(input="eta"))

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The kind of sampler."""
        return {"sampler": known["kind"]} if "kind" in known else {}

    def run(self, ctx: Context) -> SamplerValue:
        return SamplerValue(self.kind, self.eta)


class Noise(Node):
    """eps ~ N(0, 1), one stream for each picture of a batch: picture i draws from seed + i.

    So a batch of four is the same as four runs with seeds one apart. stream = batch draws the whole batch from one
    stream, as ComfyUI does: the first picture is the same, the others have no seed of their own.
    """

    version = 1
    seed: int = Seed()
    variation_seed: int | None = Seed(about="seed of a second noise to turn towards")
    variation_strength: float = Input(0.0, ge=0, le=1, about="how far: 0 the first noise, 1 the second")
    stream: Literal["each", "batch"] = Input("each", about="one stream for each picture, or one for the batch")

    def run(self, ctx: Context) -> NoiseValue:
        return NoiseValue(self.seed, self.variation_seed, self.variation_strength, self.stream == "batch")


class EmptyLatent(Node):
    """Room for pictures that are still pure noise, of a size in pixels."""

    version = 1
    cached = False
    model: Model
    width: int | None = Input(None, ge=16, le=16384, multiple_of=8, about="pixels; default: the model's own")
    height: int | None = Input(None, ge=16, le=16384, multiple_of=8, about="pixels; default: the model's own")
    batch: int = Input(1, ge=1, le=4096, about="pictures")

    @classmethod
    def check(cls, literals: Mapping[str, Any]) -> Iterable[Problem]:
        """Refuse a latent that no machine could hold, before anything is allocated."""
        width, height, batch = (literals.get(name) or 1 for name in ("width", "height", "batch"))
        # A picture of floats is decoded in at least 12 bytes a pixel.
        needed = width * height * batch * 12
        if needed > LATENT_BYTES:
            what = f"needs about {size(needed)}, limit {size(LATENT_BYTES)}"
            yield Problem("E-LIMIT", what, "make width, height or batch smaller", Place(input="width"))

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The space of the latent. E-STEP for a size that the model cannot make."""
        model = known.get("model")
        if not isinstance(model, ModelRecipe):
            return {}
        for side in ("width", "height"):
            try:
                picture_size(model, **{side: known.get(side)})
            except ValueError as why:
                raise error(Problem("E-STEP", str(why), place=Place(input=side))) from why
        return {"latent": model.space}

    def run(self, ctx: Context) -> Latent:
        from diffusion.family import empty_latent

        return empty_latent(self.model, self.width, self.height, self.batch)


class UNetDenoise(Node):
    """Walk a latent down a noise schedule: at each level the guider says where x0 and eps lie, and the sampler steps.

    An empty latent starts as pure noise, a clean one is noised to the schedule's first level, one that was left partway
    goes on as it is. So text to image, image to image and a refiner are this one node. It drives any denoiser, U-Net or
    transformer.
    """

    version = 2
    guider: Guider
    schedule: Schedule
    sampler: SamplerValue
    noise: NoiseValue
    latent: Latent

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The space of the latent. E-ARCH for a latent of another model, and for a sampler or schedule unfit for it."""
        model, table = known.get("guider"), known.get("schedule")
        if not isinstance(model, ModelRecipe):
            return {}
        if known.get("latent", model.space) != model.space:
            what = f"the latent is in the space {known['latent']}, and the model works in {model.space}"
            raise error(Problem("E-ARCH", what, "make the latent with this model or its VAE", Place(input="latent")))
        if isinstance(table, str) and (why := unfit(model, table)):
            raise error(Problem("E-ARCH", why, place=Place(input="schedule")))
        kind = known.get("sampler")
        if isinstance(table, str) and isinstance(kind, str):
            kind = model.sampler if kind == "model" else kind
            if why := fits_table(kind, table):
                raise error(Problem("E-ARCH", why, place=Place(input="sampler")))
        return {"latent": model.space}

    def run(self, ctx: Context) -> Latent:
        return self.run_batch([self], [ctx])[0]

    def batch_key(self) -> Hashable | None:
        """Runs that differ only in prompts, guidance scale and seeds are one batch."""
        guider, latent = self.guider, self.latent
        conditions = guider.positive, guider.negative, guider.third
        if not all(one is None or one.plain for one in conditions):
            return None
        # prompts of as many tokens
        fed = tuple(one and tuple((name, t.shape[1:]) for name, t in sorted(one.tensors.items())) for one in conditions)
        shape = tuple(latent.samples.shape)
        fixed = without_strengths(guider.model), guider.method, guider.rescale, guider.start, guider.stop, fed
        return (*fixed, shape, latent.state, latent.level, latent.mask is None, self.schedule, self.sampler)

    @classmethod
    def room(cls, nodes: Sequence[Self], ctxs: Sequence[Context]) -> int:
        """As many as the memory holds that is free once the networks are loaded."""
        from diffusion.attention import attention
        from diffusion.denoise import Job, room

        first, ctx = nodes[0], ctxs[0]
        if ctx.settings.offload == "group":
            return len(nodes)  # weights move during the call, which cannot be played through
        model = first.guider.model
        jobs = [Job(node.guider, node.noise, node.latent) for node in nodes]
        with models(ctx), attention(ctx.settings.attention, model.family):
            return room(jobs, first.schedule, ctx.device, dtype_for(model, ctx))

    @classmethod
    def run_batch(cls, nodes: Sequence[Self], ctxs: Sequence[Context]) -> list[Latent]:
        """Sample several as one batch; equal to one at a time up to rounding."""
        from diffusion.attention import attention
        from diffusion.denoise import Job, denoise
        from diffusion.schedule import fits_tokens

        first, ctx = nodes[0], ctxs[0]
        model, samples = first.guider.model, first.latent.samples
        height, width = (int(side) * model.factor for side in samples.shape[2:])
        if not fits_tokens(first.schedule, (height // model.multiple) * (width // model.multiple)):
            what = f"made for pictures of another size than {width} x {height}, which its shift follows"
            ctx.warn("W-SIZE", what, "give NoiseSchedule this width and height", input="schedule")
        for control in model.controls:
            high, wide = control.picture.image.pixels.shape[1:3]
            if (high, wide) != (height, width):
                what = f"a control picture of {wide} x {high}, resized to {width} x {height}"
                ctx.warn("W-SIZE", what, "give ControlNetApply one of this size", input="guider")
        previews = Previews(ctx, model.space)

        def on_step(step: int, total: int, x0: "torch.Tensor") -> None:
            picture = previews.after(x0)
            for one in ctxs:
                one.progress(step, total, preview=picture)

        jobs = [Job(node.guider, node.noise, node.latent) for node in nodes]
        dtype = dtype_for(first.guider.model, ctx)
        speed = ctx.settings.speed
        if speed != "none" and model.patches:
            what = f"--speed {speed} is for models without LoRAs and IP-Adapters; this one runs as it is"
            ctx.fell_back(f"run without {speed}")
            ctx.warn("W-SPEED", what, "take --speed none, or a model that SaveModel made of both", input="guider")
            speed = "none"
        with fitting(), models(ctx), attention(ctx.settings.attention, model.family):
            return denoise(jobs, first.schedule, first.sampler, ctx.device, dtype, on_step, speed)
