"""What several nodes need to run a network: which dtype, and previews on the way."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from diffusion.recipes import Recipe
from engine.context import Context
from engine.errors import Problem, error
from nodes.draw import to_pictures

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as Picture

PREVIEW_SIDE = 128


def dtype_for(recipe: Recipe, ctx: Context) -> str:
    """The dtype to load a recipe in: its own, or where it says auto, that of the run."""
    return ctx.dtype if recipe.dtype == "auto" else recipe.dtype


@contextmanager
def fitting() -> Iterator[None]:
    """E-ARCH for a change to a model, such as a LoRA, that was made for another."""
    from diffusion.fitting import MisfitError

    try:
        yield
    except MisfitError as why:
        hint = "take one that was made for this model"
        raise error(Problem("E-ARCH", str(why), hint)) from why


def preview(x0: "torch.Tensor") -> bytes:
    """The first picture of pixel-space samples (B, C, H, W) in -1 … 1, as a small PNG."""
    pixels = (x0[:1].float() / 2 + 0.5).permute(0, 2, 3, 1).cpu().numpy()
    return small_png(to_pictures(pixels)[0])


def small_png(picture: "Picture") -> bytes:
    """A picture as a PNG of at most 128 pixels a side."""
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
