"""Graphs give the pictures that diffusers' pipelines give: same weights, seeds, schedule and steps, in float32.

At most 1e-4 apart on a scale of 0 … 1, and 5e-6 on average.
"""

import json
from functools import cache
from unittest.mock import patch

import diffusers
import numpy as np
import pytest
import text_to_image
import torch
from parity import assert_same, pixels
from PIL import Image

from engine.errors import WeftError

# diffusers 0.42 turns tensors into arrays as numpy 2 would rather not see it
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]

SCHEDULERS = {
    "ddim": diffusers.DDIMScheduler,
    "ddpm": diffusers.DDPMScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "euler_ancestral": diffusers.EulerAncestralDiscreteScheduler,
}
"""The samplers of the one step law."""
ALL_SCHEDULERS = {**SCHEDULERS, "pndm": diffusers.PNDMScheduler}
PIPELINES = {
    "sd15": (diffusers.StableDiffusionPipeline, diffusers.StableDiffusionImg2ImgPipeline),
    "sd21": (diffusers.StableDiffusionPipeline, diffusers.StableDiffusionImg2ImgPipeline),
    "sdxl": (diffusers.StableDiffusionXLPipeline, diffusers.StableDiffusionXLImg2ImgPipeline),
}
KINDS = list(PIPELINES)
SEED, STEPS = 5, 4


@pytest.fixture(scope="module")
def reference(checkpoint):
    """A function that runs diffusers' pipeline: pixels (B, H, W, 3) in 0 … 1."""

    @cache
    def loaded(kind, task):
        pipe = PIPELINES[kind][task].from_pretrained(checkpoint(kind), dtype=torch.float32, use_safetensors=True)
        pipe.set_progress_bar_config(disable=True)
        return pipe, pipe.scheduler.config

    def go(kind, sampler="ddim", spacing="leading", batch=1, task=0, **call):
        pipe, config = loaded(kind, task)
        pipe.scheduler = ALL_SCHEDULERS[sampler].from_config(config, timestep_spacing=spacing)
        return pixels(pipe, seed=SEED, batch=batch, **{"num_inference_steps": STEPS, "guidance_scale": 7.5, **call})

    return go


@pytest.fixture
def ours(checkpoint, run_nodes):
    """A function that runs a graph of ours: pixels (B, H, W, 3) in 0 … 1."""

    def go(kind, **changes):
        return run_nodes(graph(checkpoint(kind), **changes), "decode")["decode"].pixels

    return go


def graph(folder, **changes):
    """Text to image as the reference is asked for it; changes as in `text_to_image.graph`."""
    return text_to_image.graph(folder, "a fox", 7.5, STEPS, SEED, **changes)


def encode(text, **more):
    return {"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": text, **more}


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("sampler", SCHEDULERS)
@pytest.mark.parametrize("kind", KINDS)
def test_p1_p2_p3_every_sampler_of_the_one_step_law(ours, reference, kind, sampler, spacing):
    if spacing == "linspace" and sampler == "ddim":
        pytest.skip("diffusers' DDIM steps to t - 1000 // n there, which is not the next of its own timesteps")
    assert_same(ours(kind, sampler__kind=sampler, schedule__spacing=spacing), reference(kind, sampler, spacing=spacing))


@pytest.mark.parametrize("steps", [2, 4, 9])
def test_p1_the_sampler_that_stable_diffusion_came_with(ours, reference, steps):
    assert_same(ours("sd15", sampler__kind="model", schedule__steps=steps),
                reference("sd15", "pndm", num_inference_steps=steps))  # fmt: skip


CALLS = {
    "negative": ({"no": encode("grass"), "guide__negative": "@no"}, {"negative_prompt": "grass"}),
    "an empty negative": ({"no": encode(""), "guide__negative": "@no"}, {"negative_prompt": ""}),
    "guidance 1": ({"guide__scale": 1.0}, {"guidance_scale": 1.0}),
    "what diffusers calls guidance 0": ({"guide__scale": 1.0}, {"guidance_scale": 0.0}),
    "batch of 3": ({"blank__batch": 3}, {"batch": 3}),
    "batch of 3, fresh noise": ({"blank__batch": 3, "sampler__kind": "euler_ancestral"},
                                {"batch": 3, "sampler": "euler_ancestral"}),
    "odd sizes": ({"blank__width": 72, "blank__height": 40}, {"width": 72, "height": 40}),
    "eta": ({"sampler__eta": 0.5}, {"eta": 0.5}),
    "rescale": ({"guide__rescale": 0.7}, {"guidance_rescale": 0.7}),
    "one step": ({"schedule__steps": 1}, {"num_inference_steps": 1}),
    "seven steps": ({"schedule__steps": 7}, {"num_inference_steps": 7}),
    "a prompt too long": ({"no": encode("fox " * 50), "guide__negative": "@no"}, {"negative_prompt": "fox " * 50}),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLS)
