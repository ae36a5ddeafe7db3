"""Pictures and latents cut, turned, mixed, pasted, and put together in batches."""

from typing import Literal, NamedTuple

from engine.context import Context
from engine.node import Input, Node
from nodes.sockets import Image, Latent, Mask

SIDE = 16384


class ImageCrop(Node):
    """A rectangle of a picture."""

    version = 1
    image: Image
    x: int = Input(0, ge=0, le=SIDE, about="left edge")
    y: int = Input(0, ge=0, le=SIDE, about="top edge")
    width: int = Input(512, ge=1, le=SIDE, about="pixels")
    height: int = Input(512, ge=1, le=SIDE, about="pixels")

    def run(self, ctx: Context) -> Image:
        high, wide = self.image.pixels.shape[1:3]
        right, bottom = self.x + self.width, self.y + self.height
        if right > wide or bottom > high:
            raise ValueError(f"the crop ends at {right}, {bottom}, and the picture is {wide} x {high}; make it smaller")
        return Image(self.image.pixels[:, self.y : bottom, self.x : right].copy())


class Padded(NamedTuple):
    """A larger picture, and a mask of what is new in it."""

    image: Image
    mask: Mask


class ImagePad(Node):
    """A picture with grey borders, and a mask that is 1 on them, for painting on beyond the edge.

    Within `feather` pixels of an edge that grew, the mask falls off inwards as ((feather - d) / feather)^2, d the
    distance to that edge, so that old and new are mixed there.
    """

    version = 1
    image: Image
    left: int = Input(0, ge=0, le=SIDE, about="pixels added")
    top: int = Input(0, ge=0, le=SIDE, about="pixels added")
    right: int = Input(0, ge=0, le=SIDE, about="pixels added")
    bottom: int = Input(0, ge=0, le=SIDE, about="pixels added")
    feather: int = Input(0, ge=0, le=SIDE, about="pixels over which the mask fades into the picture")

    def run(self, ctx: Context) -> Padded:
        from diffusion.masks import padded

        return Padded(*padded(self.image, self.left, self.top, self.right, self.bottom, self.feather))


class ImageFlip(Node):
    """A picture mirrored, or turned clockwise by quarters."""

    version = 1
    image: Image
    how: Literal["horizontal", "vertical", "90", "180", "270"] = Input(
        "horizontal", about="left and right swapped, top and bottom swapped, or degrees clockwise"
    )

    def run(self, ctx: Context) -> Image:
        import numpy as np

        pixels = self.image.pixels
        if self.how in ("horizontal", "vertical"):
            return Image(np.flip(pixels, 2 if self.how == "horizontal" else 1).copy())
        return Image(np.rot90(pixels, -int(self.how) // 90, (1, 2)).copy())


class ImageBlend(Node):
    """p = (1 - s) a + s f(a, b), two pictures of one size: f = b (normal), or one of the painters' modes.

    multiply a b; screen 1 - (1 - a)(1 - b); overlay; soft_light; difference |a - b|; add a + b.
    """

    version = 1
    image: Image
    other: Image
    share: float = Input(0.5, ge=0, le=1, about="s; 0 is the first picture")
    mode: Literal["normal", "multiply", "screen", "overlay", "soft_light", "difference", "add"] = Input(
        "normal", about="what is mixed in"
    )

    def run(self, ctx: Context) -> Image:
        from diffusion.masks import blended

        return blended(self.image, self.other, self.share, self.mode)


class ImageComposite(Node):
    """p = m b + (1 - m) a: a picture pasted onto another where its mask says, with its top left corner at (x, y)."""

    version = 1
    image: Image = Input(about="a, what is pasted onto")
    overlay: Image = Input(about="b, what is pasted")
    mask: Mask | None = Input(None, about="m, of the size of either; absent: 1 everywhere")
    x: int = Input(0, ge=-SIDE, le=SIDE, about="left edge of the overlay")
    y: int = Input(0, ge=-SIDE, le=SIDE, about="top edge of the overlay")

    def run(self, ctx: Context) -> Image:
        from diffusion.masks import pasted

        return pasted(self.image, self.overlay, self.mask, self.x, self.y)


class ImageBatch(Node):
    """Pictures of one size in one batch, in order."""

    version = 1
    images: list[Image] = Input(about="pictures or batches")

    def run(self, ctx: Context) -> Image:
        import numpy as np

        from diffusion.masks import alike

        if not self.images:
            raise ValueError("there are no pictures to put together; link some to images")
        batches = alike(self.images)
        sizes = [f"{batch.shape[2]} x {batch.shape[1]}" for batch in batches]
        if len(set(sizes)) > 1:
            raise ValueError(f"the pictures are {' and '.join(dict.fromkeys(sizes))}; scale them with ImageScale")
        return Image(np.concatenate(batches))


class ImageFromBatch(Node):
    """Some pictures of a batch."""

    version = 1
    cached = False
    image: Image
    index: int = Input(0, ge=0, le=4095, about="the first of them, counted from 0")
    count: int = Input(1, ge=1, le=4096, about="how many")

    def run(self, ctx: Context) -> Image:
        batch, last = len(self.image.pixels), self.index + self.count
        if last > batch:
            raise ValueError(f"the batch has {batch} pictures, not {last}; make index or count smaller")
        return Image(self.image.pixels[self.index : last])


class LatentBatch(Node):
    """Latents of one space, size and noise level in one batch, in order. Each then draws the noise of its place."""

    version = 1
    latents: list[Latent] = Input(about="latents or batches")

    def run(self, ctx: Context) -> Latent:
        from diffusion.latents import together

        if not self.latents:
            raise ValueError("there are no latents to put together; link some to latents")
        return together(self.latents)


class LatentFromBatch(Node):
    """Some latents of a batch."""

    version = 1
    cached = False
    latent: Latent
    index: int = Input(0, ge=0, le=4095, about="the first of them, counted from 0")
    count: int = Input(1, ge=1, le=4096, about="how many")

    def run(self, ctx: Context) -> Latent:
        from diffusion.latents import some

        return some(self.latent, self.index, self.count)


class LatentBlend(Node):
    """z = (1 - s) z_1 + s z_2, two latents of one space, size and noise level."""

    version = 1
    latent: Latent
    other: Latent
    share: float = Input(0.5, ge=0, le=1, about="s; 0 is the first latent")

    def run(self, ctx: Context) -> Latent:
        from diffusion.latents import mixed

        return mixed(self.latent, self.other, self.share)
