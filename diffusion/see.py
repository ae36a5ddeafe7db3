"""Reading a picture of `diffusion.shapes` back from its pixels, by plain measuring: no network has a say.

The ground is the colour of the border, a shape is what stands out from it in one piece, its colour is that of most of
its pixels, and its kind is that of the template that it covers best. How far a picture is in a style is measured too.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from PIL import Image as Picture
from scipy import ndimage  # type: ignore[import-untyped]

from diffusion.shapes import COLOURS, GROUNDS, PLACES, RADII, RELATIONS, SHAPES, Scene, Shape, draw

STANDS_OUT = 60.0
"""How far in RGB, 0 … 442, a pixel is from the ground where it belongs to a shape."""
LEAST_PIXELS = 20
"""A smaller piece of a picture of 64 x 64 is dirt."""
TEMPLATE = 32


LINES = 3
"""Pixels of the edge of a shape, in a picture of 64 x 64, that an outline may take."""


def see(pixels: np.ndarray, styles: Sequence[str] = ("plain",)) -> Scene:
    """What is in a picture, uint8 (H, W, 3): its ground, and up to three shapes, from the largest to the smallest.

    styles: those of `diffusion.shapes.STYLES` that it may be drawn in.
    """
    ground, masks = pieces(pixels)
    return Scene(tuple(_shape(pixels, mask, styles) for mask in masks), ground)


def pieces(pixels: np.ndarray) -> tuple[str, list[np.ndarray]]:
    """The ground of a picture, and where up to three things are that stand out from it, each (H, W) of booleans."""
    side = pixels.shape[0]
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(float)
    ground = nearest(np.median(border, axis=0), GROUNDS)
    away = np.linalg.norm(pixels.astype(float) - np.array(GROUNDS[ground], float), axis=-1)
    found, number = ndimage.label(away > STANDS_OUT, structure=np.ones((3, 3)))
    least = LEAST_PIXELS * (side / 64) ** 2
    sizes = sorted(((int((found == i).sum()), i) for i in range(1, number + 1)), reverse=True)
    return ground, [found == i for size, i in sizes[:3] if size >= least]


def emptiness(pixels: np.ndarray) -> float:
    """How far shapes are drawn in outline, 0 … 1: the share of what lies well within their edges that is empty."""
    inner, empty = 0, 0
    for mask in pieces(pixels)[1]:
        within = ndimage.binary_erosion(ndimage.binary_fill_holes(mask), iterations=LINES * pixels.shape[0] // 64)
        inner, empty = inner + int(within.sum()), empty + int((within & ~mask).sum())
    return empty / max(inner, 1)


def thinness(pixels: np.ndarray) -> float:
    """How much narrower shapes are than high: the mean of 1 - width / height; 0 for a picture without any."""
    boxes = [_box(mask) for mask in pieces(pixels)[1]]
    return float(np.mean([1 - (right - left) / (bottom - top) for top, bottom, left, right in boxes] or [0.0]))


STYLE: dict[str, Callable[[np.ndarray], float]] = {"outline": emptiness, "thin": thinness}
"""What rises with each style."""


def nearest(colour: np.ndarray, known: dict[str, tuple[int, int, int]]) -> str:
    """The name of the nearest of some colours, by distance in RGB."""
    return min(known, key=lambda name: float(np.linalg.norm(np.array(known[name], float) - colour)))


def fits(seen: Scene, wanted: Scene) -> dict[str, bool]:
    """Whether colours, shapes, sizes, places and the ground of a picture are those that its caption asked for.

    "place" is that of the only shape, or the relation between two; True where the caption names none.
    """
    same = len(seen.shapes) == len(wanted.shapes)
    found = _paired(seen.shapes, wanted.shapes) if same else []
    return {
        "colour": same and all(a.colour == b.colour for a, b in found),
        "shape": same and all(a.shape == b.shape for a, b in found),
        "size": same and all(a.size == b.size for a, b in found),
        "place": same and _placed([a for a, _ in found], wanted.where),
        "ground": seen.ground == wanted.ground,
    }


def _paired(seen: tuple[Shape, ...], wanted: tuple[Shape, ...]) -> list[tuple[Shape, Shape]]:
    """Each shape that was seen with one that was wanted: in the order with the most in common."""
    orders = [list(zip(order, wanted, strict=True)) for order in (seen, seen[::-1])]
    return max(orders, key=lambda pairs: sum((a.colour == b.colour) + (a.shape == b.shape) for a, b in pairs))


def _placed(shapes: list[Shape], where: str) -> bool:
    if where in PLACES:
        column, row = PLACES[where]
        return (_third(shapes[0].x), _third(shapes[0].y)) == (column, row)
    if where in RELATIONS:
        across, down = RELATIONS[where]
        dx, dy = shapes[0].x - shapes[1].x, shapes[0].y - shapes[1].y
        return dx * across > abs(dy) if across else dy * down > abs(dx)
    return True


def _third(share: float) -> int:
    # big shapes cannot get quite to a corner's middle, so the outer parts reach a little further in
    return 0 if share < 0.36 else 2 if share > 0.64 else 1


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Top, bottom, left, right."""
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def _shape(pixels: np.ndarray, mask: np.ndarray, styles: Sequence[str]) -> Shape:
    top, bottom, left, right = _box(mask)
    core = ndimage.binary_erosion(mask)
    colour = np.median(pixels[core if core.any() else mask].astype(float), axis=0)
    found = _tight(mask)
    known = [(name, one) for style in styles for name, one in templates(style)]
    kind, _ = max(known, key=lambda pair: _overlap(found, pair[1]))
    height, width = mask.shape
    share = max(bottom - top, right - left) / 2 / height / (0.9 if kind == "square" else 1)
    size = min(RADII, key=lambda name: abs(RADII[name] - share))
    return Shape(
        kind, nearest(colour, COLOURS), size, float((left + right) / 2 / width), float((top + bottom) / 2 / height)
    )


def _tight(mask: np.ndarray) -> np.ndarray:
    """What a mask holds, in its tight box, (32, 32) in 0 … 1."""
    top, bottom, left, right = _box(mask)
    crop = Picture.fromarray((mask[top:bottom, left:right] * 255).astype(np.uint8))
    return np.asarray(crop.resize((TEMPLATE, TEMPLATE), Picture.Resampling.BOX)) / 255


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    # intersection over union
    return float(np.minimum(a, b).sum() / np.maximum(a, b).sum())


@cache
def templates(style: str = "plain") -> list[tuple[str, np.ndarray]]:
    """Each kind of shape in a style, in its tight box, (32, 32) in 0 … 1: at all sizes where these look different."""
    made = []
    for size in RADII if style == "outline" else ["big"]:
        for name in SHAPES:
            drawn = draw(Scene((Shape(name, "red", size),), "white"), 128, style)
            made.append((name, _tight(np.linalg.norm(drawn.astype(float) - 255, axis=-1) > STANDS_OUT)))
    return made
