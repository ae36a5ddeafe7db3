"""Which of torch's kernels computes attention: softmax(Q K^T / sqrt(d)) V is the same, its rounding and speed are not.

    auto        torch picks
    math        plain matrix products, in any dtype, with the whole of Q K^T in memory
    flash       FlashAttention, tile by tile (Dao et al. 2022); on a GPU for 16-bit dtypes only
    efficient   memory-efficient attention (Rabe & Staats 2021); on a GPU
    cudnn       the kernels of cuDNN; on a GPU, for 16-bit dtypes only

All denoisers ask torch's scaled_dot_product_attention, so this reaches every family. Kernels of other packages are
reached by way of diffusers, which its transformers ask (Flux). Its U-Nets and ControlNets and SD3 do not: there such a
name would silently do nothing (diffusers 0.42), so it is refused.

    flex            torch's FlexAttention
    flash-attn      the package flash-attn        flash-attn-3   FlashAttention 3, built from source
    sage            the package sageattention     xformers       the package xformers
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from torch.nn.attention import SDPBackend, sdpa_kernel

KERNELS = {
    "math": SDPBackend.MATH,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}


PACKAGES = {
    "flex": "flex", "flash-attn": "flash", "flash-attn-3": "_flash_3", "sage": "sage", "xformers": "xformers",
}  # fmt: skip
"""Kernels of other packages, and what diffusers calls them."""
ASKS_DIFFUSERS = ("flux",)
"""The families whose network asks diffusers for its kernel."""

_CHOSEN = ContextVar("attention", default="auto")


def chosen() -> str:
    """The kernel that attention is computed by now."""
    return _CHOSEN.get()


@contextlib.contextmanager
def attention(name: str = "auto", family: str = "") -> Iterator[None]:
    """Compute attention by that kernel inside. ValueError for an unknown name, where the kernel cannot do it, where its
    package is not there, and for one of another package where the family does not ask for it."""
    before = _CHOSEN.set(name)
    try:
        with _by(name, family):
            yield
    finally:
        _CHOSEN.reset(before)


@contextlib.contextmanager
def _by(name: str, family: str) -> Iterator[None]:
    if name == "auto":
        yield
        return
    if name in PACKAGES:
        with _of_a_package(name, family):
            yield
        return
    if name not in KERNELS:
        raise ValueError(f'unknown attention "{name}"; known: auto, {", ".join([*KERNELS, *PACKAGES])}')
    try:
        with sdpa_kernel([KERNELS[name]]):
            yield
    except RuntimeError as err:
        if "No available kernel" not in str(err) and "No viable backend" not in str(err):
            raise
        what = f"attention {name} cannot compute what this model needs, on this device and in this dtype"
        raise ValueError(f"{what}: take --attention auto") from err


@contextlib.contextmanager
def _of_a_package(name: str, family: str) -> Iterator[None]:
    from diffusers.models.attention_dispatch import attention_backend

    if family not in ASKS_DIFFUSERS:
        what = f"attention {name} reaches {', '.join(ASKS_DIFFUSERS)} only, not {family or 'this model'}"
        raise ValueError(f"{what}: take --attention auto, or {', '.join(KERNELS)}")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(attention_backend(PACKAGES[name]))
        except RuntimeError as err:
            raise ValueError(f"attention {name} is not here: {err} Or take --attention auto") from err
        yield
