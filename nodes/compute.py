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

    from diffusion.live import Glimpse

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


class Previews:
    """Small pictures of what a sampler sees, as often as somebody wants one; without anybody, next to no work."""

    def __init__(self, ctx: Context, space: str) -> None:
        self._ctx, self._space = ctx, space
        self._glimpse: Glimpse | None = None

    def after(self, x0: "torch.Tensor") -> bytes:
        """The first picture of x0 (B, C, H, W) as a PNG, or that of an earlier step, or nothing."""
        from diffusion.live import Glimpse, seen

        if self._glimpse is None:
            self._glimpse = Glimpse()
        if not self._glimpse.pending and self._ctx.wants_preview():
            picture = seen(x0, self._space)
            if picture is not None:
                self._glimpse.ask(picture)
        found = self._glimpse.take()
        return b"" if found is None else small_png(to_pictures(found[None].numpy() / 255)[0])


def small_png(picture: "Picture") -> bytes:
    """A picture as a PNG of at most 128 pixels a side."""
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
