"""ControlNets: loading one, and steering a model with it by a picture."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from diffusion.identify import called
from diffusion.recipes import Control, ControlNetRecipe, ModelRecipe, VAERecipe
from diffusion.types import Picture
from engine.context import Context
from engine.errors import Place, Problem, error
from engine.node import Input, Node
from nodes.sockets import VAE, ControlNet, Image, Model
from nodes.sources import find_model, told


def control_files(source: str, folder: Path, allowed: Sequence[Path] = ()) -> list[Path]:
    """The files that a ControlNet's source stands for (an `engine.spec.FilesOf`). Errors as in `recipe_for`."""
    from diffusion.control_loading import files_of

    recipe = recipe_for(source, folder)
    return files_of(Path(recipe.source), recipe.variant)


def recipe_for(source: str, folder: Path) -> ControlNetRecipe:
    """The recipe of a ControlNet: its folder, its file, or its hub id.

    Raises E-NOTFOUND, E-PICKLE, E-MODEL, and E-ARCH for one that weft does not know and for another model.
    """
    from diffusion.control_loading import recipe_of

    path = find_model(source, folder, kind="controlnet")
    known = "weft loads ControlNets for Stable Diffusion, SDXL, SD3 and Flux, as folders in diffusers layout or files"
    return told(lambda: recipe_of(path), source, known)


class LoadControlNet(Node):
    """A network that steers a denoiser by a picture (Zhang et al. 2023): a recipe, which reads no weights yet.

    A folder in diffusers layout (config.json and safetensors), or a .safetensors file: with its config.json beside it,
    or for Stable Diffusion and SDXL also by itself. Nets for several kinds of pictures (union) are told which by the
    mode of ControlNetApply.
    """

    version = 1
    cached = False
    source: str = Input(about="a ControlNet: its folder, its .safetensors file, or its hub id", files=control_files)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Input(
        "auto", about="what to compute in; auto: as the model that it steers"
    )

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The recipe itself."""
        return {"controlnet": recipe_for(known["source"], folder)} if "source" in known else {}

    def run(self, ctx: Context) -> ControlNet:
        return replace(recipe_for(self.source, ctx.settings.folder), dtype=self.dtype)


class ControlNetApply(Node):
    """h_k' = h_k + s a(i) r_k(x, t, text, c): states h_k of the denoiser, and what a ControlNet adds to them.

    c is the picture (edges, depth, a pose …), r_k the net's residuals (Zhang et al. 2023), s the strength. a(i) is 1 in
    the steps i of n with start <= i / n and (i + 1) / n <= end, else 0, and then the net does not run. Several in a row
    add up. A picture of another size than what is drawn is resized to it (Lanczos); a batch of N pictures serves a
    batch of N n, each for n in a row.

    guess: the net acts on the positive alone, and less on the first states (0.1 rising to 1 on a logarithmic scale);
    for Stable Diffusion and SDXL, with little or no text.
    """

    version = 1
    cached = False
    model: Model
    controlnet: ControlNet
    image: Image = Input(about="the picture to follow, as the net was trained to see it")
    vae: VAE | None = Input(
        None, about="the model's VAE; needed for SD3 and Flux, whose nets see the picture as a latent"
    )
    strength: float = Input(1.0, ge=0, le=10, about="s; 1 is what was trained")
    start: float = Input(0.0, ge=0, le=1, about="where on the schedule it begins")
    end: float = Input(1.0, ge=0, le=1, about="where on the schedule it ends")
    mode: int | None = Input(None, ge=0, le=63, about="for a union net: which kind of picture, by its authors' numbers")
    guess: bool = Input(False, about="follow the picture rather than the text")

    @classmethod
    def check(cls, literals: Mapping[str, Any]) -> Iterable[Problem]:
        """Refuse an end before the start."""
        start, end = literals.get("start", 0.0), literals.get("end", 1.0)
        if isinstance(start, int | float) and isinstance(end, int | float) and start > end:
            what = f"start {start:g} is after end {end:g}"
            yield Problem("E-RANGE", what, "let it begin before it ends", Place(input="end"))

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The model. Errors as in `check_fit`."""
        model, net = known.get("model"), known.get("controlnet")
        if not isinstance(model, ModelRecipe):
            return {}
        if isinstance(net, ControlNetRecipe):
            check_fit(net, model, known.get("vae", ...), known.get("mode", ...), known.get("guess") is True)
        return {"model": model}

    def run(self, ctx: Context) -> Model:
        net = self.controlnet
        check_fit(net, self.model, self.vae, self.mode, self.guess)
        pixels = self.image.pixels
        digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype}\n".encode() + pixels.tobytes()).hexdigest()
        vae = None if net.hint == "pixels" else self.vae
        control = Control(
            net, Picture(digest, self.image), self.strength, self.start, self.end, vae, self.mode, self.guess
        )
        return replace(self.model, controls=(*self.model.controls, control))


def check_fit(net: ControlNetRecipe, model: ModelRecipe, vae: object, mode: object, guess: bool) -> None:
    """E-ARCH for a net, a VAE or guessing that do not go with the model; E-RANGE for a mode that the net has not.

    vae, mode: `...` where it is not known yet what they are.
    """
    if net.family != model.family:
        what = f"the ControlNet is for {called(net.family)}, and the model is {called(model.family)}"
        hint = "take a ControlNet that was made for this model"
        raise error(Problem("E-ARCH", what, hint, Place(input="controlnet")))
    if net.hint != "pixels" and vae is None:
        what = "this ControlNet sees the picture as a latent, and vae is not linked"
        raise error(Problem("E-ARCH", what, "link the VAE of the model", Place(input="vae")))
    if net.hint != "pixels" and isinstance(vae, VAERecipe) and vae.space != model.space:
        what = f"the VAE codes {vae.space}, and the model works in {model.space}"
        raise error(Problem("E-ARCH", what, "link the VAE of the model", Place(input="vae")))
    if guess and net.family not in ("sd", "sdxl"):
        what = "guess is for ControlNets of Stable Diffusion and SDXL"
        raise error(Problem("E-ARCH", what, "leave guess out", Place(input="guess")))
    if isinstance(mode, int) and mode >= net.modes:
        known = f"modes 0 to {net.modes - 1}" if net.modes else "one kind of picture"
        raise error(Problem("E-RANGE", f"mode is {mode}, and this ControlNet knows {known}", place=Place(input="mode")))
    if mode is None and net.modes:
        what = f"this ControlNet knows {net.modes} kinds of pictures, and mode says none"
        raise error(Problem("E-RANGE", what, f"say which: 0 to {net.modes - 1}", Place(input="mode")))
