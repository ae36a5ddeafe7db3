"""What a GPU is asked for: every training on it, and a picture the same by every way to run a network."""

import numpy as np
import pytest
import torch

from engine.api import load, run
from engine.cache import Cache
from engine.context import Settings
from nodes import registry

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # of what a GPU's libraries advise
]
DEVICE = "cuda"
BASE = {"model": "@base.model", "text_encoder": "@base.text_encoder", "vae": "@base.vae", "dataset": "@shapes"}
TRAININGS = {
    "vae": ("pocket-xl", {"type": "TrainVAE", "batch": 4}),
    "unet": ("pocket-xl", {"type": "TrainTextToImage", "batch": 4}),
    "transformer": ("pocket-flux", {"type": "TrainTextToImage", "batch": 4}),
    "transformer, 512 at once": ("pocket-flux", {"type": "TrainTextToImage", "batch": 512}),
    "transformer, muon": ("pocket-flux", {"type": "TrainTextToImage", "batch": 4, "optimizer": "muon"}),
    "transformer, frozen texts": ("pocket-flux", {"type": "TrainTextToImage", "batch": 4, "train_text": False}),
    "lora": ("pocket-xl", {"type": "TrainLoRA", "batch": 4, "prior": "@shapes", "train_text": True}),
    "controlnet": ("pocket-xl", {"type": "TrainControlNet", "batch": 4}),
}


def made(nodes: dict, tmp_path, target: str, **settings):
    workflow = load({"format": 1, "nodes": nodes}, registry=registry(), targets=[target])
    return run(workflow, settings=Settings(device=DEVICE, out=tmp_path, **settings), cache=Cache()).values[target]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", TRAININGS)
def test_it_learns_there(name, precision, tmp_path):
    source, node = TRAININGS[name]
    nodes = {
        "base": {"type": "LoadCheckpoint", "source": source},
        "shapes": {"type": "Shapes", "count": 16, "seed": 3},
        "learn": {**BASE, "steps": 3, "warmup": 0, "precision": precision, "seed": 0, **node},
    }
    found = made(nodes, tmp_path, "learn")
    losses = found["losses"].values
    assert len(losses) == 3
    assert np.isfinite(losses).all()


HOW = [
    ({"speed": "graphs"}, 0),
    ({"offload": "model"}, 0),
    ({"vram": 8 << 20}, 0),
    ({"offload": "group"}, 0.01),
    ({"attention": "cudnn", "dtype": "bfloat16"}, 0.01),
    ({"speed": "compile"}, 0.01),
    ({"speed": "compile-graphs"}, 0.01),
]
"""Each with how far the picture, 0 … 1, may be on average from that of a plain run."""


@pytest.mark.parametrize(("how", "most"), HOW, ids=str)
def test_a_picture_is_the_same_however_its_network_is_run(how, most, tmp_path):
    from text_to_image import graph

    nodes = graph("pocket-xl", "a big red circle in the middle on white", steps=8, sampler__kind="model")
    settings = {"dtype": "float32", **how}
    plain = made(nodes, tmp_path, "decode", dtype=settings["dtype"]).pixels
    other = made(nodes, tmp_path, "decode", **settings).pixels
    assert np.abs(plain - other).mean() <= most
