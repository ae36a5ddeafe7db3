"""The world of shapes: what a caption says is what is drawn, and what is drawn can be read back."""

from itertools import islice

import numpy as np
import pytest

from diffusion.see import fits, see
from diffusion.shapes import COLOURS, GROUNDS, PLACES, SHAPES, Scene, Shape, dataset, draw, scenes


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
