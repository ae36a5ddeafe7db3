"""A VAE that works in tiles gives what that of diffusers gives, with its tiling enabled."""

import diffusers
import numpy as np
import parity
import pytest
import text_to_image
import torch
from PIL import Image

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

SIDES = {"exact tiles": (96, 96), "a part of a tile left": (136, 80), "smaller than a tile": (32, 24)}
TILE = 64
"""Of the tiny VAEs: what enable_tiling takes by itself."""
PIPELINES = {"sd15": diffusers.StableDiffusionPipeline, "sdxl": diffusers.StableDiffusionXLPipeline}


@pytest.fixture(scope="module")
def reference(checkpoint):
    """A function that draws with a pipeline whose VAE tiles or not."""

    def go(kind, tiles=True, **call):
        pipe = PIPELINES[kind].from_pretrained(checkpoint(kind), dtype=torch.float32, use_safetensors=True)
        pipe.set_progress_bar_config(disable=True)
        pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
        assert pipe.vae.tile_sample_min_size == TILE
        if tiles:
            pipe.vae.enable_tiling()
        return parity.pixels(pipe, num_inference_steps=2, guidance_scale=7.5, **call)

    return go


@pytest.mark.parametrize("case", SIDES)
@pytest.mark.parametrize("kind", PIPELINES)
def test_p13_decoding_in_tiles(checkpoint, run_nodes, reference, kind, case):
    width, height = SIDES[case]
    size = {"blank__width": width, "blank__height": height, "schedule__spacing": "leading"}

    def ours(tile):
        nodes = text_to_image.graph(checkpoint(kind), "a fox", 7.5, 2, 5, **size, decode__tile=tile)
        return run_nodes(nodes, "decode")["decode"].pixels

    tiled = ours(TILE)
    parity.assert_same(tiled, reference(kind, width=width, height=height))
    assert (np.abs(tiled - ours(0)).max() > 1e-3) == (max(width, height) > TILE)


@pytest.mark.parametrize("case", SIDES)
@pytest.mark.parametrize("kind", PIPELINES)
def test_p13_coding_in_tiles(checkpoint, run_nodes, tmp_path, kind, case):
    width, height = SIDES[case]
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    nodes = {
        "base": {"type": "LoadCheckpoint", "source": str(checkpoint(kind))},
        "open": {"type": "LoadImage", "path": "in.png"},
        "coded": {"type": "VAEEncode", "vae": "@base.vae", "image": "@open.image", "tile": TILE},
    }
    here = run_nodes(nodes, "coded")["coded"].samples
    vae = diffusers.AutoencoderKL.from_pretrained(checkpoint(kind), subfolder="vae")
    vae.enable_tiling()
    x = torch.tensor(pixels / 255, dtype=torch.float32).permute(2, 0, 1)[None] * 2 - 1
    with torch.no_grad():
        there = vae.encode(x).latent_dist.mean * vae.config.scaling_factor
    torch.testing.assert_close(here, there, rtol=0, atol=1e-5)


def test_what_was_tiled_once_is_whole_the_next_time(checkpoint, run_nodes):
    def ours(tile):
        size = {"blank__width": 96, "blank__height": 96}
        nodes = text_to_image.graph(checkpoint("sd15"), "a fox", 7.5, 1, 5, **size, decode__tile=tile)
        return run_nodes(nodes, "decode")["decode"].pixels

    before, tiled, after = ours(0), ours(32), ours(0)
    assert np.array_equal(before, after)
    assert np.abs(tiled - before).max() > 1e-3
