"""How many pictures there is room for at once, told before the first of them is drawn.

A call of the denoiser is played through with tensors that have shapes and no numbers: what would be alive at once is
counted, nothing is computed, and nothing is held. What kernels take for themselves is not seen.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

USABLE = 0.9
"""Share of what is free that is planned with: kernels want some for themselves, and others use the machine too."""

CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of what operations make, as long as it is alive. peak: the most at once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now, self.peak = 0, 0
        self._seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        # views, and what is changed in its place, are bytes that were there
        if not any(one.alias_info for one in func._schema.returns):
            for tensor in pytree.tree_leaves(made):
                if isinstance(tensor, torch.Tensor):
                    self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._seen:
            return
        self._seen.add(storage)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, storage.nbytes())

    def _gone(self, size: int) -> None:
        self.now -= size


def needed(call: Callable[[], object]) -> int:
    """Bytes that are alive at once, at most, while something runs, beside the tensors that it is given.

    It is not run: it sees tensors without numbers. What it keeps must be thrown away with it.
    """
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True), Live() as live:
        call()
    peak: int = live.peak
    return peak


def free(device: torch.device) -> int | None:
    """Bytes that may still be taken on a device; None where the system does not say."""
    if device.type == "cuda":
        there, _ = torch.cuda.mem_get_info(device)
        # what torch keeps for later is free too
        return there + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type != "cpu":
        return None
    known = [size for size in (_available(), _allowed()) if size is not None]
    return min(known) if known else None


def _available() -> int | None:
    """What Linux says could be had without swapping."""
    try:
        lines = MEMINFO.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _allowed() -> int | None:
    """What the container that this runs in may still take; files that it has read can be let go."""
    try:
        limit, taken = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        return None if limit == "max" else max(0, int(limit) - int(taken) + int(stat.get("inactive_file", 0)))
    except (OSError, ValueError):
        return None
