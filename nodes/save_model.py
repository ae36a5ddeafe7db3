"""Keeping a model: what was trained, merged or loaded, as a folder."""

import json
from pathlib import Path
from typing import Literal

from diffusion.recipes import ControlNetRecipe
from engine.context import Context
from engine.node import Input, Node
from engine.values import Saved
from nodes.compute import fitting, models
from nodes.output import save_bytes
from nodes.patch import check_weights
from nodes.sockets import VAE, ControlNet, Losses, Model, TextEncoder

LOG = "log.json"
LOG_ROWS = 200
"""Losses in a log at most: the mean of each stretch of steps."""
MIMES = {".json": "application/json", ".txt": "text/plain"}
"""What files of a model are, where they are not plain bytes."""


class SaveModel(Node):
    """Write a model or ControlNet into the output folder: its files, and log.json, which holds the workflow that made
    it and how the loss fell. The folder can be given to LoadCheckpoint or LoadControlNet, and to diffusers.

    A text encoder or a VAE from elsewhere takes the place of the one that is beside the denoiser. LoRAs become part of
    the weights, W' = W + s (alpha / r) B A, and a model in one file becomes a folder.
    """

    version = 2
    effect = True
    model: Model | ControlNet
    text_encoder: TextEncoder | None = Input(None, about="default: the one beside the denoiser")
    vae: VAE | None = Input(None, about="default: the one beside the denoiser")
    path: str = Input("model", about="name of the folder; {param} is filled in", template=True)
    losses: Losses | None = Input(None, about="the loss of every step, for the log")
    dtype: Literal["kept", "float32", "bfloat16", "float16"] = Input("kept", about="of the weights that are written")

    def run(self, ctx: Context) -> Saved:
        from diffusion.checkpoint import in_dtype

        check_weights(model=self.model, text_encoder=self.text_encoder)
        values = self.losses.values if self.losses else ()
        stretch = max(1, -(-len(values) // LOG_ROWS))
        means = [
            (i + stretch, sum(part := values[i : i + stretch]) / len(part)) for i in range(0, len(values), stretch)
        ]
        log = {
            "workflow": ctx.document,
            "numerics": ctx.settings.numerics,
            "loss": [[min(step, len(values)), round(mean, 6)] for step, mean in means],
        }
        saved, folder = [], self._folder(ctx)
        for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != LOG):
            data, mime = file.read_bytes(), MIMES.get(file.suffix, "application/octet-stream")
            if file.suffix == ".safetensors" and self.dtype != "kept":
                data = in_dtype(data, self.dtype)
            saved.append(save_bytes(ctx, f"{self.path}/{file.relative_to(folder).as_posix()}", data, mime=mime))
        text = json.dumps(log, indent=1) + "\n"
        saved.append(save_bytes(ctx, f"{self.path}/{LOG}", text.encode(), mime=MIMES[".json"]))
        return Saved(tuple(saved))

    def _folder(self, ctx: Context) -> Path:
        """A folder with the files of the model and nothing else."""
        source = Path(self.model.source)
        if isinstance(self.model, ControlNetRecipe):
            from diffusion import control_loading, derived

            if source.is_dir():
                return source
            net = control_loading.load(self.model, derived.kept_dtype(self.model))
            net.save_pretrained(ctx.scratch / "model")  # type: ignore[operator]
            return ctx.scratch / "model"
        if self.model.family == "pixel":
            return source
        from diffusion import derived

        with models(ctx), fitting():
            derived.write(ctx.scratch / "model", self.model, self.text_encoder, self.vae)
        return ctx.scratch / "model"
