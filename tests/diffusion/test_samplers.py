"""Cases M7 to M10: what every sampler must do with a denoiser that is known exactly."""

import math
from dataclasses import replace

import pytest
import torch

from diffusion.kinds import KINDS
from diffusion.noise import Streams, slerp
from diffusion.samplers import WALKS, first_order, sample
from diffusion.schedule import KINDS as TABLES
from diffusion.schedule import SPACINGS, cut, schedule
from diffusion.types import Latent, Noise, Sampler, Schedule, ScheduleConfig

ONE_STEP = [
    name
    for name, walk in WALKS.items()
    if walk in (first_order, WALKS["heun"], WALKS["dpm2"], WALKS["dpm2_ancestral"], WALKS["dpmpp_sde"], WALKS["lcm"])
    and "linear" in KINDS[name].tables
]
"""Samplers that remember nothing from one step to the next."""


TOLERANCE = {"linear": 1e-4, "scaled_linear": 1e-4, "cosine": 5e-2, "flow": 1e-5}
"""How well x0 is known from x: the noisiest level of the cosine table has sigma / alpha = 20,000 or so."""


def fits(sampler: str, table: str, spacing: str = "trailing") -> bool:
    return table in KINDS[sampler].tables and spacing in KINDS[sampler].spacings


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.pure and "linear" in kind.tables])
def test_noise_alone_is_a_start_where_the_kind_says_so(gaussian, kind: str) -> None:
    whole = schedule(ScheduleConfig(zero_snr=True), 50)
    latent = Latent(torch.zeros(1, 1, 100, 100), "pixel", "empty")
    done = sample(gaussian, whole, Sampler(kind), Noise(1), latent).samples
    assert float(done.mean()) == pytest.approx(0.7, abs=0.03)
    assert float(done.std()) == pytest.approx(0.5, abs=0.06 if kind != "lcm" else 0.5)


def test_every_kind_has_a_walk() -> None:
    assert list(WALKS) == list(KINDS)


@pytest.mark.parametrize(
    ("kind", "table", "spacing"),
    [(k, t, s) for k in KINDS for t in TABLES for s in SPACINGS if fits(k, t, s)],
)
def test_m7_an_oracle_ends_on_x0(oracle, empty: Latent, kind: str, table: str, spacing: str) -> None:
    x0 = torch.linspace(-1, 1, 64).view(1, 1, 8, 8).expand(4, -1, -1, -1)
    for steps in (1, 7):
        whole = schedule(ScheduleConfig(table, spacing=spacing), steps)
        done = sample(oracle(x0), whole, Sampler(kind), Noise(5), empty)
        assert (done.state, done.level) == ("clean", None)
        if kind in ("lms", "pndm"):
            # their last step, too, goes by what they saw before: x0 is met up to rounding
            torch.testing.assert_close(done.samples, x0, rtol=0, atol=TOLERANCE[table])
        elif kind == "lcm" and table != "flow":
            # at t = 0 it takes x itself for the data, with what noise is left in it
            if steps == 1:
                continue
            last = whole.levels[-2]
            torch.testing.assert_close(done.samples, x0, rtol=0, atol=5 * last.sigma if last.t < 1 else 0.01)
        else:
            assert torch.equal(done.samples, x0)


def deviations(gaussian, kind: str, table: str, steps: int) -> tuple[float, float]:
    """How far mean and deviation of many samples of N(0.7, 0.5^2) are off."""
    latent = Latent(torch.zeros(1, 1, 200, 200), "pixel", "empty")
    x = sample(gaussian, schedule(ScheduleConfig(table), steps), Sampler(kind), Noise(1), latent).samples
    return abs(float(x.mean()) - 0.7), abs(float(x.std()) - 0.5)


@pytest.mark.parametrize(
    ("kind", "table"),
    # lcm is made for models that were taught to jump; with an exact denoiser it is not a sampler of its law
    [(k, t) for k in KINDS for t in ("linear", "cosine", "flow") if fits(k, t) and k != "lcm"],
)
def test_m8_samples_of_gaussian_data_converge_to_its_mean_and_deviation(gaussian, kind: str, table: str) -> None:
    few, many = deviations(gaussian, kind, table, 8), deviations(gaussian, kind, table, 400)
    # 40,000 samples: the mean is known to 0.5 / 200, the deviation to 0.5 / sqrt(80,000)
    assert many[0] < 0.012
    assert many[1] < 0.012
    assert many[1] <= few[1] + 0.004