@pytest.mark.parametrize("kind", KINDS)
def test_p1_p2_p3_what_a_call_may_ask_for(ours, reference, kind, case):
    changes, call = CALLS[case]
    assert_same(ours(kind, **changes), reference(kind, **call))


@pytest.mark.parametrize("sampler", SCHEDULERS)
@pytest.mark.parametrize("kind", KINDS)
def test_p1_p2_p3_image_to_image(ours, reference, kind, sampler, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    picture = {
        "open": {"type": "LoadImage", "path": "in.png"},
        "coded": {"type": "VAEEncode", "vae": "@base.vae", "image": "@open.image"},
        "late": {"type": "CutSchedule", "schedule": "@schedule", "start": 0.5},
        "denoise__schedule": "@late",
        "denoise__latent": "@coded",
    }
    there = reference(kind, sampler, task=1, image=Image.fromarray(pixels), strength=0.5)
    assert_same(ours(kind, **picture, sampler__kind=sampler), there)


@pytest.mark.parametrize("skip", [1, 2])
def test_p3_clip_skip(ours, reference, skip):
    changes = {"wanted__clip_skip": skip, "no": encode(""), "guide__negative": "@no"}
    assert_same(ours("sdxl", **changes), reference("sdxl", negative_prompt="", clip_skip=skip))


@pytest.mark.parametrize("skip", [1, 2])
def test_p1_clip_skip(ours, reference, checkpoint, skip):
    # the pipeline itself cannot do it with the text encoders of transformers 5.6 and later, so its embeddings are given
    from transformers import CLIPTextModel, CLIPTokenizer

    encoder = CLIPTextModel.from_pretrained(checkpoint("sd15") / "text_encoder", dtype=torch.float32)
    words = CLIPTokenizer.from_pretrained(checkpoint("sd15") / "tokenizer")
    ids = words("a fox", padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        states = encoder(ids, output_hidden_states=True).hidden_states
        embeds = getattr(encoder, "text_model", encoder).final_layer_norm(states[-1 - skip])
    image = ours("sd15", wanted__clip_skip=skip)
    assert np.abs(image - ours("sd15")).max() > 1e-3
    assert_same(image, _by_embeddings(reference, embeds))


def _by_embeddings(reference, embeds):
    real = diffusers.StableDiffusionPipeline.encode_prompt

    def encode_prompt(pipe, *args, **kwargs):
        _, negative = real(pipe, *args, **kwargs)
        return embeds, negative

    with patch.object(diffusers.StableDiffusionPipeline, "encode_prompt", encode_prompt):
        return reference("sd15")


def test_p3_two_prompts(ours, reference):
    assert_same(ours("sdxl", wanted__text_2="grass"), reference("sdxl", prompt_2="grass"))


def test_p3_zeros_are_what_sdxl_takes_for_no_negative(ours, reference):
    zero = {"type": "ZeroCondition", "conditioning": "@wanted"}
    assert_same(ours("sdxl", no=zero, guide__negative="@no"), reference("sdxl"))


def test_p14_sizes(ours, reference):
    sizes = {"type": "SizeCondition", "conditioning": "@wanted", "width": 90, "height": 30, "crop_x": 5, "crop_y": 7}
    sized = ours("sdxl", sizes={**sizes, "target_width": 64, "target_height": 64}, guide__positive="@sizes")
    call = {"original_size": (30, 90), "crops_coords_top_left": (7, 5), "target_size": (64, 64)}
    assert_same(sized, reference("sdxl", **call))
    assert np.abs(sized - ours("sdxl")).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_sweep_of_prompts_and_scales_is_one_batch(checkpoint, tmp_path, kind):
    from engine.api import load, run
    from engine.cache import Cache
    from engine.context import Settings
    from engine.sweep import Sweep
    from nodes import registry

    nodes = {**graph(checkpoint(kind)), "save": {"type": "SaveImage", "image": "@decode", "path": "{variant}.png"}}
    workflow = load({"format": 1, "nodes": nodes}, registry=registry())
    sweep = Sweep({"guide.scale": [1.0, 5.0], "wanted.text": ["a fox", "grass"]})

    def pictures(batch):
        result = run(workflow, sweep=sweep, settings=Settings(out=tmp_path / str(batch), batch=batch), cache=Cache())
        return np.stack([np.asarray(Image.open(file.path)) for file in result.files]).astype(int)

    together, alone = pictures(4), pictures(1)
    assert np.abs(together - alone).max() <= 1
    assert len({picture.tobytes() for picture in alone}) == 4


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("sd15", {"wanted__text_2": "x"}, "this model has one text encoder: text_2 and text_3 are for"),
        ("sd15", {"wanted__clip_skip": 9}, "clip_skip asks for layer 10 of a text encoder that has 3"),
        ("sd15", {"sizes": {"type": "SizeCondition", "conditioning": "@wanted", "width": 9, "height": 9},
                  "guide__positive": "@sizes"}, "sizes are part of SDXL's conditioning"),
        ("sdxl", {"other__source": "sd15", "denoise__latent": "@small"}, "the latent is in the space sd, and"),
        ("sdxl", {"other__source": "sd15", "wanted__text_encoder": "@other.text_encoder"},
         "the conditioning is for Stable Diffusion 1.x or 2.x, and the model is SDXL"),
        ("sdxl", {"other__source": "sd15", "decode__vae": "@other.vae"}, "the latent is in the space sdxl, and"),
    ],
)  # fmt: skip
def test_what_does_not_fit_says_why(ours, checkpoint, kind, changes, message):
    if "other__source" in changes:
        other = {"type": "LoadCheckpoint", "source": str(checkpoint("sd15"))}
        changes = {**changes, "other": other, "small": {"type": "EmptyLatent", "model": "@other.model"}}
        del changes["other__source"]
    with pytest.raises(WeftError) as found:
        ours(kind, **changes)
    assert message in " ".join(str(found.value).split())


