"""The tables equal diffusers' own, the spacings its schedulers', and what cannot be made is refused."""

import math
from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch

from diffusion.schedule import CLEAN, KINDS, SPACINGS, cut, for_tokens, schedule, table
from diffusion.types import Level, ScheduleConfig

STABLE = {"beta_start": 0.00085, "beta_end": 0.012}


@pytest.mark.parametrize(
    ("config", "theirs"),
    [
        (ScheduleConfig("linear"), {"beta_schedule": "linear"}),
        (ScheduleConfig("scaled_linear", **STABLE), {"beta_schedule": "scaled_linear", **STABLE}),
        (ScheduleConfig("cosine"), {"beta_schedule": "squaredcos_cap_v2"}),
        (ScheduleConfig("linear", train_steps=200), {"beta_schedule": "linear", "num_train_timesteps": 200}),
        (ScheduleConfig("linear", zero_snr=True), {"beta_schedule": "linear", "rescale_betas_zero_snr": True}),
    ],
)
def test_m11_table_equals_diffusers(config: ScheduleConfig, theirs: dict[str, object]) -> None:
    ours, scheduler = table(config), diffusers.DDIMScheduler(**theirs)
    torch.testing.assert_close(ours.alpha_bar, scheduler.alphas_cumprod, rtol=2e-6, atol=1e-7)
    torch.testing.assert_close(ours.beta, scheduler.betas, rtol=1e-4, atol=1e-6)
    assert torch.equal(ours.t, torch.arange(config.train_steps).float())


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_m11_flow_table_equals_diffusers(shift: float) -> None:
    ours = table(ScheduleConfig("flow", shift=shift))
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    torch.testing.assert_close(ours.sigma.flip(0), scheduler.sigmas)
    torch.testing.assert_close(ours.t.flip(0), scheduler.timesteps)
    torch.testing.assert_close(ours.alpha, 1 - ours.sigma)


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("steps", [1, 7, 50, 1000])
def test_m11_timesteps_equal_diffusers(spacing: str, steps: int) -> None:
    theirs = diffusers.DDIMScheduler(timestep_spacing=spacing, steps_offset=int(spacing == "leading"))
    theirs.set_timesteps(steps)
    config = ScheduleConfig(spacing=spacing, steps_offset=int(spacing == "leading"))
    ours = [level.t for level in schedule(config, steps).levels[:-1]]
    assert ours == [min(t, 999) for t in theirs.timesteps.tolist()]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    ("spacing", "flag"),
    [("linspace", {}), ("karras", {"use_karras_sigmas": True}), ("exponential", {"use_exponential_sigmas": True}),
     ("beta", {"use_beta_sigmas": True})],
)  # fmt: skip
def test_m11_spacing_by_noise_equals_diffusers(spacing: str, flag: dict[str, bool]) -> None:
    theirs = diffusers.EulerDiscreteScheduler(
        beta_schedule="scaled_linear", timestep_spacing="linspace", **STABLE, **flag
    )
    theirs.set_timesteps(20)
    levels = schedule(ScheduleConfig("scaled_linear", spacing=spacing, **STABLE), 20).levels
    np.testing.assert_allclose([lv.sigma / lv.alpha for lv in levels], theirs.sigmas.numpy(), rtol=2e-4)
    np.testing.assert_allclose([lv.t for lv in levels[:-1]], theirs.timesteps.numpy(), atol=0.05)


@pytest.mark.parametrize("steps", [1, 4, 28])
@pytest.mark.parametrize("spread", ["", "karras", "exponential", "beta"])
@pytest.mark.parametrize("even", ["linspace", "trailing"])
@pytest.mark.parametrize("tokens", [None, 256, 3072])
def test_m11_flow_levels_are_those_of_diffusers_to_the_last_bit(
    steps: int, spread: str, even: str, tokens: int | None
) -> None:
    # SD3's pipeline leaves the levels to its scheduler (linspace), Flux's gives it 1, (n - 1) / n, ... (trailing)
    mu = None if tokens is None else {256: 0.5, 3072: 0.5 + 0.65 * 2816 / 3840}[tokens]
    flags = {f"use_{spread}_sigmas": True} if spread else {}
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=mu is not None, **flags)
    given = {"num_inference_steps": steps} if even == "linspace" else {"sigmas": np.linspace(1, 1 / steps, steps)}
    theirs.set_timesteps(**given, mu=mu)
    config = ScheduleConfig("flow", spacing=spread or even, even=even, shift=3.0)
    if tokens is not None:
        config = for_tokens(replace(config, base_shift=0.5), tokens)
        assert config.mu == pytest.approx(mu)
        config = replace(config, mu=mu)
    levels = schedule(config, steps).levels
    assert [level.sigma for level in levels] == theirs.sigmas.tolist()
    assert [level.t for level in levels[:-1]] == theirs.timesteps.tolist()


