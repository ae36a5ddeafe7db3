"""What every training of a denoiser shares: buckets of shapes, validation pictures, and less memory for more time."""

import shutil

import numpy as np
import pytest
import torch
from learning import learn
from PIL import Image as Picture

from diffusion import captions
from diffusion.training_data import batches, draw, examples, sizes_of, told
from engine.cache import Cache
from engine.context import Context, Settings
from engine.errors import Cancelled
from nodes.data import ImageFolder
from nodes.learn_common import base_of
from nodes.learn_control import TrainControlNet
from nodes.learn_lora import TrainLoRA
from nodes.learn_models import TrainTextToImage
from nodes.load import LoadCheckpoint

NODES = (TrainLoRA, TrainTextToImage, TrainControlNet)
KEPT = {"validation_steps": 2, "validation_prompts": ["a fox", "a cat"]}


@pytest.fixture(scope="module")
def base(checkpoint):
    return LoadCheckpoint(source=str(checkpoint("sdxl"))).run(Context())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four pictures: two wide, one high, one square."""
    made = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for name, (height, width) in {"a": (90, 160), "b": (90, 170), "c": (160, 90), "d": (80, 80)}.items():
        Picture.fromarray(random.integers(0, 255, (height, width, 3), np.uint8)).save(made / f"{name}.png")
        (made / f"{name}.txt").write_text(f"a picture {name}")
    return made


@pytest.fixture(scope="module")
def buckets(folder):
    return ImageFolder(folder=str(folder), size=64, buckets=True, multiple=16).run(
        Context(settings=Settings(allowed=(folder,)))
    )


@pytest.mark.parametrize("node", NODES)
def test_validation_pictures_are_all_there_after_a_stop(node, base, buckets, tmp_path):
    given = {"steps": 5, "batch": 2, "lr": 0.05, "warmup": 0, "ema": 0.5, **KEPT}
    whole = learn(node, tmp_path / "whole", base, buckets, **given)
    with pytest.raises(Cancelled):
        learn(node, tmp_path / "parts", base, buckets, stop_at=3, **given)
    resumed = learn(node, tmp_path / "parts", base, buckets, **given)
    assert resumed.losses == whole.losses
    # after 0, 2, 4 and 5 steps, two prompts each
    assert whole.validation.pixels.shape == (8, *buckets.images.shape[1:])
    assert np.array_equal(resumed.validation.pixels, whole.validation.pixels)
    assert not np.array_equal(whole.validation.pixels[:2], whole.validation.pixels[-2:])
    without = learn(node, tmp_path / "without", base, buckets, **{**given, "validation_steps": 0})
    assert without.losses == whole.losses
    assert not len(without.validation.pixels)


def test_a_batch_has_one_shape_and_each_picture_comes_as_often(base, buckets):
    data = examples(base_of(_node(base, buckets), Context()), buckets)
    assert sorted(len(one.latents) for one in data) == [1, 1, 2]
    torch.manual_seed(0)
    counts = [0] * len(data)
    for _ in range(400):
        one, chosen = draw(data, 3)
        counts[[each is one for each in data].index(True)] += 1
        assert one.latents[chosen].shape[0] == 3
    assert [count / 400 for count in counts] == pytest.approx([0.5, 0.25, 0.25], abs=0.07)


@pytest.mark.parametrize("none", ["", "inkwash"])
def test_what_is_left_of_a_caption_is_nothing_or_the_trigger(base, buckets, none):
    parts = base_of(_node(base, buckets), Context())
    (one, *_) = examples(parts, buckets, none=none)
    chosen, dropped = torch.tensor([0, 1]), torch.tensor([False, True])
    with torch.no_grad():
        given = told(parts.model, parts.encoders, one, chosen, dropped, "cpu")["prompt_embeds"]
        whole, alone = (
            captions.embed("sdxl", parts.encoders, captions.tokens(parts.encoders, [text]))["prompt_embeds"][0]
            for text in (one.texts[0], none)
        )
    torch.testing.assert_close(given[0], whole)
    # SDXL takes zeros for no text
    torch.testing.assert_close(given[1], alone if none else torch.zeros_like(alone))


@pytest.mark.parametrize(("side", "few"), [(32, 64), (64, 64), (512, 1), (2048, 1)])
def test_large_pictures_are_put_into_latents_one_at_a_time(side, few):
    found = [len(part) for part in batches(np.zeros((65, side, side, 0), np.uint8))]
    assert sum(found) == 65
    assert max(found) == few


def test_sdxl_is_told_what_was_cut_as_diffusers_trainers_tell_it(buckets):
    wide = buckets.parts[0]
    height, width = wide.images.shape[1:3]
    ids = sizes_of(wide.crops, height, width)
    # original size + top left of the crop + target size, each height first
    (_, _, top, left) = wide.crops[0]
    assert ids[0].tolist() == [90, 160, top, left, height, width]


@pytest.mark.parametrize("node", NODES)
def test_checkpointing_changes_memory_and_not_what_is_learned(node, base, buckets, tmp_path):
    given = {"steps": 2, "batch": 2}
    plain, less = (
        learn(node, tmp_path / str(on), base, buckets, checkpointing=on, **given).losses.values for on in (False, True)
    )
    assert less == pytest.approx(plain, rel=1e-5)


def test_noise_offset_changes_what_is_learned(base, buckets, tmp_path):
    plain, offset = (
        learn(TrainLoRA, tmp_path / str(x), base, buckets, noise_offset=x, steps=1, batch=2).losses for x in (0, 0.1)
    )
    assert plain != offset


def test_levels_may_be_of_a_part_of_the_table_and_an_empty_part_is_refused(base, buckets, tmp_path):
    whole, late = (
        learn(TrainLoRA, tmp_path / str(low), base, buckets, min_timestep=low, steps=1, batch=2).losses
        for low in (0, 0.6)
    )
    assert whole != late
    (problem,) = TrainLoRA.check({"min_timestep": 0.5, "max_timestep": 0.5})
    assert (problem.code, problem.place.input) == ("E-RANGE", "min_timestep")
    assert list(TrainLoRA.check({"max_timestep": 0.5})) == []
    # where they come from other nodes, it is known only when it runs
    with pytest.raises(ValueError, match=r"no level of the table lies between 0\.5 and 0\.5"):
        learn(TrainLoRA, tmp_path / "none", base, buckets, min_timestep=0.5, max_timestep=0.5, steps=1)


def test_a_data_set_in_buckets_is_kept_whole_in_the_cache(folder, run_nodes, tmp_path):
    shutil.copytree(folder, tmp_path / "pictures")
    nodes = {"data": {"type": "ImageFolder", "folder": "pictures", "size": 64, "buckets": True, "multiple": 16}}
    first = run_nodes(nodes, "data", cache=Cache(tmp_path / "cache"))["data"]
    again = run_nodes(nodes, "data", cache=Cache(tmp_path / "cache"))["data"]
    assert len(again.parts) == len(first.parts) == 3
    for one, two in zip(first.parts, again.parts, strict=True):
        assert one.captions == two.captions
        assert np.array_equal(one.images, two.images)
        assert np.array_equal(one.crops, two.crops)


def _node(base, dataset):
    return TrainLoRA(model=base.model, text_encoder=base.text_encoder, vae=base.vae, dataset=dataset)
