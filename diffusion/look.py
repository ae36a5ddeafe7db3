"""A quick look at what a denoiser of latents has learned so far, while it is still in training."""

import torch
from torch import nn

from diffusion.family import family_of
from diffusion.guidance import Guidance, Inputs, Network
from diffusion.recipes import ModelRecipe, VAERecipe
from diffusion.samplers import sample
from diffusion.schedule import for_tokens, schedule
from diffusion.types import Image, Latent, Noise, Sampler

SCALE, STEPS = 4.0, 12


@torch.no_grad()
def look(
    network: Network,
    model: ModelRecipe,
    positive: Inputs,
    negative: Inputs,
    latents: torch.Tensor,
    vae: nn.Module,
    vae_recipe: VAERecipe,
) -> Image:
    """Pictures of the shape of these latents (B, C, h, w), in a few steps with guidance: the prompts of `positive`, B
    rows, against `negative`. The noise is the same at every call, so that pictures of one training can be compared."""
    side = model.multiple // model.factor
    tokens = (latents.shape[2] // side) * (latents.shape[3] // side)
    levels = schedule(for_tokens(model.schedule, tokens), STEPS)
    # a flow that was taught to follow a guidance scale is run once
    guidance = Guidance(network, model.prediction, positive, None if "guidance" in positive else negative, SCALE)
    kind = "flow_euler" if levels.kind == "flow" else "ddim"
    blank = Latent(torch.zeros_like(latents), model.space, "empty")
    done = sample(guidance, levels, Sampler(kind), Noise(0), blank)
    return family_of(vae_recipe).decode(vae, vae_recipe, done.samples)
