"""Two models become one: the mean of their weights, which is a model like any other."""

from dataclasses import replace

import pytest
import torch
from diffusers import FluxPipeline, StableDiffusionXLPipeline
from learning import new_model
from safetensors.torch import load_file

from diffusion.recipes import Patch
from engine.api import load
from engine.context import Context
from engine.errors import WeftError
from engine.foresight import foresee
from nodes import registry
from nodes.data import Shapes
from nodes.merge import MergeModels

NETWORK = {"sdxl": "unet", "flux": "transformer"}
PIPELINE = {"sdxl": StableDiffusionXLPipeline, "flux": FluxPipeline}


@pytest.fixture(scope="module")
def make():
    """A function that makes a small model of a family with random weights."""
    shapes = Shapes(count=12, size=32, seed=0).run(Context())

    return lambda family, seed, **other: new_model(family, shapes, seed, **other)


def merge(one, other, folder, share=0.5):
    folder.mkdir(exist_ok=True)
    given = {"other_model": other.model, "other_text_encoder": other.text_encoder, "share": share}
    ctx = Context(scratch_of=lambda: folder)
    return MergeModels(model=one.model, text_encoder=one.text_encoder, **given).run(ctx)


def weights(checkpoint, part):
    name = "model" if part.startswith("text") else "diffusion_pytorch_model"
    return load_file(f"{checkpoint.model.source}/{part}/{name}.safetensors")


@pytest.mark.parametrize("family", NETWORK)
def test_weights_are_the_mean_by_the_share_and_the_vae_is_the_first_ones(make, tmp_path, family):
    one, other = make(family, 0), make(family, 1)
    for share in (0.0, 0.25, 1.0):
        made = merge(one, other, tmp_path / str(share), share)
        for part in (NETWORK[family], "text_encoder", "text_encoder_2"):
            a, b, got = (weights(each, part) for each in (one, other, made))
            assert got.keys() == a.keys()
            for name, value in got.items():
                torch.testing.assert_close(value, (1 - share) * a[name] + share * b[name], rtol=1e-5, atol=1e-6)
        assert all(torch.equal(value, weights(one, "vae")[name]) for name, value in weights(made, "vae").items())
        assert made.model.digest not in (one.model.digest, other.model.digest) or share == 0
        assert made.model.schedule == one.model.schedule


@pytest.mark.parametrize("family", NETWORK)
def test_diffusers_reads_it_and_the_two_stay_as_they_were(make, tmp_path, family):
    one, other = make(family, 0), make(family, 1)
    before = weights(one, NETWORK[family])
    made = merge(one, other, tmp_path / "made")
    pipe = PIPELINE[family].from_pretrained(made.model.source)
    loaded = getattr(pipe, NETWORK[family]).state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in weights(made, NETWORK[family]).items())
    assert all(torch.equal(value, before[name]) for name, value in weights(one, NETWORK[family]).items())


def test_what_cannot_be_merged_says_why(make, tmp_path):
    flux = make("flux", 0)
    patched = replace(flux.model, patches=(Patch("lora", "some.safetensors"),))
    single = tmp_path / "one.safetensors"
    single.touch()
    for one, other, what in (
        (flux, make("sdxl", 0), "models of one family can be merged, and these are Flux and SDXL"),
        (flux, make("flux", 0, width=96), "of different sizes: .* is .*64.* and .*96"),
        (make("flux", 0, single_blocks=2), flux, r"the second has no single_transformer_blocks\.1"),
        (flux._replace(model=patched), flux, "a model with a LoRA on it cannot be merged"),
        (flux._replace(model=replace(flux.model, source=str(single))), flux, "is no folder in diffusers layout"),
    ):
        with pytest.raises(WeftError, match=what) as told:
            merge(one, other, tmp_path / "made")
        assert [one.code for one in told.value.problems] == ["E-ARCH"]
        assert told.value.problems[0].hint


def test_two_families_are_refused_before_anything_is_loaded(checkpoint):
    both = {"one": "flux-schnell", "other": "sdxl"}
    nodes = {name: {"type": "LoadCheckpoint", "source": str(checkpoint(kind))} for name, kind in both.items()}
    wires = {name: f"@one.{name}" for name in ("model", "text_encoder")}
    wires |= {f"other_{name}": f"@other.{name}" for name in ("model", "text_encoder")}
    nodes["merge"] = {"type": "MergeModels", **wires}
    (problem,) = foresee(load({"format": 1, "nodes": nodes}, registry=registry(), targets=("merge",)))
    assert str(problem) == (
        "E-ARCH workflow merge.other_model: models of one family can be merged, and these are Flux and SDXL; "
        "take two of one family"
    )
