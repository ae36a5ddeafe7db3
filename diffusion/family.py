"""What a model family knows that nothing else does: how to load it, and what its network wants to be fed.

An adapter per architecture implements `Family` and stands in `FAMILIES`; samplers, guidance and schedules never ask
which one they run.
"""

from typing import Protocol

import torch
from torch import nn

from diffusion import flux, pixel, refiner, sd3, stable
from diffusion.guidance import Load, Network
from diffusion.prompt import Cut
from diffusion.recipes import ModelRecipe, Recipe, TextEncoderRecipe, VAERecipe, picture_size
from diffusion.steer import Steer, unsteered
from diffusion.types import Conditioning, Image, Latent, Prompt


class Family(Protocol):
    """An adapter for one architecture. `module` is always what its own `load` gave.

    shared: names of inputs that a negative takes from the positive where it has none of its own.
    pushes_from_empty: where no negative is given, guidance pushes away from `unconditional`; else it does nothing then.
    """

    shared: tuple[str, ...]
    pushes_from_empty: bool

    def load(self, recipe: Recipe, dtype: torch.dtype) -> nn.Module:
        """The module of a recipe with its weights, on the CPU. ValueError if the file is damaged."""
        ...

    def network(self, module: nn.Module, recipe: ModelRecipe, steer: Steer = unsteered) -> Network:
        """The denoising network as a callable over (x, level, inputs). steer: what ControlNets feed it beside these."""
        ...

    def unconditional(self, recipe: ModelRecipe, positive: Conditioning | None, load: Load) -> Conditioning:
        """What to feed where nothing was asked for, beside a positive or by itself.

        load: gives the module of a recipe, for a family that has to encode an empty text.
        """
        ...

    def encode_text(self, module: nn.Module, recipe: TextEncoderRecipe, prompt: Prompt) -> Conditioning:
        """Text as conditioning. ValueError if it cannot be read, or for what the family's encoder does not have."""
        ...

    def cut_off(self, module: nn.Module, prompt: Prompt) -> Cut | None:
        """How many tokens the text is, and what the encoder does not read of it; None where a text has no tokens."""
        ...

    def encode(self, module: nn.Module, recipe: VAERecipe, image: Image) -> Latent:
        """A picture as a clean latent: the mean, so that it is pure."""
        ...

    def decode(self, module: nn.Module, recipe: VAERecipe, samples: torch.Tensor) -> Image:
        """Latent samples (B, C, H, W) as a picture."""
        ...


FAMILIES: dict[str, Family] = {
    "pixel": pixel.Pixel(),
    "sd": stable.StableDiffusion(),
    "sdxl": stable.StableDiffusionXL(),
    "sdxl-refiner": refiner.StableDiffusionXLRefiner(),
    "sd3": sd3.StableDiffusion3(),
    "flux": flux.Flux(),
}


def family_of(recipe: Recipe) -> Family:
    """The adapter of a recipe's family. ValueError that lists those known if there is none."""
    if recipe.family not in FAMILIES:
        raise ValueError(f'unknown model family "{recipe.family}"; known: {", ".join(FAMILIES)}')
    return FAMILIES[recipe.family]


def empty_latent(recipe: ModelRecipe, width: int | None = None, height: int | None = None, batch: int = 1) -> Latent:
    """Room for `batch` pictures of a size in pixels, the model's own by default. ValueError for one it cannot make."""
    width, height = picture_size(recipe, width, height)
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    shape = (batch, recipe.channels, height // recipe.factor, width // recipe.factor)
    return Latent(torch.zeros(shape), recipe.space, "empty")
