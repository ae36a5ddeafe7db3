"""Stable Diffusion 3 and 3.5: a transformer that sees picture and text as one sequence (Esser et al. 2024).

    prompt_embeds (P, 77 n + L, width)   the last but one layers of two CLIPs side by side, n chunks, zeros up to
                                         the width of T5; then L tokens of T5, zeros where the folder has no T5
    pooled (P, D)                        of both CLIPs, side by side

t is told as 0 … 1000. Latents have a scale and a shift; sides are multiples of 16.
"""

import json
from pathlib import Path
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


class StableDiffusion3(FlowTransformer):
    """The adapter; see `diffusion.family.Family` for what each method does."""

    shared: tuple[str, ...] = ()
    pushes_from_empty = True
    tokens = 256
    clip_tokens = 77

    def load(self, recipe: Recipe, dtype: torch.dtype) -> nn.Module:
        """The transformer, the text encoders with their tokenizers, the VAE, or a ControlNet."""
        from diffusers import AutoencoderKL, SD3Transformer2DModel
        from transformers import CLIPTextModelWithProjection

        if isinstance(recipe, ControlNetRecipe):
            return control_loading.load(recipe, dtype)
        if isinstance(recipe, TextEncoderRecipe):
            source = Path(recipe.source)
            t5 = "text_encoder_3" if (source / "text_encoder_3").is_dir() else ""
            width = json.loads((source / "transformer" / "config.json").read_text("utf-8"))["joint_attention_dim"]
            clips = dict.fromkeys(("text_encoder", "text_encoder_2"), CLIPTextModelWithProjection)
            return load_with_t5(recipe, clips, t5, width, dtype)
        if isinstance(recipe, ModelRecipe):
            return component(recipe, "transformer", SD3Transformer2DModel, dtype)
        return component(recipe, "vae", AutoencoderKL, dtype)

    def network(self, module: nn.Module, recipe: ModelRecipe, steer: Steer = unsteered) -> Network:
        """x and embeddings to the transformer's output."""
        weights, config = next(module.parameters()), _config(module)
        most = config.pos_embed_max_size * recipe.multiple

        def run(x: torch.Tensor, level: Level, inputs: Inputs) -> torch.Tensor:
            check_inputs(x, recipe, config, inputs)
            if max(x.shape[2:]) * recipe.factor > most:
                raise ValueError(f"the model knows places up to {most} pixels: make the picture smaller")
            fed = {
                "hidden_states": x.to(weights.dtype),
                "timestep": number(level.t, x.device).expand(x.shape[0]),
                "encoder_hidden_states": inputs["prompt_embeds"].to(weights.dtype),
                "pooled_projections": inputs["pooled"].to(weights.dtype),
            }
            o: torch.Tensor = module(**fed, **steer(level, inputs, fed), return_dict=False)[0]
            return o.to(x.dtype)

        return run

    def texts(self, prompt: Prompt) -> tuple[list[str], str]:
        """text and text_2 for the CLIPs, text_3 for T5."""
        second = prompt.text if prompt.text_2 is None else prompt.text_2
        return [prompt.text, second], prompt.text if prompt.text_3 is None else prompt.text_3

    @torch.no_grad()
    def encode_text(self, module: nn.Module, recipe: TextEncoderRecipe, prompt: Prompt) -> Conditioning:
        """{"prompt_embeds": (1, 77 n + L, width), "pooled": (1, D)}."""
        assert isinstance(module, TextEncodersWithT5)
        clips, text = self.texts(prompt)
        chunks = module.read(clips, prompt.weighting)
        one, two = (module.encode(i, chunks[i], -(prompt.clip_skip + 2), prompt.weighting) for i in (0, 1))
        clip = torch.cat([one[0], two[0]], -1)
        long = module.t5.encode(text, prompt.max_tokens or module.t5.reads(self.tokens), prompt.weighting).to(clip)
        clip = nn.functional.pad(clip, (0, long.shape[-1] - clip.shape[-1]))
        told = dict.fromkeys([*clips, text])
        return Conditioning(
            {"prompt_embeds": torch.cat([clip, long], -2), "pooled": torch.cat([one[1], two[1]], -1)}, "\n".join(told)
        )


def _config(module: nn.Module) -> Any:
    return module.config
