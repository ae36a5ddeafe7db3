"""What a sampling costs, beside the seconds it takes."""

from typing import TYPE_CHECKING, NamedTuple

from diffusion.types import Noise, Sampler
from engine.context import Context
from engine.node import Input, Node
from nodes.compute import dtype_for, models
from nodes.sockets import Guider, Latent, Schedule

if TYPE_CHECKING:
    import torch


class Work(NamedTuple):
    """Floating-point operations for one picture, in 10^9, and that in words."""

    gflop: float
    text: str


class CountFlops(Node):
    """How much arithmetic a sampling takes for one picture: UNetDenoise is run once, and its operations are counted.

    A multiplication with its addition counts as two. Counted are matrix products, convolutions and attention, in the
    denoiser, under guidance as often as it runs, and in its ControlNets; not the text encoder and the VAE. The number
    is the same on every machine, which seconds (Stopwatch) are not, but not every operation takes equally long.
    """

    version = 1
    numeric = True
    guider: Guider
    schedule: Schedule
    sampler: Sampler
    latent: Latent
    template: str = Input("{gflop} GFLOP", about="the text; {gflop} and {steps} are filled in")

    def run(self, ctx: Context) -> Work:
        from diffusion.attention import attention
        from diffusion.cost import flops
        from diffusion.denoise import Job

        def on_step(step: int, total: int, x0: "torch.Tensor") -> None:
            ctx.progress(step, total)

        jobs = [Job(self.guider, Noise(0), self.latent)]
        with models(ctx), attention(ctx.settings.attention):
            counted = flops(jobs, self.schedule, self.sampler, ctx.device, dtype_for(self.guider.model, ctx), on_step)
        gflop = counted / 1e9
        text = self.template.replace("{gflop}", f"{gflop:.3g}").replace("{steps}", str(self.schedule.steps))
        return Work(gflop, text)
