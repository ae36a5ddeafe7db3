"""Models in memory: loaded when first needed, kept within a budget of bytes, the least recently used out first."""

import threading
from collections import OrderedDict

import torch
from torch import nn

from diffusion.family import family_of
from diffusion.recipes import Recipe

GIB = 1 << 30

Key = tuple[Recipe, str, str]


class Store:
    """Loaded modules by recipe, device and dtype. Safe to use from several threads.

    budget: bytes of weights that may stay loaded. The model just asked for stays even if it alone is larger.
    """

    def __init__(self, budget: int = 16 * GIB) -> None:
        self.budget = budget
        self._loaded: OrderedDict[Key, nn.Module] = OrderedDict()
        self._lock = threading.RLock()

    def load(self, recipe: Recipe, device: str = "auto", dtype: str = "auto") -> nn.Module:
        """The module of a recipe, in evaluation mode without gradients. Errors as its family's `load`."""
        place = pick_device(device)
        kind = pick_dtype(recipe.dtype if dtype == "auto" else dtype, place)
        key = (recipe, str(place), str(kind))
        with self._lock:
            if key not in self._loaded:
                module = family_of(recipe).load(recipe, kind).requires_grad_(False).eval()
                self._loaded[key] = module.to(place, kind)
            self._loaded.move_to_end(key)
            while self.bytes > self.budget and len(self._loaded) > 1:
                self._loaded.popitem(last=False)
            return self._loaded[key]

    @property
    def bytes(self) -> int:
        """Bytes of weights loaded now."""
        return sum(_bytes(module) for module in self._loaded.values())

    def __len__(self) -> int:
        return len(self._loaded)

    def clear(self) -> None:
        """Let go of every model."""
        with self._lock:
            self._loaded.clear()


STORE = Store()
"""The one store of this process."""


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; auto is the first accelerator, or else the CPU. ValueError if it is not there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as err:
        raise ValueError(f'"{name}" is no device: auto, cpu, cuda, cuda:1, mps') from err
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, False):
        raise ValueError(f'device "{name}" is not here; auto picks {pick_device()}')
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of that name, float32 for auto. float16 becomes bfloat16 on a CPU, which computes it far too slowly.

    Raises ValueError for an unknown name.
    """
    known = {
        "auto": torch.float32,
        "float32": torch.float32,
        "bfloat16": torch.bfloat16,
        "float16": torch.bfloat16 if device.type == "cpu" else torch.float16,
    }
    if name not in known:
        raise ValueError(f'unknown dtype "{name}"; known: {", ".join(known)}')
    return known[name]


def _bytes(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
