"""SD3 and SD3.5 give the pictures that diffusers' pipelines give; see `parity.assert_same`."""

import json
import shutil
from functools import cache

import diffusers
import numpy as np
import pytest
import text_to_image
import torch
from parity import assert_same, pixels
from PIL import Image

from engine.errors import WeftError

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]

KINDS = ["sd3", "sd35", "sd3-without-t5"]
SEED, STEPS, TOKENS = 5, 4, 48
TASKS = (diffusers.StableDiffusion3Pipeline, diffusers.StableDiffusion3Img2ImgPipeline)
FLOW = diffusers.FlowMatchEulerDiscreteScheduler


@pytest.fixture(scope="module")
def reference(checkpoint):
    """A function that runs diffusers' pipeline: pixels (B, H, W, 3) in 0 … 1."""

    @cache
    def loaded(kind, task):
        without = {"text_encoder_3": None, "tokenizer_3": None} if kind == "sd3-without-t5" else {}
        pipe = TASKS[task].from_pretrained(checkpoint(kind), dtype=torch.float32, **without)
        pipe.set_progress_bar_config(disable=True)
        return pipe, pipe.scheduler.config

    def go(kind, task=0, scheduler=FLOW, settings=None, **call):
        pipe, config = loaded(kind, task)
        pipe.scheduler = scheduler.from_config(config, **settings or {})
        call = {"num_inference_steps": STEPS, "guidance_scale": 7.5, "max_sequence_length": TOKENS, **call}
        return pixels(pipe, seed=SEED, **call)

    return go


@pytest.fixture
def ours(checkpoint, run_nodes):
    """A function that runs a graph of ours: pixels (B, H, W, 3) in 0 … 1."""

    def go(kind, **changes):
        changes = {"sampler__kind": "model", "wanted__max_tokens": TOKENS, **changes}
        nodes = text_to_image.graph(checkpoint(kind), "a fox", 7.5, STEPS, SEED, **changes)
        return run_nodes(nodes, "decode")["decode"].pixels

    return go


def encode(text, **more):
    return {"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": text, "max_tokens": TOKENS, **more}


CALLS = {
    "as it comes": ({}, {}),
    "negative": ({"no": encode("grass"), "guide__negative": "@no"}, {"negative_prompt": "grass"}),
    "guidance 1": ({"guide__scale": 1.0}, {"guidance_scale": 1.0}),
    "what diffusers calls guidance 0": ({"guide__scale": 1.0}, {"guidance_scale": 0.0}),
    "batch of 3": ({"blank__batch": 3}, {"batch": 3}),
    "odd sizes": ({"blank__width": 80, "blank__height": 48}, {"width": 80, "height": 48}),
    "one step": ({"schedule__steps": 1}, {"num_inference_steps": 1}),
    "seven steps": ({"schedule__steps": 7}, {"num_inference_steps": 7}),
    "clip skip": ({"wanted__clip_skip": 1}, {"clip_skip": 1}),
    "three prompts": ({"wanted__text_2": "grass", "wanted__text_3": "snow"},
                      {"prompt_2": "grass", "prompt_3": "snow"}),
    "a prompt too long": ({"no": encode("fox " * 60), "guide__negative": "@no"}, {"negative_prompt": "fox " * 60}),
    "levels given outright": ({"schedule__sigmas": [1.0, 0.75, 0.375]},
                              {"sigmas": [1.0, 0.5, 1 / 6], "num_inference_steps": 3}),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLS)
@pytest.mark.parametrize("kind", KINDS)
def test_p7_what_a_call_may_ask_for(ours, reference, kind, case):
    changes, call = CALLS[case]
    assert_same(ours(kind, **changes), reference(kind, **call))


def test_p7_how_many_tokens_t5_reads(ours, reference, checkpoint):
    usual = ours("sd3", wanted__max_tokens=None)
    assert_same(usual, reference("sd3", max_sequence_length=256))
    assert np.abs(usual - ours("sd3")).max() > 1e-3


@pytest.mark.parametrize("flag", ["karras", "exponential", "beta"])
def test_p7_spacings_of_the_flow(ours, reference, flag):
    assert_same(ours("sd3", schedule__spacing=flag), reference("sd3", settings={f"use_{flag}_sigmas": True}))


def test_p7_a_shift_that_follows_the_size(ours, reference, checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint("sd3"), tmp_path / "model")
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "use_dynamic_shifting": True}))
    sizes = {"width": 96, "height": 64}
    here = {f"{node}__{side}": value for node in ("blank", "schedule") for side, value in sizes.items()}
    there = reference("sd3", settings={"use_dynamic_shifting": True}, **sizes)
    assert_same(ours("sd3", base__source=str(folder), **here), there)


