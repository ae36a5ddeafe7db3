"""Pictures in other sizes: which size, by which filter, and what is cut off or filled in where the shapes differ."""

from typing import TYPE_CHECKING, Literal

from diffusion.types import Image

if TYPE_CHECKING:
    import numpy as np

Filter = Literal["lanczos", "bicubic", "bilinear", "area", "nearest"]
Fit = Literal["stretch", "crop", "pad", "inside"]

LONGEST = 16384
"""Pixels a side at most."""


def size_for(
    size: tuple[int, int], width: int | None = None, height: int | None = None, factor: float = 1.0, multiple: int = 1
) -> tuple[int, int]:
    """The width and height that are asked for, of a picture of `size` (width, height).

    A side that is not given follows from the other by the picture's own shape; `factor` multiplies both, and each is
    then rounded to the nearest multiple. ValueError for a side of more than 16384.
    """
    if width is None and height is None:
        wide, high = float(size[0]), float(size[1])
    else:
        wide = width if width is not None else size[0] * height / size[1]  # type: ignore[operator]
        high = height if height is not None else size[1] * width / size[0]  # type: ignore[operator]
    sides = [max(multiple, round(side * factor / multiple) * multiple) for side in (wide, high)]
    if max(sides) > LONGEST:
        raise ValueError(f"{sides[0]} x {sides[1]} is too large: a side has at most {LONGEST} pixels")
    return sides[0], sides[1]


def resized(pixels: "np.ndarray", width: int, height: int, how: Filter) -> "np.ndarray":
    """Pixels (B, H, W, C) in 0 … 1 as (B, height, width, C). All filters but nearest average over what they shrink.

    Computed in float32 by Pillow. Lanczos and bicubic overshoot at edges, so the result is clipped.
    """
    import numpy as np
    from PIL import Image as Pillow

    filters = {"lanczos": "LANCZOS", "bicubic": "BICUBIC", "bilinear": "BILINEAR", "area": "BOX", "nearest": "NEAREST"}
    resample = Pillow.Resampling[filters[how]]
    if pixels.shape[1:3] == (height, width):
        return pixels
    out = np.empty((len(pixels), height, width, pixels.shape[3]), np.float32)
    for i, picture in enumerate(pixels):
        for c in range(pixels.shape[3]):
            plane = Pillow.fromarray(np.ascontiguousarray(picture[..., c], np.float32))
            out[i, ..., c] = np.asarray(plane.resize((width, height), resample))
    return out.clip(0, 1)


def fitted(
    image: Image, width: int, height: int, how: Filter, fit: Fit, fill: tuple[float, float, float] = (0, 0, 0)
) -> Image:
    """The picture in a frame of width x height.

    stretch: its shape changes. crop: it fills the frame, and what sticks out is cut off on both sides alike.
    pad: all of it stands in the middle, on `fill`. inside: all of it, and the frame shrinks to it.
    """
    import numpy as np

    high, wide = image.pixels.shape[1:3]
    if fit == "stretch":
        return Image(resized(image.pixels, width, height, how))
    scale = (max if fit == "crop" else min)(width / wide, height / high)
    inner_w, inner_h = max(1, round(wide * scale)), max(1, round(high * scale))
    inner = resized(image.pixels, inner_w, inner_h, how)
    if fit == "inside":
        return Image(inner)
    if fit == "crop":
        x, y = (inner_w - width) // 2, (inner_h - height) // 2
        return Image(np.ascontiguousarray(inner[:, y : y + height, x : x + width]))
    grey = inner.shape[3] == 1 and len(set(fill)) == 1
    ground = np.tile(np.array(fill[:1] if grey else fill, np.float32), (len(inner), height, width, 1))
    x, y = (width - inner_w) // 2, (height - inner_h) // 2
    ground[:, y : y + inner_h, x : x + inner_w] = inner
    return Image(ground)
