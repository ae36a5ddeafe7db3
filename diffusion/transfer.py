"""Between the CPU's memory and a GPU's, so that neither waits for more than it needs.

A plain copy waits until the GPU has done all that it was given. Meanwhile nothing is launched, so after it the GPU has
nothing to do. A copy from pinned memory takes its place in the row like a kernel; and who needs what was computed waits
for that alone, not for what another thread launched since.
"""

import numpy as np
import torch


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on a device; itself where it is there already."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def number(value: float | torch.Tensor, device: torch.device) -> torch.Tensor:
    """One number as a float32 tensor () that is made on the device; of several, (B,), the tensor there."""
    if isinstance(value, torch.Tensor):
        return value.to(device, torch.float32)
    return torch.full((), value, device=device)


def fetched(tensor: torch.Tensor) -> np.ndarray:
    """The tensor as an array in the CPU's memory, contiguous."""
    if tensor.device.type != "cuda":
        return np.ascontiguousarray(tensor.cpu().numpy())
    kept = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    kept.copy_(tensor, non_blocking=True)
    done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    done.record(torch.cuda.current_stream(tensor.device))
    done.synchronize()
    return kept.numpy().copy()  # pinned memory is for copies, not for keeping
