"""Teaching a word: it learns, goes on where it was, and is read by diffusers and by TextualInversion alike."""

import diffusers
import numpy as np
import parity
import pytest
import text_to_image
import torch
from learning import learn
from safetensors import safe_open
from safetensors.torch import load_file

from engine.cache import Cache
from engine.context import Context
from engine.errors import Cancelled, WeftError
from nodes.data import Shapes
from nodes.learn_inversion import TrainTextualInversion
from nodes.load import LoadCheckpoint

TOKEN = "<fox>"
CASES = {
    "sd15": {"vectors": 1, "kind": "style", "checkpointing": True},
    "sdxl": {"vectors": 2, "kind": "captions", "precision": "bfloat16"},
}


@pytest.fixture(scope="module")
def shapes():
    return Shapes(count=4, size=64, seed=0).run(Context())


@pytest.fixture(params=CASES)
def case(request, checkpoint):
    base = LoadCheckpoint(source=str(checkpoint(request.param))).run(Context())
    return base, {"token": TOKEN, "word": "cat", "batch": 2, **CASES[request.param]}


def test_training_goes_on_where_it_was_stopped(case, shapes, tmp_path):
    base, given = case
    whole = learn(TrainTextualInversion, tmp_path / "whole", base, shapes, steps=3, **given)
    with pytest.raises(Cancelled):
        learn(TrainTextualInversion, tmp_path / "parts", base, shapes, stop_at=2, steps=3, **given)
    resumed = learn(TrainTextualInversion, tmp_path / "parts", base, shapes, steps=3, **given)
    assert resumed.losses == whole.losses
    assert resumed.embedding.digest == whole.embedding.digest


def test_the_loss_falls_and_nothing_else_is_changed(case, shapes, tmp_path):
    base, given = case
    given = {**given, "steps": 40, "warmup": 2, "vectors": 8, "batch": 8, "decay": "constant", "ema": 0.0}
    given |= {"kind": "captions", "precision": "float32", "checkpointing": False}
    # the noise of a step is the same in both, and a network that is drawn at random does little with a text
    still, moved = (
        learn(TrainTextualInversion, tmp_path / str(lr), base, shapes, lr=lr, **given).losses.values
        for lr in (1e-9, 0.03)
    )
    assert sum(moved[-20:]) < sum(still[-20:]) - 0.01
    again = LoadCheckpoint(source=base.model.source).run(Context())
    assert (again.model, again.text_encoder) == (base.model, base.text_encoder)


def test_diffusers_draws_the_same_with_the_file(case, checkpoint, run_nodes, tmp_path):
    base, given = case
    kind = base.model.family.replace("sd", "sd15") if base.model.family == "sd" else "sdxl"
    wired = {name: f"@base.{name}" for name in ("model", "text_encoder", "vae")}
    changes = {
        "shapes": {"type": "Shapes", "count": 4, "size": 64, "seed": 0},
        "teach": {"type": "TrainTextualInversion", "dataset": "@shapes", "steps": 2, "lr": 0.5, "warmup": 0, "seed": 0,
                  **wired, **given},
        "word": {"type": "TextualInversion", "text_encoder": "@base.text_encoder", "embedding": "@teach.embedding"},
        "keep": {"type": "SaveTextualInversion", "embedding": "@teach.embedding"},
        "wanted__text_encoder": "@word",
    }  # fmt: skip
    text = f"a {TOKEN}, cat"
    graph = text_to_image.graph(checkpoint(kind), text, 5.0, 2, **changes)
    cache = Cache(tmp_path / "cache")
    here = run_nodes(graph, "decode", "keep", cache=cache)["decode"].pixels
    file = tmp_path / "out" / "word.safetensors"
    with safe_open(file, "pt") as opened:
        assert opened.metadata()["token"] == TOKEN
    graph["word"] = {"type": "TextualInversion", "text_encoder": "@base.text_encoder", "source": str(file)}
    del graph["keep"], graph["teach"], graph["shapes"]
    assert np.array_equal(run_nodes(graph, "decode")["decode"].pixels, here)

    pipe = diffusers.DiffusionPipeline.from_pretrained(base.model.source, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
    call = {"num_inference_steps": 2, "guidance_scale": 5.0}
    plain = parity.pixels(pipe, text, **call)
    if kind == "sd15":
        pipe.load_textual_inversion(str(file))
    else:
        both = load_file(file)
        for name, i in (("clip_l", ""), ("clip_g", "_2")):
            parts = {"text_encoder": getattr(pipe, f"text_encoder{i}"), "tokenizer": getattr(pipe, f"tokenizer{i}")}
            pipe.load_textual_inversion(both[name], token=TOKEN, **parts)
    there = parity.pixels(pipe, text, **call)
    parity.assert_same(here, there)
    assert np.abs(there - plain).max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("flux-schnell", {}, "E-ARCH.*words are taught to Stable Diffusion and SDXL"),
        ("sd15", {"token": "a"}, "E-ARCH.*a token that this text encoder knows already"),
        ("sd15", {"word": " "}, "is no word to begin with"),
    ],
)
def test_what_cannot_be_taught_is_refused(checkpoint, run_nodes, kind, given, message):
    nodes = {
        "base": {"type": "LoadCheckpoint", "source": str(checkpoint(kind))},
        "shapes": {"type": "Shapes", "count": 4, "size": 64, "seed": 0},
        "teach": {"type": "TrainTextualInversion", "model": "@base.model", "text_encoder": "@base.text_encoder",
                  "vae": "@base.vae", "dataset": "@shapes", "seed": 0, "token": TOKEN, "word": "cat", **given},
    }  # fmt: skip
    with pytest.raises(WeftError, match=message):
        run_nodes(nodes, "teach")
