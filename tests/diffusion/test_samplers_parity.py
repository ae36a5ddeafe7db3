"""Every sampler equals a loop over diffusers' own scheduler: the same random network, levels and noise."""

import importlib
import sys
from types import ModuleType

import diffusers
import numpy as np
import pytest
import torch
from torch import nn

from diffusion.kinds import KINDS
from diffusion.parameterisation import split
from diffusion.samplers import sample
from diffusion.schedule import cut, schedule
from diffusion.types import Latent, Level, Noise, Sampler, Schedule, ScheduleConfig

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

STABLE = {"beta_start": 0.00085, "beta_end": 0.012}
THEIRS = {"beta_schedule": "scaled_linear", **STABLE}
OURS = ScheduleConfig("scaled_linear", **STABLE)
SHAPE = (1, 4, 8, 8)
FLAGS = {name: {f"use_{name}_sigmas": True} for name in ("karras", "exponential", "beta")}
ZERO = {"set_alpha_to_one": True}


class Network(nn.Module):
    """A small random network that minds its t to the last digit."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.last = nn.Conv2d(4, 16, 3, padding=1), nn.Conv2d(16, 4, 3, padding=1)
        self.phases = nn.Parameter(torch.rand(16, 1, 1) * 6)

    def forward(self, x: torch.Tensor, t: float) -> torch.Tensor:
        return self.last(torch.tanh(self.first(x) + torch.sin(t / 50 + self.phases)))


@pytest.fixture(scope="module")
def network() -> Network:
    return Network().requires_grad_(False)


def ours(network: Network, kind: str, levels: Schedule, prediction: str = "epsilon", eta: float | None = None):
    def denoise(x: torch.Tensor, level: Level) -> tuple[torch.Tensor, torch.Tensor]:
        return split(prediction, network(x, level.t), x, level)

    return sample(denoise, levels, Sampler(kind, eta), Noise(11), Latent(torch.zeros(SHAPE), "pixel", "empty")).samples


def theirs(network: Network, scheduler, **settings: object) -> torch.Tensor:
    """The loop of every pipeline of diffusers."""
    stream = torch.Generator().manual_seed(11)
    x = torch.randn(SHAPE, generator=stream) * getattr(scheduler, "init_noise_sigma", 1.0)
    if "generator" in scheduler.step.__code__.co_varnames:
        settings["generator"] = stream
    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        x = scheduler.step(network(scaled, float(t)), t, x, return_dict=False, **settings)[0]
    return x


def assert_equal(a: torch.Tensor, b: torch.Tensor) -> None:
    scale = float(b.std())
    assert b.isfinite().all()
    assert scale > 0.1
    assert float((a - b).abs().max()) < 1e-4 * scale
    assert float((a - b).abs().mean()) < 5e-6 * scale


DPM = "DPMSolverMultistepScheduler"
SOLVERS = {
    "dpmpp_2s": ("DPMSolverSinglestepScheduler", {}),
    "dpmpp_2m": (DPM, {}),
    "dpmpp_3m": (DPM, {"solver_order": 3}),
    "dpmpp_2m_sde": (DPM, {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", {}),
}
SLOPES = {
    "euler": "EulerDiscreteScheduler",
    "euler_ancestral": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "dpm2": "KDPM2DiscreteScheduler",
    "dpm2_ancestral": "KDPM2AncestralDiscreteScheduler",
    "lms": "LMSDiscreteScheduler",
}


@pytest.mark.parametrize("steps", [2, 7, 20])
@pytest.mark.parametrize("kind", SOLVERS)
def test_solvers_at_diffusers_own_timesteps(network: Network, kind: str, steps: int) -> None:
    name, settings = SOLVERS[kind]
    scheduler = getattr(diffusers, name)(**THEIRS, **settings)
    scheduler.set_timesteps(steps)
    levels = schedule(OURS, timesteps=scheduler.timesteps.tolist())
    assert_equal(ours(network, kind, levels), theirs(network, scheduler))


@pytest.mark.parametrize("steps", [7, 20])
@pytest.mark.parametrize(
    ("kind", "spacing"),
    # diffusers' one-step solver has no trailing spacing
    [(k, s) for k in SOLVERS for s in ("trailing", *FLAGS) if (k, s) != ("dpmpp_2s", "trailing")],
)
def test_solvers_in_every_spacing(network: Network, kind: str, spacing: str, steps: int) -> None:
    name, settings = SOLVERS[kind]
    flag = FLAGS.get(spacing, {"timestep_spacing": spacing})
    scheduler = getattr(diffusers, name)(**THEIRS, **settings, **flag)
    scheduler.set_timesteps(steps)
    levels = schedule(ScheduleConfig("scaled_linear", spacing=spacing, **STABLE), steps)
    assert_equal(ours(network, kind, levels), theirs(network, scheduler))


@pytest.mark.parametrize("steps", [4, 7, 20])
@pytest.mark.parametrize(
    ("kind", "spacing"),
    # diffusers' Euler ancestral spaces by time alone
    [(k, s) for k in SLOPES for s in ("linspace", "trailing", *FLAGS) if k != "euler_ancestral" or s not in FLAGS],
)
def test_slopes_in_every_spacing(network: Network, kind: str, spacing: str, steps: int) -> None:
    flag = FLAGS.get(spacing, {"timestep_spacing": spacing})
    scheduler = getattr(diffusers, SLOPES[kind])(**THEIRS, **flag)
    scheduler.set_timesteps(steps)
    levels = schedule(ScheduleConfig("scaled_linear", spacing=spacing, **STABLE), steps)
    assert_equal(ours(network, kind, levels), theirs(network, scheduler))


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
@pytest.mark.parametrize(
    ("kind", "name", "settings"),
    [
        ("ddpm", "DDPMScheduler", {"clip_sample": False}),
        ("ddim", "DDIMScheduler", {"clip_sample": False, **ZERO}),
        ("pndm", "PNDMScheduler", {"skip_prk_steps": True, **ZERO}),
    ],
)
def test_tables_with_leading_spacing(network: Network, kind: str, name: str, settings, steps: int) -> None:
    scheduler = getattr(diffusers, name)(**THEIRS, **settings, timestep_spacing="leading", steps_offset=0)
    scheduler.set_timesteps(steps)
    levels = schedule(ScheduleConfig("scaled_linear", spacing="leading", **STABLE), steps)
    assert_equal(ours(network, kind, levels), theirs(network, scheduler))


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_ddim_with_every_eta(network: Network, eta: float) -> None:
    scheduler = diffusers.DDIMScheduler(**THEIRS, clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(10)
    levels = schedule(OURS, 10)
    assert_equal(ours(network, "ddim", levels, eta=eta), theirs(network, scheduler, eta=eta))


@pytest.mark.parametrize(("steps", "same"), [(20, True), (25, True), (30, False), (7, False)])
def test_ddim_with_trailing_spacing_is_theirs_where_the_steps_divide_the_table(
    network: Network, steps: int, same: bool
) -> None:
    """From t they step to t - 1000 // n; ours to the next timestep. These are theirs too, to the last one."""
    scheduler = diffusers.DDIMScheduler(**THEIRS, clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    levels = schedule(OURS, steps)
    assert [level.t for level in levels.levels[:-1]] == scheduler.timesteps.tolist()
    assert torch.allclose(ours(network, "ddim", levels), theirs(network, scheduler), atol=1e-5) is same


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_lcm(network: Network, steps: int) -> None:
    scheduler = diffusers.LCMScheduler(**THEIRS)
    scheduler.set_timesteps(steps)
    levels = schedule(OURS, timesteps=scheduler.timesteps.tolist())
    assert_equal(ours(network, "lcm", levels), theirs(network, scheduler))


@pytest.mark.parametrize("spacing", ["linspace", "karras", "exponential", "beta"])
def test_deis_as_far_as_diffusers_goes(network: Network, spacing: str) -> None:
    """Their DEIS stops at the table's least noise; ours takes one more step, to the clean level."""
    scheduler = diffusers.DEISMultistepScheduler(**THEIRS, **FLAGS.get(spacing, {}))
    scheduler.set_timesteps(16)
    if spacing == "linspace":
        whole = schedule(OURS, timesteps=[*scheduler.timesteps.tolist(), 0])
    else:
        whole = schedule(ScheduleConfig("scaled_linear", spacing=spacing, **STABLE), 16)
    levels = cut(whole, 0, 1 - 1 / whole.steps)
    assert_equal(ours(network, "deis", levels), theirs(network, scheduler))


@pytest.mark.parametrize("kind", SOLVERS)
def test_solvers_on_a_flow(network: Network, kind: str) -> None:
    name, settings = SOLVERS[kind]
    scheduler = getattr(diffusers, name)(
        **settings, use_flow_sigmas=True, flow_shift=3.0, prediction_type="flow_prediction"
    )
    scheduler.set_timesteps(8)
    levels = schedule(ScheduleConfig("flow"), sigmas=scheduler.sigmas.double().tolist())
    assert_equal(ours(network, kind, levels, "flow"), theirs(network, scheduler))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("flow_euler", "FlowMatchEulerDiscreteScheduler"),
        ("euler", "FlowMatchEulerDiscreteScheduler"),
        ("heun", "FlowMatchHeunDiscreteScheduler"),
        ("lcm", "FlowMatchLCMScheduler"),
    ],
)
def test_slopes_on_a_flow(network: Network, kind: str, name: str) -> None:
    scheduler = getattr(diffusers, name)(shift=3.0)
    scheduler.set_timesteps(8)
    levels = schedule(ScheduleConfig("flow"), sigmas=list(dict.fromkeys(scheduler.sigmas.double().tolist())))
    assert_equal(ours(network, kind, levels, "flow"), theirs(network, scheduler))


