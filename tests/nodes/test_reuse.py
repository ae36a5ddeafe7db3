"""What changed is made again, and nothing else: models that are read, texts that are encoded, steps that are taken."""

import subprocess
import sys
from pathlib import Path

import pytest
import text_to_image

from diffusion import stable
from diffusion.store import STORE
from engine.api import load, numerics, run
from engine.cache import Cache
from engine.context import Settings
from nodes import registry

ROOT = Path(__file__).parent.parent.parent


class Counts:
    """Counts what a run does, from the last `take` on."""

    def __init__(self, monkeypatch):
        self.encoded, self.steps, self.decoded, self._loads = 0, 0, 0, STORE.loads
        family = stable.StableDiffusion
        for name, counter in (("encode_text", "encoded"), ("network", "steps"), ("decode", "decoded")):
            self._count(monkeypatch, family, name, counter)

    def _count(self, monkeypatch, family, name, counter):
        real = getattr(family, name)

        def counted(*args, **kwargs):
            setattr(self, counter, getattr(self, counter) + 1)
            return real(*args, **kwargs)

        monkeypatch.setattr(family, name, counted)

    def take(self):
        """{what: how often} of what happened at all."""
        found = {"read": STORE.loads - self._loads, "encoded": self.encoded, "sampled": self.steps}
        found["decoded"] = self.decoded
        self.encoded, self.steps, self.decoded, self._loads = 0, 0, 0, STORE.loads
        return {name: count for name, count in found.items() if count}


@pytest.fixture
def counts(monkeypatch):
    return Counts(monkeypatch)


@pytest.fixture
def draw(checkpoint, tmp_path):
    """Draws a picture with a prompt, a negative one, and a seed; cached on the disk."""

    def go(prompt="a fox", seed=5, *, cache=None, batch=8, **more):
        nodes = text_to_image.graph(
            checkpoint("sd15"), prompt, 7.5, 2, seed,
            no={"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": "grass"},
            guide__negative="@no", save={"type": "SaveImage", "image": "@decode", "path": "one.png"},
        )  # fmt: skip
        settings = Settings(out=tmp_path / "out", numerics=numerics("cpu", "float32"), batch=batch)
        own = cache or Cache(tmp_path / "cache")
        try:
            workflow = load({"format": 1, "nodes": nodes}, registry=registry())
            return run(workflow, settings=settings, cache=own, **more).files
        finally:
            if cache is None:
                own.close()

    STORE.clear()
    return go


@pytest.mark.parametrize("where", ["on the disk", "in memory"])
def test_only_what_changed_is_made_again(draw, counts, where):
    cache = None if where == "on the disk" else Cache(memory=1 << 30)
    draw(cache=cache)
    assert counts.take() == {"read": 3, "encoded": 2, "sampled": 1, "decoded": 1}
    draw(prompt="a hare", cache=cache)
    assert counts.take() == {"encoded": 1, "sampled": 1, "decoded": 1}, "no model is read, the negative is not encoded"
    draw(prompt="a hare", seed=6, cache=cache)
    assert counts.take() == {"sampled": 1, "decoded": 1}
    draw(prompt="a hare", seed=6, cache=cache)
    assert counts.take() == {}


def test_another_process_reads_only_the_models_that_it_needs(draw, counts):
    draw()
    counts.take()
    STORE.clear()  # as a process that has just begun
    draw(seed=6)
    assert counts.take() == {"read": 2, "sampled": 1, "decoded": 1}, "the text encoder stays where it is"
    STORE.clear()
    draw(seed=6)
    assert counts.take() == {}


def test_a_sweep_over_seeds_encodes_its_texts_once_and_reads_each_model_once(draw, counts, tmp_path):
    from engine.sweep import Sweep

    files = draw(sweep=Sweep({"noise.seed": [1, 2, 3, 4]}))
    assert len(files) == 4
    # sampled once as one batch; before that a step of one variant is played through, to see how many there is room for
    assert counts.take() == {"read": 3, "encoded": 2, "sampled": 2, "decoded": 4}


def test_a_process_with_nothing_to_make_does_not_even_load_the_library(checkpoint, tmp_path, monkeypatch):
    import json

    import cli

    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    nodes = text_to_image.graph(
        checkpoint("sd15"), "a fox", 7.5, 2, 5, save={"type": "SaveImage", "image": "@decode", "path": "one.png"}
    )
    file = tmp_path / "fox.json"
    file.write_text(json.dumps({"format": 1, "nodes": nodes}))
    words = ["run", str(file), "--out", str(tmp_path / "out"), "--quiet", "--device", "cpu"]
    assert cli.main(words) == 0
    code = f"import sys, cli; print(cli.main({words!r}), 'torch' in sys.modules, 'diffusers' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "0 False False", ran.stderr
