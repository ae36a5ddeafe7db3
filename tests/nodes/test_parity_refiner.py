"""SDXL's base hands a picture over to its refiner, as diffusers' two pipelines do with denoising_end and _start."""

import diffusers
import numpy as np
import pytest
import text_to_image
import torch
from parity import assert_same, pixels, settle
from PIL import Image

from engine.errors import WeftError

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

SCHEDULERS = {
    "euler": diffusers.EulerDiscreteScheduler,
    "euler_ancestral": diffusers.EulerAncestralDiscreteScheduler,
    "ddim": diffusers.DDIMScheduler,
    "dpmpp_2m": diffusers.DPMSolverMultistepScheduler,
    "dpmpp_2m_sde": diffusers.DPMSolverMultistepScheduler,
}
MORE = {"dpmpp_2m_sde": {"algorithm_type": "sde-dpmsolver++"}}


@pytest.fixture(scope="module")
def pipelines(checkpoint):
    """diffusers' base and refiner, and the refiner's scheduler."""
    kinds = {"sdxl": diffusers.StableDiffusionXLPipeline, "sdxl-refiner": diffusers.StableDiffusionXLImg2ImgPipeline}
    pipes = [cls.from_pretrained(checkpoint(kind), dtype=torch.float32) for kind, cls in kinds.items()]
    for pipe in pipes:
        pipe.set_progress_bar_config(disable=True)
    return *pipes, pipes[1].scheduler.config


@pytest.fixture
def graph(checkpoint):
    """A function that makes a graph of a base and a refiner; changes as in `text_to_image.graph`."""

    def go(sampler="euler", steps=10, at=0.8, by="timesteps", **changes):
        late = {
            "refiner": {"type": "LoadCheckpoint", "source": str(checkpoint("sdxl-refiner"))},
            "better": {"type": "TextEncode", "text_encoder": "@refiner.text_encoder", "text": "a fox"},
            "guide_2": {"type": "CFG", "model": "@refiner.model", "positive": "@better", "scale": 7.5},
            "early": {"type": "CutSchedule", "schedule": "@schedule", "end": at, "by": by},
            "late": {"type": "CutSchedule", "schedule": "@schedule", "start": at, "by": by},
            "denoise__schedule": "@early",
            "refine": {
                "type": "UNetDenoise", "guider": "@guide_2", "schedule": "@late", "sampler": "@sampler",
                "noise": "@noise", "latent": "@denoise",
            },
            "decode__latent": "@refine",
            "decode__vae": "@refiner.vae",
            "schedule__sampler": "@sampler",
            "sampler__kind": sampler,
        }  # fmt: skip
        return text_to_image.graph(checkpoint("sdxl"), "a fox", 7.5, steps, 5, **{**late, **changes})

    return go


@pytest.fixture
def ours(graph, run_nodes):
    """A function that runs such a graph: pixels (B, H, W, 3) in 0 … 1."""
    return lambda *args, **changes: run_nodes(graph(*args, **changes), "decode")["decode"].pixels


@pytest.fixture
def reference(pipelines):
    """A function that runs both pipelines, one generator going through both: pixels (B, H, W, 3) in 0 … 1."""
    base, refiner, config = pipelines

    def go(sampler="euler", steps=10, at=0.8, **call):
        for pipe in (base, refiner):
            settle(pipe)
            pipe.scheduler = SCHEDULERS[sampler].from_config(config, **MORE.get(sampler, {}))
        stream = [torch.Generator().manual_seed(5)]
        shared = {"num_inference_steps": steps, "guidance_scale": 7.5, "generator": stream}
        left = base("a fox", denoising_end=at, output_type="latent", **shared).images
        return refiner("a fox", image=left, denoising_start=at, output_type="np", **shared, **call).images

    return go


@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_p4_hand_over_with_every_sampler(ours, reference, sampler):
    assert_same(ours(sampler), reference(sampler))


@pytest.mark.parametrize(("steps", "at"), [(7, 0.8), (10, 0.5), (15, 0.73), (5, 0.9)])
def test_p4_hand_over_anywhere(ours, reference, steps, at):
    assert_same(ours(steps=steps, at=at), reference(steps=steps, at=at))


