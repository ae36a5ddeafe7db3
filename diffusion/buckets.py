"""Aspect buckets: pictures keep about their own shape, in one of a few shapes of about the same area, so that those of
one shape can be learned from together and little is cut away (NovelAI 2022; Podell et al. 2023, appendix I).
"""

import math

import numpy as np
from PIL import Image as Picture

LONGEST = 2
"""The longer side at most, as a multiple of that of a square of the same area."""


def shapes(size: int, multiple: int) -> list[tuple[int, int]]:
    """(width, height) of the buckets: sides that are multiples of a number, size^2 pixels at most, the widest that fit.

    ValueError if size is smaller than the number.
    """
    if size < multiple:
        raise ValueError(f"size {size} is smaller than {multiple}, of which the sides are multiples; make it larger")
    most, square = LONGEST * size, size // multiple * multiple
    found = {(square, square)}
    for width in range(multiple, square + 1, multiple):
        height = min(size * size // width, most) // multiple * multiple
        if width * LONGEST >= size:
            found |= {(width, height), (height, width)}
    return sorted(found)


def nearest(width: int, height: int, among: list[tuple[int, int]]) -> tuple[int, int]:
    """The shape most like a picture: argmin |log(w / h) - log(width / height)|, of two the larger one."""
    return min(among, key=lambda one: (round(abs(math.log(one[0] * height / (one[1] * width))), 9), -one[0] * one[1]))


def cut(picture: Picture.Image, width: int, height: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """A picture resized with a bicubic filter until it just covers a shape, and cut to that about its middle.

    Gives uint8 (height, width[, 3]), and for SDXL height and width of the picture, and top and left of the cut in the
    resized one.
    """
    scale = max(width / picture.width, height / picture.height)
    wide, high = max(width, round(picture.width * scale)), max(height, round(picture.height * scale))
    left, top = (wide - width) // 2, (high - height) // 2
    whole = picture.resize((wide, high), Picture.Resampling.BICUBIC)
    part = np.asarray(whole.crop((left, top, left + width, top + height)))
    return part, (picture.height, picture.width, top, left)
