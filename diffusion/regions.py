"""Conditions for places: from conditionings with a scope to the parts that `diffusion.guidance.Sides` mixes.

As in ComfyUI, a condition with an area is asked of the network on that rectangle of x alone, and its weight falls off
towards those edges of the rectangle that lie within the picture. One with a mask is asked on all of x, or on the mask's
bounding box. So that guidance compares like with like, each side gets a copy of what holds there on the other's
rectangles.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from diffusion.guidance import Inputs, Part, Window, outside
from diffusion.types import Conditioning, Schedule, Scope

FEATHER = 8
"""Places of a latent over which an area's weight rises from its edge; a quarter of the area at most."""
LEAST = 8
"""Places of a latent that a mask's bounding box is made to have on each side at least."""


@dataclass(frozen=True, eq=False)
class Frame:
    """What regions are measured by: a latent (batch, ., height, width), of which `factor` pixels a side are one place.

    unit: places that a window must be a multiple of. schedule: which the parts with a start and an end refer to.
    """

    batch: int
    height: int
    width: int
    factor: int
    unit: int
    schedule: Schedule


def laid_out(sides: Sequence[Conditioning], frame: Frame, inputs: Callable[[Conditioning], Inputs]) -> list[list[Part]]:
    """The parts of each conditioning. inputs: gives the B rows of one part of it, for the whole picture.

    ValueError for an area outside the picture, and for masks that do not fit the batch.
    """
    placed = [[(part, window_of(part.scope, frame)) for part in side.parts] for side in sides]
    for one in placed:
        for other in placed:
            if other is not one:
                _pair(other, one)
    return [[_part(c, window, frame, inputs(c)) for c, window in side] for side in placed]


def window_of(scope: Scope, frame: Frame) -> Window | None:
    """The rectangle of a latent that a scope stands for; None: all of it. ValueError for one outside."""
    if scope.crop and scope.mask is not None:
        top, left, height, width = _bounds(_resized(scope, frame).abs().amax((0, 1)))
    elif scope.area is None:
        return None
    elif scope.unit == "pixels":
        left, top, width, height = (int(number // frame.factor) for number in scope.area)
    else:
        x, y, w, h = scope.area
        left, top = round(x * frame.width), round(y * frame.height)
        width, height = max(1, round(w * frame.width)), max(1, round(h * frame.height))
    if top >= frame.height or left >= frame.width or min(width, height) < 1:
        size = f"{frame.width * frame.factor} x {frame.height * frame.factor}"
        raise ValueError(f"the area {scope.area} ({scope.unit}) has no place in a picture of {size}")
    # whole patches, for networks that see x in patches
    bottom, right = (min(math.ceil(end / frame.unit) * frame.unit, size) for end, size in (
        (top + height, frame.height), (left + width, frame.width)
    ))  # fmt: skip
    top, left = top // frame.unit * frame.unit, left // frame.unit * frame.unit
    return top, left, bottom - top, right - left


def weight_of(scope: Scope, window: Window | None, frame: Frame) -> torch.Tensor | None:
    """m, (1 or B, 1, h, w) over the window; None for 1 everywhere. ValueError for masks that do not fit the batch."""
    if scope.mask is not None:
        mask = _resized(scope, frame)
        if frame.batch % len(mask):
            raise ValueError(f"{len(mask)} masks need a batch that is a multiple of {len(mask)}, not {frame.batch}")
        top, left, height, width = window or (0, 0, frame.height, frame.width)
        mask = mask[..., top : top + height, left : left + width] * scope.strength
        return mask if len(mask) == 1 else mask.repeat(frame.batch // len(mask), 1, 1, 1)
    if window is None:
        return None if scope.strength == 1 else torch.full((1, 1, frame.height, frame.width), scope.strength)
    top, left, height, width = window
    rows = _feathered(height, before=top > 0, after=top + height < frame.height)
    columns = _feathered(width, before=left > 0, after=left + width < frame.width)
    return (scope.strength * rows[:, None] * columns[None, :])[None, None]


def _feathered(length: int, before: bool, after: bool) -> torch.Tensor:
    """1, rising linearly from the ends that lie within the picture."""
    ramp = min(FEATHER, length // 4)
    weight = torch.ones(length)
    rise = torch.arange(1, ramp + 1) / max(ramp, 1)
    if before:
        weight[:ramp] *= rise
    if after:
        weight[length - ramp :] *= rise.flip(0)
    return weight


def _resized(scope: Scope, frame: Frame) -> torch.Tensor:
    """The mask at the size of the latent, (N, 1, H, W)."""
    mask = torch.tensor(scope.mask, dtype=torch.float32)[:, None]
    if mask.shape[2:] == (frame.height, frame.width):
        return mask
    return F.interpolate(mask, size=(frame.height, frame.width), mode="bilinear", align_corners=False)


def _bounds(mask: torch.Tensor) -> Window:
    """The rectangle around all of a mask (H, W) that is not 0, and no smaller than LEAST a side."""
    rows, columns = mask.any(1).nonzero().flatten().tolist(), mask.any(0).nonzero().flatten().tolist()
    if not rows:
        return 0, 0, LEAST, LEAST
    return rows[0], columns[0], max(LEAST, rows[-1] - rows[0] + 1), max(LEAST, columns[-1] - columns[0] + 1)


Placed = tuple[Conditioning, Window | None]


def _pair(side: list[Placed], opposite: Sequence[Placed]) -> None:
    """Add to a side, for each rectangle of the opposite one, a copy of the smallest condition that holds all over."""
    for c, window in opposite:
        around = [(d, whole) for d, whole in side if window and (whole is None or _inside(window, whole))]
        if window and around:
            smallest, its = min(around, key=lambda placed: math.prod(placed[1][2:]) if placed[1] else math.inf)
            if its != window:
                side.append((replace(smallest, scope=c.scope), window))


def _inside(inner: Window, outer: Window) -> bool:
    """Whether one window lies within another."""
    return all(
        outer[i] <= inner[i] and inner[i] + inner[i + 2] <= outer[i] + outer[i + 2] for i in (0, 1)
    )  # fmt: skip


def _part(conditioning: Conditioning, window: Window | None, frame: Frame, inputs: Inputs) -> Part:
    scope = conditioning.scope
    silent = outside(frame.schedule, scope.start, scope.end)
    weight = weight_of(scope, window, frame)
    if window is None:
        return Part(inputs, None, weight, silent)
    seen = {name: _seen(tensor, window, frame) for name, tensor in inputs.items()}
    return Part(seen, window, weight, silent)


def _seen(tensor: torch.Tensor, window: Window, frame: Frame) -> torch.Tensor:
    """What belongs to a window of an input that lies over the picture, (B, C, k H, k W); another input as it is."""
    if tensor.ndim != 4:
        return tensor
    k, rest = divmod(tensor.shape[2], frame.height)
    if rest or k < 1 or tensor.shape[3] != k * frame.width:
        return tensor
    top, left, height, width = (k * number for number in window)
    return tensor[..., top : top + height, left : left + width]
