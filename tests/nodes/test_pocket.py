"""The pocket models that ship: diffusers' pipelines make the same pictures from the same files, and they draw what they
are told. How often they do is measured by benchmarks/pocket.py."""

from itertools import islice

import diffusers
import numpy as np
import parity
import pytest
import text_to_image
import torch
from PIL import Image
from scipy import ndimage

from diffusion.detect import canny
from diffusion.see import STYLE, fits, see
from diffusion.shapes import scenes
from nodes.sources import SHIPPED

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]
TEXT = "a red circle above a blue square on white"
STEPS, SCALE = 5, 3.0
SCENES = list(islice(scenes("test", 1, 5), 12))


def loaded(name, kind=diffusers.StableDiffusionXLPipeline, **parts):
    pipe = kind.from_pretrained(SHIPPED / name, dtype=torch.float32, **parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def graph(name, text=TEXT, steps=STEPS, **changes):
    return text_to_image.graph(name, text, SCALE, steps, **{"sampler__kind": "model", **changes})


def test_pocket_xl_is_drawn_with_by_diffusers_too(run_nodes):
    there = parity.pixels(loaded("pocket-xl"), TEXT, num_inference_steps=STEPS, guidance_scale=SCALE)
    parity.assert_same(run_nodes(graph("pocket-xl"), "decode")["decode"].pixels, there)


def test_pocket_flux_is_drawn_with_by_diffusers_too(run_nodes):
    call = {"width": 64, "height": 64, "max_sequence_length": 24, "negative_prompt": "", "true_cfg_scale": SCALE}
    pipe = loaded("pocket-flux", diffusers.FluxPipeline)
    there = parity.pixels(pipe, TEXT, num_inference_steps=STEPS, **call)
    sizes = {f"{node}__{side}": 64 for node in ("blank", "schedule") for side in ("width", "height")}
    nodes = graph("pocket-flux", **sizes)
    nodes["empty"] = {**nodes["wanted"], "text": ""}
    nodes["guide"]["negative"] = "@empty"
    parity.assert_same(run_nodes(nodes, "decode")["decode"].pixels, there)


@pytest.mark.parametrize("style", STYLE)
def test_the_loras_are_read_by_diffusers_too(run_nodes, style):
    text = f"{style}, {TEXT}"
    nodes = graph("pocket-xl", text, style={"type": "LoRALoad", "source": f"pocket-lora-{style}", "strength": 0.8})
    nodes["style"] |= {"model": "@base.model", "text_encoder": "@base.text_encoder"}
    nodes["wanted"]["text_encoder"], nodes["guide"]["model"] = "@style.text_encoder", "@style.model"
    pipe = loaded("pocket-xl")
    pipe.load_lora_weights(SHIPPED / f"pocket-lora-{style}", adapter_name="style")
    pipe.set_adapters("style", 0.8)
    there = parity.pixels(pipe, text, num_inference_steps=STEPS, guidance_scale=SCALE)
    parity.assert_same(run_nodes(nodes, "decode")["decode"].pixels, there)


def along_edges():
    """A graph that draws along the edges of a picture, and those edges."""
    nodes = graph("pocket-xl", "a green shape on white", 20) | {
        "shapes": {"type": "Shapes", "count": 1, "part": "test", "shapes": 1, "seed": 5},
        "picture": {"type": "DatasetImage", "dataset": "@shapes"},
        "edges": {"type": "ControlImage", "image": "@picture", "kind": "canny"},
        "net": {"type": "LoadControlNet", "source": "pocket-canny"},
        "along": {"type": "ControlNetApply", "model": "@base.model", "controlnet": "@net", "image": "@edges"},
    }
    nodes["guide"] = {**nodes["guide"], "model": "@along"}
    return nodes


def test_pocket_canny_steers_diffusers_too(run_nodes):
    nodes = along_edges()
    nodes["schedule"]["steps"] = STEPS
    here = run_nodes(nodes, "decode", "edges")
    net = diffusers.ControlNetModel.from_pretrained(SHIPPED / "pocket-canny", dtype=torch.float32)
    pipe = loaded("pocket-xl", diffusers.StableDiffusionXLControlNetPipeline, controlnet=net)
    edges = Image.fromarray((here["edges"].pixels[0] * 255).round().astype(np.uint8))
    call = {"num_inference_steps": STEPS, "guidance_scale": SCALE, "image": edges}
    parity.assert_same(here["decode"].pixels, parity.pixels(pipe, nodes["wanted"]["text"], **call))


def test_pocket_canny_draws_along_edges_in_the_colour_of_the_text(run_nodes):
    found = run_nodes(along_edges(), "decode", "edges")
    drawn = (found["decode"].pixels[0] * 255).round().astype(np.uint8)
    assert SCENES[0].shapes[0].colour != "green"
    assert [shape.colour for shape in see(drawn).shapes] == ["green"]
    far = ndimage.distance_transform_edt(found["edges"].pixels[0][..., 0] == 0)
    assert np.mean(far[canny(drawn)[..., 0] > 0] <= 2) > 0.9


def pictures(run_nodes, nodes_of):
    """A picture of each of some scenes, uint8 (H, W, 3)."""
    drawn = [run_nodes(nodes_of(scene), "decode")["decode"].pixels[0] for scene in SCENES]
    return [(one * 255).round().astype(np.uint8) for one in drawn]


def test_pocket_xl_draws_what_it_is_told(run_nodes):
    found = pictures(run_nodes, lambda scene: graph("pocket-xl", scene.caption, 20))
    told = [fits(see(one), scene) for one, scene in zip(found, SCENES, strict=True)]
    for name in ("colour", "shape", "place"):
        assert sum(one[name] for one in told) >= 10, name
