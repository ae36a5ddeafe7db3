"""Which of torch's kernels computes attention: softmax(Q K^T / sqrt(d)) V is the same, its rounding and speed are not.

    auto        torch picks
    math        plain matrix products, in any dtype, with the whole of Q K^T in memory
    flash       FlashAttention, tile by tile (Dao et al. 2022); on a GPU for 16-bit dtypes only
    efficient   memory-efficient attention (Rabe & Staats 2021); on a GPU
    cudnn       the kernels of cuDNN; on a GPU, for 16-bit dtypes only

All denoisers ask torch's scaled_dot_product_attention, so this reaches every family.
"""

import contextlib
from collections.abc import Iterator

from torch.nn.attention import SDPBackend, sdpa_kernel

KERNELS = {
    "math": SDPBackend.MATH,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}


@contextlib.contextmanager
def attention(name: str = "auto") -> Iterator[None]:
    """Compute attention by that kernel inside. ValueError for an unknown name, and where the kernel cannot do it."""
    if name == "auto":
        yield
        return
    if name not in KERNELS:
        raise ValueError(f'unknown attention "{name}"; known: auto, {", ".join(KERNELS)}')
    try:
        with sdpa_kernel([KERNELS[name]]):
            yield
    except RuntimeError as err:
        if "No available kernel" not in str(err) and "No viable backend" not in str(err):
            raise
        what = f"attention {name} cannot compute what this model needs, on this device and in this dtype"
        raise ValueError(f"{what}: take --attention auto") from err
