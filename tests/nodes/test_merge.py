"""Two models become one: the mean of their weights, which is a model like any other."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import single_files
import torch
from diffusers import FluxPipeline, StableDiffusionXLPipeline
from learning import new_model
from safetensors.torch import load_file, save_file

from diffusion.recipes import Patch
from engine.api import load
from engine.context import Context
from engine.errors import WeftError
from engine.foresight import foresee
from nodes import registry
from nodes.data import Shapes
from nodes.load import Checkpoint
from nodes.merge import MergeModels
from nodes.sources import recipes

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
    patched = replace(flux.model, patches=(Patch("ip_adapter", "some.safetensors"),))
    for one, other, what in (
        (flux, make("sdxl", 0), "models of one family can be merged, and these are Flux and SDXL"),
        (flux, make("flux", 0, width=96), "of different sizes: .* is .*64.* and .*96"),
        (make("flux", 0, single_blocks=2), flux, r"the second has no single_transformer_blocks\.1"),
        (flux._replace(model=patched), flux, "some.safetensors is a look at pictures, which cannot become part of"),
        (flux, flux._replace(text_encoder=None), "text encoders of one of two models"),
        (digits(), digits(), "a pixel-space model of weft is not merged here"),
    ):
        with pytest.raises(WeftError, match=what) as told:
            merge(one, other, tmp_path / "made")
        assert [one.code for one in told.value.problems] == ["E-ARCH"]
        assert told.value.problems[0].hint


def digits():
    model, text_encoder, vae = recipes("ddpm-digits", Path())
    return Checkpoint(model, text_encoder, vae)


def test_without_text_encoders_those_of_the_first_stay(make, tmp_path):
    one, other = (make("sdxl", seed)._replace(text_encoder=None) for seed in (0, 1))
    made = merge(one, other, tmp_path / "made", 0.25)
    for part in ("text_encoder", "text_encoder_2"):
        assert all(torch.equal(value, weights(one, part)[name]) for name, value in weights(made, part).items())
    a, b, got = (weights(each, "unet")["conv_in.weight"] for each in (one, other, made))
    torch.testing.assert_close(got, 0.75 * a + 0.25 * b)


def test_single_files_in_float16_are_merged_in_float32_and_kept_in_float16(checkpoint, run_nodes, tmp_path):
    configs = shutil.copytree(checkpoint("sdxl"), tmp_path / "c", ignore=shutil.ignore_patterns("*.safetensors"))
    nodes = {}
    for name, scale in (("one", 1.0), ("other", 3.0)):
        file = single_files.write(checkpoint("sdxl"), tmp_path / f"{name}.safetensors")
        scaled = {n: (t * scale).half() if t.is_floating_point() else t for n, t in load_file(file).items()}
        save_file(scaled, file)
        nodes[name] = {"type": "LoadCheckpoint", "source": str(file), "config": str(configs)}
    wires = {part: f"@one.{part}" for part in ("model", "text_encoder")}
    wires |= {f"other_{part}": f"@other.{part}" for part in ("model", "text_encoder")}
    nodes["merge"] = {"type": "MergeModels", **wires, "share": 0.5}
    nodes["save"] = {"type": "SaveModel", "model": "@merge.model", "path": "merged"}
    run_nodes(nodes, "save")
    for file in ("unet/diffusion_pytorch_model.safetensors", "text_encoder_2/model.safetensors"):
        plain, got = load_file(checkpoint("sdxl") / file), load_file(tmp_path / "out" / "merged" / file)
        for name, value in got.items():
            if value.is_floating_point():
                assert value.dtype == torch.float16
                torch.testing.assert_close(value.float(), 2 * plain[name], rtol=2e-3, atol=1e-6)


def test_loras_are_merged_with_the_model_they_are_on(checkpoint, run_nodes, tmp_path):
    base = {"type": "LoadCheckpoint", "source": str(checkpoint("sdxl"))}
    lora = {"type": "LoRALoad", "model": "@base.model", "source": str(checkpoint("lora-sdxl"))}
    nodes = {
        "base": base, "lora": lora,
        "merge": {"type": "MergeModels", "model": "@base.model", "other_model": "@lora.model", "share": 0.5},
        "half": {"type": "SaveModel", "model": "@merge.model", "path": "half"},
        "weak": {**lora, "strength": 0.5},
        "save": {"type": "SaveModel", "model": "@weak.model", "path": "weak"},
    }  # fmt: skip
    run_nodes(nodes, "half", "save")
    file = "unet/diffusion_pytorch_model.safetensors"
    half, weak = (load_file(tmp_path / "out" / name / file) for name in ("half", "weak"))
    for name, value in half.items():
        torch.testing.assert_close(value, weak[name], rtol=1e-5, atol=1e-6)


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
