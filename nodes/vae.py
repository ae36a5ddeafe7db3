"""Between pictures and latents."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusion.recipes import VAERecipe
from engine.context import Context, Settings
from engine.errors import Place, Problem, error
from engine.node import Input, Node
from nodes.compute import dtype_for, models
from nodes.sockets import VAE, Image, Latent


def encoded(known: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is foreseen of a latent that a VAE makes: its space."""
    vae = known.get("vae")
    return {"latent": vae.space} if isinstance(vae, VAERecipe) else {}


def check_space(latent: str, vae: VAERecipe) -> None:
    """E-ARCH for a latent in another space than the VAE's."""
    if latent != vae.space:
        what = f"the latent is in the space {latent}, and this VAE decodes {vae.space}"
        raise error(Problem("E-ARCH", what, "use the VAE of the model that made it", Place(input="latent")))


TILE = "pixels a side of the tiles to work in, for pictures that memory has no room for; 0: the whole at once"
SLICING = "one picture of a batch at a time, which needs less memory"


class VAEEncode(Node):
    """z = mean of q(z | picture): a picture as a clean latent. The mean, not a sample, so that it is pure.

    Tiles overlap by a quarter and are mixed there; the result is near to that of the whole, not equal.
    """

    version = 1
    vae: VAE
    image: Image
    tile: int = Input(0, ge=0, le=4096, multiple_of=32, about=TILE)
    slicing: bool = Input(False, about=SLICING)

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The space of the latent."""
        return encoded(known)

    def run(self, ctx: Context) -> Latent:
        from diffusion.family import family_of
        from diffusion.latent import piecewise

        with models(ctx) as store:
            module = store.load(self.vae, ctx.device, dtype_for(self.vae, ctx))
            return family_of(self.vae).encode(piecewise(module, self.tile, self.slicing), self.vae, self.image)


class VAEDecode(Node):
    """picture = decoder(z), in [0, 1]. For a pixel-space model: (x + 1) / 2, clipped.

    Tiles overlap by a quarter and are mixed there; the result is near to that of the whole, not equal.
    """

    version = 1
    vae: VAE
    latent: Latent
    tile: int = Input(0, ge=0, le=4096, multiple_of=32, about=TILE)
    slicing: bool = Input(False, about=SLICING)

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """Nothing of the picture. E-ARCH for a latent in another space."""
        vae, space = known.get("vae"), known.get("latent")
        if isinstance(vae, VAERecipe) and isinstance(space, str):
            check_space(space, vae)
        return {}

    @classmethod
    def runs_aside(cls, settings: Settings) -> bool:
        """Where the next picture's model need not make room, and nothing is set for the whole process meanwhile."""
        plain = (
            settings.offload == "none"
            and settings.attention == "auto"
            and not settings.strict
            and settings.speed == "none"
        )
        return plain and settings.dtype != "float16"  # there a VAE may be made float32 in its place

    def run(self, ctx: Context) -> Image:
        from diffusion.family import family_of
        from diffusion.latent import piecewise

        check_space(self.latent.space, self.vae)
        with models(ctx) as store:
            module = store.load(self.vae, ctx.device, dtype_for(self.vae, ctx))
            parts = piecewise(module, self.tile, self.slicing)
            return family_of(self.vae).decode(parts, self.vae, self.latent.samples)
