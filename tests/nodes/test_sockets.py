"""Every wire type becomes bytes and comes back the same, whatever is in it (K9)."""

import numpy as np
import pytest
import torch

from diffusion.types import Conditioning, Dataset, Image, Latent, Level, Mask
from engine.cache import Cache
from engine.values import socket_of
from nodes.sockets import Losses, from_numpy, from_torch, to_numpy, to_torch

STRANGE = [float("nan"), float("inf"), -0.0, 0.0, 1e-45]


def there_and_back(value):
    socket = socket_of(type(value))
    return socket.unpack(socket.pack(value))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (2, 3)])
def test_k9_arrays(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    back = to_numpy(from_numpy(array))
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_k9_tensors(dtype):
    tensor = torch.tensor(STRANGE).to(dtype)
    back = to_torch(from_torch(tensor))
    assert back.dtype == dtype
    assert from_torch(back).data.tobytes() == from_torch(tensor).data.tobytes()


def test_k9_latent():
    latent = Latent(
        torch.tensor(STRANGE).view(1, 1, 1, 5), "pixel", "noisy", Level(5, 0.6, 0.8), torch.ones(1, 1, 1, 5),
        torch.full((1, 1, 1, 5), 0.5),
    )  # fmt: skip
    back = there_and_back(latent)
    assert (back.space, back.state, back.level) == ("pixel", "noisy", Level(5, 0.6, 0.8))
    assert torch.equal(back.samples.view(torch.int32), latent.samples.view(torch.int32))
    assert torch.equal(back.mask, latent.mask)
    assert torch.equal(back.covered, latent.covered)


def test_k9_the_other_values():
    image = Image(np.random.default_rng(0).random((2, 3, 4, 3), np.float32))
    assert np.array_equal(there_and_back(image).pixels, image.pixels)
    assert np.array_equal(there_and_back(Mask(np.eye(3, dtype=np.float32)[None])).values[0], np.eye(3))
    words = there_and_back(Conditioning({"labels": torch.tensor([3, 1])}, "3, 1"))
    assert (words.text, words.tensors["labels"].tolist()) == ("3, 1", [3, 1])
    data = Dataset(np.zeros((2, 4, 4, 1), np.uint8), np.array([1, 0]), ("a", "b"), ("x", "y"), "toy")
    back = there_and_back(data)
    assert (back.labels.tolist(), back.captions, back.class_names, back.name) == ([1, 0], ("a", "b"), ("x", "y"), "toy")
    assert there_and_back(Losses((0.5, float("nan"), -0.0))).values[2].hex() == "-0x0.0p+0"


def test_what_travels_cannot_be_written_to(tmp_path, run_nodes):
    nodes = {"plot": {"type": "PlotSchedule"}}
    fresh = run_nodes(nodes, "plot", cache=Cache(tmp_path / "cache"))["plot"]
    cached = run_nodes(nodes, "plot", cache=Cache(tmp_path / "cache"))["plot"]
    for image in (fresh, cached):
        with pytest.raises(ValueError, match="read-only"):
            image.pixels[0] = 0
