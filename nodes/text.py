"""Text as conditioning."""

from engine.context import Context
from engine.node import Input, Node
from nodes.compute import dtype_for
from nodes.sockets import Conditioning, TextEncoder


class TextEncode(Node):
    """c = encoder(text): what a denoiser is told to draw.

    For a class-conditional model the text names classes: "7", or several, "0 1 2", which then share the batch in turn
    (the first n pictures are 0, the next n are 1, …). Empty text is "no class", what guidance pushes away from.
    """

    version = 1
    text_encoder: TextEncoder
    text: str = Input(about="the prompt; for a class-conditional model the names of classes")

    def run(self, ctx: Context) -> Conditioning:
        from diffusion.family import family_of
        from diffusion.store import STORE

        module = STORE.load(self.text_encoder, ctx.device, dtype_for(self.text_encoder, ctx))
        return family_of(self.text_encoder).encode_text(module, self.text_encoder, self.text)
