"""Teaching a LoRA: it learns, goes on where it was, and is read by diffusers and by LoRALoad alike."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import diffusers
import numpy as np
import parity
import pytest
import text_to_image
import torch
from learning import learn
from PIL import Image as Picture
from safetensors import safe_open
from safetensors.torch import load_file

from diffusion.loop import loop
from diffusion.training_step import loss_on
from engine.api import load, run
from engine.cache import Cache
from engine.context import Context, Settings
from engine.errors import Cancelled, WeftError
from nodes import registry
from nodes.data import Shapes
from nodes.learn_lora import TrainLoRA
from nodes.load import LoadCheckpoint

pytestmark = pytest.mark.filterwarnings(
    "ignore:`FluxPosEmbed`:FutureWarning",
    "ignore:__array__ implementation doesn't accept:DeprecationWarning",
)

SIZE = 64
FAMILIES = {
    "sd15": {"train_text": True, "precision": "bfloat16"},
    "sdxl": {"accumulate": 2, "min_snr": 5.0, "checkpointing": True},
    "flux-schnell": {"times": "logit_normal", "train_text": True},
}


@pytest.fixture(scope="module")
def shapes():
    return Shapes(count=4, size=SIZE, seed=0).run(Context())


@pytest.fixture(params=FAMILIES)
def case(request, checkpoint):
    base = LoadCheckpoint(source=str(checkpoint(request.param))).run(Context())
    return base, {"rank": 2, "alpha": 4.0, "trigger": "fox", "ema": 0.0, **FAMILIES[request.param]}


def test_training_goes_on_where_it_was_stopped(case, shapes, tmp_path):
    base, given = case
    given = {"steps": 3, "batch": 2, "prior": shapes, **given}
    whole = learn(TrainLoRA, tmp_path / "whole", base, shapes, **given)
    with pytest.raises(Cancelled):
        learn(TrainLoRA, tmp_path / "parts", base, shapes, stop_at=2, **given)
    resumed = learn(TrainLoRA, tmp_path / "parts", base, shapes, **given)
    assert resumed.losses == whole.losses
    assert resumed.lora.digest == whole.lora.digest


@pytest.mark.parametrize("kind", ["sdxl", "flux-schnell"])
def test_a_training_that_is_killed_between_two_saves_ends_on_the_same_factors(
    kind, shapes, checkpoint, tmp_path, monkeypatch
):
    base = LoadCheckpoint(source=str(checkpoint(kind))).run(Context())
    given = {"steps": 4, "batch": 2, "lr": 0.1, "warmup": 0, "validation_steps": 1}
    monkeypatch.setattr("diffusion.training_look.loop", partial(loop, save_every=2))
    whole = learn(TrainLoRA, tmp_path / "whole", base, shapes, **given)
    steps = iter(range(4))

    def dies(*args):
        if next(steps) == 3:
            raise RuntimeError("killed")
        return loss_on(*args)

    with monkeypatch.context() as patched:
        patched.setattr("diffusion.training_lora.loss_on", dies)
        with pytest.raises(RuntimeError, match="killed"):
            learn(TrainLoRA, tmp_path / "parts", base, shapes, **given)
    # three steps were done, and two of them are kept
    resumed = learn(TrainLoRA, tmp_path / "parts", base, shapes, **given)
    assert resumed.losses == whole.losses
    assert resumed.lora.digest == whole.lora.digest
    assert np.array_equal(resumed.validation.pixels, whole.validation.pixels)


def test_the_file_says_what_it_was_made_for(case, shapes, tmp_path):
    base, given = case
    trained = learn(TrainLoRA, tmp_path / "one", base, shapes, steps=1, batch=2, **given)
    with safe_open(trained.lora.source, "pt") as file:
        metadata = file.metadata()
    assert (metadata["trigger"], metadata["base_model_digest"]) == ("fox", base.model.digest)
    part = "transformer" if base.model.family == "flux" else "unet"
    assert json.loads(metadata["lora_adapter_metadata"])[f"{part}.lora_alpha"] == 4.0


def test_text_encoders_learn_at_a_rate_of_their_own(checkpoint, shapes, tmp_path):
    base = LoadCheckpoint(source=str(checkpoint("sdxl"))).run(Context())
    given = {"steps": 2, "batch": 2, "rank": 2, "train_text": True, "shuffle": True}
    still = load_file(learn(TrainLoRA, tmp_path / "still", base, shapes, text_lr=0.0, **given).lora.source)
    moved = load_file(learn(TrainLoRA, tmp_path / "moved", base, shapes, **given).lora.source)
    for name in moved:
        if name.endswith("lora_B.weight"):
            # B begins at zero
            assert bool(still[name].any()) == name.startswith("unet.")
            assert moved[name].any() or "text_encoder." in name


@pytest.mark.parametrize("kind", ["sdxl", "flux-dev"])
def test_diffusers_draws_the_same_with_the_file_at_every_strength(kind, checkpoint, run_nodes, shapes, tmp_path):
    base = LoadCheckpoint(source=str(checkpoint(kind))).run(Context())
    given = {"steps": 2, "batch": 2, "lr": 0.1, "warmup": 0, "rank": 2, "alpha": 4.0, "train_text": True}
    trained = learn(TrainLoRA, tmp_path / "one", base, shapes, **given)
    pipe = diffusers.DiffusionPipeline.from_pretrained(base.model.source, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_lora_weights(trained.lora.source, adapter_name="taught")
    call = {"num_inference_steps": 2, "width": SIZE, "height": SIZE, "guidance_scale": 3.5}
    changes = {
        "style": {"type": "LoRALoad", "model": "@base.model", "text_encoder": "@base.text_encoder",
                  "source": trained.lora.source},
        "guide__model": "@style.model",
        "wanted__text_encoder": "@style.text_encoder",
        "sampler__kind": "model",
        "schedule__width": SIZE, "schedule__height": SIZE, "blank__width": SIZE, "blank__height": SIZE,
    }  # fmt: skip
    drawn = []
    for strength in (0.0, 0.5, 1.0):
        pipe.set_adapters(["taught"], [strength])
        there = parity.pixels(pipe, "a fox", **call)
        graph = text_to_image.graph(base.model.source, "a fox", 3.5, 2, 5, **changes, style__strength=strength)
        parity.assert_same(run_nodes(graph, "decode")["decode"].pixels, there)
        drawn.append(there)
    assert np.abs(drawn[0] - drawn[1]).max() > 1e-3
    assert np.abs(drawn[1] - drawn[2]).max() > 1e-3


@pytest.mark.parametrize("kind", ["sdxl", "flux-dev"])
def test_the_loss_falls_on_two_pictures(kind, shapes, checkpoint, tmp_path):
    base = LoadCheckpoint(source=str(checkpoint(kind))).run(Context())
    two = replace(shapes, images=shapes.images[:2], captions=shapes.captions[:2])
    given = {"steps": 30, "batch": 4, "lr": 5e-2, "warmup": 2, "rank": 4, "alpha": 8.0}
    attention = ["to_q", "to_k", "to_v", "to_out.0"]
    more = ["conv1", "conv2", "conv_in", "conv_out", "proj_in"] if kind == "sdxl" else ["x_embedder", "proj_mlp"]
    every = [*attention, *more, "proj_out"]
    losses = learn(TrainLoRA, tmp_path / "learn", base, two, targets=every, **given).losses.values
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_it_acts_the_same_from_the_cache_and_from_its_saved_file(checkpoint, run_nodes, tmp_path):
    changes = {
        "shapes": {"type": "Shapes", "count": 4, "size": SIZE, "seed": 0},
        "teach": {"type": "TrainLoRA", "model": "@base.model", "text_encoder": "@base.text_encoder",
                  "vae": "@base.vae", "dataset": "@shapes", "steps": 2, "batch": 2, "lr": 0.1, "warmup": 0, "seed": 0},
        "style": {"type": "LoRALoad", "model": "@base.model", "lora": "@teach.lora"},
        "keep": {"type": "SaveLoRA", "lora": "@teach.lora", "path": "style.safetensors"},
        "weaken": {"type": "SaveLoRA", "lora": "@teach.lora", "path": "weak.safetensors", "strength": 0.5},
        "guide__model": "@style.model",
    }  # fmt: skip
    graph = text_to_image.graph(checkpoint("sd15"), "a fox", 7.5, 2, 5, **changes)
    first = run_nodes(graph, "decode", "teach", "keep", "weaken", cache=Cache(tmp_path / "cache"))
    again = run_nodes(graph, "teach", cache=Cache(tmp_path / "cache"))
    assert first["teach"]["lora"].digest == again["teach"]["lora"].digest
    saved = tmp_path / "out" / "style.safetensors"
    with safe_open(saved, "pt") as file:
        assert json.loads(file.metadata()["weft_workflow"])["nodes"]["teach"]["steps"] == 2
    graph["style"] = {"type": "LoRALoad", "model": "@base.model", "source": str(saved)}
    del graph["keep"], graph["weaken"], graph["teach"], graph["shapes"]
    assert np.array_equal(run_nodes(graph, "decode")["decode"].pixels, first["decode"].pixels)
    half, weak = (
        run_nodes(graph | {"style": {**graph["style"], **change}}, "decode")["decode"].pixels
        for change in ({"strength": 0.5}, {"source": str(saved.with_name("weak.safetensors"))})
    )
    assert np.abs(half - weak).max() < 1e-6 < np.abs(half - first["decode"].pixels).max()
    plain = text_to_image.graph(checkpoint("sd15"), "a fox", 7.5, 2, 5)
    assert not np.array_equal(run_nodes(plain, "decode")["decode"].pixels, first["decode"].pixels)


def test_a_lora_is_named_once(checkpoint, run_nodes):
    nodes = text_to_image.graph(
        checkpoint("sd15"), style={"type": "LoRALoad", "model": "@base.model"}, guide__model="@style.model"
    )
    with pytest.raises(WeftError, match="neither source nor lora says which LoRA"):
        run_nodes(nodes, "decode")


def test_targets_that_no_layer_has_are_refused(checkpoint, shapes, tmp_path):
    base = LoadCheckpoint(source=str(checkpoint("sd15"))).run(Context())
    with pytest.raises(ValueError, match="no layer has a name that ends in to_x or fc9"):
        learn(TrainLoRA, tmp_path / "x", base, shapes, targets=["to_x", "fc9"])


def test_the_workflow_of_the_documentation_does_what_it_says(checkpoint, tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")
    document = json.loads(text.partition("```json")[2].partition("```")[0])
    nodes = document["nodes"]
    nodes["base"] |= {"source": str(checkpoint("sdxl")), "dtype": "float32"}
    nodes["data"]["size"] = SIZE
    nodes["teach"] |= {"validation_steps": 1, "precision": "float32"}
    (tmp_path / "pictures").mkdir()
    for i in range(2):
        Picture.new("RGB", (90, 70), (90 * i, 0, 0)).save(tmp_path / "pictures" / f"{i}.png")
        (tmp_path / "pictures" / f"{i}.txt").write_text("a house by a lake")
    workflow = load(document, registry=registry())
    done = run(workflow, settings=Settings(out=tmp_path / "out", folder=tmp_path), cache=Cache(), steps=2)
    assert {Path(file.path).name for file in done.files} == {
        "inkwash.safetensors", "inkwash-on-the-way.png", "inkwash-loss.png"
    }  # fmt: skip
    # after 0, 1 and 2 steps, two prompts each
    with Picture.open(tmp_path / "out" / "inkwash-on-the-way.png") as grid:
        assert grid.height > grid.width
