"""The pocket models that ship: diffusers' pipelines make the same pictures from the same files, and they draw what they
are told. How often they do is measured by benchmarks/pocket.py."""

from itertools import islice

import diffusers
import numpy as np
import parity
import pytest
import text_to_image
import torch

from diffusion.see import fits, see
from diffusion.shapes import scenes
from nodes.sources import SHIPPED

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
TEXT = "a red circle above a blue square on white"
STEPS, SCALE = 5, 3.0
SCENES = list(islice(scenes("test", 1, 5), 12))


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


def pictures(run_nodes, nodes_of):
    """A picture of each of some scenes, uint8 (H, W, 3)."""
    drawn = [run_nodes(nodes_of(scene), "decode")["decode"].pixels[0] for scene in SCENES]
    return [(one * 255).round().astype(np.uint8) for one in drawn]


def test_pocket_xl_draws_what_it_is_told(run_nodes):
    found = pictures(run_nodes, lambda scene: graph("pocket-xl", scene.caption, 20))
    told = [fits(see(one), scene) for one, scene in zip(found, SCENES, strict=True)]
    for name in ("colour", "shape", "place"):
        assert sum(one[name] for one in told) >= 10, name
