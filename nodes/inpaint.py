"""Latents of which only a part is painted anew."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from engine.context import Context
from engine.node import Input, Node
from nodes.compute import dtype_for, models
from nodes.sockets import VAE, Image, Latent, Mask
from nodes.vae import encoded


class InpaintLatent(Node):
    """z with a mask m: UNetDenoise paints anew where m is 1, and leaves the picture as it was where m is 0.

    With a plain model the rest is put back at each step, at the noise of that step; an inpainting model (9 channels)
    sees the mask and the picture with that part covered. On a whole schedule it begins with noise alone; cut at the
    start (CutSchedule), it keeps the rough shape of what is there.
    """

    version = 1
    vae: VAE
    image: Image
    mask: Mask = Input(about="of the picture's size; 1 marks what is to be painted anew")
    edge: Literal["hard", "soft"] = Input(
        "hard", about="hard: all or nothing, divided at a half; soft: grey parts of the mask are mixed at each step"
    )

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The space of the latent."""
        return encoded(known)

    def run(self, ctx: Context) -> Latent:
        from diffusion.family import family_of
        from diffusion.inpaint import inpaint_latent
        from diffusion.types import Image

        with models(ctx) as store:
            family, module = family_of(self.vae), store.load(self.vae, ctx.device, dtype_for(self.vae, ctx))

            def encode(image: Image) -> Latent:
                return family.encode(module, self.vae, image)

            return inpaint_latent(encode, self.image, self.mask, self.edge)


class MaskLatent(Node):
    """z with a mask m, of a latent that is there already: where m is 0, UNetDenoise leaves it as it is.

    The mask is resized to the latent, and grey parts of it are mixed at each step. A network made for inpainting (9
    channels) also has to see the picture with that part covered: take InpaintLatent for it.
    """

    version = 1
    latent: Latent
    mask: Mask = Input(about="of any size; 1 marks what is to be painted anew")

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The space of the latent."""
        return {"latent": known["latent"]} if isinstance(known.get("latent"), str) else {}

    def run(self, ctx: Context) -> Latent:
        from diffusion.inpaint import masked

        return masked(self.latent, self.mask)
