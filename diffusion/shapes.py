"""A world small enough to learn on a laptop: coloured shapes on a plain ground, and what they are in plain English.

    one or two of    circle, square, triangle, diamond, cross, ring
    each             small, big, or neither; in one of seven colours
    placed           one in nine parts of the picture; two beside or above each other
    on               white, black, grey or pink
    drawn            plainly, or in one of two styles, which captions say nothing of: in outline, or thin

Every scene comes from a generator seeded by (seed, number), and belongs to the training or to the test part by what its
caption says, so no caption of one part is ever in the other.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from random import Random

import cv2
import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw

from diffusion.types import Dataset

SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring")
COLOURS = {
    "red": (214, 39, 40),
    "orange": (255, 140, 0),
    "yellow": (250, 220, 40),
    "green": (44, 150, 60),
    "cyan": (60, 200, 220),
    "blue": (30, 80, 200),
    "purple": (130, 60, 170),
}
GROUNDS = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128), "pink": (250, 190, 210)}
RADII = {"small": 0.12, "": 0.17, "big": 0.21}
"""Half the side of the square around a shape, as a share of the picture's side."""
PLACES = {
    "in the top left": (0, 0),
    "at the top": (1, 0),
    "in the top right": (2, 0),
    "on the left": (0, 1),
    "in the middle": (1, 1),
    "on the right": (2, 1),
    "in the bottom left": (0, 2),
    "at the bottom": (1, 2),
    "in the bottom right": (2, 2),
}
"""Where a shape's middle is: column and row of nine parts."""
RELATIONS = {"above": (0, -1), "below": (0, 1), "to the left of": (-1, 0), "to the right of": (1, 0)}
"""Where the first of two is, seen from the second."""
EDGE = 0.03
"""Free space between a shape and the border, as a share of the side."""
FINE = 4
"""Pictures are drawn so many times larger and made smaller, for smooth edges."""
TEST_SHARE = 10
"""One caption in so many is kept for testing."""
STYLES = ("plain", "outline", "thin")
LINE = 0.036
"""Width of an outline, as a share of the picture's side."""
THIN = 0.55
"""What is left of the width of a thin shape."""


@dataclass(frozen=True)
class Shape:
    """One shape. size: "small", "" or "big". x, y: its middle, as shares of the side, from the left and the top."""

    shape: str
    colour: str
    size: str = ""
    x: float = 0.5
    y: float = 0.5

    @property
    def words(self) -> str:
        """Such as "a small red circle"."""
        said = " ".join(filter(None, (self.size, self.colour, self.shape)))
        return f"an {said}" if said[0] in "aeiou" else f"a {said}"


@dataclass(frozen=True)
class Scene:
    """One picture. where: the words for the place of the only shape, or between two; "" where nothing is said."""

    shapes: tuple[Shape, ...]
    ground: str
    where: str = ""
    wording: int = 0

    @property
    def caption(self) -> str:
        """What is in the picture, in plain English."""
        first = self.shapes[0].words
        if len(self.shapes) == 2:
            things = f"{first} {self.where or 'and'} {self.shapes[1].words}"
        else:
            things = f"{first} {self.where}".strip()
        return f"{things} on {self.ground}" if self.wording == 0 else f"{things} on a {self.ground} background"

    @property
    def part(self) -> str:
        """ "test" or "train", by what is said of it; the wording makes no difference."""
        said = "|".join((*(s.words for s in self.shapes), self.where, self.ground))
        return "train" if hashlib.sha256(said.encode()).digest()[0] % TEST_SHARE else "test"


def scenes(part: str = "train", shapes: int | None = None, seed: int = 0) -> Iterator[Scene]:
    """Endlessly many scenes, always the same ones for the same arguments.

    part: train or test. shapes: 1 or 2 in each; None mixes both evenly. ValueError for another part.
    """
    if part not in ("train", "test"):
        raise ValueError(f'unknown part "{part}"; known: train, test')
    for number in count():
        scene = _scene(Random(f"shapes {seed} {number}"), shapes)
        if scene.part == part:
            yield scene


def draw(scene: Scene, side: int = 64, style: str = "plain") -> np.ndarray:
    """The scene as uint8 (side, side, 3), in one of STYLES."""
    fine = side * FINE
    picture = Picture.new("RGB", (fine, fine), GROUNDS[scene.ground])
    for shape in scene.shapes:
        mask = _mask(shape, fine, THIN if style == "thin" else 1.0)
        picture.paste(COLOURS[shape.colour], mask=mask)
        if style == "outline":
            # what is further than a line from the edge is left empty
            line = 2 * round(LINE * fine) + 1
            inner = cv2.erode(np.asarray(mask), np.ones((line, line), np.uint8))
            picture.paste(GROUNDS[scene.ground], mask=Picture.fromarray(inner))
    return np.asarray(picture.resize((side, side), Picture.Resampling.BOX))


