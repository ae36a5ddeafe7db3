"""Models in memory: loaded when first needed, kept within a budget of bytes, the least recently used out first.

What determines a module's weights is its key: their source, digest, variant and dtype, and the device. What a recipe
says beside that, how the output is meant, which sizes fit, the strength of a LoRA, does not. A patched module shares
the weights of the plain one, which stays beside it, and bytes that several share are counted once.

What has to leave a GPU waits in the CPU's memory as long as there is room, and is dropped after that.
"""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator

import torch
from torch import nn

from diffusion import ip_adapter, patches
from diffusion.clip import TextEncoders
from diffusion.family import family_of
from diffusion.memory import Policy, installed, most_of, streamed, tensors, weight
from diffusion.recipes import ImageEncoderRecipe, ModelRecipe, Patch, Recipe, TextEncoderRecipe
from diffusion.soundness import look

CPU = torch.device("cpu")
ALIGNED = 64
"""Bytes; where torch puts what it makes itself."""


class Store:
    """Loaded modules. Safe to use from several threads.

    budget: bytes of weights that may stay on the device. What is in use stays even if it alone is larger.
    """

    def __init__(self, budget: int | None = None) -> None:
        self.policy = Policy(budget)
        self.loads = 0
        """Modules that were read from files so far."""
        self._loaded: OrderedDict[Hashable, nn.Module] = OrderedDict()
        self._places: dict[Hashable, torch.device] = {}
        self._used: set[Hashable] = set()
        self._weights: dict[tuple[Hashable, ...], int] = {}
        self._scopes = 0
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def using(self) -> Iterator[None]:
        """Everything that is loaded inside stays where it is until the end: one piece of work needs it all."""
        with self._lock:
            self._scopes += 1
        try:
            yield
        finally:
            with self._lock:
                self._scopes -= 1
                if not self._scopes:
                    self._used.clear()

    def load(self, recipe: Recipe, device: str = "auto", dtype: str = "auto") -> nn.Module:
        """The module of a recipe with its patches, in evaluation mode without gradients.

        Errors as its family's `load`, `diffusion.patches.piece` and `diffusion.patches.patched`.
        """
        place = pick_device(device)
        kind = pick_dtype(recipe.dtype if dtype == "auto" else dtype, place)
        with self._lock:
            if not self._scopes:
                self._used.clear()
            module = self._module(recipe, place, kind)
            self._make_room(place)
            return module

    def _module(self, recipe: Recipe, place: torch.device, kind: torch.dtype) -> nn.Module:
        where = (str(place), str(kind))
        plain_key = (_weights(recipe), where)

        def plainly() -> nn.Module:
            # a dtype is as loaded: parts that overflow in float16 stay float32
            self.loads += 1
            return _plain(recipe, kind).requires_grad_(False).eval()

        if not isinstance(recipe, ModelRecipe | TextEncoderRecipe) or not recipe.patches:
            if self.policy.offload == "group" and isinstance(recipe, ModelRecipe) and recipe.family != "pixel":
                plain = self._get(plain_key, plainly, CPU)
                return self._get((plain_key, "streamed"), lambda: streamed(plain, place), CPU, moved=False)
            return self._get(plain_key, plainly, place)
        plain = self._get(plain_key, plainly, place)
        pieces = []
        for patch in recipe.patches:

            def piece(patch: Patch = patch) -> nn.Module:
                self.loads += 1
                return patches.piece(patch, recipe, plain, kind)

            pieces.append(self._get((type(recipe), recipe.family, _file(patch), where), piece, place))
        return self._get((plain_key, _structure(recipe)), lambda: patches.patched(plain, recipe, pieces), place)

    def _get(self, key: Hashable, make: Callable[[], nn.Module], place: torch.device, moved: bool = True) -> nn.Module:
        """The module of that key, in use from now on, on the place. moved: False for one that moves its own layers."""
        self._used.add(key)
        module = self._loaded.get(key)
        if module is None:
            module = make()
            self._loaded[key] = module
        self._loaded.move_to_end(key)
        if self._places.get(key) != place:
            self._make_room(place, module)
            if moved:
                self._move(module, place)
            self._places[key] = place
        return module

    def _make_room(self, place: torch.device, *coming: nn.Module) -> None:
        """Move what is not in use off a device until what comes fits beside the rest; all of it for offload."""
        budget = most_of(place) if self.policy.budget is None else self.policy.budget
        alone = self.policy.offload != "none" and place != CPU
        for key in [key for key in self._loaded if key not in self._used and self._places.get(key) == place]:
            if not alone and self._weight(place, *coming) <= budget:
                return
            self._put_out(key, place)

    def _put_out(self, key: Hashable, place: torch.device) -> None:
        """Let a module wait in the CPU's memory, or let it go."""
        module = self._loaded[key]
        if place == CPU:
            self._drop(key)
            return
        needed = tensors(self._loaded[k] for k in self._used if k in self._loaded)
        if not needed.keys().isdisjoint(tensors([module])):
            return  # its weights are those of a module that is in use
        self._move(module, CPU)
        self._places[key] = CPU
        limit = installed() // 2 if self.policy.waiting is None else self.policy.waiting
        for old in [k for k in self._loaded if self._places.get(k) == CPU and k not in self._used]:
            if self._weight(CPU) <= limit:
                return
            self._drop(old)

    def _weight(self, place: torch.device, *coming: nn.Module) -> int:
        """Bytes of weights on a device, and of what comes. Counted anew only where other modules are there."""
        keys = tuple(key for key, at in self._places.items() if at == place)
        if coming:
            return weight([*(self._loaded[key] for key in keys), *coming])
        if keys not in self._weights:
            self._weights[keys] = weight(self._loaded[key] for key in keys)
        return self._weights[keys]

    def _drop(self, key: Hashable) -> None:
        del self._loaded[key]
        self._places.pop(key, None)
        self._weights.clear()

    def _move(self, module: nn.Module, place: torch.device) -> None:
        module.to(place)
        if place.type == "cuda":
            # what the convolutions of cuDNN are fastest with
            module.to(memory_format=torch.channels_last)

    @property
    def bytes(self) -> int:
        """Bytes of weights loaded now, wherever they are."""
        return weight(self._loaded.values())

    def __len__(self) -> int:
        return len(self._loaded)

    def clear(self) -> None:
        """Let go of every model."""
        with self._lock:
            self._loaded.clear()
            self._places.clear()
            self._used.clear()
            self._weights.clear()


