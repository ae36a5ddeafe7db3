"""Which device and dtype "auto" means here, found without importing torch: a plan must not wait for it."""

import ctypes
import platform
import sys

from engine.errors import Problem, error
from engine.text import did_you_mean, quoted

DTYPES = ("auto", "float32", "bfloat16", "float16")
OFFLOADS = ("none", "model", "group")
ATTENTIONS = ("auto", "math", "flash", "efficient", "cudnn")
"""Torch's own, for every family."""
PACKAGES = ("flex", "flash-attn", "flash-attn-3", "sage", "xformers")
"""Those of other packages, by diffusers, for transformers that ask it (Flux)."""
SPEEDS = ("none", "compile", "graphs", "compile-graphs")


def resolve(device: str, dtype: str) -> tuple[str, str]:
    """The device and dtype of a run, with "auto" replaced by what fits this machine.

    device: cuda where an NVIDIA driver sees a GPU, else mps on a Mac with Apple's chips, else cpu. dtype: bfloat16 on
    cuda, float32 elsewhere. Raises E-CLI for names that are none of these, and for a GPU that is not there.
    """
    problems = []
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (":" in device and not (kind == "cuda" and index.isdigit())):
        close = did_you_mean(kind, ("auto", "cpu", "cuda", "mps"))
        problems.append(Problem("E-CLI", f"--device {quoted(device)} is not a device", close))
    elif kind == "cuda" and (found := cuda_count()) <= int(index or 0):
        what = f"--device {quoted(device)} is not there: {found} CUDA devices found"
        problems.append(Problem("E-CLI", what, "take --device auto; weft doctor says more"))
    elif kind == "mps" and not has_mps():
        problems.append(Problem("E-CLI", "--device mps needs a Mac with Apple's chips", "take --device auto"))
    if dtype not in DTYPES:
        problems.append(Problem("E-CLI", f"--dtype {quoted(dtype)} is not a dtype", did_you_mean(dtype, DTYPES)))
    if problems:
        raise error(problems)
    if device == "auto":
        device = "cuda" if cuda_count() else "mps" if has_mps() else "cpu"
    if dtype == "auto":
        dtype = "bfloat16" if device.startswith("cuda") else "float32"
    return device, dtype


def check_choices(device: str, offload: str, attention: str, speed: str = "none") -> None:
    """Raise E-CLI for an offload, attention or speed that is none, or that this device does not have."""
    problems = []
    if offload not in OFFLOADS:
        hint = did_you_mean(offload, OFFLOADS)
        problems.append(Problem("E-CLI", f"--offload {quoted(offload)} is not a way to offload", hint))
    if attention not in (*ATTENTIONS, *PACKAGES):
        hint = did_you_mean(attention, (*ATTENTIONS, *PACKAGES))
        problems.append(Problem("E-CLI", f"--attention {quoted(attention)} is not a kernel of attention", hint))
    elif attention not in ("auto", "math", "flash", "flex") and not device.startswith("cuda"):
        what = f"--attention {attention} needs a GPU of NVIDIA, and this run is on {device}"
        problems.append(Problem("E-CLI", what, "take auto, math or flash"))
    if speed not in SPEEDS:
        problems.append(Problem("E-CLI", f"--speed {quoted(speed)} is none", did_you_mean(speed, SPEEDS)))
    elif speed == "graphs" and not device.startswith("cuda"):
        what = f"--speed graphs needs a GPU of NVIDIA, and this run is on {device}"
        problems.append(Problem("E-CLI", what, "take none or compile"))
    elif speed != "none" and offload == "group":
        what = f"--speed {speed} needs the whole model on the device, and --offload group streams it"
        problems.append(Problem("E-CLI", what, "take --offload none or model"))
    if problems:
        raise error(problems)


def cuda_count() -> int:
    """How many GPUs the NVIDIA driver sees; 0 where there is no driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value


def has_mps() -> bool:
    """Whether this is a Mac with Apple's chips."""
    return sys.platform == "darwin" and platform.machine() == "arm64"
