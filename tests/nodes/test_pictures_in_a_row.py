"""Pictures of a sweep, decoded and saved while the next is drawn: the same bytes as one after the other."""

import threading

import numpy as np
import pytest
import text_to_image

from engine.api import load, run
from engine.cache import Cache
from engine.context import Settings
from engine.events import NodeFinished, NodeStarted
from engine.sweep import Sweep
from nodes import image, parameters, registry
from nodes.image import SaveImage
from nodes.vae import VAEDecode


@pytest.fixture
def sweep(checkpoint, tmp_path):
    """Draws three pictures, one at a time: {name: bytes} of the files, and the events."""

    def go(kind, out, cache=None, sampler="ddim", **settings):
        nodes = text_to_image.graph(
            checkpoint(kind), "a fox", 7.5, 2, 5, sampler__kind=sampler,
            save={"type": "SaveImage", "image": "@decode", "path": "{variant}.png"},
        )  # fmt: skip
        workflow, events = load({"format": 1, "nodes": nodes}, registry=registry()), []
        chosen = Settings(out=tmp_path / out, batch=1, **settings)
        run(workflow, sweep=Sweep({"noise.seed": [1, 2, 3]}), settings=chosen, cache=cache or Cache(),
            on_event=events.append)  # fmt: skip
        return {f.name: f.read_bytes() for f in sorted((tmp_path / out).iterdir())}, events

    return go


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_the_files_are_the_same_as_one_after_another(sweep, tmp_path, monkeypatch, kind):
    threads = set()
    real = SaveImage.run
    monkeypatch.setattr(SaveImage, "run", lambda self, ctx: threads.add(threading.current_thread()) or real(self, ctx))
    asking, stories = set(), image._stories
    monkeypatch.setattr(image, "_stories", lambda *args: asking.add(threading.current_thread()) or stories(*args))
    aside, events = sweep(kind, "aside", Cache(tmp_path / "cache"))
    assert threading.main_thread() not in threads
    assert [name for name in aside if name.endswith(".png")] == ["0.png", "1.png", "2.png"]
    assert asking == {threading.main_thread()}, "what is told of the run is read by the thread that writes it"
    for cls in (SaveImage, VAEDecode):
        monkeypatch.setattr(cls, "runs_aside", classmethod(lambda cls, settings: False))
    threads.clear()
    after, others = sweep(kind, "after")
    assert threads == {threading.main_thread()}
    assert aside == after

    def digests(events):
        return [e.digests for e in events if isinstance(e, NodeFinished) and e.node == "decode"]

    assert digests(events) == digests(others)


def test_each_save_is_told_of_in_its_turn(sweep):
    _, events = sweep("sd15", "out")
    done = [e for e in events if isinstance(e, NodeFinished) and e.node == "save"]
    assert [e.variant for e in done] == [0, 1, 2]
    order = [
        (type(e).__name__, e.variant) for e in events if isinstance(e, NodeStarted | NodeFinished) and e.node == "save"
    ]
    assert [name for name, _ in order] == ["NodeStarted", "NodeFinished"] * 3


@pytest.mark.parametrize(("settings", "aside"), [
    ({}, True), ({"attention": "math"}, False), ({"offload": "model"}, False), ({"dtype": "float16"}, False),
])  # fmt: skip
def test_decoding_runs_aside_only_where_nothing_is_set_for_the_whole_process(settings, aside):
    assert VAEDecode.runs_aside(Settings(**settings)) == aside


@pytest.mark.parametrize("kind", ["sd15", "flux-schnell"])
def test_slicing_decodes_one_picture_at_a_time(checkpoint, run_nodes, monkeypatch, kind):
    import diffusers

    seen = []
    real = diffusers.models.autoencoders.vae.Decoder.forward
    monkeypatch.setattr(
        diffusers.models.autoencoders.vae.Decoder, "forward",
        lambda self, sample, *rest: seen.append(len(sample)) or real(self, sample, *rest),
    )  # fmt: skip

    def ours(slicing):
        size = {"blank__width": 64, "blank__height": 64, "blank__batch": 3}
        nodes = text_to_image.graph(checkpoint(kind), "a fox", 1, 1, 5, **size, decode__slicing=slicing)
        return run_nodes(nodes, "decode")["decode"].pixels

    whole, sliced, again = ours(False), ours(True), ours(False)
    assert seen == [3, 1, 1, 1, 3]
    assert np.abs(whole - sliced).max() < 1e-5
    assert np.array_equal(whole, again)


def test_what_each_tells_of_its_model_is_read_once(sweep, monkeypatch):
    asked, real = [], parameters.recipes
    monkeypatch.setattr(parameters, "recipes", lambda *how: asked.append(how) or real(*how))
    files, _ = sweep("sd15", "out", sampler="model")
    assert len([name for name in files if name.endswith(".png")]) == 3
    assert len(asked) == 1
