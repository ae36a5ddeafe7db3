"""Loading models. What travels on is a recipe: the weights are read when something first computes with them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from engine.context import Context
from engine.node import Input, Node
from nodes.sockets import VAE, Model, TextEncoder
from nodes.sources import model_files, recipes, taken_variant


class Checkpoint(NamedTuple):
    """What a checkpoint holds."""

    model: Model
    text_encoder: TextEncoder
    vae: VAE


class LoadCheckpoint(Node):
    """The denoiser, text encoder and VAE of a model: a recipe for each, which reads no weights yet.

    The source is the name of a shipped model; a folder in diffusers layout (model_index.json) with Stable Diffusion 1.x
    or 2.x, SDXL, SD3 or Flux; the hub id of one in the hub's cache; a name in the folders of weft.toml; or a single
    .safetensors file with Stable Diffusion 1.x or 2.x or SDXL. Only safetensors are read. A pixel-space model (one
    that TrainDDPM or TrainDiT made) comes with a text encoder that turns the name of a class into its label, and with a
    VAE that only maps [-1, 1] to [0, 1].
    """

    version = 1
    cached = False
    source: str = Input(
        about="a shipped model's name, a model folder, a hub id, or a .safetensors file",
        files=model_files,
        beside=("revision", "variant", "config"),
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Input(
        "auto", about="what to compute in; auto: bfloat16 on CUDA, float32 elsewhere"
    )
    revision: str | None = Input(None, about="of a hub id: a branch, a tag or a commit; absent: main")
    variant: str | None = Input(None, about="of the weight files, such as fp16; absent: the plain ones, if there are")
    config: str | None = Input(
        None, about="of a single file: a folder or hub id of its family, for configurations and tokenizers"
    )

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The recipes themselves."""
        given = "source", "revision", "variant", "config"
        if any(name not in known for name in given):
            return {}
        source, *how = (known[name] for name in given)
        return dict(zip(Checkpoint._fields, recipes(source, folder, *how), strict=True))

    def run(self, ctx: Context) -> Checkpoint:
        given = (self.source, ctx.settings.folder, self.revision, self.variant, self.config)
        model, text_encoder, vae = recipes(*given)
        if variant := taken_variant(model):
            what = f"{self.source} has no plain weights; its variant {variant} was taken"
            ctx.fell_back(what, f"say variant = {variant} if you mean it")
            ctx.warn("W-VARIANT", what, f"say variant = {variant} if you mean it", input="source")
        return Checkpoint(
            replace(model, dtype=self.dtype), replace(text_encoder, dtype=self.dtype), replace(vae, dtype=self.dtype)
        )
