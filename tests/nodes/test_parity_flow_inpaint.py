"""SD3 and Flux paint a part of a picture anew as diffusers' inpainting pipelines do, with their usual networks."""

from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch
from parity import assert_same, pixels
from PIL import Image as Picture

from diffusion.types import Image
from engine.context import Context
from nodes.guide import CFG
from nodes.load import LoadCheckpoint
from nodes.sample import Noise, Sampler, UNetDenoise
from nodes.schedule import CutSchedule, NoiseSchedule
from nodes.text import TextEncode
from nodes.vae import VAEDecode, VAEEncode

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

SEED, STEPS, TOKENS, SIDE = 5, 4, 48, 64
PIPELINES = {
    "sd3": (diffusers.StableDiffusion3InpaintPipeline, {"guidance_scale": 7.5}),
    "sd35": (diffusers.StableDiffusion3InpaintPipeline, {"guidance_scale": 7.5}),
    "flux-schnell": (diffusers.FluxInpaintPipeline, {}),
    "flux-dev": (diffusers.FluxInpaintPipeline, {"guidance_scale": 3.5}),
}


@pytest.mark.parametrize("start", [0.0, 0.5])
@pytest.mark.parametrize("kind", PIPELINES)
def test_p7_p8_p9_inpainting(checkpoint, monkeypatch, kind, start):
    picture = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    hole = np.zeros((SIDE, SIDE), np.uint8)
    hole[16:48, 8:40] = 255
    cls, call = PIPELINES[kind]
    pipe = cls.from_pretrained(checkpoint(kind), dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    if kind.startswith("sd3"):
        # diffusers 0.42 forgets the VAE's shift in this one of its SD3 pipelines
        decode, shift = pipe.vae.decode, pipe.vae.config.shift_factor
        monkeypatch.setattr(pipe.vae, "decode", lambda z, **how: decode(z + shift, return_dict=False))
    there = pixels(
        pipe, seed=SEED, image=Picture.fromarray(picture), mask_image=Picture.fromarray(hole), strength=1 - start,
        num_inference_steps=STEPS, max_sequence_length=TOKENS, width=SIDE, height=SIDE, **call,
    )  # fmt: skip

    ctx = Context(node="test")
    base = LoadCheckpoint(source=str(checkpoint(kind))).run(ctx)
    wanted = TextEncode(text_encoder=base.text_encoder, text="a fox", max_tokens=TOKENS).run(ctx)
    coded = VAEEncode(vae=base.vae, image=Image(picture[None].astype(np.float32) / 255)).run(ctx)
    mask = torch.from_numpy(hole[::8, ::8] / 255).float()[None, None]
    levels = NoiseSchedule(model=base.model, steps=STEPS, width=SIDE, height=SIDE).run(ctx)
    done = UNetDenoise(
        guider=CFG(model=base.model, positive=wanted, scale=7.5).run(ctx),
        schedule=CutSchedule(schedule=levels, start=start).run(ctx),
        sampler=Sampler().run(ctx),
        noise=Noise(seed=SEED).run(ctx),
        latent=replace(coded, mask=mask),
    ).run(ctx)
    here = VAEDecode(vae=base.vae, latent=done).run(ctx).pixels
    assert_same(here, there)
    unmasked = VAEDecode(vae=base.vae, latent=coded).run(ctx).pixels
    assert np.abs(here - unmasked).max() > 0.05
