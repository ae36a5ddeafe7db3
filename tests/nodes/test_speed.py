"""--speed through a whole graph: what is compiled draws the picture of what is not, up to rounding."""

import shutil

import numpy as np
import pytest
import text_to_image

from diffusion import fast
from engine.api import load, numerics, run
from engine.cache import Cache
from engine.context import Settings
from engine.errors import WeftError
from nodes import registry
from nodes.device import SPEEDS

KINDS = ("sd15", "sd3")
# what torch's own modules warn of while it compiles
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture
def graph(checkpoint):
    def go(kind):
        sides = {"width": 64, "height": 64}
        nodes = text_to_image.graph(checkpoint(kind), "a fox", 5.0, 2, 5)
        nodes["sampler"]["kind"] = "model"
        nodes["blank"] |= sides
        if kind == "sd3":
            nodes["schedule"] |= sides
        return nodes

    return go


def drawn(nodes, speed, **more):
    workflow = load({"format": 1, "nodes": nodes}, registry=registry(), targets=["decode"])
    settings = Settings(speed=speed, numerics=numerics("cpu", "float32", "auto", speed))
    return run(workflow, settings=settings, cache=Cache(), **more)


@pytest.mark.parametrize("kind", KINDS)
def test_what_torch_traces_draws_the_same(graph, kind, monkeypatch):
    monkeypatch.setattr(fast, "BACKEND", "aot_eager")
    plain, quick = (drawn(graph(kind), speed).values["decode"].pixels for speed in ("none", "compile"))
    assert np.abs(plain - quick).max() < 1e-4


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_compiled_draws_the_same(graph, kind):
    plain, quick = (drawn(graph(kind), speed).values["decode"].pixels for speed in ("none", "compile"))
    assert np.abs(plain - quick).max() < 1e-4


def test_the_command_line_offers_what_there_is():
    # it is kept there by itself, so that help needs no tensor library
    assert tuple(fast.SPEEDS) == SPEEDS


def test_graphs_on_a_cpu_are_refused_where_the_sampling_begins(graph):
    with pytest.raises(WeftError) as found:
        drawn(graph("sd15"), "graphs")
    (problem,) = found.value.problems
    assert (problem.code, problem.place.node) == ("E-RUN", "denoise")
    assert problem.what == "CUDA graphs need a GPU of NVIDIA: take --speed compile or none"


def test_a_model_with_a_lora_runs_as_it_is_and_that_is_told(graph, checkpoint, tmp_path, monkeypatch):
    import adapters
    import diffusers

    monkeypatch.setattr(fast, "BACKEND", "aot_eager")
    unet = diffusers.UNet2DConditionModel.from_pretrained(checkpoint("sd15") / "unet")
    layers = adapters.factors(unet, adapters.ATTENTION)
    file = adapters.write(tmp_path / "one.safetensors", "peft", {"unet": layers})
    nodes = graph("sd15")
    nodes["lora"] = {"type": "LoRALoad", "model": "@base.model", "source": str(file)}
    nodes["guide"]["model"] = "@lora.model"
    plain, quick = drawn(nodes, "none"), drawn(nodes, "compile")
    assert np.array_equal(plain.values["decode"].pixels, quick.values["decode"].pixels)
    assert [one.what for one in quick.warnings if one.code == "W-SPEED"] == [
        "--speed compile is for models without LoRAs and IP-Adapters; this one runs as it is"
    ]
