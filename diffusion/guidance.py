"""Guidance: pushing a sample towards what was asked for. Classifier-free guidance (Ho & Salimans 2022) is the first.

A network trained with and without its condition gives two outputs, and w moves along the line through them:

    o = o_negative + w (o_positive - o_negative)

w = 0 ignores the condition, w = 1 is the plain conditional model and needs one call, more exaggerates. The line is
affine and so is each parameterisation, so guiding epsilon, v, flow or x0 is the same thing.

A condition may itself be several, each for a place or a part of the schedule: what the network says under each is mixed
by weights. Other ways to make one output of two or three are in `diffusion.guiders`.
"""

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from diffusion.parameterisation import split, target
from diffusion.recipes import Recipe
from diffusion.transfer import moved
from diffusion.types import Conditioning, Level, Schedule

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
    tiny = torch.finfo(o.dtype).tiny  # so that an o of zeros stays one
    ratio = positive.std(dim=axes, keepdim=True) / o.std(dim=axes, keepdim=True).clamp(min=tiny)
    return part * (o * ratio) + (1 - part) * o


Window = tuple[int, int, int, int]
"""Top, left, height and width of a rectangle of x."""


@dataclass(frozen=True, eq=False)
class Part:
    """One condition of several that are mixed.

    inputs: of B rows. window: what the network sees of x; None: all. weight: m, (1 or B, 1, h, w) over the window;
    None: 1. silent: levels at which it does not count.
    """

    inputs: Inputs
    window: Window | None = None
    weight: torch.Tensor | None = None
    silent: Container[Level] = frozenset()


Condition = Inputs | Sequence[Part]
"""What a network is told: one set of inputs, or parts to be mixed."""


class Sides:
    """What a network says under each of several conditions, such as the negative and the positive one.

    The parts of a condition are mixed, o = sum m_i o_i / sum m_i, and all that are shaped alike go through the network
    in one call. Raises ValueError if they hold different things.
    """

    def __init__(self, network: Network, prediction: str, conditions: Sequence[Condition]) -> None:
        self._network, self._prediction = network, prediction
        self._sides = [(Part(one),) if isinstance(one, Mapping) else tuple(one) for one in conditions]
        kinds = {frozenset(part.inputs) for side in self._sides for part in side}
        if len(kinds) > 1:
            raise ValueError(f"conditions differ in kind: {' and '.join(str(sorted(kind)) for kind in kinds)}")
        self._stacked: dict[tuple[Part, ...], list[tuple[list[Part], Inputs]]] = {}

    def __call__(self, x: torch.Tensor, level: Level) -> list[torch.Tensor]:
        """The output under each condition, (B, C, H, W)."""
        active = [[part for part in side if level not in part.silent] for side in self._sides]
        said: dict[Part, torch.Tensor] = {}
        for parts, inputs in self._calls(tuple(part for side in active for part in side)):
            seen = [_cut(x, part.window) for part in parts]
            o = self._network(torch.cat(seen) if len(seen) > 1 else seen[0], level, inputs)
            said.update(zip(parts, o.chunk(len(parts)), strict=True))
        return [self._mixed(side, said, x, level) for side in active]

    def _calls(self, active: tuple[Part, ...]) -> list[tuple[list[Part], Inputs]]:
        """The parts in groups of one shape, and the inputs of each group one after another. Kept while they last."""
        if active not in self._stacked:
            groups: dict[object, list[Part]] = {}
            for part in dict.fromkeys(active):
                shape = {name: tensor.shape[1:] for name, tensor in part.inputs.items()}
                groups.setdefault((part.window and part.window[2:], *sorted(shape.items())), []).append(part)
            self._stacked = {active: [(parts, _stack([part.inputs for part in parts])) for parts in groups.values()]}
        return self._stacked[active]

    def _mixed(
        self, side: Sequence[Part], said: Mapping[Part, torch.Tensor], x: torch.Tensor, level: Level
    ) -> torch.Tensor:
        if len(side) == 1 and side[0].window is None and side[0].weight is None:
            return said[side[0]]
        total, weight = torch.zeros_like(x), torch.zeros_like(x[:, :1])
        for part in side:
            m = 1.0 if part.weight is None else part.weight
            _cut(total, part.window).add_(m * said[part])
            _cut(weight, part.window).add_(m)
        # where nothing counts, the picture is x0 = 0
        nothing = target(self._prediction, torch.zeros_like(x), x / level.sigma, level.alpha, level.sigma)
        return torch.where(weight > 0, total / weight.clamp(min=torch.finfo(x.dtype).tiny), nothing)


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a network said at a level, each (B, C, H, W), and w: a number or (B, 1, 1, 1).

    third: under one condition more, for the ways of guiding that ask for it.
    """

    negative: torch.Tensor
    positive: torch.Tensor
    scale: torch.Tensor | float
    level: Level
    third: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Rule:
    """How one output is made of several. always: also where w = 1, which else means the positive alone."""

    rule: Callable[[Outputs], torch.Tensor]
    always: bool = False


@dataclass(frozen=True, eq=False)
class Push:
    """Away from what a worse network says of the positive condition: o + s (o_positive - o_worse)."""

    worse: Network
    scale: float
    silent: Container[Level] = frozenset()


CFG = Rule(lambda o: combine(o.negative, o.positive, o.scale))


class Guidance:
    """A network turned into a denoiser. A callable over (x, level).

    positive, negative: of B rows; negative None runs the network once, without guidance. third: for a rule that asks.
    scale: w, (B,) on the CPU or one number. rescale: phi, 0 … 1. clip: x0 lies in -1 … 1.
    unguided: levels at which only the positive runs; see `outside`.
    Raises ValueError if the conditions hold different things.
    """

    def __init__(
        self,
        network: Network,
        prediction: str,
        positive: Condition,
        negative: Condition | None = None,
        scale: torch.Tensor | float = 1.0,
        rescale: float = 0.0,
        clip: bool = False,
        unguided: Container[Level] = frozenset(),
        rule: Rule = CFG,
        third: Condition | None = None,
        push: Push | None = None,
    ) -> None:
        self._prediction, self._rule, self._push = prediction, rule, push
        self._alone = Sides(network, prediction, [positive])
        every = [one for one in (negative, positive, third) if one is not None]
        self._every = Sides(network, prediction, every)
        self._worse = Sides(push.worse, prediction, [positive]) if push else None
        self._once = negative is None or (not rule.always and bool((torch.as_tensor(scale) == 1).all()))
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
        """The guided output o, (B, C, H, W). One call of the network on all rows, and one of a worse one."""
        if self._once or level in self._unguided:
            (positive,) = self._alone(x, level)
            o = positive
        else:
            negative, positive, *third = self._every(x, level)
            if isinstance(self._scale, torch.Tensor):
                self._scale = moved(self._scale, x.device)
            o = self._rule.rule(Outputs(negative, positive, self._scale, level, *third))
        if self._push and self._worse and level not in self._push.silent:
            (worse,) = self._worse(x, level)
            o = o + self._push.scale * (positive - worse)
        return o if o is positive or not self._rescale else rescaled(o, positive, self._rescale)


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


def _cut(x: torch.Tensor, window: Window | None) -> torch.Tensor:
    """A view of what lies in a window."""
    if window is None:
        return x
    top, left, height, width = window
    return x[..., top : top + height, left : left + width]


def _stack(inputs: Sequence[Inputs]) -> Inputs:
    if len(inputs) == 1:
        return inputs[0]
    return {name: torch.cat([one[name] for one in inputs]) for name in inputs[0]}