STORE = Store()
"""The one store of this process."""


def text_encoders(recipe: TextEncoderRecipe, device: str = "auto") -> TextEncoders:
    """The text encoders of a recipe. ValueError for a model that is told labels, beside the errors of `Store.load`."""
    module = STORE.load(recipe, device)
    if not isinstance(module, TextEncoders):
        raise ValueError(f"a model of the family {recipe.family} is told no texts")
    return module


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
    module: nn.Module
    if isinstance(recipe, ImageEncoderRecipe):
        module = ip_adapter.load_encoder(recipe, dtype)
    else:
        module = family_of(recipe).load(recipe, dtype)
    if recipe.family != "pixel":
        # imports diffusers, which a pixel model does without
        from diffusion.direct import directed

        directed(module)
    aligned(module)
    look(module.state_dict(), recipe.source)
    return module


def aligned(module: nn.Module) -> None:
    """Move weights that begin elsewhere to addresses that are multiples of 64 bytes. A file lays them where its header
    ends, and kernels round otherwise there: equal weights from two files would give pictures that differ in a bit."""
    for tensor in module.parameters():
        if tensor.data_ptr() % ALIGNED:
            tensor.data = tensor.data.clone(memory_format=torch.preserve_format)


def _weights(recipe: Recipe) -> Hashable:
    """What determines the weights of a recipe without its patches."""
    names = ("family", "source", "digest", "variant", "config")
    return type(recipe), *(getattr(recipe, name, "") for name in names)


def _file(patch: Patch) -> Hashable:
    return patch.kind, patch.source, patch.digest


def _structure(recipe: ModelRecipe | TextEncoderRecipe) -> Hashable:
    """What a patched module is made of: not the strengths of a denoiser's patches, which are inputs."""
    return tuple(map(_file, recipe.patches)) if isinstance(recipe, ModelRecipe) else recipe.patches
