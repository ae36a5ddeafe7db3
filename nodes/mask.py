"""Masks: 1 marks what is to be painted anew."""

from typing import Literal

from engine.context import Context
from engine.node import Input, Node
from nodes.sockets import Image, Mask

SIDE = 16384


class MaskFromImage(Node):
    """A mask of a picture's luminance (0.299 R + 0.587 G + 0.114 B) or of one channel; cut at a threshold if given."""

    version = 1
    image: Image
    channel: Literal["luminance", "red", "green", "blue"] = Input("luminance", about="what the mask is made of")
    threshold: float | None = Input(None, ge=0, le=1, about="1 from here on, 0 below; absent: grey as it is")

    def run(self, ctx: Context) -> Mask:
        from diffusion.masks import of_image

        return of_image(self.image, self.channel, self.threshold)


class ImageFromMask(Node):
    """A mask as a grey picture: white where it is 1."""

    version = 1
    cached = False
    mask: Mask

    def run(self, ctx: Context) -> Image:
        return Image(self.mask.values[..., None])


class InvertMask(Node):
    """1 - m."""

    version = 1
    cached = False
    mask: Mask

    def run(self, ctx: Context) -> Mask:
        return Mask(1 - self.mask.values)


class GrowMask(Node):
    """Dilation: each value spread outwards over an octagon; erosion where pixels is negative."""

    version = 1
    mask: Mask
    pixels: int = Input(6, ge=-1024, le=1024, about="how far; negative shrinks")

    def run(self, ctx: Context) -> Mask:
        from diffusion.masks import grown

        return grown(self.mask, self.pixels)


class BlurMask(Node):
    """A mask with soft edges, under a Gaussian."""

    version = 1
    mask: Mask
    sigma: float = Input(8.0, ge=0, le=512, about="deviation of the Gaussian in pixels")

    def run(self, ctx: Context) -> Mask:
        from diffusion.masks import blurred

        return blurred(self.mask, self.sigma)


class FeatherMask(Node):
    """A mask that fades out towards the edges of the picture, linearly."""

    version = 1
    mask: Mask
    left: int = Input(0, ge=0, le=SIDE, about="pixels from the edge")
    top: int = Input(0, ge=0, le=SIDE, about="pixels from the edge")
    right: int = Input(0, ge=0, le=SIDE, about="pixels from the edge")
    bottom: int = Input(0, ge=0, le=SIDE, about="pixels from the edge")

    def run(self, ctx: Context) -> Mask:
        from diffusion.masks import feathered

        return feathered(self.mask, self.left, self.top, self.right, self.bottom)


class MaskCombine(Node):
    """Two masks in one: union max(a, b), intersect min(a, b), subtract a - b, difference |a - b|, add, multiply."""

    version = 1
    first: Mask
    second: Mask
    operation: Literal["union", "intersect", "subtract", "difference", "add", "multiply"] = Input("union", about="how")

    def run(self, ctx: Context) -> Mask:
        from diffusion.masks import combined

        return combined(self.first, self.second, self.operation)


class SolidMask(Node):
    """A mask of one value everywhere."""

    version = 1
    cached = False
    width: int = Input(512, ge=1, le=SIDE, about="pixels")
    height: int = Input(512, ge=1, le=SIDE, about="pixels")
    value: float = Input(1.0, ge=0, le=1, about="1 marks what is to be painted anew")

    def run(self, ctx: Context) -> Mask:
        import numpy as np

        return Mask(np.full((1, self.height, self.width), self.value, np.float32))


class RectangleMask(Node):
    """A mask that is 1 in a rectangle and 0 elsewhere. What sticks out of the picture is cut off."""

    version = 1
    cached = False
    width: int = Input(512, ge=1, le=SIDE, about="of the picture, in pixels")
    height: int = Input(512, ge=1, le=SIDE, about="of the picture, in pixels")
    x: int = Input(0, ge=0, le=SIDE, about="left edge of the rectangle")
    y: int = Input(0, ge=0, le=SIDE, about="top edge of the rectangle")
    across: int = Input(256, ge=1, le=SIDE, about="how wide the rectangle is")
    down: int = Input(256, ge=1, le=SIDE, about="how high the rectangle is")

    def run(self, ctx: Context) -> Mask:
        import numpy as np

        values = np.zeros((1, self.height, self.width), np.float32)
        values[:, self.y : self.y + self.down, self.x : self.x + self.across] = 1
        return Mask(values)
