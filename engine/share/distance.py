"""How far two pictures are apart."""

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


@dataclass(frozen=True, slots=True)
class Distance:
    """largest: of the 8-bit differences of a channel. share: of the pixels that differ at all. psnr: in decibels,
    10 log10(255^2 / mean squared difference); infinite for equal pictures."""

    largest: int
    share: float
    psnr: float

    def __str__(self) -> str:
        psnr = "infinite" if math.isinf(self.psnr) else f"{self.psnr:.1f} dB"
        return f"largest difference {self.largest} of 255, {self.share:.2%} of the pixels, PSNR {psnr}"


def distance(a: bytes, b: bytes) -> Distance | None:
    """Between two files of pictures; None where their sizes or channels differ."""
    from PIL import Image, ImageChops

    with Image.open(io.BytesIO(a)) as first, Image.open(io.BytesIO(b)) as second:
        if first.size != second.size or first.mode != second.mode:
            return None
        difference = ImageChops.difference(first, second)
    counts = difference.histogram()
    squares = sum(count * (i % 256) ** 2 for i, count in enumerate(counts))
    largest = max((i % 256 for i, count in enumerate(counts) if count), default=0)
    mean = squares / max(1, sum(counts))
    psnr = 10 * math.log10(255**2 / mean) if mean else math.inf
    return Distance(largest, _share(difference), psnr)


def _share(difference: "Picture") -> float:
    """The part of the pixels that are not black in all channels."""
    from PIL import ImageChops

    one, *others = difference.split()
    for channel in others:
        one = ImageChops.lighter(one, channel)
    counts = one.histogram()
    return 1 - counts[0] / max(1, sum(counts))
