"""Between pictures and latents."""

from engine.context import Context
from engine.node import Input, Node
from nodes.compute import dtype_for, models
from nodes.sockets import VAE, Image, Latent

TILE = "pixels a side of the tiles to work in, for pictures that memory has no room for; 0: the whole at once"


class VAEEncode(Node):
    """z = mean of q(z | picture): a picture as a clean latent. The mean, not a sample, so that it is pure.

    Tiles overlap by a quarter and are mixed there; the result is near to that of the whole, not equal.
    """

    version = 1
    vae: VAE
    image: Image
    tile: int = Input(0, ge=0, le=4096, multiple_of=32, about=TILE)

    def run(self, ctx: Context) -> Latent:
        from diffusion.family import family_of
        from diffusion.latent import tiled

        with models(ctx) as store:
            module = store.load(self.vae, ctx.device, dtype_for(self.vae, ctx))
            with tiled(module, self.tile):
                return family_of(self.vae).encode(module, self.vae, self.image)


class VAEDecode(Node):
    """picture = decoder(z), in [0, 1]. For a pixel-space model: (x + 1) / 2, clipped.

    Tiles overlap by a quarter and are mixed there; the result is near to that of the whole, not equal.
    """

    version = 1
    vae: VAE
    latent: Latent
    tile: int = Input(0, ge=0, le=4096, multiple_of=32, about=TILE)

    def run(self, ctx: Context) -> Image:
        from diffusion.family import family_of
        from diffusion.latent import tiled

        if self.latent.space != self.vae.space:
            raise ValueError(
                f"the latent is in the space {self.latent.space}, and this VAE decodes {self.vae.space}; "
                "use the VAE of the model that made it"
            )
        with models(ctx) as store:
            module = store.load(self.vae, ctx.device, dtype_for(self.vae, ctx))
            with tiled(module, self.tile):
                return family_of(self.vae).decode(module, self.vae, self.latent.samples)
