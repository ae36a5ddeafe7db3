"""The world of shapes: what a caption says is what is drawn, and what is drawn can be read back."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from diffusion.datasets import joined
from diffusion.see import STYLE, fits, see
from diffusion.shapes import COLOURS, GROUNDS, PLACES, SHAPES, STYLES, Scene, Shape, dataset, draw, scenes
from diffusion.types import Dataset


def some(number: int, part: str = "train", shapes: int | None = None, seed: int = 0) -> list[Scene]:
    return list(islice(scenes(part, shapes, seed), number))


def test_captions_say_it_in_plain_english() -> None:
    circle = Shape("circle", "red", "small", 0.5, 0.2)
    square = Shape("square", "orange", "", 0.5, 0.7)
    assert Scene((circle, square), "white", "above").caption == "a small red circle above an orange square on white"
    assert Scene((square,), "grey", "at the top", 1).caption == "an orange square at the top on a grey background"
    assert Scene((circle, square), "pink").caption == "a small red circle and an orange square on pink"


@pytest.mark.parametrize("shapes", [1, 2])
@pytest.mark.parametrize("side", [64, 96])
def test_every_scene_is_read_back_as_it_was_asked_for(shapes: int, side: int) -> None:
    for scene in some(150, "test", shapes):
        seen = fits(see(draw(scene, side)), scene)
        assert all(seen.values()), (scene, seen)


def test_a_picture_that_differs_from_its_caption_does_not_fit() -> None:
    scene = Scene((Shape("circle", "red", "", 0.2, 0.2),), "white", "in the top left")
    drawn = see(draw(scene))
    for other, wrong in (
        (Scene((Shape("circle", "blue", ""),), "white", "in the top left"), "colour"),
        (Scene((Shape("square", "red", ""),), "white", "in the top left"), "shape"),
        (Scene((Shape("circle", "red", "big"),), "white", "in the top left"), "size"),
        (Scene((Shape("circle", "red", ""),), "white", "at the bottom"), "place"),
        (Scene((Shape("circle", "red", ""),), "black", "in the top left"), "ground"),
    ):
        assert [name for name, fine in fits(drawn, other).items() if not fine] == [wrong]
    assert not fits(drawn, Scene((*scene.shapes, Shape("ring", "blue")), "white", "above"))["shape"]


def test_an_empty_picture_and_noise_are_read_without_complaint() -> None:
    assert see(np.full((64, 64, 3), 255, np.uint8)) == Scene((), "white")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert not fits(see(noise), some(1)[0])["colour"]


def test_two_shapes_never_touch_or_leave_the_picture() -> None:
    for scene in some(300, shapes=2):
        picture = draw(scene)
        assert len(see(picture).shapes) == 2
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (border == GROUNDS[scene.ground]).all()


def test_the_same_arguments_give_the_same_scenes_and_parts_share_no_caption() -> None:
    assert some(50) == some(50)
    assert some(50) != some(50, seed=1)
    train, test = ({scene.caption for scene in some(2000, part)} for part in ("train", "test"))
    assert not train & test
    with pytest.raises(ValueError, match='unknown part "all"'):
        some(1, "all")


def test_everything_turns_up() -> None:
    every = some(1500)
    assert {shape.shape for scene in every for shape in scene.shapes} == set(SHAPES)
    assert {shape.colour for scene in every for shape in scene.shapes} == set(COLOURS)
    assert {scene.ground for scene in every} == set(GROUNDS)
    assert set(PLACES) <= {scene.where for scene in every}


def test_a_data_set_has_a_caption_for_each_picture() -> None:
    data = dataset(20, 64, "test", shapes=1)
    assert data.images.shape == (20, 64, 64, 3)
    assert data.images.dtype == np.uint8
    assert list(data.captions) == [scene.caption for scene in some(20, "test", 1)]


@pytest.mark.parametrize("style", ["outline", "thin"])
def test_pictures_in_a_style_are_read_back_too_and_have_more_of_it_than_plain_ones(style: str) -> None:
    chosen = some(60, "test", 1)
    pictures = [draw(scene, 64, style) for scene in chosen]
    for wanted, least in (("colour", 1.0), ("place", 1.0), ("ground", 1.0), ("shape", 0.95)):
        right = [fits(see(p, STYLES), scene)[wanted] for p, scene in zip(pictures, chosen, strict=True)]
        assert np.mean(right) >= least, wanted
    measure = STYLE[style]
    assert np.mean([measure(p) for p in pictures]) > 0.3 + np.mean([measure(draw(scene)) for scene in chosen])


def test_a_style_changes_pictures_and_no_captions() -> None:
    plain, thin = dataset(5), dataset(5, style="thin")
    assert plain.captions == thin.captions
    assert (plain.images != thin.images).any(axis=(1, 2, 3)).all()
    with pytest.raises(ValueError, match='unknown style "fat"; known: plain, outline, thin'):
        dataset(5, style="fat")


def test_data_sets_are_joined_and_keep_what_all_of_them_have() -> None:
    plain, thin = dataset(3), dataset(2, style="thin")
    both = joined([plain, thin])
    assert len(both) == 5
    assert both.captions == plain.captions + thin.captions
    assert (both.images[3:] == thin.images).all()
    assert joined([plain, dataset(2)]).labels is None
    with pytest.raises(ValueError, match="no data sets to join"):
        joined([])


def test_data_sets_of_several_shapes_are_joined_shape_by_shape() -> None:
    large, small = dataset(3), dataset(2, 32, seed=1)
    buckets = joined([large, small])
    both = joined([buckets, dataset(4, 32, seed=2), dataset(1, seed=3)])
    assert [part.images.shape for part in both.parts] == [(4, 64, 64, 3), (6, 32, 32, 3)]
    assert [len(part.captions) for part in both.parts] == [4, 6]
    assert both.parts[1].captions == small.captions + dataset(4, 32, seed=2).captions
    assert (both.parts[1].images[:2] == small.images).all()
    with pytest.raises(ValueError, match="64 x 64, 32 x 32, and this takes one shape"):
        _ = both.alike


def test_a_small_data_set_is_repeated_to_be_seen_as_often_as_a_large_one() -> None:
    few, many = dataset(2), dataset(6, 32, seed=1)
    both = joined([joined([few, many]), dataset(4, seed=2)], [3, 1])
    assert [len(part) for part in both.parts] == [3 * 2 + 4, 3 * 6]
    assert both.captions == few.captions * 3 + dataset(4, seed=2).captions
    assert (both.images[2:4] == few.images).all()
    for repeats, said in (([1], "2 data sets, but 1 repeats"), ([1, 0], "repeats must be 1 or more, got 0")):
        with pytest.raises(ValueError, match=said):
            joined([few, many], repeats)


def test_grey_pictures_and_coloured_ones_are_not_joined() -> None:
    with pytest.raises(ValueError, match="shapes 64 train has pictures of 3, grey has pictures of 1"):
        joined([dataset(1), Dataset(np.zeros((1, 64, 64, 1), np.uint8), name="grey")])


def test_cuts_are_kept_where_all_data_sets_have_them() -> None:
    cut = replace(dataset(2), crops=np.arange(8).reshape(2, 4))
    found = joined([cut, cut]).crops
    assert found is not None
    assert found.tolist() == 2 * cut.crops.tolist()
    assert joined([cut, dataset(1)]).crops is None
