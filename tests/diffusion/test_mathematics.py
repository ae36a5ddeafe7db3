"""Cases M1 to M6: the forward process, the parameterisations, the step law and guidance, with no weights at all."""

import math

import diffusers
import pytest
import torch

from diffusion.forward import noised, noised_at
from diffusion.guidance import Guidance, combine, outside, rescaled, rows
from diffusion.parameterisation import split, target
from diffusion.schedule import CLEAN, cut, schedule, table
from diffusion.step import fresh_noise, step
from diffusion.types import PREDICTIONS, Conditioning, Level, ScheduleConfig

VP = Level(500.0, 0.6, 0.8)
FLOW = Level(300.0, 0.7, 0.3)
SHAPE = (3, 2, 4, 4)


def rand(seed: int, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("t", [0, 200, 999])
def test_m1_noised_sample_has_mean_alpha_x0_and_deviation_sigma(t: int) -> None:
    levels = table(ScheduleConfig())
    x = noised(torch.full((40000,), 0.7), rand(0, (40000,)), levels.alpha[t], levels.sigma[t])
    alpha, sigma = float(levels.alpha[t]), float(levels.sigma[t])
    assert float(x.mean()) == pytest.approx(0.7 * alpha, abs=4 * sigma / 200)
    assert float(x.std()) == pytest.approx(sigma, rel=0.02)


def test_m1_one_picture_at_several_timesteps() -> None:
    levels = table(ScheduleConfig())
    x0, eps = rand(1, (1, 4, 4)).float(), rand(2, (1, 4, 4)).float()
    x = noised_at(x0, eps, levels, [0, 999])
    torch.testing.assert_close(x[1], levels.alpha[999] * x0 + levels.sigma[999] * eps)
    with pytest.raises(ValueError, match="timestep 1000 is not in 0 … 999"):
        noised_at(x0, eps, levels, [1000])


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_m2_every_parameterisation_gives_the_same_x0_and_eps(prediction: str) -> None:
    level = FLOW if prediction == "flow" else VP
    x0, eps = rand(1), rand(2)
    o = target(prediction, x0, eps, level.alpha, level.sigma)
    got = split(prediction, o, noised(x0, eps, level.alpha, level.sigma), level)
    torch.testing.assert_close(got, (x0, eps))


def test_m2_what_says_nothing_is_refused() -> None:
    x = rand(0)
    with pytest.raises(ValueError, match="cannot start from pure noise"):
        split("epsilon", x, x, Level(999.0, 0.0, 1.0))
    with pytest.raises(ValueError, match="has none"):
        split("sample", x, x, CLEAN)
    for call in (lambda: split("eps", x, x, VP), lambda: target("eps", x, x, 1.0, 0.0)):
        with pytest.raises(ValueError, match=r'unknown prediction "eps"; known: epsilon, sample, v, flow'):
            call()


def test_m3_eta_one_is_the_ddpm_posterior_for_every_t() -> None:
    levels = table(ScheduleConfig())
    alpha_bar, beta = levels.alpha_bar.double(), levels.beta.double()
    x0, eps, z = rand(1), rand(2), rand(3)
    for t in range(1, 1000):
        here = Level(t, float(alpha_bar[t]) ** 0.5, (1 - float(alpha_bar[t])) ** 0.5)
        there = Level(t - 1, float(alpha_bar[t - 1]) ** 0.5, (1 - float(alpha_bar[t - 1])) ** 0.5)
        x = noised(x0, eps, here.alpha, here.sigma)
        before, now = alpha_bar[t - 1], alpha_bar[t]
        step_beta = 1 - now / before
        assert float(step_beta) == pytest.approx(float(beta[t]), rel=1e-2, abs=1e-6)
        # Ho et al. 2020, equations 6 and 7
        mean = before**0.5 * step_beta / (1 - now) * x0 + (now / before) ** 0.5 * (1 - before) / (1 - now) * x
        variance = (1 - before) / (1 - now) * step_beta
        torch.testing.assert_close(step(x0, eps, here, there, 1.0, z), mean + variance**0.5 * z, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_m4_a_step_equals_diffusers_ddim(eta: float) -> None:
    theirs = diffusers.DDIMScheduler(clip_sample=False, timestep_spacing="trailing")
    theirs.set_timesteps(10)
    levels = schedule(ScheduleConfig(), 10).levels
    x, o, z = rand(1), rand(2), rand(3)
    for i, t in enumerate(theirs.timesteps.tolist()):
        x0, eps = split("epsilon", o, x, levels[i])
        ours = step(x0, eps, levels[i], levels[i + 1], eta, z)
        torch.testing.assert_close(
            ours, theirs.step(o, t, x, eta=eta, variance_noise=z)[0], rtol=1e-5, atol=2e-3 if i == 9 and eta else 1e-5
        )


def test_m4_eta_zero_is_euler_on_the_probability_flow() -> None:
    here, there = VP, Level(400.0, 0.8, 0.6)
    x0, eps = rand(1), rand(2)
    x = noised(x0, eps, here.alpha, here.sigma)
    # y = x / alpha moves by (s' - s) eps, s = sigma / alpha
    y = x / here.alpha + (there.sigma / there.alpha - here.sigma / here.alpha) * eps
    torch.testing.assert_close(step(x0, eps, here, there), there.alpha * y)


def test_m4_eta_one_is_euler_ancestral() -> None:
    here, there = VP, Level(400.0, 0.8, 0.6)
    s, s2 = here.sigma / here.alpha, there.sigma / there.alpha
    up = math.sqrt(s2**2 * (s**2 - s2**2) / s**2)
    assert fresh_noise(here, there, 1.0) / there.alpha == pytest.approx(up)


def test_m5_flow_euler_is_x_plus_the_difference_of_t_times_o() -> None:
    x, o = rand(1), rand(2)
    for t, after in [(1.0, 0.8), (0.3, 0.1), (0.1, 0.0)]:
        here, there = Level(t * 1000, 1 - t, t), Level(after * 1000, 1 - after, after)
        torch.testing.assert_close(step(*split("flow", o, x, here), here, there), x + (after - t) * o)


def test_a_step_from_pure_noise_and_a_step_to_clean_are_finite() -> None:
    x0, eps, z = rand(1), rand(2), rand(3)
    noise = Level(999.0, 0.0, 1.0)
    torch.testing.assert_close(step(x0, eps, noise, VP, 1.0, z), VP.alpha * x0 + VP.sigma * z)
    assert fresh_noise(VP, CLEAN, 1.0) == 0
    assert torch.equal(step(x0, eps, VP, CLEAN, 1.0), x0)


class Counting:
    """A network whose output is its label times x, and that counts its calls and the rows of each."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, x: torch.Tensor, level: Level, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        self.rows.append(len(x))
        return x * inputs["labels"].view(-1, 1, 1, 1)


def condition(*labels: float) -> dict[str, torch.Tensor]:
    return {"labels": torch.tensor(labels, dtype=torch.float64)}


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_m6_guidance_commutes_with_the_parameterisation(prediction: str) -> None:
    level = FLOW if prediction == "flow" else VP
    x, negative, positive = rand(1), rand(2), rand(3)
    guided_first = split(prediction, combine(negative, positive, 7.5), x, level)
    split_first = zip(split(prediction, negative, x, level), split(prediction, positive, x, level), strict=True)
    torch.testing.assert_close(guided_first, tuple(combine(n, p, 7.5) for n, p in split_first))


@pytest.mark.parametrize(("scale", "calls"), [(1.0, [3]), (2.0, [6]), (0.0, [6]), (torch.ones(3), [3])])
def test_m6_scale_one_calls_the_model_once_and_others_once_on_both(
    scale: float | torch.Tensor, calls: list[int]
) -> None:
    network = Counting()
    guidance = Guidance(network, "v", condition(1, 2, 3), condition(0, 0, 0), scale)
    x = rand(1)
    o = guidance.output(x, VP)
    assert network.rows == calls
    torch.testing.assert_close(o, torch.as_tensor(scale).view(-1, 1, 1, 1) * condition(1, 2, 3)["labels"].view(-1, 1, 1, 1) * x)  # fmt: skip  # noqa: E501


def test_m6_each_item_may_have_a_scale_of_its_own() -> None:
    x = rand(1)
    both = Guidance(Counting(), "v", condition(2, 2, 2), condition(1, 1, 1), torch.tensor([0.0, 1.0, 3.0]))
    torch.testing.assert_close(both.output(x, VP), x * torch.tensor([1.0, 2.0, 4.0]).view(-1, 1, 1, 1))


def test_guidance_only_within_start_and_stop() -> None:
    whole = schedule(ScheduleConfig(), 10)
    unguided = outside(whole, 0.2, 0.8)
    assert [level in unguided for level in whole.levels[:-1]] == [True] * 2 + [False] * 6 + [True] * 2
    late = cut(whole, 0.5)
    assert [level in outside(late, 0.2, 0.8) for level in late.levels[:-1]] == [False] * 3 + [True] * 2

    network = Counting()
    guidance = Guidance(network, "v", condition(1, 1, 1), condition(0, 0, 0), 3.0, unguided=unguided)
    guidance(rand(1), whole.levels[0])
    guidance(rand(1), whole.levels[5])
    assert network.rows == [3, 6]
    with pytest.raises(ValueError, match="0 <= start <= stop <= 1"):
        outside(whole, 0.8, 0.2)


def test_guidance_starts_and_stops_between_levels_too() -> None:
    config = ScheduleConfig()
    whole = schedule(config, timesteps=[900, 600, 300])
    unguided = outside(whole, 0, 0.4)
    seen = {t: schedule(config, timesteps=[t]).levels[0] in unguided for t in (899, 601, 600, 450, 301, 299)}
    assert seen == {899: False, 601: False, 600: True, 450: True, 301: True, 299: True}


def test_rescale_gives_the_deviation_of_the_conditional_output() -> None:
    o, positive = 5 * rand(1), rand(2)
    deviation = rescaled(o, positive, 1.0).std(dim=(1, 2, 3))
    torch.testing.assert_close(deviation, positive.std(dim=(1, 2, 3)))
    torch.testing.assert_close(rescaled(o, positive, 0.5), 0.5 * (rescaled(o, positive, 1.0) + o))


def test_clipped_x0_comes_with_the_noise_that_belongs_to_it() -> None:
    x = rand(1)
    x0, eps = Guidance(Counting(), "sample", condition(9, 9, 9), clip=True)(x, VP)
    assert float(x0.abs().max()) == 1
    torch.testing.assert_close(VP.alpha * x0 + VP.sigma * eps, x)


def test_prompts_serve_a_batch_one_after_the_other() -> None:
    labels = Conditioning({"labels": torch.tensor([4, 7])})
    assert rows(labels, 6)["labels"].tolist() == [4, 4, 4, 7, 7, 7]
    assert rows(Conditioning({}), 6) == {}
    with pytest.raises(ValueError, match="2 prompts need a batch that is a multiple of 2, not 5"):
        rows(labels, 5)


def test_conditions_of_different_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in kind"):
        Guidance(Counting(), "v", condition(1), {"embeddings": torch.zeros(1)}, 2.0)
