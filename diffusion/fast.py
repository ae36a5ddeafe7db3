"""Running a denoiser's network with less Python and fewer kernels: prepared once, then called as the network is.

    compile   torch.compile fuses operations. Transformers are compiled block by block (`compile_repeated_blocks`),
              which is soon done, since their blocks are alike; U-Nets whole. Rounding differs.
    graphs    CUDA graphs: the kernels of a call are recorded once for inputs of these shapes, and launched together
              after that. The same kernels on the same numbers; on a GPU only.
    compile-graphs   what is compiled, recorded.

What is prepared stays with the module, for as long as that is loaded, one for each kernel of attention, which is part
of what is compiled or recorded. Patches (LoRAs, IP-Adapters) have strengths that are no inputs of the network's own, so
patched modules run as they are.
"""

import weakref
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn
from torch.utils import _pytree as pytree

from diffusion.attention import chosen
from diffusion.patches import shared_copy

BACKEND = "inductor"
"""Of torch.compile."""
SPEEDS = {"none": (False, False), "compile": (True, False), "graphs": (False, True), "compile-graphs": (True, True)}
"""Whether a network is compiled, and whether it is recorded."""

Capture = Callable[[Callable[[], Any]], Callable[[], None]]
"""Takes a call and gives what repeats it: the same work on the same memory."""

Prepare = Callable[[nn.Module], nn.Module]

_READY: "weakref.WeakKeyDictionary[nn.Module, dict[tuple[Prepare, str], nn.Module]]" = weakref.WeakKeyDictionary()
_compiled_by = ["auto"]
"""The kernel of attention in what is compiled now."""


def faster(module: nn.Module, speed: str) -> nn.Module:
    """The module as one that runs that way, on the same weights. ValueError for an unknown one, and graphs on a CPU."""
    if speed not in SPEEDS:
        raise ValueError(f'unknown speed "{speed}"; known: {", ".join(SPEEDS)}')
    compiles, records = SPEEDS[speed]
    if records and next(module.parameters()).device.type != "cuda":
        raise ValueError("CUDA graphs need a GPU of NVIDIA: take --speed compile or none")
    if compiles:
        if _compiled_by[0] != chosen():
            # to torch, what it compiled with another kernel fits as well
            torch.compiler.reset()
            _compiled_by[0] = chosen()
        module = _once(module, compiled)
    return _once(module, recorded) if records else module


def _once(module: nn.Module, prepare: Prepare) -> nn.Module:
    """What was prepared of a module for the kernel of attention chosen now."""
    ready, key = _READY.setdefault(module, {}), (prepare, chosen())
    if key not in ready:
        ready[key] = prepare(module)
    return ready[key]


def compiled(module: nn.Module) -> nn.Module:
    """A copy with the same weights whose forward, or that of its repeated blocks, is compiled when first called."""
    copied: Any = shared_copy(module)
    if getattr(copied, "_repeated_blocks", None) and not hasattr(copied, "mid_block"):
        copied.compile_repeated_blocks(backend=BACKEND)
    else:
        copied.compile(backend=BACKEND)
    return cast(nn.Module, copied)


class Graphed(nn.Module):
    """A module whose calls are replayed, a recording for each shape of inputs.

    Inputs are copied to where the recording reads, outputs from where it writes. A recording is of memory: where the
    weights have moved since, it is made anew.
    """

    def __init__(self, module: nn.Module, capture: Capture) -> None:
        super().__init__()
        self._module = weakref.ref(module)  # which keeps this, and not this that
        self._capture = capture
        self._recordings: dict[object, tuple[list[torch.Tensor], Callable[[], None], list[Any]]] = {}
        self._watched = list(module.parameters())  # to walk the modules for them takes longer than to look at each
        self._weights: list[int] = []

    @property
    def inner(self) -> nn.Module:
        """The module itself."""
        module = self._module()
        assert module is not None
        return module

    @property
    def config(self) -> Any:
        """The module's."""
        return self.inner.config

    def parameters(self, recurse: bool = True) -> Any:
        """The module's."""
        return self.inner.parameters(recurse)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the module's own."""
        weights = [weight.data_ptr() for weight in self._watched]
        if weights != self._weights:
            self._weights = weights
            self._recordings.clear()
        leaves, spec = pytree.tree_flatten((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        kept = tuple(_kind(leaf) for leaf in leaves)
        key = spec, kept
        if key not in self._recordings:
            self._recordings[key] = self._record(leaves, spec)
        places, replay, found = self._recordings[key]
        for place, tensor in zip(places, tensors, strict=True):
            place.copy_(tensor)
        replay()
        written, form = found
        copies = [leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for leaf in written]
        return pytree.tree_unflatten(copies, form)

    def _record(self, leaves: list[Any], spec: Any) -> tuple[list[torch.Tensor], Callable[[], None], list[Any]]:
        own = [leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        args, kwargs = pytree.tree_unflatten(own, spec)
        found: list[Any] = [None, None]

        def call() -> None:
            found[0], found[1] = pytree.tree_flatten(self.inner(*args, **kwargs))

        replay = self._capture(call)
        return [leaf for leaf in own if isinstance(leaf, torch.Tensor)], replay, found


def recorded(module: nn.Module) -> nn.Module:
    """The module with its calls as CUDA graphs."""
    return Graphed(module, captured)


def captured(call: Callable[[], Any]) -> Callable[[], None]:
    """A CUDA graph of a call. Three calls before it, on a stream of their own, let libraries choose their kernels."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def _kind(leaf: Any) -> object:
    """What a recording depends on: of a tensor its shape, dtype, layout and device; of anything else the value."""
    if isinstance(leaf, torch.Tensor):
        return leaf.shape, leaf.dtype, leaf.stride(), str(leaf.device)
    return leaf
