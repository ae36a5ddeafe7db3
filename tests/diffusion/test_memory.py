"""Where models wait when there is no room for all of them: in the CPU's memory, or nowhere; never those in use."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from diffusion import folder, memory, store
from diffusion.memory import Policy, streamed
from diffusion.reading import is_out_of_memory, unreadable
from diffusion.store import Store

PLAIN = ["sd15", "sd21", "sdxl"]


class Moves(Store):
    """A store whose GPU is imagined: it writes down what would move where."""

    def __init__(self, **policy):
        super().__init__()
        self.policy = Policy(**policy)
        self.moved: list[tuple[int, str]] = []

    def _move(self, module, place):
        self.moved.append((id(module), place.type))

    def on(self, place="cuda"):
        """The modules that would be there."""
        return [self._loaded[key] for key, at in self._places.items() if at.type == place]


@pytest.fixture
def models(checkpoint, monkeypatch):
    """The U-Nets of three checkpoints, on a GPU that is imagined."""
    monkeypatch.setattr(store, "pick_device", lambda name: torch.device(name))
    monkeypatch.setattr(store, "most_of", lambda device: 1 << 40)
    return [folder.recipes(checkpoint(kind))[0] for kind in PLAIN]


def size(model) -> int:
    one = Store()
    one.load(model, "cpu")
    return one.bytes


def test_what_leaves_the_gpu_waits_and_comes_back_without_being_read_again(models):
    a, b, _ = models
    held = Moves(budget=max(map(size, models)) + 10)
    first = held.load(a, "cuda")
    second = held.load(b, "cuda")
    assert (held.on(), held.on("cpu")) == ([second], [first])
    assert held.load(a, "cuda") is first
    assert (held.on(), held.loads) == ([first], 2)


def test_what_waits_is_dropped_where_there_is_no_room_to_wait(models):
    a, b, c = models
    held = Moves(budget=1, waiting=size(a) + 10)
    first, second = held.load(a, "cuda"), held.load(b, "cuda")
    held.load(c, "cuda")
    assert (held.on("cpu"), len(held)) == ([second], 2)
    assert held.load(a, "cuda") is not first


def test_models_stay_where_the_budget_holds(models):
    held = Moves(budget=sum(map(size, models)))
    modules = [held.load(model, "cuda") for model in models]
    assert held.on() == modules
    assert {place for _, place in held.moved} == {"cuda"}


def test_offload_model_leaves_one_on_the_device(models):
    held = Moves(offload="model")
    for model in models:
        module = held.load(model, "cuda")
        assert held.on() == [module]
    assert len(held) == 3


@pytest.mark.parametrize("policy", [{"offload": "model"}, {"budget": 1}], ids=str)
def test_what_works_together_stays_together(models, policy):
    a, b, c = models
    held = Moves(**policy)
    with held.using():
        together = [held.load(a, "cuda"), held.load(b, "cuda")]
        assert held.on() == together
    assert held.on() == together
    assert [held.load(c, "cuda")] == held.on()


def test_a_patched_model_keeps_the_weights_that_it_shares(models, checkpoint):
    from diffusion.recipes import Patch

    sdxl = models[-1]
    patched = replace(sdxl, patches=(Patch("lora", str(checkpoint("lora-sdxl")), ""),))
    held = Moves(offload="model")
    module = held.load(patched, "cuda")
    plain = held.load(sdxl, "cuda")
    assert plain in held.on()
    assert not {id(plain), id(module)} & {which for which, place in held.moved if place == "cpu"}
    held.load(models[0], "cuda")
    assert {id(plain), id(module)} <= {which for which, place in held.moved if place == "cpu"}


def test_a_streamed_denoiser_gives_the_same_bits(models):
    from diffusion.family import family_of
    from diffusion.types import Level

    model = models[0]
    plain = Store().load(model, "cpu")
    whole = family_of(model).network(plain, model)
    layered = family_of(model).network(streamed(plain, torch.device("cpu")), model)
    x, inputs = torch.randn(2, 4, 8, 8), {"prompt_embeds": torch.randn(2, 77, plain.config.cross_attention_dim)}
    with torch.no_grad():
        expected = whole(x, Level(500.0, 0.5, 0.8), inputs)
        assert torch.equal(layered(x, Level(500.0, 0.5, 0.8), inputs), expected)
        assert torch.equal(whole(x, Level(500.0, 0.5, 0.8), inputs), expected)


def test_offload_group_streams_denoisers_alone(checkpoint, monkeypatch):
    model, encoder, vae = folder.recipes(checkpoint("sd15"))
    held = Store()
    held.policy = Policy(offload="group")
    streams = []

    class Streams(nn.Identity):
        def to(self, *where, **how):
            raise AssertionError("it moves its layers by itself")

    monkeypatch.setattr(store, "streamed", lambda module, place: streams.append(place) or Streams())
    for recipe in (model, encoder, vae):
        held.load(recipe, "cpu")
    assert streams == [torch.device("cpu")]


@pytest.mark.parametrize(
    ("why", "is_it"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_says_that_memory_ran_out(why, is_it):
    assert is_out_of_memory(why) is is_it


def test_a_real_allocation_that_is_too_large_is_known():
    with pytest.raises(RuntimeError) as found:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(found.value)


def test_half_of_the_memory_is_for_models_where_nobody_says(tmp_path: Path):
    assert memory.most_of(torch.device("cpu")) == memory.installed() // 2 > 0


def test_no_memory_for_sound_weights_is_not_called_damage():
    short = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    assert unreadable("a/unet", short) is short
    told = unreadable("a/unet", RuntimeError("size mismatch"))
    assert str(told) == "a/unet: damaged, or weights that do not fit their configuration: size mismatch"
