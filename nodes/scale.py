"""Other sizes: pictures by a filter or by a network that was trained to enlarge, and latents."""

import math
from typing import Literal

from engine.context import Context
from engine.errors import Problem, error
from engine.node import Input, Node
from nodes.files import upscaler_file
from nodes.sockets import Image, Latent

SIDE = 16384
PIXELS = {"pixel": 1}
"""Pixels that a latent's place stands for, by its space; 8 in all others."""


class ImageScale(Node):
    """A picture in another size: the width and height given (or its own), times the factor.

    With only one of them the other follows from the picture's shape. fit says what becomes of a picture of another
    shape than the frame: stretch it, crop what sticks out, pad it with a colour, or shrink the frame (inside).
    """

    version = 1
    image: Image
    width: int | None = Input(None, ge=1, le=SIDE, about="pixels")
    height: int | None = Input(None, ge=1, le=SIDE, about="pixels")
    factor: float = Input(1.0, ge=0.001, le=64, about="times the size")
    megapixels: float | None = Input(
        None,
        ge=0.01,
        le=64,
        about="of 1024 x 1024 pixels: the factor that gives so many; width, height are then not used",
    )
    fit: Literal["stretch", "crop", "pad", "inside"] = Input("stretch", about="where the shapes differ")
    filter: Literal["lanczos", "bicubic", "bilinear", "area", "nearest"] = Input("lanczos", about="how to interpolate")
    multiple_of: int = Input(1, ge=1, le=512, about="round the frame to the nearest multiple; VAEs take 8")
    colour: str = Input("black", about="of the padding: a name, or #rrggbb")

    def run(self, ctx: Context) -> Image:
        from PIL import ImageColor

        from diffusion.resize import fitted, size_for

        try:
            red, green, blue = ImageColor.getrgb(self.colour)[:3]
        except ValueError as why:
            raise error(Problem("E-CHOICE", f"{self.colour!r} is no colour", "write a name, or #rrggbb")) from why
        high, wide = self.image.pixels.shape[1:3]
        if self.megapixels is not None:
            factor = self.factor * math.sqrt(self.megapixels * 1024 * 1024 / (wide * high))
            width, height = size_for((wide, high), None, None, factor, self.multiple_of)
        else:
            width, height = size_for((wide, high), self.width, self.height, self.factor, self.multiple_of)
        return fitted(self.image, width, height, self.filter, self.fit, (red / 255, green / 255, blue / 255))


class LatentScale(Node):
    """A latent in another size, by the width and height in pixels of its picture (or its own), times the factor.

    Only a clean or an empty one: noise that is scaled is no longer noise. A scaled latent decodes to a blurred
    picture; denoise it again from a CutSchedule (start 0.4 … 0.6) to sharpen it.
    """

    version = 1
    latent: Latent
    width: int | None = Input(None, ge=1, le=SIDE, about="pixels of the picture")
    height: int | None = Input(None, ge=1, le=SIDE, about="pixels of the picture")
    factor: float = Input(1.0, ge=0.01, le=64, about="times the size")
    method: Literal["nearest-exact", "bilinear", "bicubic", "area"] = Input("nearest-exact", about="how to interpolate")

    def run(self, ctx: Context) -> Latent:
        from diffusion.latents import scaled
        from diffusion.resize import size_for

        each = PIXELS.get(self.latent.space, 8)
        high, wide = self.latent.samples.shape[2:]
        width, height = size_for((wide * each, high * each), self.width, self.height, self.factor, each)
        return scaled(self.latent, width // each, height // each, self.method)


class UpscaleImage(Node):
    """A picture enlarged by a network such as ESRGAN, Compact, SPAN or SwinIR, which spandrel tells by its tensors.

    The network fixes the factor. A large picture is cut into tiles with overlap, each seen with what is around it.
    (Wang et al. 2018, ESRGAN; 2021, Real-ESRGAN.)
    """

    version = 1
    image: Image
    source: str = Input(about="a .safetensors file, or owner/name/file in the hub's local cache", files=upscaler_file)
    tile: int = Input(512, ge=0, le=4096, about="side of the tiles in pixels; 0: all at once")
    overlap: int = Input(32, ge=0, le=512, about="pixels around a tile that it is seen with")
    dtype: Literal["float32", "float16", "bfloat16"] = Input("float32", about="what to compute in")

    def run(self, ctx: Context) -> Image:
        from diffusion.upscale import enlarge, load

        (path,) = upscaler_file(self.source, ctx.settings.folder)
        try:
            network = load(path, ctx.device, self.dtype)
        except ValueError as why:
            raise error(Problem("E-ARCH", str(why), "give an upscaler, such as a Real-ESRGAN as .safetensors")) from why
        ctx.progress(0, 1, f"{network.architecture.name}, {network.scale} times")
        return enlarge(network, self.image, self.tile, self.overlap, ctx.progress)
