"""Keeping a model: what was trained, merged or loaded, as a folder."""

import filecmp
import itertools
import json
import shutil
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from diffusion.recipes import ControlNetRecipe, ModelRecipe
from engine.context import Context
from engine.errors import Place, Problem, error
from engine.node import Input, Node
from engine.values import Saved
from nodes.compute import fitting, models
from nodes.output import output_path, save_bytes
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
    the weights, W' = W + s (alpha / r) B A, and a model in one file becomes a folder. Where a folder of that name holds
    another model, the next free number is put behind the name.
    """

    version = 2
    effect = True
    model: Model | ControlNet
    text_encoder: TextEncoder | None = Input(None, about="default: the one beside the denoiser")
    vae: VAE | None = Input(None, about="default: the one beside the denoiser")
    path: str = Input("model", about="name of the folder; {param} is filled in", template=True)
    losses: Losses | None = Input(None, about="the loss of every step, for the log")
    dtype: Literal["kept", "float32", "bfloat16", "float16"] = Input("kept", about="of the weights that are written")

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """Nothing. E-ARCH for a text encoder or a VAE of another family than the model."""
        from diffusion.identify import called

        model, encoder, vae = (known.get(name) for name in ("model", "text_encoder", "vae"))
        if not isinstance(model, ModelRecipe):
            return {}
        for name, other, kind in (("text_encoder", encoder, model.family), ("vae", vae, model.space)):
            theirs = getattr(other, "space" if name == "vae" else "family", kind)
            if theirs != kind:
                what = f"a part for {called(theirs)} beside a model of {called(model.family)}"
                raise error(Problem("E-ARCH", what, "take one of the model's family", Place(input=name)))
        return {}

    def run(self, ctx: Context) -> Saved:
        check_weights(model=self.model, text_encoder=self.text_encoder)
        stage = ctx.scratch / "stage"
        shutil.rmtree(stage, ignore_errors=True)
        folder = self._folder(ctx, stage / "model")
        files = {
            file.relative_to(folder).as_posix(): file
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file.name != LOG
        }
        if self.dtype != "kept":
            files = {name: self._cast(file, stage / "cast" / name) for name, file in files.items()}
        files[LOG] = stage / LOG
        stage.mkdir(exist_ok=True)
        files[LOG].write_text(json.dumps(self._log(ctx), indent=1) + "\n", "utf-8")
        template = self._free(ctx, files)
        if template != self.path:
            what = f"{self.path} holds another model; wrote {template}"
            ctx.warn("W-OUT", what, "put {param} into the path, or give another --out", input="path")
        saved = []
        for name, file in files.items():
            mime = MIMES.get(file.suffix, "application/octet-stream")
            saved.append(save_bytes(ctx, f"{template}/{name}", file.read_bytes(), mime=mime))
        shutil.rmtree(stage)  # as large as what was written
        return Saved(tuple(saved))

    def _folder(self, ctx: Context, target: Path) -> Path:
        """A folder with the files of the model and nothing else: its own, or else `target`."""
        source = Path(self.model.source)
        if isinstance(self.model, ControlNetRecipe):
            if source.is_dir():
                return source
            from diffusion import control_loading, derived

            net = control_loading.load(self.model, derived.kept_dtype(self.model))
            net.save_pretrained(target)  # type: ignore[operator]
            return target
        if self.model.family == "pixel":
            return source
        from diffusion import derived

        with models(ctx), fitting():
            derived.write(target, self.model, self.text_encoder, self.vae)
        return target

    def _cast(self, file: Path, target: Path) -> Path:
        """A file of weights in the dtype that was asked for; another as it is."""
        if file.suffix != ".safetensors":
            return file
        from diffusion.checkpoint import in_dtype

        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(in_dtype(file.read_bytes(), self.dtype))
        return target

    def _log(self, ctx: Context) -> dict[str, object]:
        """The workflow, and the losses: the mean of each stretch of steps."""
        values = self.losses.values if self.losses else ()
        stretch = max(1, -(-len(values) // LOG_ROWS))
        ends = range(stretch, len(values) + stretch, stretch)
        means = [(min(end, len(values)), statistics.fmean(values[end - stretch : end])) for end in ends]
        return {
            "workflow": ctx.document,
            "numerics": ctx.settings.numerics,
            "loss": [[step, round(mean, 6)] for step, mean in means],
        }

    def _free(self, ctx: Context, files: Mapping[str, Path]) -> str:
        """The path, or the path with the next number, where no file of another content has the name of one of these: a
        folder with parts of two models is none."""
        for number in itertools.count(1):
            template = self.path if number == 1 else f"{self.path}-{number}"
            places = ((file, output_path(ctx, f"{template}/{name}")) for name, file in files.items())
            if all(not place.exists() or filecmp.cmp(file, place, shallow=False) for file, place in places):
                return template
        raise AssertionError
