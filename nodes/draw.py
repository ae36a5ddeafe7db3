"""Pictures out of pictures: enlarging, labels, grids. Pillow and numpy only, so a cached picture needs no torch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image as Picture
    from PIL.ImageFont import FreeTypeFont

INK, PAPER = (32, 32, 36), (250, 250, 248)


def to_pictures(pixels: "np.ndarray") -> "list[Picture]":
    """Pixels (B, H, W, C) in 0 … 1 as 8-bit pictures, grey or RGB: round(255 p)."""
    import numpy as np
    from PIL import Image

    bytes_ = (np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)
    return [Image.fromarray(one[..., 0] if one.shape[-1] == 1 else one) for one in bytes_]


def to_pixels(pictures: "Sequence[Picture]") -> "np.ndarray":
    """Pictures of one size as float32 pixels (B, H, W, C) in 0 … 1; grey ones keep one channel."""
    import numpy as np

    grey = all(p.mode == "L" for p in pictures)
    arrays = [np.asarray(p if grey else p.convert("RGB"), dtype=np.float32) / 255 for p in pictures]
    stacked = np.stack(arrays)
    return stacked[..., None] if grey else stacked


def grid(
    pictures: "Sequence[Picture]",
    columns: int,
    labels: Sequence[str] = (),
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    scale: int = 1,
    gap: int = 4,
    title: str = "",
    smooth: bool = False,
) -> "Picture":
    """Pictures side by side, `columns` to a row, each enlarged `scale` times: pixel by pixel, or smoothly (bicubic).

    labels stand under each picture, row_labels to the left of each row, column_labels above each column; fewer than
    there are places leave the rest blank. Pictures of different sizes are centred in cells of the largest.
    """
    from PIL import Image, ImageDraw

    cells = [_enlarged(p, scale, smooth) for p in pictures]
    width, height = max(p.width for p in cells), max(p.height for p in cells)
    columns = max(1, min(columns, len(cells)))
    rows = -(-len(cells) // columns)
    font = _font(max(12, min(22, height // 8 + 6)))
    line = round(font.size * 1.4)
    if labels or column_labels:
        width = max(width, *(round(font.getlength(t)) + 6 for t in (*labels, *column_labels)))
    under = line if labels else 0
    left = max((round(font.getlength(t)) for t in row_labels), default=-12) + 12
    heading = round(line * 1.4) if title else 0
    above = heading + (line if column_labels else 0)
    sheet = Image.new("RGB", (left + columns * (width + gap) + gap, above + rows * (height + under + gap) + gap), PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((sheet.width / 2, heading / 2), title, INK, font, anchor="mm")
    for index, text in enumerate(column_labels[:columns]):
        draw.text((left + gap + index * (width + gap) + width / 2, heading + line / 2), text, INK, font, anchor="mm")
    for index, text in enumerate(row_labels[:rows]):
        draw.text((left - 4, above + gap + index * (height + under + gap) + height / 2), text, INK, font, anchor="rm")
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        x, y = left + gap + column * (width + gap), above + gap + row * (height + under + gap)
        sheet.paste(cell, (x + (width - cell.width) // 2, y + (height - cell.height) // 2))
        if index < len(labels):
            draw.text((x + width / 2, y + height + line / 2), labels[index], INK, font, anchor="mm")
    return sheet


def _enlarged(picture: "Picture", scale: int, smooth: bool) -> "Picture":
    from PIL import Image

    picture = picture.convert("RGB")
    how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return picture.resize((picture.width * scale, picture.height * scale), how)


def _font(points: int) -> "FreeTypeFont":
    from PIL import ImageFont

    font = ImageFont.load_default(points)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise ValueError("this Pillow was built without FreeType, which draws the labels; install Pillow's own wheel")
    return font