@pytest.mark.parametrize("kind", ["heun", "dpm2", "lms", "dpmpp_2s", "dpmpp_2m", "dpmpp_3m", "deis", "unipc", "pndm"])
def test_m8_second_order_beats_first_order(gaussian, kind: str) -> None:
    exact = deviations(gaussian, "ddim", "linear", 1000)[1]
    first, second = (abs(deviations(gaussian, k, "linear", 40)[1] - exact) for k in ("euler", kind))
    assert second < first / 2


@pytest.mark.parametrize("kind", KINDS)
def test_m9_a_batch_of_four_equals_four_single_seeds(gaussian, empty: Latent, kind: str) -> None:
    steps = schedule(ScheduleConfig(KINDS[kind].tables[0]), 6)
    batch = sample(gaussian, steps, Sampler(kind), Noise(41), empty).samples
    for i in range(4):
        single = sample(gaussian, steps, Sampler(kind), Noise(41 + i), replace(empty, samples=empty.samples[:1]))
        torch.testing.assert_close(batch[i : i + 1], single.samples)
    assert not torch.equal(batch[0], batch[1])


def test_m9_parts_of_a_batch_may_have_sources_of_their_own() -> None:
    both = Streams([Noise(3), Noise(9)], (4, 1, 2, 2))
    first = both.initial()
    assert torch.equal(first[:2], Streams(Noise(3), (2, 1, 2, 2)).initial())
    assert torch.equal(first[2:], Streams(Noise(9), (2, 1, 2, 2)).initial())
    assert not torch.equal(both.draw(), first)
    with pytest.raises(ValueError, match="a batch of 4 does not divide into 3 noise sources"):
        Streams([Noise(1)] * 3, (4, 1, 2, 2))


def test_m9_streams_are_drawn_as_diffusers_draws_them() -> None:
    from diffusers.utils.torch_utils import randn_tensor

    generators = [torch.Generator().manual_seed(7 + i) for i in range(3)]
    ours = Streams(Noise(7), (3, 1, 4, 4))
    assert torch.equal(ours.initial(), randn_tensor((3, 1, 4, 4), generators))
    assert torch.equal(ours.draw(), randn_tensor((3, 1, 4, 4), generators))


def test_seeds_wrap_at_the_largest() -> None:
    ours = Streams(Noise(2**64 - 1), (2, 1, 2, 2)).initial()
    assert torch.equal(ours[1:], Streams(Noise(0), (1, 1, 2, 2)).initial())


def test_variation_turns_one_noise_into_another_and_keeps_its_length() -> None:
    shape = (1, 1, 64, 64)
    a, b = Streams(Noise(1), shape).initial(), Streams(Noise(2), shape).initial()
    for strength, expected in [(0.0, a), (1.0, b)]:
        torch.testing.assert_close(Streams(Noise(1, 2, strength), shape).initial(), expected)
    half = Streams(Noise(1, 2, 0.5), shape).initial()
    assert float(half.std()) == pytest.approx(1, abs=0.03)
    assert float((half * a).mean()) == pytest.approx(float((half * b).mean()), abs=0.03)
    torch.testing.assert_close(slerp(a, a, 0.3), a)


@pytest.mark.parametrize("kind", ONE_STEP)
@pytest.mark.parametrize("at", [0.3, 0.8])
def test_m10_a_split_schedule_equals_one_run(gaussian, empty: Latent, kind: str, at: float) -> None:
    whole = schedule(ScheduleConfig(), 10)
    once = sample(gaussian, whole, Sampler(kind), Noise(3), empty)
    half = sample(gaussian, cut(whole, 0, at), Sampler(kind), Noise(3), empty)
    assert (half.state, half.level) == ("noisy", whole.levels[round(10 * at)])
    rest = sample(gaussian, cut(whole, at), Sampler(kind), Noise(3), half)
    assert torch.equal(rest.samples, once.samples)
    assert rest.state == "clean"


def test_a_clean_latent_is_noised_to_the_first_level(gaussian, oracle) -> None:
    x0 = torch.full((1, 1, 100, 100), 0.4)
    part = cut(schedule(ScheduleConfig(), 10), 0.6)
    seen = []

    def spy(x, level):
        seen.append(x)
        return oracle(x0)(x, level)

    sample(spy, part, Sampler("ddim"), Noise(3), Latent(x0, "pixel"))
    first = part.levels[0]
    assert float(seen[0].mean()) == pytest.approx(0.4 * first.alpha, abs=0.03)
    assert float(seen[0].std()) == pytest.approx(first.sigma, rel=0.03)


