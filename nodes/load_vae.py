"""Loading a VAE by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from diffusion.recipes import VAERecipe
from engine.context import Context
from engine.errors import Problem, error
from engine.node import Input, Node
from nodes.sockets import VAE
from nodes.sources import find_model, told

Space = Literal["sd", "sdxl", "sd3", "flux"]


def vae_files(
    source: str,
    folder: Path,
    allowed: Sequence[Path] = (),
    family: str | None = None,
    revision: str | None = None,
    variant: str | None = None,
) -> list[Path]:
    """The files that a VAE's source stands for (an `engine.spec.FilesOf`). Errors as in `recipe_for`."""
    from diffusion.vae_loading import files_of

    recipe = recipe_for(source, folder, family, revision, variant)
    return list(files_of(Path(recipe.source), recipe.space, recipe.variant))


def recipe_for(
    source: str, folder: Path, family: str | None = None, revision: str | None = None, variant: str | None = None
) -> VAERecipe:
    """The recipe of a VAE: its folder, its file, or its hub id.

    Raises E-NOTFOUND, E-PICKLE, E-MODEL, E-ARCH for what is no VAE or one of another family, and E-MISSING where
    nothing tells whose latents it codes.
    """
    from diffusion.vae_loading import UntoldError, recipe_of

    path = find_model(source, folder, revision, "vae", variant)

    def read() -> VAERecipe:
        try:
            return recipe_of(path, family or "", variant or "")
        except UntoldError as why:
            raise error(Problem("E-MISSING", str(why), "name that family as family")) from why

    known = "weft loads VAEs of Stable Diffusion, SDXL, SD3 and Flux, as folders or .safetensors files"
    return told(read, source, known)


class LoadVAE(Node):
    """A VAE by itself, in place of the one that a checkpoint came with (Rombach et al. 2022): a recipe, no weights yet.

    It must code the latents that the model works in. A model's folder and a VAE's config.json say whose these are; a
    file by itself does not, since Stable Diffusion and SDXL, or SD3 and Flux, differ in nothing but the scale of their
    latents: name the family.
    """

    version = 1
    cached = False
    source: str = Input(
        about="a VAE: its folder, a model's folder, a .safetensors file, or a hub id",
        files=vae_files,
        beside=("family", "revision", "variant"),
    )
    family: Space | None = Input(None, about="whose latents it codes; absent: as its config.json says")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Input(
        "auto", about="what to compute in; auto: bfloat16 on CUDA, float32 elsewhere"
    )
    revision: str | None = Input(None, about="of a hub id: a branch, a tag or a commit; absent: main")
    variant: str | None = Input(None, about="of the weight files, such as fp16; absent: the plain ones, if there are")

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The recipe itself."""
        given = "source", "family", "revision", "variant"
        if any(name not in known for name in given):
            return {}
        source, *how = (known[name] for name in given)
        return {"vae": recipe_for(source, folder, *how)}

    def run(self, ctx: Context) -> VAE:
        recipe = recipe_for(self.source, ctx.settings.folder, self.family, self.revision, self.variant)
        return replace(recipe, dtype=self.dtype)
