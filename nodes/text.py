"""Text as conditioning."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusion.recipes import TextEncoderRecipe
from diffusion.types import Prompt, Weighting
from engine.context import Context
from engine.node import Input, Node
from engine.text import quoted
from nodes.compute import dtype_for, fitting, models
from nodes.sockets import Conditioning, TextEncoder


class TextEncode(Node):
    """c = encoder(text): what a denoiser is told to draw.

    Stable Diffusion reads the last layer of a CLIP text encoder, SDXL the last but one of two; clip_skip leaves out
    that many more. weighting says how (word:1.2) is read, with z what the encoder makes of a token and w its weight:
    none   as written; what goes beyond the encoder's 77 tokens is cut off, and a W-TOKENS says what
    a1111  z' = w z, then scaled back to the mean of z, as in stable-diffusion-webui
    comfy  z' = z_empty + w (z - z_empty), as in ComfyUI
    The last two read a text of any length, 75 tokens at a time.

    For a class-conditional model the text names classes: "7", or several, "0 1 2", which then share the batch in turn
    (the first n pictures are 0, the next n are 1, …). Empty text is "no class", what guidance pushes away from.
    """

    version = 1
    text_encoder: TextEncoder
    text: str = Input(about="the prompt; for a class-conditional model the names of classes")
    text_2: str | None = Input(None, about="the prompt for the second encoder; default: the same")
    text_3: str | None = Input(None, about="the prompt for the third encoder; default: the same")
    clip_skip: int = Input(0, ge=0, le=64, about="how many of a CLIP encoder's last layers to leave out")
    max_tokens: int | None = Input(None, ge=2, le=4096, about="tokens that T5 reads; default: what the model takes")
    weighting: Weighting = Input("none", about="how weights in the text are read")

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The family whose encoder made it."""
        encoder = known.get("text_encoder")
        return {"conditioning": encoder.family} if isinstance(encoder, TextEncoderRecipe) else {}

    def run(self, ctx: Context) -> Conditioning:
        from diffusion.family import family_of

        family = family_of(self.text_encoder)
        prompt = Prompt(self.text, self.text_2, self.text_3, self.clip_skip, self.max_tokens, self.weighting)
        with models(ctx) as store:
            with fitting():
                module = store.load(self.text_encoder, ctx.device, dtype_for(self.text_encoder, ctx))
            cut = family.cut_off(module, prompt)
            if cut is not None:
                ctx.say(f"{cut.total} tokens" + (f" in {cut.chunks} chunks" if cut.chunks > 1 else ""))
                if cut.cut:
                    what = f"{cut.cut} of {cut.total} tokens cut, from {quoted(cut.rest)}"
                    ctx.warn("W-TOKENS", what, cut.remedy, input="text")
            return family.encode_text(module, self.text_encoder, prompt)


class ZeroCondition(Node):
    """c = 0: a conditioning with all embeddings zero, which SDXL takes where there is no negative prompt."""

    version = 1
    conditioning: Conditioning

    def run(self, ctx: Context) -> Conditioning:
        from diffusion.conditions import zeroed

        return zeroed(self.conditioning)


class SizeCondition(Node):
    """Sizes in pixels that SDXL is told beside the text (Podell et al. 2023, section 2.2).

    width and height: of the picture it is to look like it was made from; small ones make soft pictures. crop: where
    its left upper corner was cut; 0 keeps things in the middle. target: the size of what is drawn. Without this
    node all sizes are that of the latent. A negative without sizes has those of the positive.

    The SDXL refiner is told an aesthetic score instead of the target: 6 if none is given, and 2.5 in a negative.
    """

    version = 1
    conditioning: Conditioning
    width: int = Input(ge=1, le=16384, about="pixels")
    height: int = Input(ge=1, le=16384, about="pixels")
    crop_x: int = Input(0, ge=0, le=16384, about="pixels cut off at the left")
    crop_y: int = Input(0, ge=0, le=16384, about="pixels cut off at the top")
    target_width: int | None = Input(None, ge=1, le=16384, about="pixels; default: width")
    target_height: int | None = Input(None, ge=1, le=16384, about="pixels; default: height")
    aesthetic_score: float | None = Input(None, ge=0, le=10, about="for the SDXL refiner alone: how good it is to look")

    def run(self, ctx: Context) -> Conditioning:
        from diffusion.conditions import size_ids, sized

        ids = size_ids(self.width, self.height, self.crop_x, self.crop_y, self.target_width, self.target_height)
        return sized(self.conditioning, ids, self.aesthetic_score)


class FluxGuidance(Node):
    """The guidance scale as something that the network is told beside the text (Meng et al. 2023).

    Flux dev and LCM were distilled to draw in one call what guidance draws in two: they read w here, and CFG.scale
    stays 1. Without this node Flux dev is told 3.5. Models that take no scale, such as Flux schnell, do not look at it.
    """

    version = 1
    conditioning: Conditioning
    scale: float = Input(3.5, ge=0, le=100, about="w")

    def run(self, ctx: Context) -> Conditioning:
        from diffusion.conditions import told_scale

        return told_scale(self.conditioning, self.scale)
