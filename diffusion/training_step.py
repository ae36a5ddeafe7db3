"""One step of teaching a denoiser what to make of its conditioning, as every training of one takes it.

x = alpha_t x0 + sigma_t eps,   o = network(x, t, c),   loss as in `diffusion.objective`
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch

from diffusion.guidance import Inputs, Network
from diffusion.loop import LoopConfig, mixed_precision
from diffusion.objective import Times, loss, noise
from diffusion.recipes import ModelRecipe
from diffusion.schedule import Table
from diffusion.training_data import Examples, draw
from diffusion.types import Level

Feed = Callable[[Examples, torch.Tensor, torch.Tensor], Inputs]
"""What a network is fed beside x: for examples, which of them, (B,), and whose captions are left out, (B,) booleans."""


@dataclass(frozen=True)
class Teaching:
    """How a denoiser is taught.

    loop: how the weights are moved. batch: pictures at a step. caption_dropout: share of captions replaced by none.
    min_snr: gamma, 0 for none. times, span: how levels are drawn, and from which part of the table. shift: of a flow's
    table, in place of the model's own. noise_offset: deviation of what is added to the noise of a whole channel.
    checkpointing: compute activations twice and keep fewer. shuffle: what stands between the commas of a caption comes
    in another order each time, all but the first.
    """

    loop: LoopConfig
    batch: int
    caption_dropout: float
    min_snr: float
    times: Times
    span: tuple[float, float]
    shift: float | None
    noise_offset: float
    checkpointing: bool
    shuffle: bool

    def __post_init__(self) -> None:
        low, high = self.span
        if low >= high:
            raise ValueError(f"no level of the table lies between {low:g} and {high:g}")


def loss_on(
    data: Sequence[Examples],
    network: Network,
    feed: Feed,
    model: ModelRecipe,
    levels: Table,
    config: Teaching,
    device: str,
    layout: torch.memory_format = torch.preserve_format,
) -> torch.Tensor:
    """The loss on a batch of one of the buckets, a scalar. levels: of the table to learn. layout: of x0."""
    one, chosen = draw(data, config.batch)
    dropped = torch.rand(config.batch) < config.caption_dropout
    x0 = one.latents[chosen].to(device, memory_format=layout)  # (B, C, h, w)
    drawn = noise(x0, levels, config.times, config.noise_offset, config.span)
    with mixed_precision(device, config.loop.bfloat16, config.checkpointing):
        # one level an item: only the timestep is told
        o = network(drawn.x, Level(cast(float, drawn.t), 0.0, 0.0), feed(one, chosen, dropped))
    return loss(model.prediction, o, drawn, config.min_snr)