# DEIS is left out: diffusers' last step of it goes from the least noisy level to that same level
SOLVERS = {
    "dpmpp_2m": (diffusers.DPMSolverMultistepScheduler, {}),
    "dpmpp_3m": (diffusers.DPMSolverMultistepScheduler, {"solver_order": 3}),
    "dpmpp_2s": (diffusers.DPMSolverSinglestepScheduler, {"lower_order_final": True}),
    "unipc": (diffusers.UniPCMultistepScheduler, {}),
}


@pytest.mark.parametrize("steps", [1, 4, 9])
@pytest.mark.parametrize("kind", SOLVERS)
def test_p7_solvers_on_levels_of_their_own(ours, reference, kind, steps):
    cls, settings = SOLVERS[kind]
    settings = {**settings, "use_flow_sigmas": True, "flow_shift": 3.0, "prediction_type": "flow_prediction"}
    here = ours("sd3", sampler__kind=kind, schedule__sampler="@sampler", schedule__steps=steps)
    assert_same(here, reference("sd3", scheduler=cls, settings=settings, num_inference_steps=steps))


def test_p7_heun(ours, reference):
    assert_same(ours("sd3", sampler__kind="heun"), reference("sd3", scheduler=diffusers.FlowMatchHeunDiscreteScheduler))


@pytest.mark.parametrize("start", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("sampler", ["model", "heun"])
@pytest.mark.parametrize("kind", ["sd3", "sd35"])
def test_p7_image_to_image(ours, reference, kind, sampler, start, tmp_path):
    given = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(given).save(tmp_path / "in.png")
    picture = {
        "open": {"type": "LoadImage", "path": "in.png"},
        "coded": {"type": "VAEEncode", "vae": "@base.vae", "image": "@open.image"},
        "late": {"type": "CutSchedule", "schedule": "@schedule", "start": start},
        "denoise__schedule": "@late",
        "denoise__latent": "@coded",
    }
    # their t_start is int(n - n strength), so 0.6 of 4 steps begins after the first, as 0.75 does
    strength = {0.0: 1.0, 0.25: 0.6, 0.5: 0.5}[start]
    scheduler = FLOW if sampler == "model" else diffusers.FlowMatchHeunDiscreteScheduler
    there = reference(kind, 1, scheduler, image=Image.fromarray(given), strength=strength, width=64, height=48)
    assert_same(ours(kind, **picture, sampler__kind=sampler), there)


def test_weights_in_shards_and_in_one_file_draw_the_same(ours, checkpoint, tmp_path):
    from transformers import T5EncoderModel

    whole = checkpoint("sd3")
    folder = shutil.copytree(whole, tmp_path / "model")
    for part, cls in (("transformer", diffusers.SD3Transformer2DModel), ("text_encoder_3", T5EncoderModel)):
        shutil.rmtree(folder / part)
        cls.from_pretrained(str(whole / part)).save_pretrained(folder / part, max_shard_size="20KB")
        assert len(list((folder / part).glob("*.safetensors"))) > 1
    assert np.array_equal(ours("sd3", base__source=str(folder)), ours("sd3"))


@pytest.mark.parametrize("kind", ["sd3", "flux-dev"])
def test_weights_are_loaded_in_the_dtype_wanted(checkpoint, kind):
    from diffusion.family import family_of
    from diffusion.folder import recipes

    for recipe in recipes(checkpoint(kind)):
        module = family_of(recipe).load(recipe, torch.bfloat16)
        assert {parameter.dtype for parameter in module.parameters()} == {torch.bfloat16}


def test_p7_bfloat16_is_near(ours):
    near = np.abs(ours("sd3", base__dtype="bfloat16") - ours("sd3"))
    assert 0 < near.mean() < 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blank__width": 72}, "width must be a multiple of 16, got 72"),
        ({"blank__width": 272}, "the model knows places up to 256 pixels"),
        ({"sampler__kind": "dpmpp_sde"}, 'sampler "dpmpp_sde" needs a linear, scaled_linear or cosine schedule, not'),
        ({"schedule__kind": "linear"}, "a model that predicts flow needs a flow schedule, not linear"),
        ({"wanted__clip_skip": 9}, "clip_skip asks for layer 11 of a text encoder that has 3"),
        ({"other": {"type": "LoadCheckpoint", "source": "sdxl"}, "wanted__text_encoder": "@other.text_encoder"},
         "the conditioning is for SDXL, and the model is SD3; encode the text"),
    ],
)  # fmt: skip
def test_what_does_not_fit_says_why(ours, checkpoint, changes, message):
    if "other" in changes:
        changes = {**changes, "other__source": str(checkpoint("sdxl")), "wanted__max_tokens": None, "guide__scale": 1.0}
    with pytest.raises(WeftError) as found:
        ours("sd3", **changes)
    assert message in " ".join(str(found.value).split())
