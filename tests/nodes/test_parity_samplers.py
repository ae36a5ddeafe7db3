"""Every sampler that a Stable Diffusion pipeline takes: a graph that tells NoiseSchedule its sampler draws what the
pipeline draws with the scheduler made from the checkpoint's own configuration."""

from functools import cache

import diffusers
import numpy as np
import pytest
import text_to_image
import torch
from parity import assert_same, pixels
from PIL import Image

# diffusers 0.42 turns tensors into arrays as numpy 2 would rather not see it
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

DPM = diffusers.DPMSolverMultistepScheduler
SAMPLERS = {
    "ddim": (diffusers.DDIMScheduler, {}),
    "ddpm": (diffusers.DDPMScheduler, {}),
    "euler": (diffusers.EulerDiscreteScheduler, {}),
    "euler_ancestral": (diffusers.EulerAncestralDiscreteScheduler, {}),
    "heun": (diffusers.HeunDiscreteScheduler, {}),
    "dpm2": (diffusers.KDPM2DiscreteScheduler, {}),
    "dpm2_ancestral": (diffusers.KDPM2AncestralDiscreteScheduler, {}),
    "lms": (diffusers.LMSDiscreteScheduler, {}),
    "dpmpp_2s": (diffusers.DPMSolverSinglestepScheduler, {}),
    "dpmpp_2m": (DPM, {}),
    "dpmpp_3m": (DPM, {"solver_order": 3}),
    "dpmpp_2m_sde": (DPM, {"algorithm_type": "sde-dpmsolver++"}),
    "deis": (diffusers.DEISMultistepScheduler, {}),
    "unipc": (diffusers.UniPCMultistepScheduler, {}),
    "pndm": (diffusers.PNDMScheduler, {"skip_prk_steps": True}),
    "lcm": (diffusers.LCMScheduler, {}),
}
"""Our kinds, and the scheduler of each; DPMSolverSDEScheduler (dpmpp_sde) needs a package that weft does without."""

BY_NOISE = (
    "euler",
    "heun",
    "dpm2",
    "dpm2_ancestral",
    "lms",
    "dpmpp_2s",
    "dpmpp_2m",
    "dpmpp_3m",
    "dpmpp_2m_sde",
    "deis",
    "unipc",
)
"""The schedulers that take karras, exponential and beta spacing."""

PIPELINES = {
    "sd15": (diffusers.StableDiffusionPipeline, diffusers.StableDiffusionImg2ImgPipeline),
    "sd21": (diffusers.StableDiffusionPipeline, diffusers.StableDiffusionImg2ImgPipeline),
    "sdxl": (diffusers.StableDiffusionXLPipeline, diffusers.StableDiffusionXLImg2ImgPipeline),
}
STEPS = 5


@pytest.fixture(scope="module")
def reference(checkpoint):
    """A function that runs diffusers' pipeline: pixels (B, H, W, 3) in 0 … 1."""

    @cache
    def loaded(kind, task):
        pipe = PIPELINES[kind][task].from_pretrained(checkpoint(kind), dtype=torch.float32, use_safetensors=True)
        pipe.set_progress_bar_config(disable=True)
        return pipe, pipe.scheduler.config

    def go(kind, sampler, task=0, settings=None, **call):
        pipe, config = loaded(kind, task)
        cls, more = SAMPLERS[sampler]
        pipe.scheduler = cls.from_config(config, **more, **(settings or {}))
        return pixels(pipe, "a fox", num_inference_steps=STEPS, guidance_scale=7.5, **call)

    return go


@pytest.fixture
def ours(checkpoint, run_nodes):
    """A function that runs a graph of ours, its schedule told the sampler: pixels (B, H, W, 3) in 0 … 1."""

    def go(kind, sampler, **changes):
        told = {"schedule__sampler": "@sampler", "sampler__kind": sampler}
        nodes = text_to_image.graph(checkpoint(kind), "a fox", 7.5, STEPS, 5, **told, **changes)
        return run_nodes(nodes, "decode")["decode"].pixels

    return go


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", PIPELINES)
def test_p1_p2_p3_every_sampler(ours, reference, kind, sampler):
    if (kind, sampler) == ("sd21", "pndm"):
        pytest.skip("diffusers' PNDM draws on what the network puts out, which is v here, and ours eps")
    assert_same(ours(kind, sampler), reference(kind, sampler))


# from a late start diffusers' LMS leaves out slopes that it has not got, and PNDM a level; lcm has a rule of its own
@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name not in ("lms", "pndm", "lcm")])
@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_p1_p3_every_sampler_from_a_picture(ours, reference, kind, sampler, tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "in.png")
    changes = {
        "open": {"type": "LoadImage", "path": "in.png"},
        "coded": {"type": "VAEEncode", "vae": "@base.vae", "image": "@open.image"},
        # the pipeline takes the last int(5 * 0.6) = 3 of 5 steps
        "late": {"type": "CutSchedule", "schedule": "@schedule", "start": 2 / 5},
        "denoise__schedule": "@late",
        "denoise__latent": "@coded",
    }
    there = reference(kind, sampler, task=1, image=Image.fromarray(picture), strength=0.6)
    assert_same(ours(kind, sampler, **changes), there)


# a spacing is of the table, which is SDXL's as well: there one sampler of each interface shows it
@pytest.mark.parametrize("spacing", ["karras", "exponential", "beta"])
@pytest.mark.parametrize(
    ("kind", "sampler"), [*(("sd15", name) for name in BY_NOISE), ("sdxl", "euler"), ("sdxl", "dpmpp_2m_sde")]
)
def test_p1_p3_every_spacing_by_noise(ours, reference, kind, sampler, spacing):
    there = reference(kind, sampler, settings={f"use_{spacing}_sigmas": True})
    assert_same(ours(kind, sampler, schedule__spacing=spacing), there)
