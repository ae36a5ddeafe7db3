"""Few steps: LCM, which is told the guidance scale, and SDXL-Turbo, which needs none, as diffusers draws them."""

from functools import cache

import diffusers
import numpy as np
import pytest
import text_to_image
import torch
from parity import assert_same, pixels
from PIL import Image

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

PIPELINES = {
    "lcm": (diffusers.LatentConsistencyModelPipeline, diffusers.LatentConsistencyModelImg2ImgPipeline),
    "sdxl-turbo": (diffusers.StableDiffusionXLPipeline, diffusers.StableDiffusionXLImg2ImgPipeline),
}
TOLD = {"type": "FluxGuidance", "conditioning": "@wanted", "scale": 3.0}


@pytest.fixture(scope="module")
def reference(checkpoint):
    """A function that runs diffusers' pipeline: pixels (B, H, W, 3) in 0 … 1."""

    @cache
    def loaded(kind, task):
        pipe = PIPELINES[kind][task].from_pretrained(checkpoint(kind), dtype=torch.float32, use_safetensors=True)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    return lambda kind, task=0, **call: pixels(loaded(kind, task), "a fox", **call)


@pytest.fixture
def ours(checkpoint, run_nodes):
    """A function that runs a graph of ours with the model's own sampler: pixels (B, H, W, 3) in 0 … 1."""

    def go(kind, steps, **changes):
        nodes = text_to_image.graph(checkpoint(kind), "a fox", 1.0, steps, 5, sampler__kind="model", **changes)
        return run_nodes(nodes, "decode")["decode"].pixels

    return go


@pytest.fixture
def picture(tmp_path):
    """A picture, and the nodes that begin with it."""
    values = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "in.png")
    nodes = {
        "open": {"type": "LoadImage", "path": "in.png"},
        "coded": {"type": "VAEEncode", "vae": "@base.vae", "image": "@open.image"},
        "late": {"type": "CutSchedule", "schedule": "@schedule", "start": 0.5},
        "denoise__schedule": "@late",
        "denoise__latent": "@coded",
    }
    return Image.fromarray(values), nodes


@pytest.mark.parametrize("steps", [1, 2, 4, 7])
def test_p6_lcm(ours, reference, steps):
    assert_same(ours("lcm", steps), reference("lcm", num_inference_steps=steps))


def test_p6_lcm_is_told_the_scale(ours, reference):
    here = ours("lcm", 4, told=TOLD, guide__positive="@told")
    assert_same(here, reference("lcm", num_inference_steps=4, guidance_scale=3.0))
    assert np.abs(here - ours("lcm", 4)).max() > 1e-3


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_p6_lcm_from_a_picture(ours, reference, picture, steps):
    # n steps at strength s are the last n of n / s: LCM makes a schedule of the part that is left
    image, nodes = picture
    there = reference("lcm", task=1, image=image, strength=0.5, num_inference_steps=steps)
    assert_same(ours("lcm", 2 * steps, **nodes), there)


CALLS = {
    "batch of 3": ({"blank__batch": 3}, {"batch": 3}),
    "odd sizes": ({"blank__width": 72, "blank__height": 40}, {"width": 72, "height": 40}),
}


@pytest.mark.parametrize("case", CALLS)
@pytest.mark.parametrize("kind", PIPELINES)
def test_p5_p6_what_a_call_may_ask_for(ours, reference, kind, case):
    changes, call = CALLS[case]
    more = {"guidance_scale": 0.0} if kind == "sdxl-turbo" else {}
    assert_same(ours(kind, 4, **changes), reference(kind, num_inference_steps=4, **call, **more))


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_p5_turbo(ours, reference, steps):
    assert_same(ours("sdxl-turbo", steps), reference("sdxl-turbo", num_inference_steps=steps, guidance_scale=0.0))


@pytest.mark.parametrize("steps", [2, 4])
def test_p5_turbo_from_a_picture(ours, reference, picture, steps):
    image, nodes = picture
    call = {"strength": 0.5, "num_inference_steps": steps, "guidance_scale": 0.0}
    assert_same(ours("sdxl-turbo", steps, **nodes), reference("sdxl-turbo", task=1, image=image, **call))
