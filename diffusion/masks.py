"""Arithmetic on masks (B, H, W) in 0 … 1, and pictures put together by them."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from diffusion.types import Image, Mask

Operation = Literal["union", "intersect", "subtract", "difference", "add", "multiply"]
Blend = Literal["normal", "multiply", "screen", "overlay", "soft_light", "difference", "add"]
Channel = Literal["luminance", "red", "green", "blue"]

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""What red, green and blue count for in luminance (BT.601)."""


def of_image(image: Image, channel: Channel, threshold: float | None = None) -> Mask:
    """One channel as a mask; with a threshold, 1 where it is at least that and 0 elsewhere."""
    pixels = image.pixels
    if pixels.shape[3] == 1:
        values = pixels[..., 0]
    elif channel == "luminance":
        values = pixels @ LUMINANCE
    else:
        values = pixels[..., ("red", "green", "blue").index(channel)]
    return Mask(np.array(values) if threshold is None else (values >= threshold).astype(np.float32))


def grown(mask: Mask, pixels: int) -> Mask:
    """The mask with each value spread `pixels` far (the greatest within an octagon); shrunk as far if negative.

    Squares and crosses of 3 x 3 take turns, which makes octagons: rounder than either.
    """
    import cv2

    square, cross = np.ones((3, 3), np.uint8), np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    change = cv2.dilate if pixels > 0 else cv2.erode
    out = []
    for values in mask.values:
        for i in range(abs(pixels)):
            values = change(values, square if i % 2 else cross)
        out.append(values)
    return Mask(np.array(out, np.float32))


def blurred(mask: Mask, sigma: float) -> Mask:
    """The mask under a Gaussian of deviation `sigma` in pixels; beyond its edges it goes on as it ends."""
    import cv2

    if sigma == 0:
        return mask
    border = cv2.BORDER_REPLICATE
    return Mask(np.array([cv2.GaussianBlur(values, (0, 0), sigma, borderType=border) for values in mask.values]))


def feathered(mask: Mask, left: int, top: int, right: int, bottom: int) -> Mask:
    """The mask times a ramp from 0 at each edge of the picture to 1 that many pixels inside."""
    _, h, w = mask.values.shape
    x, y = np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32)
    across = _ramp(x, left) * _ramp(x[::-1], right)
    down = _ramp(y, top) * _ramp(y[::-1], bottom)
    return Mask(mask.values * (down[:, None] * across).astype(np.float32))


def _ramp(distance: np.ndarray, width: int) -> np.ndarray:
    return ((distance + 1) / (width + 1)).clip(0, 1)


def combined(first: Mask, second: Mask, operation: Operation) -> Mask:
    """Two masks in one: union max(a, b), intersect min(a, b), subtract a - b, difference |a - b|, add a + b,
    multiply a b; clipped to 0 … 1. ValueError if their sizes differ, or their numbers, of which neither is 1."""
    a, b = first.values, second.values
    same_size(a, b, "masks")
    results: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "union": np.maximum, "intersect": np.minimum, "subtract": np.subtract, "add": np.add, "multiply": np.multiply,
        "difference": lambda x, y: np.abs(x - y),
    }  # fmt: skip
    return Mask(results[operation](a, b).clip(0, 1))


def blended(first: Image, second: Image, share: float, mode: Blend) -> Image:
    """p = (1 - s) a + s f(a, b), clipped to 0 … 1, where f is b (normal) or one of the painters' modes.

    multiply a b; screen 1 - (1 - a)(1 - b); overlay 2 a b where a <= 1/2, else 1 - 2 (1 - a)(1 - b);
    soft_light a^2 (1 - 2 b) + 2 a b; difference |a - b|; add a + b. (W3C Compositing; Pegtop's soft light.)
    """
    a, b = alike([first, second])
    same_size(a, b, "pictures")
    modes: dict[str, Callable[[], np.ndarray]] = {
        "normal": lambda: b,
        "multiply": lambda: a * b,
        "screen": lambda: 1 - (1 - a) * (1 - b),
        "overlay": lambda: np.where(a <= 0.5, 2 * a * b, 1 - 2 * (1 - a) * (1 - b)),
        "soft_light": lambda: a * a * (1 - 2 * b) + 2 * a * b,
        "difference": lambda: np.abs(a - b),
        "add": lambda: a + b,
    }
    return Image(((1 - share) * a + share * modes[mode]()).clip(0, 1).astype(np.float32))


