"""Between pictures and latents."""

from engine.context import Context
from engine.node import Node
from nodes.compute import dtype_for
from nodes.sockets import VAE, Image, Latent


class VAEEncode(Node):
    """z = mean of q(z | picture): a picture as a clean latent. The mean, not a sample, so that it is pure."""

    version = 1
    vae: VAE
    image: Image

    def run(self, ctx: Context) -> Latent:
        from diffusion.family import family_of
        from diffusion.store import STORE

        module = STORE.load(self.vae, ctx.device, dtype_for(self.vae, ctx))
        return family_of(self.vae).encode(module, self.vae, self.image)


class VAEDecode(Node):
    """picture = decoder(z), in [0, 1]. For a pixel-space model: (x + 1) / 2, clipped."""

    version = 1
    vae: VAE
    latent: Latent

    def run(self, ctx: Context) -> Image:
        from diffusion.family import family_of
        from diffusion.store import STORE

        if self.latent.space != self.vae.space:
            raise ValueError(
                f"the latent is in the space {self.latent.space}, and this VAE decodes {self.vae.space}; "
                "use the VAE of the model that made it"
            )
        module = STORE.load(self.vae, ctx.device, dtype_for(self.vae, ctx))
        return family_of(self.vae).decode(module, self.vae, self.latent.samples)