def dataset(
    number: int, side: int = 64, part: str = "train", shapes: int | None = None, seed: int = 0, style: str = "plain"
) -> Dataset:
    """So many scenes as pictures with captions. Errors as in `scenes`, and ValueError for an unknown style."""
    if style not in STYLES:
        raise ValueError(f'unknown style "{style}"; known: {", ".join(STYLES)}')
    chosen = list(islice(scenes(part, shapes, seed), number))
    images = np.stack([draw(scene, side, style) for scene in chosen])
    name = f"shapes {side} {part}" + ("" if style == "plain" else f" {style}")
    return Dataset(images, None, tuple(scene.caption for scene in chosen), (), name)


def _scene(random: Random, shapes: int | None) -> Scene:
    wanted = shapes or random.choice((1, 2))
    ground, wording = random.choice(list(GROUNDS)), random.randrange(2)
    things = [_thing(random) for _ in range(wanted)]
    if wanted == 1:
        where = random.choice([*PLACES, ""])
        x, y = _spot(random, things[0], PLACES[where] if where else None)
        return Scene((_moved(things[0], x, y),), ground, where, wording)
    while things[0].colour == things[1].colour and things[0].shape == things[1].shape:
        things[1] = _thing(random)
    where = random.choice([*RELATIONS, ""])
    return Scene(_pair(random, things, RELATIONS[where or random.choice(list(RELATIONS))]), ground, where, wording)


def _thing(random: Random) -> Shape:
    return Shape(random.choice(SHAPES), random.choice(list(COLOURS)), random.choice(list(RADII)))


def _spot(random: Random, thing: Shape, place: tuple[int, int] | None) -> tuple[float, float]:
    """A middle within one of nine parts or anywhere, the whole shape inside the picture."""
    room = RADII[thing.size] + EDGE
    x, y = (
        random.uniform(room, 1 - room) if place is None else min(max(_third(random, cell), room), 1 - room)
        for cell in (place or (0, 0))
    )
    return x, y


def _third(random: Random, cell: int) -> float:
    # off the lines between parts, so that a place is never in doubt
    return random.uniform((cell + 0.2) / 3, (cell + 0.8) / 3)


def _pair(random: Random, things: list[Shape], towards: tuple[int, int]) -> tuple[Shape, ...]:
    """Two shapes apart from each other: along one axis as `towards` says, across it nearly level."""
    radii = [RADII[thing.size] for thing in things]
    low, high = (0, 1) if sum(towards) < 0 else (1, 0)  # which is nearer to the left or top
    slack = 1 - 2 * EDGE - 2 * sum(radii)
    gap = min(slack, 0.04 + random.random() * 0.12)
    start = EDGE + random.random() * (slack - gap)
    along = {low: start + radii[low], high: start + 2 * radii[low] + gap + radii[high]}
    room = max(radii) + EDGE
    level = random.uniform(room, 1 - room)
    placed = []
    for i, thing in enumerate(things):
        across = min(max(level + random.uniform(-0.06, 0.06), radii[i] + EDGE), 1 - radii[i] - EDGE)
        placed.append(_moved(thing, *((along[i], across) if towards[0] else (across, along[i]))))
    return tuple(placed)


def _moved(thing: Shape, x: float, y: float) -> Shape:
    return Shape(thing.shape, thing.colour, thing.size, x, y)


def _mask(shape: Shape, side: int, wide: float) -> Picture.Image:
    """Where the shape is, 255 or 0, its width multiplied by `wide`."""
    mask = Picture.new("L", (side, side), 0)
    pen = ImageDraw.Draw(mask)
    x, y, r = (value * side for value in (shape.x, shape.y, RADII[shape.size]))
    w = r * wide
    if shape.shape in ("circle", "ring"):
        pen.ellipse((x - w, y - r, x + w, y + r), fill=255)
    if shape.shape == "ring":
        pen.ellipse((x - 0.55 * w, y - 0.55 * r, x + 0.55 * w, y + 0.55 * r), fill=0)
    elif shape.shape == "square":
        pen.rectangle((x - 0.9 * w, y - 0.9 * r, x + 0.9 * w, y + 0.9 * r), fill=255)
    elif shape.shape == "triangle":
        pen.polygon([(x, y - r), (x + w, y + 0.8 * r), (x - w, y + 0.8 * r)], fill=255)
    elif shape.shape == "diamond":
        pen.polygon([(x, y - r), (x + 0.75 * w, y), (x, y + r), (x - 0.75 * w, y)], fill=255)
    elif shape.shape == "cross":
        arm = 1 / math.pi
        pen.rectangle((x - w, y - arm * r, x + w, y + arm * r), fill=255)
        pen.rectangle((x - arm * w, y - r, x + arm * w, y + r), fill=255)
    return mask
