"""What several nodes need to run a network: which dtype, and previews on the way."""

import gc
import io
import re
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from diffusion.recipes import Recipe
from engine.context import Context
from engine.errors import OutOfMemory, Problem, error
from engine.text import size
from nodes.draw import grid, to_pictures

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as Picture

    from diffusion.live import Glimpse
    from diffusion.store import Store
    from diffusion.types import Image

PREVIEW_SIDE = 128
LOOK_EVERY = 10.0
"""Seconds between two looks at what has been learned, while somebody looks."""


def dtype_for(recipe: Recipe, ctx: Context) -> str:
    """The dtype to load a recipe in: its own, or where it says auto, that of the run."""
    name = ctx.dtype if recipe.dtype == "auto" else recipe.dtype
    if name == "float16" and ctx.device == "cpu":
        ctx.fell_back("float16 is computed as bfloat16 on a CPU", "say bfloat16 or float32")
    return name


@contextmanager
def fitting() -> Iterator[None]:
    """E-ARCH for a change to a model, such as a LoRA, that was made for another."""
    from diffusion.patch_check import MisfitError

    try:
        yield
    except MisfitError as why:
        hint = "take one that was made for this model"
        raise error(Problem("E-ARCH", str(why), hint)) from why


@contextmanager
def models(ctx: Context) -> "Iterator[Store]":
    """The store of models, as this run wants it. What is loaded inside stays where it is until the end.

    Weights that are not finite are told of as they are read (W-NAN). Where memory runs out, every model is let go, and
    OutOfMemory says how much there was and what would help.
    """
    from diffusion.memory import Policy
    from diffusion.reading import is_out_of_memory
    from diffusion.soundness import telling
    from diffusion.store import STORE

    def warn(what: str) -> None:
        ctx.warn("W-NAN", what, "what it makes will be black or noise; get the file again")

    STORE.policy = Policy(ctx.settings.vram or None, offload=ctx.settings.offload)  # type: ignore[arg-type]
    try:
        with STORE.using(), telling(warn):
            yield STORE
    except (MemoryError, RuntimeError) as why:
        if not is_out_of_memory(why):
            raise
        told = _told(why, ctx, STORE)
        traceback.clear_frames(why.__traceback__)  # they hold what was being computed
        STORE.clear()
        gc.collect()
        _give_back()
        raise told from None


def _told(why: BaseException, ctx: Context, store: "Store") -> OutOfMemory:
    """What there was no room for, and the options that would make some."""
    import torch

    asked = re.search(r"allocate ([\d.]+) ?(bytes|[KMGT]iB)", str(why))
    parts = []
    if asked:
        number, unit = float(asked[1]), asked[2]
        parts.append(f"{size(number * 1024 ** ('B', 'K', 'M', 'G', 'T').index(unit[0].upper()))} more were needed")
    if len(store):
        parts.append(f"models take {size(store.bytes)}")
    gpu = ctx.device.startswith("cuda") and torch.cuda.is_available()
    if gpu:
        free, total = torch.cuda.mem_get_info(ctx.device)
        parts.append(f"{size(free)} of {size(total)} are free on {ctx.device}")
    levers = []
    if ctx.device.startswith("cuda"):
        step = {"none": "model", "model": "group"}.get(ctx.settings.offload)
        levers += [f"run with --offload {step}"] if step else []
    if len(store) > 1:
        levers.append(f"with --vram {max(1, store.bytes // (2 << 20))}M, so that fewer models stay loaded")
    levers += ["with --dtype bfloat16, which changes the result"] if ctx.dtype == "float32" else []
    return OutOfMemory(", ".join(parts), levers)


def _give_back() -> None:
    import torch

    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


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


class Looks:
    """What a training tells of itself: the loss after each step, and now and then pictures of what was learned.

    columns: of the pictures in a look.
    """

    def __init__(self, ctx: Context, columns: int = 2) -> None:
        self._ctx, self._columns = ctx, columns
        self._looked = time.monotonic()

    def report(self, step: int, total: int, loss: float, look: "Callable[[], Image]") -> None:
        """Tell it; `look` makes the pictures, and is only asked while somebody wants to see them."""
        picture = b""
        if time.monotonic() - self._looked > LOOK_EVERY and self._ctx.wants_preview():
            picture = small_png(grid(to_pictures(look().pixels), self._columns, gap=1))
            self._looked = time.monotonic()
        self._ctx.progress(step, total, f"loss {loss:.4f}", picture)


def small_png(picture: "Picture") -> bytes:
    """A picture as a PNG of at most 128 pixels a side."""
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
