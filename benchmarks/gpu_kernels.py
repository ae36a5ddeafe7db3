"""Where a picture's time goes on a GPU: which of `benchmarks/gpu.py`'s kernels take it, and how long it waits."""

from collections.abc import Callable, Iterator
from typing import Any

MOST, WIDTH = 12, 90
"""Kernels told, and letters of their names, whose tails are the types of templates."""


def kernels(work: Callable[[], Any], gpu: bool) -> list[tuple[str, int, float]]:
    """Name, calls and seconds of all kernels of one call, the longest first. On a CPU: of torch's operations."""
    import torch
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    # what launches them is not recorded: that would slow it
    with profile(activities=[ProfilerActivity.CUDA if gpu else ProfilerActivity.CPU]) as seen:
        work()
        if gpu:
            torch.cuda.synchronize()
    here = DeviceType.CUDA if gpu else DeviceType.CPU
    rows = [row for row in seen.key_averages() if row.device_type == here]
    spent = [(row.self_device_time_total if gpu else row.self_cpu_time_total) / 1e6 for row in rows]
    found = [(row.key, row.count, seconds) for row, seconds in zip(rows, spent, strict=True)]
    return sorted(found, key=lambda one: -one[2])


def told(what: str, work: Callable[[], Any], wall: float, gpu: bool) -> Iterator[tuple[str, ...]]:
    """Lines of the table: the longest kernels with their calls and shares of the seconds a picture takes, and the rest.

    wall: those seconds, measured without looking.
    """
    found = kernels(work, gpu)
    busy = sum(seconds for _, _, seconds in found)
    for name, calls, seconds in found[:MOST]:
        short = name.replace("|", "/")[:WIDTH]
        yield f"{what}: {short} x {calls}", f"{seconds:.4f}", *[""] * 4, f"{seconds / wall:.1%}"
    rest = sum(seconds for _, _, seconds in found[MOST:])
    yield f"{what}: {max(0, len(found) - MOST)} others", f"{rest:.4f}", *[""] * 4, f"{rest / wall:.1%}"
    yield f"{what}: nothing runs", f"{wall - busy:.4f}", *[""] * 4, f"{1 - busy / wall:.1%}"