def test_p4_fractions_of_steps_and_of_timesteps(run_nodes, graph):
    """They are the same where the steps are spread evenly over the table, and may be a step apart elsewhere."""

    def steps_before(steps, at, by):
        return run_nodes(graph(steps=steps, at=at, by=by), "early")["early"].steps

    assert steps_before(10, 0.8, "timesteps") == steps_before(10, 0.8, "steps") == 8
    assert steps_before(30, 0.8, "steps") == 24
    assert steps_before(30, 0.8, "timesteps") == 23


@pytest.mark.parametrize("case", ["scores", "negative", "sizes"])
def test_p4_what_the_refiner_may_be_told(ours, reference, case):
    no = {"type": "TextEncode", "text_encoder": "@refiner.text_encoder", "text": "grass"}
    square = {"type": "SizeCondition", "width": 64, "height": 64}
    wide = {"type": "SizeCondition", "conditioning": "@better", "width": 48, "height": 32, "crop_x": 3, "crop_y": 4}
    changes, call = {
        "scores": (
            {
                "good": {**square, "conditioning": "@better", "aesthetic_score": 9.0},
                "no": {**no, "text": ""},
                "bad": {**square, "conditioning": "@no", "aesthetic_score": 1.0},
                "guide_2__positive": "@good",
                "guide_2__negative": "@bad",
            },
            {"aesthetic_score": 9.0, "negative_aesthetic_score": 1.0},
        ),
        "negative": ({"no": no, "guide_2__negative": "@no"}, {"negative_prompt": "grass"}),
        "sizes": (
            {"wide": wide, "guide_2__positive": "@wide"},
            {"original_size": (32, 48), "crops_coords_top_left": (4, 3), "target_size": (32, 48),
             "negative_original_size": (32, 48), "negative_crops_coords_top_left": (4, 3),
             "negative_target_size": (32, 48)},
        ),
    }[case]  # fmt: skip
    there = reference(**call)
    assert_same(ours(**changes), there)
    if case != "sizes":
        assert np.abs(there - reference()).max() > 1e-4


def test_p4_the_refiner_alone_on_a_picture(pipelines, checkpoint, run_nodes, tmp_path):
    _, pipe, config = pipelines
    pipe.scheduler = diffusers.EulerDiscreteScheduler.from_config(config)
    values = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "in.png")
    late = {
        "open": {"type": "LoadImage", "path": "in.png"},
        "coded": {"type": "VAEEncode", "vae": "@base.vae", "image": "@open.image"},
        "late": {"type": "CutSchedule", "schedule": "@schedule", "start": 0.5},
        "denoise__schedule": "@late",
        "denoise__latent": "@coded",
        "sampler__kind": "model",
    }
    nodes = text_to_image.graph(checkpoint("sdxl-refiner"), "a fox", 7.5, 6, 5, **late)
    there = pixels(pipe, image=Image.fromarray(values), strength=0.5, num_inference_steps=6, guidance_scale=7.5)
    assert_same(run_nodes(nodes, "decode")["decode"].pixels, there)


@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpmpp_2m_sde", "ddpm"])
def test_two_parts_draw_what_the_whole_draws(run_nodes, graph, checkpoint, sampler):
    """With the base on both sides of the hand-over: fresh noise goes on where it stopped."""
    whole = text_to_image.graph(checkpoint("sdxl"), "a fox", 7.5, 10, 5, sampler__kind=sampler)
    parts = graph(sampler, refine__guider="@guide")
    for nodes in (whole, parts):
        nodes["schedule"]["spacing"] = "leading"
        nodes["schedule"]["sampler"] = "@sampler"
    here, there = run_nodes(parts, "refine")["refine"].samples, run_nodes(whole, "denoise")["denoise"].samples
    if sampler == "dpmpp_2m_sde":
        # the second part has no earlier step to look back on
        assert 0 < (here - there).abs().max() < 0.5 * there.std()
    else:
        assert torch.equal(here, there)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scored": {"type": "SizeCondition", "conditioning": "@wanted", "width": 64, "height": 64,
                     "aesthetic_score": 6.0}, "guide__positive": "@scored"}, "only the SDXL refiner is told"),
        ({"guide_2__positive": "@wanted"}, "the conditioning is for SDXL, and the model is the SDXL refiner"),
        ({"better__text_2": "a hen"}, "the refiner has one text encoder"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_the_refiner(run_nodes, graph, changes, message):
    with pytest.raises(WeftError) as found:
        run_nodes(graph(**changes), "decode")
    assert message in " ".join(str(found.value).split())
