"""Classifier-free guidance: pushing a sample towards what was asked for (Ho & Salimans 2022).

A network trained with and without its condition gives two outputs, and w moves along the line through them:

    o = o_negative + w (o_positive - o_negative)

w = 0 ignores the condition, w = 1 is the plain conditional model and needs one call, more exaggerates. The line is
affine and so is each parameterisation, so guiding epsilon, v, flow or x0 is the same thing.
"""

import math
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from diffusion.parameterisation import split
from diffusion.types import Conditioning, Level, Recipe, Schedule

Load = Callable[[Recipe], nn.Module]
"""Gives the module of a recipe, on the device and in the dtype of what is going on."""

Inputs = Mapping[str, torch.Tensor]
"""What a network is fed beside x and the level, by name; first axis B."""

Network = Callable[[torch.Tensor, Level, Inputs], torch.Tensor]
"""x (B, C, H, W), a level and inputs, to the output o (B, C, H, W)."""

Denoiser = Callable[[torch.Tensor, Level], tuple[torch.Tensor, torch.Tensor]]
"""x (B, C, H, W) and a level, to (x0, eps). This is all that a sampler knows of a model."""


def rows(conditioning: Conditioning, batch: int) -> dict[str, torch.Tensor]:
    """A condition's P prompts repeated for a batch of B, prompt after prompt. ValueError if B is no multiple of P."""
    prompts = conditioning.prompts
    if batch % prompts:
        raise ValueError(f"{prompts} prompts need a batch that is a multiple of {prompts}, not {batch}")
    return {name: tensor.repeat_interleave(batch // prompts, 0) for name, tensor in conditioning.tensors.items()}


def combine(negative: torch.Tensor, positive: torch.Tensor, scale: torch.Tensor | float) -> torch.Tensor:
    """o = o_negative + w (o_positive - o_negative), all (B, C, H, W); w a number or (B, 1, 1, 1)."""
    return negative + scale * (positive - negative)


def rescaled(o: torch.Tensor, positive: torch.Tensor, part: float) -> torch.Tensor:
    """o pulled back to the deviation of the conditional output, against washed-out pictures (Lin et al. 2023, 3.4)."""
    # o' = phi o std(o_positive) / std(o) + (1 - phi) o,   std over each item of the batch
    axes = tuple(range(1, o.ndim))
    ratio = positive.std(dim=axes, keepdim=True) / o.std(dim=axes, keepdim=True)
    return part * (o * ratio) + (1 - part) * o


class Guidance:
    """A network turned into a denoiser. A callable over (x, level).

    positive, negative: inputs of B rows; negative None runs the network once, without guidance.
    scale: w, (B,) or one number. rescale: phi, 0 … 1. clip: x0 lies in -1 … 1.
    unguided: levels at which only the positive runs; see `outside`.
    Raises ValueError if positive and negative hold different things.
    """

    def __init__(
        self,
        network: Network,
        prediction: str,
        positive: Inputs,
        negative: Inputs | None = None,
        scale: torch.Tensor | float = 1.0,
        rescale: float = 0.0,
        clip: bool = False,
        unguided: Container[Level] = frozenset(),
    ) -> None:
        self._network, self._prediction = network, prediction
        self._positive = positive
        self._both = {} if negative is None else _stack(negative, positive)
        self._once = negative is None or bool((torch.as_tensor(scale) == 1).all())
        self._scale = scale.view(-1, 1, 1, 1) if isinstance(scale, torch.Tensor) else scale
        self._rescale, self._clip, self._unguided = rescale, clip, unguided

    def __call__(self, x: torch.Tensor, level: Level) -> tuple[torch.Tensor, torch.Tensor]:
        """(x0, eps) of x (B, C, H, W) at a level."""
        o = self.output(x, level)
        x0, eps = split(self._prediction, o, x, level)
        if self._clip:
            x0 = x0.clamp(-1, 1)
            # the noise that goes with the clipped picture: eps = (x - alpha x0) / sigma
            eps = (x - level.alpha * x0) / level.sigma
        return x0, eps

    def output(self, x: torch.Tensor, level: Level) -> torch.Tensor:
        """The guided output o, (B, C, H, W). One call of the network, on a batch of B or of 2 B."""
        if self._once or level in self._unguided:
            return self._network(x, level, self._positive)
        negative, positive = self._network(torch.cat([x, x]), level, self._both).chunk(2)
        o = combine(negative, positive, self._scale)
        return rescaled(o, positive, self._rescale) if self._rescale > 0 else o


@dataclass(frozen=True)
class Outside:
    """Where guidance does not act, as spans of noise (sigma / alpha): from the first, down to but without the second.

    So a solver may also look at levels between those of its schedule.
    """

    spans: tuple[tuple[float, float], ...]

    def __contains__(self, level: object) -> bool:
        return isinstance(level, Level) and any(low < _noise(level) <= high for high, low in self.spans)


def outside(schedule: Schedule, start: float, stop: float) -> Outside:
    """The levels whose step i of n does not lie within start … stop: i / n < start, or (i + 1) / n > stop.

    Steps are counted in the whole schedule, also where it was cut. Raises ValueError unless 0 <= start <= stop <= 1.
    """
    if not 0 <= start <= stop <= 1:
        raise ValueError(f"guidance needs 0 <= start <= stop <= 1, got start {start:g} and stop {stop:g}")
    total = max(schedule.total, 1)
    places = ((schedule.first + i, both) for i, both in enumerate(pairwise(map(_noise, schedule.levels))))
    return Outside(tuple(both for i, both in places if i / total < start or (i + 1) / total > stop))


def _noise(level: Level) -> float:
    return level.sigma / level.alpha if level.alpha else math.inf


def _stack(negative: Inputs, positive: Inputs) -> dict[str, torch.Tensor]:
    if negative.keys() != positive.keys():
        raise ValueError(f"positive and negative differ in kind: {sorted(positive)} and {sorted(negative)}")
    return {name: torch.cat([negative[name], positive[name]]) for name in positive}
