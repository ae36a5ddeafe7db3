"""Models in memory: loaded when first needed, kept within a budget of bytes, the least recently used out first.

What determines a module's weights is its key: their source, digest, variant and dtype, and the device. What a recipe
says beside that, how the output is meant, which sizes fit, the strength of a LoRA, does not. A patched module shares
the weights of the plain one, which stays beside it, and bytes that several share are counted once.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch
from torch import nn

from diffusion import ip_adapter, patches
from diffusion.family import family_of
from diffusion.recipes import ImageEncoderRecipe, ModelRecipe, Patch, Recipe, TextEncoderRecipe

GIB = 1 << 30


class Store:
    """Loaded modules. Safe to use from several threads.

    budget: bytes of weights that may stay loaded. What was just asked for stays even if it alone is larger.
    """

    def __init__(self, budget: int = 16 * GIB) -> None:
        self.budget = budget
        self._loaded: OrderedDict[Hashable, nn.Module] = OrderedDict()
        self._lock = threading.RLock()

    def load(self, recipe: Recipe, device: str = "auto", dtype: str = "auto") -> nn.Module:
        """The module of a recipe with its patches, in evaluation mode without gradients.

        Errors as its family's `load`, `diffusion.patches.piece` and `diffusion.patches.patched`.
        """
        place = pick_device(device)
        kind = pick_dtype(recipe.dtype if dtype == "auto" else dtype, place)
        where = (str(place), str(kind))
        with self._lock:
            plain_key = (_weights(recipe), where)
            # a dtype is as loaded: parts that overflow in float16 stay float32
            plain = self._get(plain_key, lambda: _plain(recipe, kind).requires_grad_(False).eval().to(place))
            if not isinstance(recipe, ModelRecipe | TextEncoderRecipe) or not recipe.patches:
                self._shrink(1)
                return plain
            pieces = []
            for patch in recipe.patches:

                def piece(patch: Patch = patch) -> nn.Module:
                    return patches.piece(patch, recipe, plain, kind).to(place)

                pieces.append(self._get((type(recipe), recipe.family, _file(patch), where), piece))
            patched = self._get(
                (plain_key, _structure(recipe)), lambda: patches.patched(plain, recipe, pieces).to(place)
            )
            self._shrink(2 + len(set(map(_file, recipe.patches))))
            return patched

    def _get(self, key: Hashable, make: Callable[[], nn.Module]) -> nn.Module:
        if key not in self._loaded:
            self._loaded[key] = make()
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def _shrink(self, kept: int) -> None:
        """Let the least recently used go until the budget holds, but not the last ones."""
        while len(self._loaded) > kept and self.bytes > self.budget:
            self._loaded.popitem(last=False)

    @property
    def bytes(self) -> int:
        """Bytes of weights loaded now."""
        tensors = {
            id(tensor): tensor.nbytes
            for module in self._loaded.values()
            for tensor in (*module.parameters(), *module.buffers())
        }
        return sum(tensors.values())

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


def _plain(recipe: Recipe, dtype: torch.dtype) -> nn.Module:
    if isinstance(recipe, ImageEncoderRecipe):
        return ip_adapter.load_encoder(recipe, dtype)
    return family_of(recipe).load(recipe, dtype)


def _weights(recipe: Recipe) -> Hashable:
    """What determines the weights of a recipe without its patches."""
    names = ("family", "source", "digest", "variant", "config")
    return type(recipe), *(getattr(recipe, name, "") for name in names)


def _file(patch: Patch) -> Hashable:
    return patch.kind, patch.source, patch.digest


def _structure(recipe: ModelRecipe | TextEncoderRecipe) -> Hashable:
    """What a patched module is made of: not the strengths of a denoiser's patches, which are inputs."""
    return tuple(map(_file, recipe.patches)) if isinstance(recipe, ModelRecipe) else recipe.patches
