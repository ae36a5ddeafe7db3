"""Steered by ControlNets, graphs give the pictures that diffusers' pipelines give; see `parity.assert_same`."""

from functools import cache

import diffusers
import numpy as np
import pytest
import text_to_image
import torch
from parity import assert_same, pixels
from PIL import Image

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept:DeprecationWarning", "ignore:`FluxPosEmbed`:FutureWarning"
)

SEED, STEPS, TOKENS = 5, 4, 48
SIDE = 64
SD, SDXL = diffusers.StableDiffusionControlNetPipeline, diffusers.StableDiffusionXLControlNetPipeline
UNION = diffusers.StableDiffusionXLControlNetUnionPipeline
SD3, FLUX = diffusers.StableDiffusion3ControlNetPipeline, diffusers.FluxControlNetPipeline
CLASSES = {
    "sd15": diffusers.ControlNetModel,
    "sd3": diffusers.SD3ControlNetModel,
    "flux": diffusers.FluxControlNetModel,
    "union": diffusers.ControlNetUnionModel,
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def picture(i, side=SIDE):
    """Random pixels: what a net makes of one picture cannot be taken for what it makes of another."""
    return Image.fromarray(np.random.default_rng(i).integers(0, 255, (side, side, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def reference(checkpoint):
    """A function that runs diffusers' pipeline with nets: pixels (B, H, W, 3) in 0 … 1."""

    @cache
    def loaded(cls, kind, nets):
        family = "union" if "union" in nets[0] and "flux" not in nets[0] else kind.partition("-")[0][:4]
        family = {"sd21": "sd15", "sdxl": "sd15", "sd35": "sd3"}.get(family, family)
        found = [CLASSES[family].from_pretrained(checkpoint(f"control-{net}")) for net in nets]
        found = found[0] if len(found) == 1 else found
        if cls is FLUX and len(nets) > 1:
            found = diffusers.FluxMultiControlNetModel(found)
        pipe = cls.from_pretrained(checkpoint(kind), controlnet=found, dtype=torch.float32)
        if kind in ("sd15", "sd21", "sdxl"):
            pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def go(cls, kind, nets, **call):
        call = {"num_inference_steps": STEPS, "guidance_scale": 7.5, **call}
        return pixels(loaded(cls, kind, nets), seed=SEED, **call)

    return go


@pytest.fixture
def ours(checkpoint, run_nodes, tmp_path):
    """A function that runs a graph of ours: pixels (B, H, W, 3) in 0 … 1.

    nets: for each ControlNet its kind and the inputs of ControlNetApply; picture i is for net i.
    """

    def go(kind, nets, given=None, **changes):
        steered, model = {}, "@base.model"
        for i, (net, inputs) in enumerate(nets):
            (given or {}).get(i, picture(i)).save(tmp_path / f"{i}.png")
            steered |= {
                f"picture_{i}": {"type": "LoadImage", "path": f"{i}.png"},
                f"net_{i}": {"type": "LoadControlNet", "source": str(checkpoint(f"control-{net}"))},
                f"steered_{i}": {
                    "type": "ControlNetApply",
                    "model": model,
                    "controlnet": f"@net_{i}",
                    "image": f"@picture_{i}.image",
                    **inputs,
                },
            }
            model = f"@steered_{i}"
        nodes = text_to_image.graph(
            checkpoint(kind), "a fox", 7.5, STEPS, SEED, **{**steered, "guide__model": model, **changes}
        )
        return run_nodes(nodes, "decode")["decode"].pixels

    return go


def encode(text):
    return {"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": text}


LARGE = {0: picture(7, 100)}
# the inputs of each ControlNetApply, other changes to the graph, and how diffusers is called
CASES = {
    "one": ([{}], {}, {}),
    "strength": ([{"strength": 0.6}], {}, {"controlnet_conditioning_scale": 0.6}),
    "start and end": ([{"start": 0.25, "end": 0.75}], {},
                      {"control_guidance_start": 0.25, "control_guidance_end": 0.75}),
    "a start between steps": ([{"start": 0.3}], {}, {"control_guidance_start": 0.3}),
    "two": ([{"strength": 0.8}, {"strength": 0.5, "end": 0.5}], {},
            {"controlnet_conditioning_scale": [0.8, 0.5], "control_guidance_start": [0.0, 0.0],
             "control_guidance_end": [1.0, 0.5]}),
    "batch of 2": ([{}], {"blank__batch": 2}, {"batch": 2}),
    "guidance 1": ([{}], {"guide__scale": 1.0}, {"guidance_scale": 1.0}),
    "negative": ([{}], {"no": encode("grass"), "guide__negative": "@no"}, {"negative_prompt": "grass"}),
    "guess": ([{"guess": True}], {}, {"guess_mode": True}),
    "guess without guidance": ([{"guess": True, "strength": 0.7}], {"guide__scale": 1.0},
                               {"guess_mode": True, "guidance_scale": 1.0, "controlnet_conditioning_scale": 0.7}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("cls", "kind"), [(SD, "sd15"), (SDXL, "sdxl")], ids=["sd15", "sdxl"])
def test_p10_nets_of_u_nets(ours, reference, cls, kind, case):
    applied, changes, call = CASES[case]
    net = "sdxl" if kind == "sdxl" else "sd15"
    nets = [net, f"{net}-other"][: len(applied)]
    pictures = [picture(i) for i in range(len(nets))]
    call = {"image": pictures if len(nets) > 1 else pictures[0], **call}
    here = ours(kind, list(zip(nets, applied, strict=True)), **changes)
    assert_same(here, reference(cls, kind, tuple(nets), **call))


def test_p10_what_a_net_adds_is_seen(ours):
    plain, one = ours("sd15", []), ours("sd15", [("sd15", {})])
    assert np.abs(plain - one).max() > 1e-2
    assert np.abs(plain - ours("sd15", [("sd15", {"strength": 0.0})])).max() == 0
    assert np.abs(one - ours("sd15", [("sd15", {})], {0: picture(3)})).max() > 1e-2
    assert np.abs(one - ours("sd15", [("sd15", {"end": 0.5})])).max() > 1e-2
    assert np.abs(one - ours("sd15", [("sd15", {"guess": True})])).max() > 1e-2
