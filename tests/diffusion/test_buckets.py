"""Aspect buckets: which shapes there are, which picture goes where, and what is cut away."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from diffusion.buckets import cut, nearest, shapes
from diffusion.datasets import image_folder


def test_the_shapes_of_its_size_are_those_of_sdxl() -> None:
    found = shapes(1024, 64)
    # the widest of each height in Podell et al. 2023, appendix I
    high = {(512, 2048), (576, 1792), (640, 1600), (704, 1472), (768, 1344), (832, 1216), (896, 1152), (960, 1088)}
    assert {(width, height) for width, height in found if width < height} == high
    assert all(width % 64 == 0 == height % 64 and width * height <= 1024 * 1024 for width, height in found)
    assert min(width * height for width, height in found) > 0.85 * 1024 * 1024


@pytest.mark.parametrize("size", [512, 768])
@pytest.mark.parametrize("multiple", [8, 64])
def test_shapes_come_in_pairs_and_hold_a_square(size: int, multiple: int) -> None:
    found = shapes(size, multiple)
    assert {(height, width) for width, height in found} == set(found)
    assert (size, size) in found


def test_a_size_below_the_multiple_is_refused() -> None:
    with pytest.raises(ValueError, match="size 32 is smaller than 64"):
        shapes(32, 64)


def test_a_picture_goes_to_the_shape_most_like_it() -> None:
    among = shapes(1024, 64)
    assert nearest(3000, 3000, among) == (1024, 1024)
    assert nearest(600, 400, among) == (1216, 832)
    assert nearest(400, 600, among) == (832, 1216)
    assert nearest(10, 1000, among) == (512, 2048)
    assert nearest(1000, 10, among) == (2048, 512)


def test_a_cut_says_how_large_the_picture_was_and_where_the_cut_begins() -> None:
    # a ramp from left to right, so that the place can be read off the colours
    ramp = Picture.fromarray(np.tile(np.linspace(0, 255, 400).astype(np.uint8), (100, 1)))
    part, (height, width, top, left) = cut(ramp, 64, 64)
    assert part.shape == (64, 64)
    assert (height, width, top, left) == (100, 400, 0, 96)
    assert math.isclose(part[32, 0], 255 * 96 / 256, abs_tol=2)


def test_a_folder_in_buckets_keeps_captions_and_classes_with_their_pictures(tmp_path: Path) -> None:
    sizes = {"a": (200, 100), "b": (100, 100), "c": (220, 100), "d": (100, 200)}
    for i, (name, size) in enumerate(sizes.items()):
        Picture.new("RGB", size, (60 * i, 0, 0)).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text(f"picture {i}")
    made = image_folder(tmp_path, 64, multiple=16)
    assert len(made) == 4
    # the shape of most pictures first
    assert [part.images.shape[:3] for part in made.parts] == [(2, 48, 80), (1, 64, 64), (1, 80, 48)]
    for part in made.parts:
        assert part.crops is not None
        for image, caption, (height, width, top, left) in zip(part.images, part.captions, part.crops, strict=True):
            number = int(image[0, 0, 0]) // 60
            assert caption == f"picture {number}"
            assert (width, height) == list(sizes.values())[number]
            assert top == 0 or left == 0
    with pytest.raises(ValueError, match="cut them to squares"):
        made.alike  # noqa: B018
    squares = image_folder(tmp_path, 64)
    assert squares.alike is squares
    assert squares.crops is None


def test_mirrored_pictures_have_the_same_captions(tmp_path: Path) -> None:
    half = np.zeros((8, 8, 3), np.uint8)
    half[:, :4] = 255
    Picture.fromarray(half).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("left")
    made = image_folder(tmp_path, 8, mirrored=True)
    assert made.captions == ("left", "left")
    assert np.array_equal(made.images[0], half)
    assert np.array_equal(made.images[1], half[:, ::-1])


def test_a_picture_that_its_file_says_to_turn_is_turned(tmp_path: Path) -> None:
    half = np.zeros((8, 8, 3), np.uint8)
    half[:4] = 255
    picture = Picture.fromarray(half)
    exif = picture.getexif()
    exif[0x0112] = 6  # to be seen turned by a quarter, clockwise
    picture.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(image_folder(tmp_path, 8).images[0], np.rot90(half, -1))