def test_a_picture_that_the_vae_cannot_take(checkpoint, run_nodes, tmp_path):
    Image.new("RGB", (70, 50)).save(tmp_path / "in.png")
    nodes = {
        "base": {"type": "LoadCheckpoint", "source": str(checkpoint("sd15"))},
        "open": {"type": "LoadImage", "path": "in.png"},
        "coded": {"type": "VAEEncode", "vae": "@base.vae", "image": "@open.image"},
    }
    with pytest.raises(WeftError) as found:
        run_nodes(nodes, "coded")
    assert "multiples of 8, not 70 x 50; nearest below: 64 x 48" in " ".join(str(found.value).split())


def test_the_recipe_says_what_the_folder_is(checkpoint):
    from diffusion.folder import recipes

    model, _, vae = recipes(checkpoint("sd15"))
    assert (model.family, model.space, model.width, model.sampler) == ("sd", "sd", 64, "pndm")
    assert (model.schedule.spacing, model.schedule.steps_offset, model.schedule.ends_clean) == ("leading", 1, False)
    assert (vae.space, vae.factor) == ("sd", 8)
    assert recipes(checkpoint("sd21"))[0].prediction == "v"
    assert json.loads((checkpoint("sdxl") / "model_index.json").read_text())["force_zeros_for_empty_prompt"]
    assert recipes(checkpoint("sdxl"))[0].zero_negative


@pytest.mark.parametrize("kind", KINDS)
def test_b53_tokens_that_are_cut_off_are_told_of(checkpoint, kind):
    from engine.context import Context
    from nodes.load import LoadCheckpoint
    from nodes.text import TextEncode

    said = []
    ctx = Context(node="wanted", emit=said.append)
    encoder = LoadCheckpoint(source=str(checkpoint(kind))).run(ctx).text_encoder
    words = [f"word{i}" for i in range(10_000)]
    TextEncode(text_encoder=encoder, text=" ".join(words[:3])).run(ctx)
    assert [event.text for event in said] == ["15 tokens"]
    TextEncode(text_encoder=encoder, text=" ".join(words)).run(ctx)
    warning = str(said[-1].problem)
    start, rest = warning.split(" tokens cut, from ")
    cut, _, total = start.removeprefix("W-TOKENS wanted.text: ").split(" ")
    assert int(total) - int(cut) == 75
    assert rest.startswith('"word')
    assert rest.endswith("; say it in fewer words, or set weighting to a1111 or comfy, which read all of it")
