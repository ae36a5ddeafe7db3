"""How many pictures there is room for: what is told before is what is alive when they are drawn."""

import pytest
import torch

from diffusion import denoise, folder, room
from diffusion.denoise import Job
from diffusion.family import empty_latent, family_of
from diffusion.recipes import Guider
from diffusion.room import Live, needed
from diffusion.schedule import for_tokens
from diffusion.schedule import schedule as spaced
from diffusion.store import STORE
from diffusion.types import Noise, Prompt, Sampler


def test_what_is_alive_at_once_is_counted():
    x = torch.zeros(250)

    def call():
        a = x * 2  # 1000 bytes
        b = a.view(10, 25).t() + 1  # 1000 more; a view is none
        del a
        b += 1  # in its place
        return torch.cat([b, b])  # 2000 beside the 1000 of b

    assert needed(call) == 3000


SIDE = 256
"""Pixels; large enough that the inputs, copies of which are not counted, are less than what is."""


def levels(model):
    """A schedule of one step."""
    return spaced(for_tokens(model.schedule, (SIDE // model.multiple) ** 2), 1)


def job(checkpoint, kind, scale=5.0):
    model, encoder, _ = folder.recipes(checkpoint(kind))
    family = family_of(model)
    said = family.encode_text(STORE.load(encoder, "cpu"), encoder, Prompt("a fox"))
    return Job(Guider(model, said, said, scale=scale), Noise(1), empty_latent(model, SIDE, SIDE, 1))


@pytest.mark.parametrize("kind", ["sd15", "sdxl", "sd3", "flux-dev"])
def test_what_is_told_is_what_a_real_step_holds(checkpoint, kind, monkeypatch):
    one = job(checkpoint, kind)
    schedule = levels(one.guider.model)
    told = []
    monkeypatch.setattr(denoise, "needed", lambda call: told.append(needed(call)) or told[-1])
    (before,) = denoise.denoise([one], schedule, Sampler("model"), "cpu", "float32")
    assert denoise.room([one] * 3, schedule, "cpu", "float32") == 3
    with Live() as live:
        (after,) = denoise.denoise([one], schedule, Sampler("model"), "cpu", "float32")
    assert torch.equal(before.samples, after.samples), "to ask changes nothing"
    assert 0.75 <= told[0] / live.peak <= 1.0
    with Live() as live:
        denoise.denoise([one] * 4, schedule, Sampler("model"), "cpu", "float32")
    assert 0.75 <= 4 * told[0] / live.peak <= 1.25


@pytest.mark.parametrize(("times", "expected"), [(100, 8), (4.5, 4), (0.1, 1)])
def test_as_many_as_the_memory_holds_that_is_free(checkpoint, times, expected, monkeypatch):
    one = job(checkpoint, "sd15")
    monkeypatch.setattr(denoise, "needed", lambda call: 9000)
    monkeypatch.setattr(denoise, "free", lambda place: int(times * 10000))
    assert denoise.room([one] * 8, levels(one.guider.model), "cpu", "float32") == expected


def test_one_that_guides_is_asked_for(checkpoint, monkeypatch):
    plain, guided = job(checkpoint, "sd15", scale=1.0), job(checkpoint, "sd15")
    schedule = levels(plain.guider.model)
    monkeypatch.setattr(denoise, "free", lambda place: 3 * needed_by_one)
    needed_by_one = 1 << 40
    told = []
    monkeypatch.setattr(denoise, "needed", lambda call: told.append(needed(call)) or told[-1])
    for jobs in ([plain, guided], [guided, guided], [plain, plain]):
        denoise.room(jobs, schedule, "cpu", "float32")
    assert told[0] == told[1] > told[2]


def test_what_is_free_on_a_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(room, "CGROUP", tmp_path)
    cpu = torch.device("cpu")
    assert room.free(cpu) is None
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 5000 kB\n")
    assert room.free(cpu) == 5000 * 1024
    for name, text in {
        "memory.max": "4000\n",
        "memory.current": "3000\n",
        "memory.stat": "anon 1\ninactive_file 50\n",
    }.items():
        (tmp_path / name).write_text(text)
    assert room.free(cpu) == 1050
    (tmp_path / "memory.max").write_text("max\n")
    assert room.free(cpu) == 5000 * 1024


def test_nobody_can_tell_for_an_accelerator_that_is_none_of_these():
    assert room.free(torch.device("meta")) is None
