"""While a sampler goes on, it shows what it sees: every family, no more often than asked, and for next to nothing."""

import io
import time

import pytest
import text_to_image
import torch
from PIL import Image

from diffusion.live import FACTORS, Glimpse, seen
from engine.context import Context, Settings
from nodes.compute import Previews

SPACES = {"sd15": "sd", "sdxl": "sdxl", "sd3": "sd3", "flux-schnell": "flux"}


@pytest.mark.parametrize("space", FACTORS)
def test_a_channel_adds_its_colour(space):
    channels = len(FACTORS[space])
    x0 = torch.zeros(2, channels, 3, 5)
    x0[0, 1, 2, 4] = 1.0
    x0[1] = 9.0  # another picture of the batch
    picture = seen(x0, space)
    assert (picture.shape, picture.dtype) == ((3, 5, 3), torch.uint8)
    assert picture[0, 0].tolist() == [128] * 3
    expected = (torch.tensor(FACTORS[space][1]) * 127.5 + 127.5).round()
    assert picture[2, 4].tolist() == expected.tolist()


def test_pixels_are_colours_themselves_and_unknown_spaces_show_nothing():
    x0 = torch.tensor([-1.0, 0.2, 1.0, 7.0]).view(1, 1, 2, 2)
    assert seen(x0, "pixel").flatten().tolist() == [0, 153, 255, 255]
    assert seen(x0, "nobody's") is None
    assert seen(x0, "sdxl") is None, "one channel is not what the map is for"


@pytest.mark.parametrize("kind", SPACES)
def test_every_family_shows_x0_while_it_samples(kind, checkpoint, tmp_path):
    from engine.api import load, run
    from engine.cache import Cache
    from engine.events import NodeProgress
    from nodes import registry

    events = []
    sampler = "flow_euler" if kind in ("sd3", "flux-schnell") else "euler"
    nodes = text_to_image.graph(checkpoint(kind), "a fox", steps=3, sampler__kind=sampler)
    workflow = load({"format": 1, "nodes": nodes}, registry=registry(), targets=["denoise"])
    settings = Settings(previews_per_second=1e6)
    result = run(workflow, settings=settings, cache=Cache(), on_event=events.append)
    shown = [event.preview for event in events if isinstance(event, NodeProgress) and event.node == "denoise"]
    assert len(shown) == 3
    assert all(picture.startswith(b"\x89PNG") for picture in shown)
    # the last x0 is the result itself
    last = Image.open(io.BytesIO(shown[-1]))
    latent = result.values["denoise"]
    assert latent.space == SPACES[kind]
    assert last.size == tuple(latent.samples.shape[:1:-1])
    assert torch.tensor(list(last.tobytes())).tolist() == seen(latent.samples, latent.space).flatten().tolist()


def test_previews_come_no_more_often_than_asked(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("engine.context.time.monotonic", lambda: clock[0])
    previews = Previews(Context(settings=Settings(previews_per_second=4)), "sd")
    shown = []
    for _ in range(100):
        clock[0] += 0.02
        shown.append(bool(previews.after(torch.zeros(1, 4, 8, 8))))
    assert 7 <= sum(shown) <= 9, "two seconds of steps"


def test_a_picture_that_the_device_still_works_on_is_waited_for_by_nobody():
    class Event:
        def __init__(self):
            self.done = False

        def query(self):
            return self.done

    glimpse = Glimpse()
    assert glimpse.take() is None
    glimpse.ask(torch.zeros(2, 2, 3, dtype=torch.uint8))
    glimpse._done = Event()
    assert glimpse.take() is None
    assert glimpse.pending
    glimpse._done.done = True
    assert glimpse.take().shape == (2, 2, 3)
    assert not glimpse.pending
    assert glimpse.take() is None


@pytest.mark.parametrize("rate", [0.0, 1e-9], ids=["nobody looks", "between two looks"])
def test_a_step_costs_less_than_20_microseconds(rate):
    ctx = Context(settings=Settings(previews_per_second=rate))
    previews, x0 = Previews(ctx, "sd"), torch.zeros(1, 4, 8, 8)
    previews.after(x0)

    def step(n):
        ctx.progress(n, 200, preview=previews.after(x0))

    def batch():
        started = time.perf_counter()
        for n in range(200):
            step(n)
        return (time.perf_counter() - started) / 200

    assert min(batch() for _ in range(20)) < 20e-6
