"""ComfyUI's schedulers: what they give was worked out from its formulas in plain Python, with no table of ours."""

import math
from dataclasses import replace

import pytest
import torch

from diffusion.noise import Streams
from diffusion.samplers import sample
from diffusion.schedule import cut, schedule
from diffusion.spacing import placed
from diffusion.types import Latent, Noise, Sampler, ScheduleConfig

SD = ScheduleConfig("scaled_linear", beta_start=0.00085, beta_end=0.012)
SD3 = ScheduleConfig("flow", shift=3.0)
FLUX = ScheduleConfig("flow", base_shift=0.5, max_shift=1.15, mu=1.15)


def sd_noises() -> list[float]:
    """sigma / alpha of every level of Stable Diffusion's table, clean to noisy."""
    found, product = [], 1.0
    for i in range(1000):
        root = 0.00085**0.5 + (0.012**0.5 - 0.00085**0.5) * i / 999
        product *= 1 - root**2
        found.append(((1 - product) / product) ** 0.5)
    return found


def between(noises: list[float], t: float) -> float:
    low = min(int(t), 998)
    return math.exp(math.log(noises[low]) + (t - low) * (math.log(noises[low + 1]) - math.log(noises[low])))


def shifted(sigma: float, shift: float) -> float:
    return shift * sigma / (1 + (shift - 1) * sigma)


def noises_of(config: ScheduleConfig, steps: int) -> list[float]:
    made = schedule(config, steps)
    assert made.levels[-1].sigma == 0
    if config.kind == "flow":
        return [level.sigma for level in made.levels[:-1]]
    return [level.sigma / level.alpha for level in made.levels[:-1]]


TABLE = sd_noises()
CASES = {
    "comfy_normal": lambda n: [between(TABLE, 999 - 999 * i / (n - 1)) for i in range(n)],
    "comfy_sgm_uniform": lambda n: [between(TABLE, 999 - 999 * i / n) for i in range(n)],
    "comfy_simple": lambda n: [TABLE[-(1 + int(i * 1000 / n))] for i in range(n)],
    "comfy_ddim_uniform": lambda n: TABLE[1 :: 1000 // n][::-1],
    "comfy_karras": lambda n: [
        (TABLE[-1] ** (1 / 7) + i / (n - 1) * (TABLE[0] ** (1 / 7) - TABLE[-1] ** (1 / 7))) ** 7 for i in range(n)
    ],
    "comfy_exponential": lambda n: [TABLE[-1] * (TABLE[0] / TABLE[-1]) ** (i / (n - 1)) for i in range(n)],
    "comfy_kl_optimal": lambda n: [
        math.tan(i / (n - 1) * math.atan(TABLE[0]) + (1 - i / (n - 1)) * math.atan(TABLE[-1])) for i in range(n)
    ],
}


@pytest.mark.parametrize("steps", [4, 20, 30])
@pytest.mark.parametrize("spacing", CASES)
def test_levels_of_stable_diffusion(spacing, steps):
    found = noises_of(replace(SD, spacing=spacing), steps)
    assert found == pytest.approx(CASES[spacing](steps), rel=1e-4)


def test_ddim_uniform_may_have_a_step_more():
    assert len(noises_of(replace(SD, spacing="comfy_ddim_uniform"), 30)) == 31


def test_beta_and_linear_quadratic():
    # Beta(0.6, 0.6) is symmetric, and places of the table are whole
    found = noises_of(replace(SD, spacing="comfy_beta"), 4)
    places = [min(range(1000), key=lambda i: abs(TABLE[i] - s)) for s in found]
    assert places[0] == 999
    assert places[1] + places[3] == pytest.approx(999, abs=1)
    assert places[2] == pytest.approx(499.5, abs=1)
    quadratic = noises_of(replace(SD3, spacing="comfy_linear_quadratic"), 4)
    # 1 - s: 0, 0.0125, then a i^2 + b i + c with a = 1.9 / 8, b = 0.0125 - 3.8 / 4, c = 4 a
    assert quadratic == pytest.approx([1.0, 0.9875, 0.975, 0.725], abs=1e-6)
    assert noises_of(replace(SD3, spacing="comfy_linear_quadratic"), 1) == [1.0]


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ("comfy_simple", [shifted(1 - i / 4, 3.0) for i in range(4)]),
        ("comfy_normal", [shifted(1 - i / 3 * (1 - shifted(0.001, 3.0)), 3.0) for i in range(4)]),
        ("comfy_sgm_uniform", [shifted(1 - i / 4 * (1 - shifted(0.001, 3.0)), 3.0) for i in range(4)]),
    ],
)
def test_levels_of_sd3(spacing, expected):
    assert noises_of(replace(SD3, spacing=spacing), 4) == pytest.approx(expected, rel=1e-5)


