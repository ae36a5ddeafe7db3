"""No step waits for a copy between the CPU and the device that computes; torch's meta device stands for that one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from diffusion import denoise as denoising
from diffusion import folder, stable
from diffusion.denoise import Job, denoise
from diffusion.family import empty_latent
from diffusion.recipes import Guider
from diffusion.schedule import for_tokens, schedule
from diffusion.store import STORE
from diffusion.transfer import fetched, moved, number
from diffusion.types import Conditioning, Noise, Sampler

ELSEWHERE = torch.device("meta")


def place(thing: object) -> str:
    return thing.device.type if isinstance(thing, torch.Tensor) else "cpu"


class Crossings(TorchFunctionMode):
    """Notes what goes to the meta device or comes from it, where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.looking = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        made = name in ("tensor", "as_tensor") or name in ("to", "cpu", "cuda", "copy_")
        taken = name in ("item", "tolist", "numpy", "nonzero", "__bool__", "__int__", "__float__")
        source = args[1] if name == "copy_" else args[0] if args else None
        crossed = (made and place(source) != place(result)) or (taken and place(source) == "meta")
        if self.looking and crossed:
            self.found.append(name)
        return result


def crossings(there: Path, sampler: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What crosses in the steps of a drawing after the first two, which may still set things up."""
    monkeypatch.setattr(denoising, "pick_device", lambda _: ELSEWHERE)
    monkeypatch.setattr("diffusion.store.pick_device", lambda _: ELSEWHERE)
    model, _, _ = folder.recipes(there)
    STORE.clear()
    try:
        config: Any = STORE.load(model).config
        if hasattr(config, "joint_attention_dim"):
            sizes = {"prompt_embeds": (1, 8, config.joint_attention_dim), "pooled": (1, config.pooled_projection_dim)}
        else:
            sizes = {"prompt_embeds": (1, 77, config.cross_attention_dim), "pooled": (1, 16)}
        wanted, unwanted = (Conditioning({name: torch.randn(size) for name, size in sizes.items()}) for _ in range(2))
        with Crossings() as seen:

            def on_step(step: int, total: int, x0: torch.Tensor) -> None:
                seen.looking = 2 <= step < total

            job = Job(Guider(model, wanted, unwanted, 5.0), Noise(1), empty_latent(model))
            levels = schedule(for_tokens(model.schedule, 16), 6)
            (done,) = denoise([job], levels, Sampler(sampler), on_step=on_step)
        assert done.samples.device == ELSEWHERE
        return seen.found
    finally:
        STORE.clear()


@pytest.mark.parametrize(
    ("kind", "sampler"),
    [
        ("sd15", "model"), ("sd15", "euler"), ("sdxl", "model"), ("sdxl-refiner", "dpmpp_2m"), ("sd3", "model"),
        ("flux-dev", "model"), ("flux-schnell", "dpmpp_2m"),
        ("lcm", "euler"),  # its own draws fresh noise at each step, on the CPU
    ],
)  # fmt: skip
def test_a_step_moves_nothing(
    kind: str, sampler: str, checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert crossings(checkpoint(kind), sampler, monkeypatch) == []


def test_one_that_moves_something_is_seen(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(stable, "number", lambda value, device: torch.as_tensor(value, device=device))
    assert crossings(checkpoint("sd15"), "euler", monkeypatch) == ["as_tensor"] * 4


def test_a_number_is_the_float32_nearest_to_it_and_several_stay_several() -> None:
    t = number(951.123456789, torch.device("cpu"))
    assert t.shape == ()
    assert t.dtype == torch.float32
    assert t.item() == np.float32(951.123456789)
    assert torch.equal(number(torch.tensor([1, 2]), torch.device("cpu")), torch.tensor([1.0, 2.0]))


def test_on_the_cpu_nothing_is_copied_that_lies_right_already() -> None:
    here = torch.arange(6.0).view(2, 3)
    assert moved(here, torch.device("cpu")) is here
    assert np.shares_memory(fetched(here), here.numpy())
    turned = fetched(here.T)
    assert turned.flags.c_contiguous
    assert np.array_equal(turned, here.numpy().T)
