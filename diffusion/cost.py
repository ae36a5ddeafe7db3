"""What a sampling costs in arithmetic, the same on every machine: floating-point operations, counted while it runs."""

from collections.abc import Sequence

from torch.utils.flop_counter import FlopCounterMode

from diffusion.denoise import Job, denoise
from diffusion.samplers import OnStep
from diffusion.types import Sampler, Schedule


def flops(
    jobs: Sequence[Job],
    schedule: Schedule,
    sampler: Sampler,
    device: str = "auto",
    dtype: str = "auto",
    on_step: OnStep | None = None,
) -> float:
    """Operations for one picture, of what `diffusion.denoise.denoise` does with the same arguments; errors as there.

    A multiplication with its addition counts as two. Matrix products, convolutions and attention are counted, of all
    networks that take part; sums, norms and activations, a few in a hundred of these, are not.
    """
    with FlopCounterMode(display=False) as counter:
        done = denoise(jobs, schedule, sampler, device, dtype, on_step)
    pictures = sum(len(latent.samples) for latent in done)
    return float(counter.get_total_flops()) / pictures