def test_flux_has_ten_thousand_levels():
    e = math.exp(1.15)
    expected = [e / (e + 1 / (1 - int(i * 10000 / 3) / 10000) - 1) for i in range(3)]
    assert noises_of(replace(FLUX, spacing="comfy_simple"), 3) == pytest.approx(expected, rel=1e-6)


def test_networks_are_told_whole_timesteps():
    made = schedule(replace(SD, spacing="comfy_karras"), 7)
    assert all(level.t == int(level.t) for level in made.levels)


@pytest.mark.parametrize(("sampler", "leaves_out"), [("dpm2", True), ("unipc", True), ("euler", False)])
def test_some_samplers_leave_out_the_last_level_but_one(sampler, leaves_out):
    found = noises_of(placed(SD, sampler, "comfy_karras"), 5)
    whole = CASES["comfy_karras"](6)
    assert found == pytest.approx(whole[:-1] if leaves_out else CASES["comfy_karras"](5), rel=1e-4)


def test_a_part_may_end_on_no_noise():
    made = cut(schedule(replace(SD, spacing="comfy_normal"), 10), 0.2, 0.5, finish=True)
    assert (made.steps, made.first, made.ends_clean) == (3, 2, True)


def test_steps_beyond_the_table():
    with pytest.raises(ValueError, match=r"steps must lie in 1 … 1000, got 1001"):
        schedule(replace(SD, spacing="comfy_normal"), 1001)


def test_pure_noise_begins_with_deviation_1_at_the_top_of_the_table_only(oracle):
    empty = Latent(torch.zeros(1, 1, 8, 8), "pixel", "empty")
    seen = []

    def watching(x, level):
        seen.append(x)
        return oracle(torch.zeros(1, 1, 8, 8))(x, level)

    for spacing in ("comfy_normal", "comfy_ddim_uniform"):
        sample(watching, schedule(replace(SD, spacing=spacing), 3), Sampler("euler"), Noise(5), empty)
    drawn = torch.randn((1, 1, 8, 8), generator=torch.Generator().manual_seed(5))
    first = schedule(replace(SD, spacing="comfy_ddim_uniform"), 3).levels[0]
    torch.testing.assert_close(seen[0], drawn, rtol=0, atol=0)
    torch.testing.assert_close(seen[3], drawn * first.sigma)


def test_one_stream_for_the_batch_is_comfyuis_noise():
    whole = torch.randn((3, 4, 8, 8), generator=torch.Generator().manual_seed(7))
    streams = Streams(Noise(7, whole=True), (3, 4, 8, 8))
    torch.testing.assert_close(streams.initial(), whole, rtol=0, atol=0)
    one = Streams(Noise(7), (1, 4, 8, 8)).initial()
    torch.testing.assert_close(one, whole[:1], rtol=0, atol=0)
    both = Streams([Noise(7, whole=True), Noise(8)], (6, 4, 8, 8))
    torch.testing.assert_close(both.initial()[:3], whole, rtol=0, atol=0)
    assert both.draw().shape == (6, 4, 8, 8)
