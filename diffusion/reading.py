"""What it means when weights cannot be read: a file that is damaged, or no memory left for a sound one."""

import torch


def is_out_of_memory(why: BaseException) -> bool:
    """Whether an exception says that there was no memory left, on a GPU or in the CPU's."""
    if isinstance(why, MemoryError | torch.OutOfMemoryError):
        return True
    # torch's allocator for the CPU raises a plain RuntimeError
    return isinstance(why, RuntimeError) and "can't allocate memory" in str(why)


def unreadable(where: object, why: Exception) -> Exception:
    """What to raise for what a library raised while it read the weights at a place."""
    if is_out_of_memory(why):
        return why
    return ValueError(f"{where}: damaged, or weights that do not fit their configuration: {why}")