def test_a_shift_that_follows_the_size_needs_a_size() -> None:
    config = ScheduleConfig("flow", base_shift=0.5)
    with pytest.raises(ValueError, match="say the size first"):
        schedule(config, 4)
    small, large = (schedule(for_tokens(config, tokens), 4) for tokens in (256, 4096))
    assert all(a.sigma < b.sigma for a, b in zip(small.levels[1:-1], large.levels[1:-1], strict=True))
    assert for_tokens(ScheduleConfig("flow", shift=3.0), 4096) == ScheduleConfig("flow", shift=3.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_every_schedule_falls_to_the_clean_level(kind: str, spacing: str, steps: int) -> None:
    made = schedule(ScheduleConfig(kind, spacing=spacing), steps)
    assert made.steps == made.total == steps
    assert made.levels[-1] == CLEAN
    assert made.ends_clean
    assert made.starts_whole
    noise = [level.sigma for level in made.levels]
    assert noise == sorted(noise, reverse=True)
    assert len(set(made.levels)) == steps + 1
    for level in made.levels:
        total = level.alpha + level.sigma if kind == "flow" else level.alpha**2 + level.sigma**2
        assert total == pytest.approx(1, abs=1e-6)


def test_trailing_begins_at_the_noisiest_level() -> None:
    assert schedule(ScheduleConfig(), 10).levels[0].t == 999
    assert schedule(ScheduleConfig("flow"), 10).levels[0] == Level(1000.0, 0.0, 1.0)


def test_zero_snr_ends_in_pure_noise() -> None:
    config = ScheduleConfig("linear", zero_snr=True)
    assert schedule(config, 10).levels[0] == Level(999.0, 0.0, 1.0)
    assert float(table(config).alpha[0]) == pytest.approx(float(table(ScheduleConfig()).alpha[0]))


def test_explicit_timesteps_and_sigmas() -> None:
    config = ScheduleConfig()
    by_t = schedule(config, timesteps=[999, 500, 0])
    assert [level.t for level in by_t.levels] == [999, 500, 0, 0]
    by_sigma = schedule(config, sigmas=[level.sigma / level.alpha for level in by_t.levels])
    for ours, theirs in zip(by_sigma.levels, by_t.levels, strict=True):
        assert ours.t == pytest.approx(theirs.t, abs=1e-3)
        assert ours.sigma == pytest.approx(theirs.sigma, rel=1e-6)


def test_a_fraction_lies_between_two_levels() -> None:
    levels = schedule(ScheduleConfig(), timesteps=[11, 10.5, 10]).levels
    ratios = [level.sigma / level.alpha for level in levels[:3]]
    assert ratios[1] == pytest.approx((ratios[0] + ratios[2]) / 2)


@pytest.mark.parametrize(
    ("changes", "given", "message"),
    [
        ({"kind": "lienar"}, {"steps": 5}, 'unknown schedule kind "lienar"'),
        ({"spacing": "even"}, {"steps": 5}, 'unknown spacing "even"'),
        ({"train_steps": 0}, {"steps": 5}, "train_steps must be at least 1"),
        ({}, {"steps": 0}, "steps must lie in 1 … 1000, got 0"),
        ({}, {"steps": 1001}, "steps must lie in 1 … 1000, got 1001"),
        ({"shift": 3.0}, {"steps": 5}, "shift moves flow schedules only, not linear"),
        ({"kind": "flow", "shift": 0.0}, {"steps": 5}, "shift must be above 0"),
        ({"kind": "flow", "zero_snr": True}, {"steps": 5}, "ends in pure noise already"),
        ({"zero_snr": True, "spacing": "karras"}, {"steps": 5}, "use trailing"),
        ({"beta_start": 0.03}, {"steps": 5}, "betas need 0 < start <= end < 1"),
        ({}, {}, "not none"),
        ({}, {"steps": 5, "timesteps": [3.0]}, "not steps and timesteps"),
        ({}, {"timesteps": [5.0, 7.0]}, "timesteps must fall: number 2 is 7 after 5"),
        ({}, {"timesteps": [1000.0]}, "timesteps must lie in 0 … 999"),
        ({}, {"timesteps": []}, "timesteps is empty"),
        ({}, {"sigmas": [1.0, math.nan]}, "sigmas must fall"),
        ({}, {"sigmas": [1.0, -1.0]}, "sigmas must be above 0"),
        ({"kind": "flow"}, {"sigmas": [1.5, 0.5]}, "at most 1"),
    ],
)
def test_what_cannot_be_made_is_refused(changes: dict[str, object], given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schedule(ScheduleConfig(**changes), **given)


def test_cut_keeps_levels_and_its_place_in_the_whole() -> None:
    whole = schedule(ScheduleConfig(), 10)
    base, refiner = cut(whole, 0, 0.8), cut(whole, 0.8)
    assert base.levels + refiner.levels[1:] == whole.levels
    assert (base.first, base.total, base.ends_clean, base.starts_whole) == (0, 10, False, True)
    assert (refiner.first, refiner.total, refiner.ends_clean, refiner.starts_whole) == (8, 10, True, False)
    assert cut(cut(whole, 0.2), 0.5).levels == cut(whole, 0.5).levels


@pytest.mark.parametrize(("start", "end"), [(0.5, 0.5), (0.9, 0.1), (-0.1, 1), (0, 1.1), (0.51, 0.52)])
def test_a_cut_that_leaves_nothing_is_refused(start: float, end: float) -> None:
    with pytest.raises(ValueError, match=r"cut needs|no step is left"):
        cut(schedule(ScheduleConfig(), 10), start, end)