def pasted(image: Image, overlay: Image, mask: Mask | None, x: int, y: int) -> Image:
    """p = m b + (1 - m) a, with the overlay's top left at (x, y); what lies outside the picture is cut off.

    mask: of the overlay's size, or of the picture's; None is 1 everywhere. ValueError for another size.
    """
    a, b = alike([image, overlay])
    h, w = b.shape[1:3]
    m = np.ones((1, h, w), np.float32) if mask is None else mask.values
    top, left = max(0, y), max(0, x)
    bottom, right = min(a.shape[1], y + h), min(a.shape[2], x + w)
    if bottom <= top or right <= left:
        raise ValueError(f"the overlay at {x}, {y} lies outside the picture of {a.shape[2]} x {a.shape[1]}")
    place = np.s_[:, top:bottom, left:right]
    part = np.s_[:, top - y : bottom - y, left - x : right - x]
    if m.shape[1:] == (h, w):
        m = m[part]
    elif m.shape[1:] == a.shape[1:3]:
        m = m[place]
    else:
        raise ValueError(f"the mask is {m.shape[2]} x {m.shape[1]}, the overlay {w} x {h}: they must be of one size")
    batch = max(len(a), len(b), len(m))
    if any(len(one) not in (1, batch) for one in (a, b, m)):
        raise ValueError(f"{len(a)} pictures, {len(b)} overlays and {len(m)} masks do not pair; give as many, or one")
    out = np.repeat(a, batch, axis=0) if len(a) < batch else np.array(a)
    weight = m[..., None]
    out[place] = weight * b[part] + (1 - weight) * a[place]
    return Image(out)


def alike(images: Sequence[Image], least: int = 1) -> list[np.ndarray]:
    """The pixels of pictures with the same number of channels, at least 1 or 3: grey ones become coloured for that."""
    channels = max(least, *(image.pixels.shape[3] for image in images))
    return [
        image.pixels if image.pixels.shape[3] == channels else np.repeat(image.pixels, channels, axis=3)
        for image in images
    ]


def same_size(first: np.ndarray, second: np.ndarray, what: str) -> None:
    """ValueError if two batches (B, H, W, …) differ in size, or in their numbers, of which neither is 1."""
    (h, w), (height, width) = first.shape[1:3], second.shape[1:3]
    if (h, w) != (height, width):
        raise ValueError(f"the {what} are {w} x {h} and {width} x {height}; scale one with ImageScale")
    if len(first) != len(second) and 1 not in (len(first), len(second)):
        raise ValueError(f"{len(first)} and {len(second)} {what} do not pair; give as many of both, or one")


def padded(image: Image, left: int, top: int, right: int, bottom: int, feather: int) -> tuple[Image, Mask]:
    """A picture with grey borders (B, H + top + bottom, W + left + right, C), and a mask of them (1, …).

    Within `feather` of an edge that grew the mask falls off inwards as ((feather - d) / feather)^2, but for pictures
    that are no larger than twice that.
    """
    count, high, wide, channels = image.pixels.shape
    pixels = np.full((count, high + top + bottom, wide + left + right, channels), 0.5, np.float32)
    pixels[:, top : top + high, left : left + wide] = image.pixels
    inside = np.zeros((high, wide), np.float32)
    if 0 < 2 * feather < min(high, wide):
        y, x = np.arange(high)[:, None], np.arange(wide)[None]
        far = np.full((high, wide), np.inf)
        for grown, distance in ((top, y), (bottom, high - y), (left, x), (right, wide - x)):
            far = np.minimum(far, distance) if grown else far
        inside = (np.clip(feather - far, 0, None) / feather).astype(np.float32) ** 2
    values = np.ones((1, high + top + bottom, wide + left + right), np.float32)
    values[:, top : top + high, left : left + wide] = inside
    return Image(pixels), Mask(values)
