"""What the lock of a run says of this machine's libraries, and what a strict run asks of them."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusion import hub
from engine.context import Settings
from engine.machine import Machine


class TorchMachine(Machine):
    """A machine on which torch computes."""

    packages = (
        "torch", "torchvision", "diffusers", "transformers", "tokenizers", "safetensors", "peft", "numpy", "scipy",
        "pillow", "opencv-python-headless", "opencv-python", "scikit-image", "scikit-learn", "controlnet-aux",
        "spandrel", "matplotlib", "accelerate", "timm", "einops",
    )  # fmt: skip

    def __init__(self) -> None:
        self._before: tuple[Any, ...] | None = None

    def begin(self, settings: Settings) -> None:
        """Strict: deterministic algorithms, no TF32, no search for the fastest kernel. Otherwise as torch has them."""
        if settings.strict:
            # cuBLAS sums in one order only where it is told before it is loaded
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        elif "torch" not in sys.modules or self._before is None:
            return
        import torch

        cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
        if self._before is None:
            self._before = (cudnn.allow_tf32, matmul.allow_tf32, cudnn.benchmark, cudnn.deterministic)
        tf32, matmul_tf32, benchmark, deterministic = (False, False, False, True) if settings.strict else self._before
        torch.use_deterministic_algorithms(settings.strict)
        cudnn.allow_tf32, matmul.allow_tf32 = tf32, matmul_tf32
        cudnn.benchmark, cudnn.deterministic = benchmark, deterministic

    def read_back(self, settings: Settings) -> Mapping[str, Any] | None:
        """The flags of torch, and the GPU where the run is on one; None as long as nothing has loaded torch."""
        if "torch" not in sys.modules:
            return None
        import torch

        cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
        flags: dict[str, Any] = {
            "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
            "threads": torch.get_num_threads(),
            "cpu capability": torch.backends.cpu.get_cpu_capability(),
            "mkldnn": torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
            "float32 matmul precision": torch.get_float32_matmul_precision(),
            "tf32 matmul": matmul.allow_tf32,
            "tf32 cudnn": cudnn.allow_tf32,
            "cudnn benchmark": cudnn.benchmark,
            "cudnn deterministic": cudnn.deterministic,
            "reduced bfloat16 sums": matmul.allow_bf16_reduced_precision_reduction,
            "reduced float16 sums": matmul.allow_fp16_reduced_precision_reduction,
        }
        if not settings.device.startswith("cuda"):
            return {"flags": flags}
        place = torch.cuda.get_device_properties(settings.device)
        gpu = {
            "name": place.name,
            "capability": f"{place.major}.{place.minor}",
            "driver": _driver(),
            "cuda": torch.version.cuda,
            "cudnn": cudnn.version(),  # type: ignore[no-untyped-call]
        }
        return {"flags": flags, "gpu": gpu}

    def revision(self, path: Path) -> str:
        """The commit of the hub that a file belongs to."""
        return hub.commit_of(path)


def _driver() -> str:
    """The version of NVIDIA's driver, where the system tells it."""
    try:
        words = Path("/proc/driver/nvidia/version").read_text(errors="replace").split()
    except OSError:
        return ""
    return next((word for word in words if word[:1].isdigit() and "." in word), "")


MACHINE = TorchMachine()
"""The one of this process."""
