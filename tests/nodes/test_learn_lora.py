"""Teaching a LoRA: it learns, goes on where it was, and is read by diffusers and by LoRALoad alike."""

import json
from dataclasses import replace

import diffusers
import numpy as np
import pytest
import text_to_image
import torch
from safetensors import safe_open

from diffusion.store import STORE
from engine.cache import Cache
from engine.context import CancelToken, Context
from engine.errors import Cancelled, WeftError
from nodes.data import Shapes
from nodes.learn_lora import TrainLoRA
from nodes.load import LoadCheckpoint
from nodes.patch import LoRALoad

pytestmark = pytest.mark.filterwarnings("ignore:`FluxPosEmbed`:FutureWarning")

SIZE = 64
FAMILIES = {
    "sd15": {"train_text": True, "precision": "bfloat16"},
    "sdxl": {"accumulate": 2, "min_snr": 5.0, "checkpointing": True},
    "flux-schnell": {"times": "logit_normal"},
}


@pytest.fixture(scope="module")
def shapes():
    return Shapes(count=4, size=SIZE, seed=0).run(Context())


@pytest.fixture(params=FAMILIES)
def case(request, checkpoint):
    base = LoadCheckpoint(source=str(checkpoint(request.param))).run(Context())
    return base, {"rank": 2, "alpha": 4.0, "trigger": "fox", "ema": 0.0, **FAMILIES[request.param]}


def learn(folder, base, shapes, stop_at=None, **given):
    folder.mkdir(exist_ok=True)
    token = CancelToken()

    def emit(event):
        if "loss" in getattr(event, "message", "") and event.step == stop_at:
            token.cancel()

    ctx = Context(scratch_of=lambda: folder, emit=emit, token=token)
    parts = {"model": base.model, "text_encoder": base.text_encoder, "vae": base.vae}
    return TrainLoRA(dataset=shapes, seed=0, **parts, **given).run(ctx)


def test_training_goes_on_where_it_was_stopped(case, shapes, tmp_path):
    base, given = case
    given = {"steps": 3, "batch": 2, "prior": shapes, **given}
    whole = learn(tmp_path / "whole", base, shapes, **given)
    with pytest.raises(Cancelled):
        learn(tmp_path / "parts", base, shapes, stop_at=2, **given)
    resumed = learn(tmp_path / "parts", base, shapes, **given)
    assert resumed.losses == whole.losses
    assert resumed.lora.digest == whole.lora.digest


def test_diffusers_computes_the_same_with_the_file(case, shapes, tmp_path):
    base, given = case
    trained = learn(tmp_path / "one", base, shapes, steps=2, batch=2, lr=0.1, warmup=0, **given)
    with safe_open(trained.lora.source, "pt") as file:
        metadata = file.metadata()
    assert (metadata["trigger"], metadata["base_model_digest"]) == ("fox", base.model.digest)
    part = "transformer" if base.model.family == "flux" else "unet"
    assert json.loads(metadata["lora_adapter_metadata"])[f"{part}.lora_alpha"] == 4.0
    patched = LoRALoad(model=base.model, text_encoder=base.text_encoder, lora=trained.lora).run(Context())
    ours = STORE.load(patched.model)
    pipe = diffusers.DiffusionPipeline.from_pretrained(base.model.source)
    pipe.load_lora_weights(trained.lora.source)
    theirs, plain = getattr(pipe, part), STORE.load(base.model)
    layer = next(name for name, _ in theirs.named_modules() if name.endswith("to_q"))
    x = torch.randn(2, 3, plain.get_submodule(layer).in_features)
    with torch.no_grad():
        here, there, without = (net.get_submodule(layer)(x) for net in (ours, theirs, plain))
    torch.testing.assert_close(here, there)
    assert not torch.allclose(here, without)


def test_the_loss_falls_on_two_pictures(shapes, checkpoint, tmp_path):
    base = LoadCheckpoint(source=str(checkpoint("sdxl"))).run(Context())
    two = replace(shapes, images=shapes.images[:2], captions=shapes.captions[:2])
    given = {"steps": 30, "batch": 4, "lr": 5e-2, "warmup": 2, "rank": 4, "alpha": 8.0}
    every = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "conv_in", "conv_out", "proj_in", "proj_out"]
    losses = learn(tmp_path / "learn", base, two, targets=every, **given).losses.values
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_it_acts_the_same_from_the_cache_and_from_its_saved_file(checkpoint, run_nodes, tmp_path):
    changes = {
        "shapes": {"type": "Shapes", "count": 4, "size": SIZE, "seed": 0},
        "teach": {"type": "TrainLoRA", "model": "@base.model", "text_encoder": "@base.text_encoder",
                  "vae": "@base.vae", "dataset": "@shapes", "steps": 2, "batch": 2, "lr": 0.1, "warmup": 0, "seed": 0},
        "style": {"type": "LoRALoad", "model": "@base.model", "lora": "@teach.lora"},
        "keep": {"type": "SaveLoRA", "lora": "@teach.lora", "path": "style.safetensors"},
        "guide__model": "@style.model",
    }  # fmt: skip
    graph = text_to_image.graph(checkpoint("sd15"), "a fox", 7.5, 2, 5, **changes)
    first = run_nodes(graph, "decode", "teach", "keep", cache=Cache(tmp_path / "cache"))
    again = run_nodes(graph, "teach", cache=Cache(tmp_path / "cache"))
    assert first["teach"]["lora"].digest == again["teach"]["lora"].digest
    saved = tmp_path / "out" / "style.safetensors"
    with safe_open(saved, "pt") as file:
        assert json.loads(file.metadata()["weft_workflow"])["nodes"]["teach"]["steps"] == 2
    graph["style"] = {"type": "LoRALoad", "model": "@base.model", "source": str(saved)}
    del graph["keep"], graph["teach"], graph["shapes"]
    assert np.array_equal(run_nodes(graph, "decode")["decode"].pixels, first["decode"].pixels)
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
        learn(tmp_path / "x", base, shapes, targets=["to_x", "fc9"])
