"""Weights that hold no numbers: one NaN or infinity in a network, and all that it draws is black or noise.

Whoever loads models says where to tell of such weights; they are looked for once, when they are read.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import torch

Tell = Callable[[str], None]

_TELL: ContextVar[Tell | None] = ContextVar("tell", default=None)
_KINDS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@contextmanager
def telling(tell: Tell) -> Iterator[None]:
    """Inside, `tell` is called for each model with such weights that is read, with a sentence that names them."""
    before = _TELL.set(tell)
    try:
        yield
    finally:
        _TELL.reset(before)


def look(weights: Mapping[str, torch.Tensor], source: str) -> None:
    """Tell of those weights that are not finite, if anybody listens. source: how the sentence calls the model."""
    tell = _TELL.get()
    if tell is None:
        return
    found = [(name, tensor) for name, tensor in weights.items() if not finite(tensor)]
    if found:
        name, tensor = found[0]
        what = "NaN" if bool(tensor.isnan().any()) else "infinity"
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        tell(f"weights that are not finite in {source}: {name} ({what}){more}")


def finite(tensor: torch.Tensor) -> bool:
    """Whether all numbers of a tensor are finite.

    A sum reads memory about as fast as it can be read, and is finite only if all its terms are; it may also
    overflow without that, so a sum that is not finite is looked at number by number.
    """
    if tensor.dtype not in _KINDS or tensor.is_meta:
        return True
    return math.isfinite(tensor.sum().item()) or bool(tensor.isfinite().all())
