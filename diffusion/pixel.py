"""The family of models that denoise pictures themselves: DDPMs and flows, with a network of ours.

The latent is the picture: pixels in 0 … 1 become samples in -1 … 1 and back, so the VAE is the identity. The text of a
class-conditional model is a list of class names: "7" is one prompt, "0 1 2" three, "" means no class in particular.
"""

import difflib
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.torch import load_file
from torch import nn

from diffusion.checkpoint import WEIGHTS, read_config
from diffusion.guidance import Inputs, Load, Network
from diffusion.networks import PixelNetwork, build, sizes_of
from diffusion.prompt import Cut
from diffusion.recipes import ModelRecipe, Recipe, TextEncoderRecipe, VAERecipe
from diffusion.steer import Steer, unsteered
from diffusion.transfer import fetched
from diffusion.types import Conditioning, Image, Latent, Level, Prompt

GREY = (0.299, 0.587, 0.114)
"""Share of red, green and blue in brightness (ITU-R BT.601)."""


class Pixel:
    """The adapter; see `diffusion.family.Family` for what each method does."""

    shared: tuple[str, ...] = ()
    pushes_from_empty = True

    def load(self, recipe: Recipe, dtype: torch.dtype) -> nn.Module:
        """The network of a model folder. Text encoder and VAE hold no weights: an empty module."""
        return load_network(Path(recipe.source)).to(dtype) if isinstance(recipe, ModelRecipe) else nn.Identity()

    def network(self, module: nn.Module, recipe: ModelRecipe, steer: Steer = unsteered) -> Network:
        """x and labels to the network's output. Labels may be left out: no class."""
        weights = next(module.parameters())

        def run(x: torch.Tensor, level: Level, inputs: Inputs) -> torch.Tensor:
            t = torch.full((x.shape[0],), level.t, device=x.device)
            o: torch.Tensor = module(x.to(weights.dtype), t, inputs.get("labels"))
            return o.to(x.dtype)

        return run

    def unconditional(self, recipe: ModelRecipe, positive: Conditioning | None, load: Load) -> Conditioning:
        """The label that means no class, or nothing at all where the model has no classes."""
        if not recipe.class_names:
            return Conditioning({})
        return Conditioning({"labels": torch.tensor([len(recipe.class_names)])})

    def encode_text(self, module: nn.Module, recipe: TextEncoderRecipe, prompt: Prompt) -> Conditioning:
        """{"labels": (P,) int64}, one for each class named in the text."""
        if prompt != Prompt(prompt.text):
            raise ValueError("the text of a class-conditional model is a list of names: it takes nothing but text")
        return Conditioning({"labels": torch.tensor(labels_of(prompt.text, recipe.class_names))}, prompt.text)

    def cut_off(self, module: nn.Module, prompt: Prompt) -> Cut | None:
        """None: every class that a text names is read."""
        return None

    def encode(self, module: nn.Module, recipe: VAERecipe, image: Image) -> Latent:
        """x = 2 p - 1, in as many channels as the model has."""
        pixels = in_channels(image.pixels, recipe.channels)
        return Latent(torch.tensor(pixels).permute(0, 3, 1, 2).contiguous() * 2 - 1, recipe.space)

    def decode(self, module: nn.Module, recipe: VAERecipe, samples: torch.Tensor) -> Image:
        """p = (x + 1) / 2, clipped to 0 … 1."""
        pixels = (samples.float() / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
        return Image(fetched(pixels))


def load_network(folder: Path) -> PixelNetwork:
    """The network of a model folder, in float32, ready to run. ValueError if its files are damaged or do not fit."""
    config = read_config(folder)
    try:
        network = build(sizes_of(config.network, config.sizes))
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (TypeError, ValueError, RuntimeError, safetensors.SafetensorError) as err:
        raise ValueError(f"{folder / WEIGHTS}: damaged, or not the weights of config.json: {err}") from err
    return network.eval().to(memory_format=torch.channels_last)


def labels_of(text: str, class_names: tuple[str, ...]) -> list[int]:
    """The classes that a text names, separated by spaces or commas; for empty text the label that means none.

    Names compare without regard to case; one with spaces in it stands between commas. ValueError for an unknown one.
    """
    known = {name.casefold(): i for i, name in enumerate(class_names)}
    labels = []
    for part in filter(None, (p.strip() for p in text.casefold().split(","))):
        for word in [part] if part in known else part.split():
            if word not in known:
                near = difflib.get_close_matches(word, known, n=1)
                hint = f'did you mean "{near[0]}"? ' if near else ""
                listed = ", ".join(class_names) or "none: the model is not class-conditional"
                raise ValueError(f'unknown class "{word}"; {hint}known: {listed}')
            labels.append(known[word])
    return labels or [len(class_names)]


def in_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Pictures (B, H, W, C) in another number of channels, 1 or 3, as float32: brightness, or grey three times."""
    if pixels.shape[-1] == channels:
        return pixels.astype(np.float32, copy=False)
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1).astype(np.float32, copy=False)
    return (pixels[..., :3] @ np.array(GREY, dtype=np.float32))[..., None].astype(np.float32, copy=False)