def test_pure_noise_starts_with_deviation_one_for_ddpm_and_sigma_for_euler(oracle) -> None:
    x0, started = torch.zeros(1, 1, 4, 4), {}
    levels = schedule(ScheduleConfig(), timesteps=[500, 100])
    for kind in ("ddpm", "euler"):

        def spy(x, level, kind=kind):
            started.setdefault(kind, x)
            return oracle(x0)(x, level)

        sample(spy, levels, Sampler(kind), Noise(0), Latent(x0, "pixel", "empty"))
    torch.testing.assert_close(started["euler"], started["ddpm"] * levels.levels[0].sigma)


def test_a_mask_keeps_the_rest_as_it_was(gaussian) -> None:
    x0 = torch.linspace(-1, 1, 16).view(1, 1, 4, 4)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    done = sample(gaussian, schedule(ScheduleConfig(), 5), Sampler("ddim"), Noise(1), Latent(x0, "pixel", mask=mask))
    assert torch.equal(done.samples[..., 2:], x0[..., 2:])
    assert not torch.isclose(done.samples[..., :2], x0[..., :2]).any()
    assert done.mask is None


def test_each_step_is_reported_with_x0_and_may_stop_the_run(gaussian, empty: Latent) -> None:
    steps, seen = schedule(ScheduleConfig(), 4), []
    sample(gaussian, steps, Sampler("ddim"), Noise(0), empty, lambda i, n, x0: seen.append((i, n, tuple(x0.shape))))
    assert seen == [(i, 4, (4, 1, 8, 8)) for i in (1, 2, 3, 4)]

    def stop(i: int, n: int, x0: torch.Tensor) -> None:
        seen.append(i)
        raise KeyboardInterrupt

    seen.clear()
    with pytest.raises(KeyboardInterrupt):
        sample(gaussian, steps, Sampler("ddim"), Noise(0), empty, stop)
    assert seen == [1]


WHOLE = schedule(ScheduleConfig(), 10)
KARRAS = schedule(ScheduleConfig(spacing="karras"), 10)
NOISE_ALONE = schedule(ScheduleConfig(zero_snr=True), 10)
FLOW = schedule(ScheduleConfig("flow"), 10)
NOISY = Latent(torch.zeros(1, 1, 4, 4), "pixel", "noisy", WHOLE.levels[5])


@pytest.mark.parametrize(
    ("sampler", "latent", "levels", "message"),
    [
        (Sampler("eulr"), NOISY, WHOLE, 'unknown sampler "eulr"; known: ddpm, ddim, euler'),
        (Sampler("flow_euler"), NOISY, WHOLE, "needs a flow schedule, not linear; this one takes ddpm, ddim"),
        (Sampler("heun", 0.5), NOISY, WHOLE, "takes no eta; those that do: ddpm, ddim, euler_ancestral"),
        (Sampler("pndm"), NOISY, KARRAS, "needs leading, trailing, linspace or timesteps spacing, not karras; this"),
        (
            Sampler("lms"),
            NOISY,
            NOISE_ALONE,
            r"noise alone \(zero SNR\); this one takes .*euler_ancestral, dpmpp_2s, dpm",
        ),
        (Sampler("dpmpp_sde"), NOISY, FLOW, "needs a linear, scaled_linear or cosine schedule, not flow"),
        (Sampler("ddim", 1.5), NOISY, WHOLE, "eta must lie in 0 … 1, got 1.5"),
        (Sampler("ddim"), NOISY, WHOLE, r"left at t = 499 .* goes on from t = 999"),
        (Sampler("ddim"), replace(NOISY, level=None), WHOLE, "left at an unknown level"),
        (Sampler("ddim"), replace(NOISY, state="empty"), cut(WHOLE, 0.5), "needs the start of the schedule"),
        (Sampler("ddim"), replace(NOISY, mask=torch.zeros(1, 1, 4, 4)), WHOLE, "this one is noisy"),
    ],
)
def test_what_does_not_fit_is_refused(
    gaussian, sampler: Sampler, latent: Latent, levels: Schedule, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        sample(gaussian, levels, sampler, Noise(0), latent)


def test_eta_between_zero_and_one_lies_between_ddim_and_ddpm(gaussian, empty: Latent) -> None:
    x = {eta: sample(gaussian, WHOLE, Sampler("ddim", eta), Noise(0), empty).samples for eta in (0.0, 0.5, 1.0)}
    assert torch.equal(x[1.0], sample(gaussian, WHOLE, Sampler("ddpm"), Noise(0), empty).samples)
    apart = [float((x[a] - x[b]).norm()) for a, b in ((0.0, 0.5), (0.0, 1.0))]
    assert 0 < apart[0] < apart[1]
    assert all(math.isfinite(d) for d in apart)
