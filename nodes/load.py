"""Loading models. What travels on is a recipe: the weights are read when something first computes with them."""

from dataclasses import replace
from typing import Literal, NamedTuple

from engine.context import Context
from engine.node import Input, Node
from nodes.sockets import VAE, Model, TextEncoder
from nodes.sources import find_model, model_files, recipes


class Checkpoint(NamedTuple):
    """What a checkpoint holds."""

    model: Model
    text_encoder: TextEncoder
    vae: VAE


class LoadCheckpoint(Node):
    """The denoiser, text encoder and VAE of a model: a recipe for each, which reads no weights yet.

    A folder in diffusers layout (model_index.json) may hold Stable Diffusion 1.x or 2.x, or SDXL, as safetensors. A
    pixel-space model (a DDPM) comes with a text encoder that turns the name of a class into its label, and with a VAE
    that only maps [-1, 1] to [0, 1].
    """

    version = 1
    cached = False
    source: str = Input(about="the name of a shipped model, or a model folder", files=model_files)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Input(
        "auto", about="what to compute in; auto: bfloat16 on CUDA, float32 elsewhere"
    )

    def run(self, ctx: Context) -> Checkpoint:
        model, text_encoder, vae = recipes(find_model(self.source, ctx.settings.folder))
        return Checkpoint(
            replace(model, dtype=self.dtype), replace(text_encoder, dtype=self.dtype), replace(vae, dtype=self.dtype)
        )
