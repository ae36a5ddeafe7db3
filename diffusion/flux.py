"""Flux.1, schnell and dev: a transformer over patches of a latent, with the text before them in one sequence (Black
Forest Labs, 2024).

    prompt_embeds (P, L, width)   L tokens of T5
    pooled (P, D)                 of CLIP
    guidance (P,)                 the guidance scale, for a network that was distilled to take it (dev)

Patches of 2 x 2 make a row of 4 C numbers each, and each is told its row and column by rotary embeddings; words stand
at row 0, column 0. t is told as 0 … 1. Sides are multiples of 16.
"""

from typing import Any

import torch
from torch import nn

from diffusion import control_loading
from diffusion.flowing import FlowTransformer, check_inputs
from diffusion.guidance import Inputs, Network
from diffusion.recipes import ControlNetRecipe, ModelRecipe, Recipe, TextEncoderRecipe
from diffusion.steer import Steer, unsteered
from diffusion.t5 import TextEncodersWithT5, load_with_t5
from diffusion.transfer import number
from diffusion.types import Conditioning, Level, Prompt
from diffusion.weights import component

GUIDANCE = 3.5
"""The guidance scale that a network which takes one is told where nothing else is said."""


class Flux(FlowTransformer):
    """The adapter; see `diffusion.family.Family` for what each method does."""

    shared: tuple[str, ...] = ("guidance",)
    pushes_from_empty = False
    tokens = 512
    clip_tokens = 0

    def load(self, recipe: Recipe, dtype: torch.dtype) -> nn.Module:
        """The transformer, the text encoders with their tokenizers, the VAE, or a ControlNet."""
        from diffusers import AutoencoderKL, FluxTransformer2DModel
        from transformers import CLIPTextModel

        if isinstance(recipe, ControlNetRecipe):
            return control_loading.load(recipe, dtype)
        if isinstance(recipe, TextEncoderRecipe):
            return load_with_t5(recipe, {"text_encoder": CLIPTextModel}, "text_encoder_2", 0, dtype)
        if isinstance(recipe, ModelRecipe):
            return component(recipe, "transformer", FluxTransformer2DModel, dtype)
        return component(recipe, "vae", AutoencoderKL, dtype)

    def network(self, module: nn.Module, recipe: ModelRecipe, steer: Steer = unsteered) -> Network:
        """x and embeddings to the transformer's output."""
        weights, config = next(module.parameters()), _config(module)

        def run(x: torch.Tensor, level: Level, inputs: Inputs) -> torch.Tensor:
            check_inputs(x, recipe, config, inputs)
            batch, _, height, width = x.shape
            guidance = None
            if config.guidance_embeds:
                guidance = inputs.get("guidance", torch.full((batch,), GUIDANCE, device=x.device)).float()
            embeds = inputs["prompt_embeds"].to(weights.dtype)
            t = number(level.t, x.device).expand(batch).to(weights.dtype)
            fed = {
                "hidden_states": packed(x).to(weights.dtype),
                "timestep": t / 1000,
                "guidance": guidance,
                "pooled_projections": inputs["pooled"].to(weights.dtype),
                "encoder_hidden_states": embeds,
                "txt_ids": torch.zeros(embeds.shape[1], 3, device=x.device),
                "img_ids": places(height // 2, width // 2, x.device),
            }
            o: torch.Tensor = module(**fed, **steer(level, inputs, fed), return_dict=False)[0]
            return unpacked(o, height, width).to(x.dtype)

        return run

    def texts(self, prompt: Prompt) -> tuple[list[str], str]:
        """text for CLIP, text_2 for T5."""
        return [prompt.text], prompt.text if prompt.text_2 is None else prompt.text_2

    @torch.no_grad()
    def encode_text(self, module: nn.Module, recipe: TextEncoderRecipe, prompt: Prompt) -> Conditioning:
        """{"prompt_embeds": (1, L, width), "pooled": (1, D)}. ValueError for text_3 and clip_skip."""
        assert isinstance(module, TextEncodersWithT5)
        if prompt.text_3 is not None:
            raise ValueError("this model has two text encoders: text_3 is for SD3")
        if prompt.clip_skip:
            raise ValueError(
                "this model takes CLIP's pooled output alone, which no layer can be left out of: clip_skip"
            )
        clips, text = self.texts(prompt)
        (chunks,) = module.read(clips, prompt.weighting)
        _, pooled = module.encode(0, chunks, -1, prompt.weighting)
        embeds = module.t5.encode(text, prompt.max_tokens or module.t5.reads(self.tokens), prompt.weighting)
        told = dict.fromkeys([*clips, text])
        return Conditioning({"prompt_embeds": embeds, "pooled": pooled}, "\n".join(told))


def packed(x: torch.Tensor) -> torch.Tensor:
    """Patches of 2 x 2, row by row: (B, C, H, W) to (B, H W / 4, 4 C)."""
    batch, channels, height, width = x.shape
    patches = x.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)  # (B, H/2, W/2, C, 2, 2)
    return patches.reshape(batch, height * width // 4, channels * 4)


def unpacked(rows: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The latent of these patches: (B, H W / 4, 4 C) to (B, C, H, W)."""
    batch, _, channels = rows.shape
    patches = rows.view(batch, height // 2, width // 2, channels // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return patches.reshape(batch, channels // 4, height, width)


def places(height: int, width: int, device: torch.device) -> torch.Tensor:
    """(0, row, column) of each patch, row by row: (height width, 3) float32."""
    sides = (torch.arange(side, dtype=torch.float32, device=device) for side in (height, width))
    row, column = torch.meshgrid(*sides, indexing="ij")
    return torch.stack([torch.zeros_like(row), row, column], -1).reshape(-1, 3)


def _config(module: nn.Module) -> Any:
    return module.config