@pytest.mark.parametrize("spacing", ["linspace", *FLAGS])
def test_dpmpp_sde_on_the_same_brownian_path(network: Network, monkeypatch, spacing: str) -> None:
    """Their scheduler wants a package for its noise; the path is given to it instead, so the name is enough."""
    monkeypatch.setitem(sys.modules, "torchsde", ModuleType("torchsde"))
    module = importlib.import_module("diffusers.schedulers.scheduling_dpmsolver_sde")
    monkeypatch.delitem(sys.modules, module.__name__)
    scheduler = module.DPMSolverSDEScheduler(**THEIRS, **FLAGS.get(spacing, {}))
    scheduler.set_timesteps(9)
    stream = torch.Generator().manual_seed(11)
    x = torch.randn(SHAPE, generator=stream) * scheduler.init_noise_sigma
    path: list[tuple[float, torch.Tensor]] = []

    def noise(high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
        # the first piece of a step reaches the middle, and what follows goes on from where that piece ended
        if path:
            middle, begun = path.pop()
            rest = torch.randn(SHAPE, generator=stream) * (middle - float(low)) ** 0.5
            return (begun + rest) / (float(high) - float(low)) ** 0.5
        path.append((float(low), torch.randn(SHAPE, generator=stream) * (float(high) - float(low)) ** 0.5))
        return path[0][1] / (float(high) - float(low)) ** 0.5

    scheduler.noise_sampler = noise
    for t in scheduler.timesteps:
        x = scheduler.step(network(scheduler.scale_model_input(x, t), float(t)), t, x)[0]
    levels = schedule(ScheduleConfig("scaled_linear", spacing=spacing, **STABLE), 9)
    assert_equal(ours(network, "dpmpp_sde", levels), x)


def test_every_kind_is_compared() -> None:
    others = {"ddpm", "ddim", "pndm", "lcm", "deis", "flow_euler", "dpmpp_sde"}
    assert others | SOLVERS.keys() | SLOPES.keys() == KINDS.keys()


def test_solvers_are_told_whole_timesteps(network: Network) -> None:
    seen = []

    def spy(x: torch.Tensor, level: Level) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(level.t)
        return split("epsilon", network(x, level.t), x, level)

    levels = schedule(ScheduleConfig("scaled_linear", spacing="karras", **STABLE), 8)
    sample(spy, levels, Sampler("dpmpp_2m"), Noise(0), Latent(torch.zeros(SHAPE), "pixel", "empty"))
    assert seen == np.round([level.t for level in levels.levels[:-1]]).tolist()
