"""Loading, encoding, schedules and denoising as a graph."""

from typing import get_args

import numpy as np
import pytest
import torch
from text_to_image import graph

from diffusion.kinds import KINDS
from diffusion.store import STORE
from engine.api import load, run
from engine.cache import Cache
from engine.context import Settings
from engine.errors import WeftError
from engine.sweep import Sweep
from nodes import registry
from nodes.sample import Kind, Sampler


def test_a_picture_of_the_models_own_size(tiny_model, run_nodes):
    image = run_nodes(graph(tiny_model), "decode")["decode"]
    assert image.pixels.shape == (1, 16, 16, 1)
    assert image.pixels.min() >= 0
    assert image.pixels.max() <= 1


@pytest.mark.parametrize("kind", ["sd15", "sd3", "flux-schnell"])
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_what_was_drawn_with_can_be_learned_from_afterwards(checkpoint, run_nodes, kind, scale):
    sampler = {"type": "Sampler", "kind": "model"}
    values = run_nodes(graph(checkpoint(kind), scale=scale, steps=2, sampler=sampler), "guide", "denoise", "decode")
    module = STORE.load(values["guide"].model)
    kept = [*module.parameters(), *module.buffers(), values["denoise"].samples]
    assert not any(tensor.is_inference() for tensor in kept)


def test_m9_a_batch_equals_single_seeds(tiny_model, run_nodes):
    together = run_nodes(graph(tiny_model, blank__batch=3), "denoise")["denoise"].samples
    alone = [run_nodes(graph(tiny_model, noise__seed=5 + i), "denoise")["denoise"].samples for i in range(3)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_several_labels_share_the_batch_in_turn(tiny_model, run_nodes):
    both = run_nodes(graph(tiny_model, blank__batch=4, wanted__text="1, 7"), "denoise")["denoise"].samples
    sevens = run_nodes(graph(tiny_model, blank__batch=4), "denoise")["denoise"].samples
    assert torch.allclose(both[2:], sevens[2:], atol=1e-5)
    assert not torch.allclose(both[:2], sevens[:2], atol=1e-3)


def test_m10_a_schedule_in_two_parts_equals_the_whole(tiny_model, run_nodes):
    parts = {
        "early": {"type": "CutSchedule", "schedule": "@schedule", "end": 0.5},
        "late": {"type": "CutSchedule", "schedule": "@schedule", "start": 0.5},
        "half": {**graph(tiny_model)["denoise"], "schedule": "@early"},
        "rest": {**graph(tiny_model)["denoise"], "schedule": "@late", "latent": "@half"},
    }
    values = run_nodes({**graph(tiny_model), **parts}, "denoise", "half", "rest")
    assert values["half"].state == "noisy"
    assert torch.allclose(values["rest"].samples, values["denoise"].samples, atol=1e-5)


def test_a_picture_is_noised_and_denoised_again(tiny_model, run_nodes):
    more = {
        "digits": {"type": "Digits", "size": 16, "part": "test"},
        "one": {"type": "DatasetImage", "dataset": "@digits"},
        "coded": {"type": "VAEEncode", "vae": "@base.vae", "image": "@one"},
        "late": {"type": "CutSchedule", "schedule": "@schedule", "start": 0.75},
        "again": {**graph(tiny_model)["denoise"], "schedule": "@late", "latent": "@coded"},
        "same": {"type": "VAEDecode", "vae": "@base.vae", "latent": "@coded"},
    }
    values = run_nodes({**graph(tiny_model), **more}, "one", "again", "same")
    assert np.allclose(values["same"].pixels, values["one"].pixels, atol=1e-6)
    assert values["again"].state == "clean"


def test_b8_batched_variants_equal_one_at_a_time(tiny_model, tmp_path):
    nodes = {**graph(tiny_model), "save": {"type": "SaveImage", "image": "@decode", "path": "{variant}.png"}}
    workflow = load({"format": 1, "nodes": nodes}, registry=registry())
    sweep = Sweep({"guide.scale": [1.0, 2.0, 5.0], "noise.seed": [1, 2]})

    def latents(batch, tmp):
        seen = {}
        cache = Cache(memory=1 << 24)
        run(workflow, sweep=sweep, settings=Settings(out=tmp, batch=batch), cache=cache, on_event=seen_by(seen))
        return {
            v: cache.load(key, workflow.nodes["denoise"].cls, ["latent"]).values["latent"] for v, key in seen.items()
        }

    def seen_by(seen):
        def listen(event):
            if getattr(event, "node", "") == "denoise" and hasattr(event, "digests"):
                seen[event.variant] = event.key

        return listen

    together, alone = latents(6, tmp_path / "together"), latents(1, tmp_path / "alone")
    assert sorted(together) == sorted(alone) == list(range(6))
    for variant, latent in alone.items():
        assert torch.allclose(together[variant].samples, latent.samples, atol=1e-5)


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if "cosine" in kind.tables])
def test_every_sampler_runs(tiny_model, run_nodes, kind):
    samples = run_nodes(graph(tiny_model, sampler__kind=kind), "denoise")["denoise"].samples
    assert samples.isfinite().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sampler__kind": "unipc", "sampler__eta": 0.5},
            'E-RANGE workflow sampler.eta: sampler "unipc" takes no eta',
        ),
        (
            {"sampler__kind": "pndm"},
            'E-ARCH workflow denoise.sampler: sampler "pndm" needs a linear or scaled_linear schedule, not cosine; '
            "this one takes ddpm",
        ),
        ({"wanted__text": "x"}, 'E-RUN wanted: unknown class "x"; known: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9'),
        (
            {"sampler__kind": "flow_euler"},
            'E-ARCH workflow denoise.sampler: sampler "flow_euler" needs a flow schedule, not cosine',
        ),
        ({"sampler__kind": "ddim2"}, 'E-CHOICE workflow sampler.kind: "ddim2" is not a choice; did you mean "ddim"?'),
        ({"base__source": "ddpm-digit"}, "E-NOTFOUND workflow base.source: no model"),
        ({"blank__width": 20}, "E-STEP workflow blank.width: 20 is not a multiple of 8; nearest: 16, 24"),
        (
            {"blank__width": 16384, "blank__height": 16384, "blank__batch": 64},
            "E-LIMIT workflow blank.width: needs about 192.0 GiB, limit 64.0 GiB",
        ),
    ],
)
def test_what_cannot_be_sampled_says_why(tiny_model, run_nodes, changes, message):
    with pytest.raises(WeftError) as found:
        run_nodes(graph(tiny_model, **changes), "decode")
    lines = [" ".join(line.split()) for line in str(found.value).splitlines()]
    plain = [line for line in lines if line.startswith("E-")]
    assert any(_without_position(line).startswith(message) for line in plain), plain


def _without_position(line):
    import re

    return re.sub(r"workflow:\d+:\d+", "workflow", line)


def test_the_node_knows_every_sampler():
    page = Sampler.__doc__
    assert list(get_args(Kind)) == ["model", *KINDS]
    for name, kind in KINDS.items():
        assert any(line.split() == [name, *kind.about.split()] for line in page.splitlines()), name
