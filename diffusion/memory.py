"""How much memory models may take, where they wait when there is no room, and what is known when there was not enough.

None of this changes a result: a weight has the same bits wherever it waited.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from diffusion.patches import shared_copy

Offload = Literal["none", "model", "group"]

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Policy:
    """budget: bytes of weights that may stay on the device that computes; None is `most_of` it.

    waiting: bytes of weights that may wait in the CPU's memory for a GPU; None is half of that memory.
    offload: none keeps models on the device as long as the budget holds; model keeps there only those that the node
    at work needs; group streams a denoiser through the device layer by layer.
    """

    budget: int | None = None
    waiting: int | None = None
    offload: Offload = "none"


def most_of(device: torch.device) -> int:
    """Bytes of a device that weights may take where nobody says: four fifths of a GPU's, half of the CPU's memory."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory * 4 // 5
    return installed() // 2


def installed() -> int:
    """Bytes of memory in this machine; 16 GiB where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 16 * GIB


def tensors(modules: Iterable[nn.Module]) -> dict[int, torch.Tensor]:
    """Parameters and buffers by identity: what several modules share is there once."""
    return {id(tensor): tensor for module in modules for tensor in (*module.parameters(), *module.buffers())}


def weight(modules: Iterable[nn.Module]) -> int:
    """Bytes of all their tensors, shared ones counted once."""
    return sum(tensor.nbytes for tensor in tensors(modules).values())


def streamed(module: nn.Module, device: torch.device) -> nn.Module:
    """A denoiser whose weights stay in the CPU's memory and visit the device one layer at a time, in its forward.

    The module itself is not changed, and shares its weights with what comes back.
    """
    from diffusers.hooks.group_offloading import apply_group_offloading

    copied = shared_copy(module)
    fast = device.type == "cuda"
    apply_group_offloading(copied, device, offload_type="leaf_level", use_stream=fast, non_blocking=fast)
    return copied
