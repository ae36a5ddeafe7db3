"""Grids of pictures and their labels."""

import numpy as np
import pytest
from PIL import Image

from nodes.draw import PAPER, grid, to_pictures, to_pixels


def flat(colour, size=(10, 8)):
    return Image.new("RGB", size, colour)


def test_pixels_and_pictures_round_trip():
    pixels = np.arange(2 * 3 * 4 * 3, dtype=np.float32).reshape(2, 3, 4, 3) / 255
    assert np.array_equal(to_pixels(to_pictures(pixels)), pixels)


def test_grey_pictures_keep_one_channel():
    assert to_pixels(to_pictures(np.zeros((1, 4, 5, 1), np.float32))).shape == (1, 4, 5, 1)


def test_values_outside_0_to_1_are_clipped():
    assert [p.getpixel((0, 0)) for p in to_pictures(np.array([-1, 2.0, 0.5]).reshape(3, 1, 1, 1))] == [0, 255, 128]


def test_pictures_stand_row_by_row():
    sheet = grid([flat("red"), flat("lime"), flat("blue")], columns=2, gap=4)
    assert sheet.size == (2 * 14 + 4, 2 * 12 + 4)
    assert [sheet.getpixel(p) for p in ((5, 5), (20, 5), (5, 18))] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert sheet.getpixel((20, 18)) == PAPER


@pytest.mark.parametrize("where", ["labels", "row_labels", "column_labels", "title"])
def test_each_kind_of_label_takes_room_and_leaves_ink(where):
    plain = grid([flat("white")] * 2, columns=2)
    labelled = grid([flat("white")] * 2, columns=2, **{where: "fox" if where == "title" else ["fox", "cat"]})
    assert labelled.width * labelled.height > plain.width * plain.height
    assert np.asarray(labelled).min() < 100 <= np.asarray(plain).min()


def test_enlarging_is_pixel_by_pixel_unless_smooth():
    edge = Image.fromarray(np.array([[0, 255]], np.uint8))
    sharp, smooth = (np.asarray(grid([edge], 1, scale=8, smooth=s)) for s in (False, True))
    assert set(np.unique(sharp)) == {0, *PAPER, 255}
    assert len(np.unique(smooth)) > 10


def test_a_picture_of_another_size_is_centred():
    sheet = grid([flat("red", (20, 20)), flat("blue", (4, 4))], columns=2, gap=0)
    assert sheet.getpixel((30, 10)) == (0, 0, 255)
    assert sheet.getpixel((21, 1)) == PAPER
