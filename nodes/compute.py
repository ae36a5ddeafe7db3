"""What several nodes need to run a network: which dtype, and previews on the way."""

import io
from typing import TYPE_CHECKING

from diffusion.types import Recipe
from engine.context import Context

if TYPE_CHECKING:
    import torch

PREVIEW_SIDE = 128


def dtype_for(recipe: Recipe, ctx: Context) -> str:
    """The dtype to load a recipe in: its own, or where it says auto, that of the run."""
    return ctx.dtype if recipe.dtype == "auto" else recipe.dtype


def preview(x0: "torch.Tensor") -> bytes:
    """A small PNG of the first picture of pixel-space samples (B, C, H, W) in -1 … 1, at most 128 pixels a side."""
    from PIL import Image

    first = ((x0[0].float() / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(first[..., 0] if first.shape[-1] == 1 else first)
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
