"""A quick look at what a network has learned so far, while it is still in training."""

import torch

from diffusion.guidance import Guidance
from diffusion.networks import PixelNetwork
from diffusion.pixel import Pixel
from diffusion.recipes import ModelRecipe, VAERecipe
from diffusion.samplers import sample
from diffusion.schedule import schedule
from diffusion.training import TrainingConfig
from diffusion.types import Image, Latent, Noise, Sampler


def preview(model: PixelNetwork, config: TrainingConfig, height: int, width: int, steps: int = 10) -> Image:
    """One picture of each class, at most 10 (4 where there are no classes), of height x width, in `steps` steps.

    The noise is the same at every call, so that pictures made as a training goes on can be compared.
    """
    count, device = min(model.config.classes, 10) or 4, next(model.parameters()).device
    channels, pixel = model.config.channels, Pixel()
    network = pixel.network(model, ModelRecipe("pixel", ""))
    inputs = {"labels": torch.arange(count, device=device)} if model.config.classes else {}
    blank = Latent(torch.zeros(count, channels, height, width, device=device), "pixel", "empty")
    levels = schedule(config.schedule, steps)
    guidance = Guidance(network, config.prediction, inputs, clip=True)
    done = sample(guidance, levels, Sampler(config.sampler), Noise(0), blank)
    return pixel.decode(model, VAERecipe("pixel", "", channels=channels), done.samples)
