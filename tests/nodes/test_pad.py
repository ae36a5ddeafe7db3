"""ImagePad, and a number of megapixels for ImageScale."""

import numpy as np
import pytest

from diffusion.masks import padded
from diffusion.types import Image
from engine.context import Context
from nodes.scale import ImageScale


def picture(wide, high):
    return Image(np.zeros((1, high, wide, 3), np.float32))


def test_the_borders_are_grey_and_the_mask_is_1_on_them():
    image, mask = padded(picture(4, 4), 2, 0, 0, 1, 0)
    assert image.pixels.shape == (1, 5, 6, 3)
    assert image.pixels[0, :4, 2:].max() == 0
    assert image.pixels[0, 4].min() == image.pixels[0, :, :2].min() == 0.5
    assert mask.values[0].tolist() == [[1, 1, 0, 0, 0, 0]] * 4 + [[1] * 6]


def test_the_mask_fades_into_the_picture_from_edges_that_grew():
    _, mask = padded(picture(8, 8), 2, 0, 0, 0, 2)
    assert mask.values[0, 4].tolist() == [1, 1, 1, 0.25, 0, 0, 0, 0, 0, 0]
    _, small = padded(picture(4, 4), 2, 0, 0, 0, 2)
    assert small.values[0, 2].tolist() == [1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(("wide", "high", "much", "size"), [(32, 32, 0.01, (102, 102)), (64, 16, 0.01, (205, 51))])
def test_megapixels(wide, high, much, size):
    made = ImageScale(image=picture(wide, high), megapixels=much).run(Context())
    assert made.pixels.shape[1:3] == (size[1], size[0])
