"""Teaching a ControlNet: a new one changes nothing, it learns, goes on where it was, and is read like any other."""

import io
from pathlib import Path

import numpy as np
import pytest
import text_to_image
import torch
from learning import learn
from PIL import Image as Pillow
from safetensors.torch import load_file

from diffusion.guidance import Inputs
from diffusion.recipes import ControlNetRecipe
from diffusion.store import STORE
from diffusion.training_control import new_net, steered
from diffusion.types import Level
from engine.cache import Cache
from engine.context import Context, Settings
from engine.errors import Cancelled, WeftError
from nodes.control import LoadControlNet
from nodes.data import Shapes
from nodes.learn_control import TrainControlNet
from nodes.load import LoadCheckpoint

SIZE = 64


@pytest.fixture(scope="module")
def shapes():
    return Shapes(count=4, size=SIZE, seed=0).run(Context())


@pytest.fixture(params=["sd15", "sdxl"])
def base(request, checkpoint):
    return LoadCheckpoint(source=str(checkpoint(request.param))).run(Context())


def test_a_new_net_changes_nothing(base):
    denoiser = STORE.load(base.model)
    network = steered(denoiser, base.model, new_net(denoiser, base.model))
    width = denoiser.config.cross_attention_dim
    inputs: Inputs = {
        "prompt_embeds": torch.randn(2, 7, width), "pooled": torch.randn(2, 16),
        "control_0": torch.rand(2, 3, SIZE, SIZE), "control_0_strength": torch.ones(2),
    }  # fmt: skip
    x, level = torch.randn(2, 4, SIZE // 8, SIZE // 8), Level(500.0, 0.5, 0.5)
    from diffusion.family import family_of

    plain = family_of(base.model).network(denoiser, base.model)
    torch.testing.assert_close(network(x, level, inputs), plain(x, level, inputs))


def test_training_goes_on_where_it_was_stopped(base, shapes, tmp_path):
    given = {"steps": 3, "batch": 2, "accumulate": 2, "precision": "bfloat16"}
    whole = learn(TrainControlNet, tmp_path / "whole", base, shapes, **given)
    with pytest.raises(Cancelled):
        learn(TrainControlNet, tmp_path / "parts", base, shapes, stop_at=2, **given)
    resumed = learn(TrainControlNet, tmp_path / "parts", base, shapes, **given)
    assert resumed.losses == whole.losses
    assert len(resumed.losses.values) == 3
    assert resumed.controlnet.digest == whole.controlnet.digest


def test_it_goes_on_from_a_net_that_is_given_and_leaves_that_as_it_is(base, shapes, tmp_path):
    given = {"batch": 2, "steps": 2}
    first = learn(TrainControlNet, tmp_path / "first", base, shapes, **given).controlnet
    before = weights_of(first)
    same = learn(TrainControlNet, tmp_path / "same", base, shapes, controlnet=first, lr=1e-12, **given).controlnet
    other = learn(TrainControlNet, tmp_path / "other", base, shapes, controlnet=first, **given).controlnet
    for name, tensor in before.items():
        assert torch.equal(weights_of(first)[name], tensor)
        torch.testing.assert_close(weights_of(same)[name], tensor)
    assert any(not torch.allclose(weights_of(other)[name], tensor) for name, tensor in before.items())


def weights_of(net):
    return load_file(Path(net.source) / "diffusion_pytorch_model.safetensors")


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (ControlNetRecipe("sd3", "x"), "the ControlNet is for"),
        (ControlNetRecipe("sdxl", "x", modes=6), "for several kinds of pictures is not taught here"),
    ],
)
def test_a_net_that_cannot_be_gone_on_from_is_refused_before_anything_runs(checkpoint, net, message):
    model = LoadCheckpoint(source=str(checkpoint("sdxl"))).run(Context()).model
    with pytest.raises(WeftError, match=message):
        TrainControlNet.foresee({"model": model, "controlnet": net}, Path())


