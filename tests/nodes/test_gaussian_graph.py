"""M8: data whose best denoiser is known in closed form, sampled through a real graph with the real nodes."""

import pytest
import torch

from diffusion import family
from diffusion.kinds import KINDS
from diffusion.recipes import ModelRecipe
from diffusion.types import Conditioning, Level, ScheduleConfig
from engine.api import load, run
from engine.cache import Cache
from engine.context import Context, Settings
from engine.node import Input, Node
from nodes import registry
from nodes.sockets import Model

MEAN, DEVIATION = 0.7, 0.5


class GaussianFamily:
    """Its network says E[x0 | x] of data N(0.7, 0.5^2)."""

    shared = ()
    pushes_from_empty = True

    def load(self, recipe, dtype):
        return torch.nn.Identity()

    def network(self, module, recipe, steer=None):
        def run(x: torch.Tensor, level: Level, inputs: object) -> torch.Tensor:
            # E[x0 | x] = m + alpha s^2 (x - alpha m) / (alpha^2 s^2 + sigma^2)
            gain = level.alpha * DEVIATION**2 / (level.alpha**2 * DEVIATION**2 + level.sigma**2)
            return MEAN + gain * (x - level.alpha * MEAN)

        return run

    def unconditional(self, recipe, positive, load):
        return Conditioning({})


class GaussianModel(Node):
    """A model that is a formula."""

    version = 1
    cached = False
    kind: str = Input("linear", about="its noise table")

    def run(self, ctx: Context) -> Model:
        schedule = ScheduleConfig(self.kind)
        return ModelRecipe("gaussian", "", prediction="sample", schedule=schedule, channels=1, height=32, width=32)


def sampled(monkeypatch, tmp_path, kind, sampler, steps):
    monkeypatch.setitem(family.FAMILIES, "gaussian", GaussianFamily())
    nodes = registry()
    nodes.add(GaussianModel)
    document = {
        "format": 1,
        "nodes": {
            "model": {"type": "GaussianModel", "kind": kind},
            "guide": {"type": "CFG", "model": "@model", "scale": 1.0},
            "schedule": {"type": "NoiseSchedule", "model": "@model", "steps": steps, "spacing": "trailing"},
            "sampler": {"type": "Sampler", "kind": sampler},
            "noise": {"type": "Noise", "seed": 0},
            "blank": {"type": "EmptyLatent", "model": "@model", "batch": 16},
            "denoise": {"type": "UNetDenoise", "guider": "@guide", "schedule": "@schedule", "sampler": "@sampler",
                        "noise": "@noise", "latent": "@blank"},
        },
    }  # fmt: skip
    workflow = load(document, registry=nodes, targets=["denoise"])
    return run(workflow, settings=Settings(out=tmp_path), cache=Cache()).values["denoise"].samples


@pytest.mark.parametrize(
    ("sampler", "kind"),
    # lcm is for models that were taught to jump
    [(name, table) for name, kind in KINDS.items() if name != "lcm" for table in ("linear", "cosine", "flow")
     if table in kind.tables],
)  # fmt: skip
def test_m8_a_graph_converges_to_mean_and_deviation(monkeypatch, tmp_path, kind, sampler):
    few, many = (sampled(monkeypatch, tmp_path, kind, sampler, steps) for steps in (5, 200))
    # 16,384 independent values: three standard errors of their mean and deviation.
    error = 3 * DEVIATION / 16384**0.5
    assert float(many.mean()) == pytest.approx(MEAN, abs=error + 0.005)
    assert float(many.std()) == pytest.approx(DEVIATION, abs=error + 0.01)
    assert abs(float(many.std()) - DEVIATION) <= abs(float(few.std()) - DEVIATION) + error
