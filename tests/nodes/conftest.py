"""A tiny model, trained for two large steps, and how to run a node by itself."""

from pathlib import Path

import pytest

from engine.context import Context, Settings
from nodes.data import Digits
from nodes.save_model import SaveModel
from nodes.train import TrainDDPM


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """The folder of a model that has learned next to nothing, but is whole."""
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tiny")
    ctx = Context(settings=Settings(out=folder), scratch_of=lambda: folder)
    digits = Digits(size=16, part="test").run(ctx)
    trained = TrainDDPM(dataset=digits, widths=[16, 32], steps=2, batch=4, warmup=0, lr=0.01, seed=0).run(ctx)
    SaveModel(model=trained.model, losses=trained.losses, path="tiny").run(ctx)
    return folder / "tiny"


@pytest.fixture(scope="module")
def one_thread():
    """torch has one thread in a module: with several, diffusers and we do not add up in the same order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run_nodes(tmp_path):
    """Run the nodes of a dict and give back the values of the named ones."""
    from engine.api import load, run
    from engine.cache import Cache
    from nodes import registry

    def go(nodes: dict[str, object], *targets: str, cache: Cache | None = None, **params: object):
        document = {"format": 1, "params": params, "nodes": nodes}
        workflow = load(document, registry=registry(), targets=targets)
        return run(workflow, settings=Settings(out=tmp_path / "out", folder=tmp_path), cache=cache or Cache()).values

    return go