def test_the_loss_falls_on_two_pictures(base, shapes, tmp_path):
    from dataclasses import replace

    two = replace(shapes, images=shapes.images[:2], captions=shapes.captions[:2])
    given = {"steps": 40, "batch": 4, "lr": 3e-2, "warmup": 2, "ema": 0.9}
    losses = learn(TrainControlNet, tmp_path / "learn", base, two, **given).losses.values
    # the U-Net stays as it was drawn, so there is not much to be won
    assert sum(losses[-10:]) < 0.95 * sum(losses[:10])


def test_it_steers_the_same_from_the_cache_and_from_its_saved_folder(checkpoint, run_nodes, tmp_path):
    from diffusers import ControlNetModel

    kind = checkpoint("sd15")
    changes = {
        "shapes": {"type": "Shapes", "count": 4, "size": SIZE, "seed": 0},
        "net": {"type": "TrainControlNet", "model": "@base.model", "text_encoder": "@base.text_encoder",
                "vae": "@base.vae", "dataset": "@shapes", "steps": 3, "batch": 2, "lr": 0.05, "warmup": 0, "seed": 0},
        "hint": {"type": "DatasetImage", "dataset": "@shapes"},
        "edges": {"type": "ControlImage", "image": "@hint"},
        "steered": {"type": "ControlNetApply", "model": "@base.model", "controlnet": "@net.controlnet",
                    "image": "@edges"},
        "keep": {"type": "SaveModel", "model": "@net.controlnet", "losses": "@net.losses", "path": "edges"},
        "guide__model": "@steered",
    }  # fmt: skip
    graph = text_to_image.graph(kind, "a fox", 7.5, 2, 5, **changes)
    cache = Cache(tmp_path / "cache")
    first = run_nodes(graph, "decode", "net", "keep", cache=cache)
    again = run_nodes(
        {**graph, "noise": {"type": "Noise", "seed": 5}}, "decode", "net", cache=Cache(tmp_path / "cache")
    )
    assert first["net"]["controlnet"].digest == again["net"]["controlnet"].digest
    folder = tmp_path / "out" / "edges"
    assert {file.name for file in folder.iterdir()} >= {"config.json", "log.json"}
    loaded = {"net": {"type": "LoadControlNet", "source": str(folder)}, "keep": None}
    graph = {name: node for name, node in {**graph, **loaded}.items() if node}
    graph["steered"] = {**graph["steered"], "controlnet": "@net"}
    assert np.array_equal(run_nodes(graph, "decode")["decode"].pixels, first["decode"].pixels)
    plain = text_to_image.graph(kind, "a fox", 7.5, 2, 5)
    assert not np.array_equal(run_nodes(plain, "decode")["decode"].pixels, first["decode"].pixels)
    theirs = ControlNetModel.from_pretrained(folder).state_dict()
    ours = STORE.load(LoadControlNet(source=str(folder)).run(Context())).state_dict()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in theirs.items())


def test_it_shows_what_it_has_learned(checkpoint, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr("nodes.compute.LOOK_EVERY", 0.0)
    base = LoadCheckpoint(source=str(checkpoint("sdxl"))).run(Context())
    seen = []
    ctx = Context(settings=Settings(previews_per_second=1000), scratch_of=lambda: tmp_path, emit=seen.append)
    parts = {"model": base.model, "text_encoder": base.text_encoder, "vae": base.vae}
    TrainControlNet(dataset=shapes, seed=0, steps=1, batch=2, **parts).run(ctx)
    assert Pillow.open(io.BytesIO(seen[-1].preview)).size == (128, 128)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("flux-schnell", "a plain U-Net, of sd or sdxl, and this is a model of the family flux"),
        ("sd15-inpaint", "this is an inpainting model"),
    ],
)
def test_a_model_of_which_no_net_can_be_made_is_refused_before_it_runs(checkpoint, run_nodes, kind, message):
    nodes = {
        "base": {"type": "LoadCheckpoint", "source": str(checkpoint(kind))},
        "shapes": {"type": "Shapes", "count": 4, "size": SIZE, "seed": 0},
        "net": {"type": "TrainControlNet", "model": "@base.model", "text_encoder": "@base.text_encoder",
                "vae": "@base.vae", "dataset": "@shapes", "seed": 0},
    }  # fmt: skip
    with pytest.raises(WeftError, match="E-ARCH.*" + message):
        run_nodes(nodes, "net")
