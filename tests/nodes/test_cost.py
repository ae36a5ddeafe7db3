"""Counting operations: against the formula, by steps and guidance, and the same whatever the batch."""

import pytest

from engine.context import Context, Settings
from nodes.cost import CountFlops
from nodes.data import Digits
from nodes.guide import CFG
from nodes.sample import EmptyLatent, Sampler
from nodes.schedule import NoiseSchedule
from nodes.text import TextEncode
from nodes.train import TrainDiT

WIDTH, DEPTH, TOKENS, PIXELS, WAVES = 16, 2, 16, 16, 64


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dit")
    ctx = Context(settings=Settings(out=folder), scratch_of=lambda: folder)
    digits = Digits(size=16, part="test").run(ctx)
    return TrainDiT(dataset=digits, width=WIDTH, depth=DEPTH, patch=4, heads=2, steps=1, batch=2, seed=0).run(ctx)


def once() -> float:
    """Operations of one run of the network on one picture: two for each multiplication."""
    w, n = WIDTH, TOKENS
    # the products with weights: queries, keys and values, the output, and an MLP four times as wide
    block = n * (3 * w * w + w * w + 2 * 4 * w * w)
    # Q K^T and its product with V
    block += 2 * n * n * w
    # shift, scale and gate, twice, once a picture
    block += 6 * w * w
    rest = WAVES * w + w * w + 2 * w * w + n * 2 * PIXELS * w
    return 2 * (DEPTH * block + rest)


def counted(trained, scale: float, steps: int, batch: int = 1, start: float = 0.0) -> float:
    ctx = Context()
    labels = TextEncode(text_encoder=trained.text_encoder, text="3").run(ctx)
    guider = CFG(model=trained.model, positive=labels, scale=scale, start=start).run(ctx)
    schedule = NoiseSchedule(model=trained.model, steps=steps).run(ctx)
    latent = EmptyLatent(model=trained.model, batch=batch).run(ctx)
    work = CountFlops(
        guider=guider, schedule=schedule, sampler=Sampler().run(ctx), latent=latent, template="{steps} steps, {gflop}"
    ).run(ctx)
    assert work.text == f"{steps} steps, {work.gflop:.3g}"
    return work.gflop * 1e9


def test_it_is_the_formula(trained):
    assert counted(trained, scale=1.0, steps=1) == pytest.approx(once())


def test_steps_and_guidance_multiply_it_and_the_batch_does_not(trained):
    assert counted(trained, scale=1.0, steps=3, batch=2) == pytest.approx(3 * once())
    assert counted(trained, scale=2.0, steps=3) == pytest.approx(6 * once())
    # the first 3 of 10 steps without guidance
    assert counted(trained, scale=2.0, steps=10, start=0.3) == pytest.approx(17 * once())
