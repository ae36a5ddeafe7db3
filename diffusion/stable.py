"""Stable Diffusion 1.x and 2.x, and SDXL: U-Nets on the latents of a VAE, told what to draw by CLIP.

    family   prompt_embeds (P, 77 n, width), n chunks            beside it
    sd       last layer of one encoder, normalised
    sdxl     last but one layer of two encoders, side by side    pooled (P, D); time_ids (P, 6): sizes in pixels

Rombach et al. 2022 (Stable Diffusion); Podell et al. 2023 (SDXL).
"""

import math
from typing import Any

import torch
from torch import nn

from diffusion import control_loading, ip_adapter, latent
from diffusion.clip import TextEncoders, load_encoders
from diffusion.conditions import SCORE, size_ids, zeroed
from diffusion.guidance import Inputs, Load, Network
from diffusion.inpaint import joined
from diffusion.prompt import Cut
from diffusion.recipes import ControlNetRecipe, ModelRecipe, Recipe, TextEncoderRecipe, VAERecipe, text_encoder_of
from diffusion.steer import Steer, unsteered
from diffusion.transfer import number
from diffusion.types import Conditioning, Image, Latent, Level, Prompt
from diffusion.weights import component

LCM_GUIDANCE = 8.5
"""The guidance scale that LCM's U-Net is told where the conditioning says none."""


class StableDiffusion:
    """The adapter of 1.x and 2.x; see `diffusion.family.Family` for what each method does."""

    shared: tuple[str, ...] = ("guidance",)
    pushes_from_empty = True
    scored = False
    needs: tuple[str, ...] = ("prompt_embeds",)
    encoders: tuple[str, ...] = ("text_encoder",)

    def load(self, recipe: Recipe, dtype: torch.dtype) -> nn.Module:
        """The U-Net, the text encoders with their tokenizers, the VAE, or a ControlNet."""
        from diffusers import AutoencoderKL, UNet2DConditionModel

        if isinstance(recipe, ControlNetRecipe):
            return control_loading.load(recipe, dtype)
        if isinstance(recipe, TextEncoderRecipe):
            return load_encoders(recipe, self.encoders, dtype)
        if isinstance(recipe, ModelRecipe):
            return component(recipe, "unet", UNet2DConditionModel, dtype)
        return component(recipe, "vae", AutoencoderKL, dtype)

    def network(self, module: nn.Module, recipe: ModelRecipe, steer: Steer = unsteered) -> Network:
        """x and embeddings to the U-Net's output."""
        weights = next(module.parameters())

        def run(x: torch.Tensor, level: Level, inputs: Inputs) -> torch.Tensor:
            self._check(module, inputs)
            t = number(level.t, x.device)
            embeds = inputs["prompt_embeds"].to(weights.dtype)
            added: dict[str, Any] | None = self._added(x, recipe, inputs, weights.dtype)
            if pictures := ip_adapter.seen(inputs):
                added = {**(added or {}), "image_embeds": [one.to(weights.dtype) for one in pictures]}
            fed = {
                "sample": joined(x, recipe, inputs).to(weights.dtype),
                "timestep": t,
                "encoder_hidden_states": embeds,
                "added_cond_kwargs": added,
                "timestep_cond": _told_scale(module, x, inputs, weights.dtype),
            }
            o: torch.Tensor = module(**fed, **steer(level, inputs, fed), return_dict=False)[0]
            return o.to(x.dtype)

        return run

    def unconditional(self, recipe: ModelRecipe, positive: Conditioning | None, load: Load) -> Conditioning:
        """What the model's text encoder makes of an empty text, or zeros for a model that was trained so."""
        if recipe.zero_negative and positive is not None:
            return zeroed(positive)
        encoder = text_encoder_of(recipe)
        empty = self.encode_text(load(encoder), encoder, Prompt(""))
        return zeroed(empty) if recipe.zero_negative else empty

    @torch.no_grad()
    def encode_text(self, module: nn.Module, recipe: TextEncoderRecipe, prompt: Prompt) -> Conditioning:
        """{"prompt_embeds": (1, 77 n, width)} of a text in n chunks."""
        assert isinstance(module, TextEncoders)
        if prompt.text_2 is not None or prompt.text_3 is not None:
            raise ValueError("this model has one text encoder: text_2 and text_3 are for models with several")
        check_no_t5(prompt)
        (chunks,) = module.read([prompt.text], prompt.weighting)
        embeds, _ = module.encode(0, chunks, -(prompt.clip_skip + 1), prompt.weighting, norm=True)
        return Conditioning({"prompt_embeds": embeds}, prompt.text)

    def cut_off(self, module: nn.Module, prompt: Prompt) -> Cut | None:
        """Of the encoder that loses most of its text."""
        assert isinstance(module, TextEncoders)
        texts = (prompt.text, prompt.text if prompt.text_2 is None else prompt.text_2)
        return module.cut_off(texts[: len(module.encoders)], prompt.weighting)

    @torch.no_grad()
    def encode(self, module: nn.Module, recipe: VAERecipe, image: Image) -> Latent:
        """As `diffusion.latent.encode`."""
        return latent.encode(module, recipe, image)

    def decode(self, module: nn.Module, recipe: VAERecipe, samples: torch.Tensor) -> Image:
        """As `diffusion.latent.decode`."""
        return latent.decode(module, samples)

    def _added(
        self, x: torch.Tensor, recipe: ModelRecipe, inputs: Inputs, dtype: torch.dtype
    ) -> dict[str, torch.Tensor] | None:
        return None

    def _check(self, module: nn.Module, inputs: Inputs) -> None:
        """ValueError where the conditioning is of another family."""
        if SCORE in inputs and not self.scored:
            raise ValueError("aesthetic_score is something that only the SDXL refiner is told")
        missing = [name for name in self.needs if name not in inputs]
        width = 0 if missing else inputs["prompt_embeds"].shape[-1]
        config: Any = module.config
        wanted = config.cross_attention_dim
        if missing or width != wanted:
            what = f"lacks {', '.join(missing)}" if missing else f"is {width} wide, and this model takes {wanted}"
            raise ValueError(f"the conditioning {what}: encode the text with the text encoder of this model")


class StableDiffusionXL(StableDiffusion):
    """The adapter of SDXL."""

    shared: tuple[str, ...] = ("time_ids", "guidance", SCORE)
    needs: tuple[str, ...] = ("prompt_embeds", "pooled")
    encoders: tuple[str, ...] = ("text_encoder", "text_encoder_2")

    @torch.no_grad()
    def encode_text(self, module: nn.Module, recipe: TextEncoderRecipe, prompt: Prompt) -> Conditioning:
        """{"prompt_embeds": (1, 77 n, width), "pooled": (1, D)}; text_2 goes to the second encoder."""
        assert isinstance(module, TextEncoders)
        if prompt.text_3 is not None:
            raise ValueError("this model has two text encoders: text_3 is for SD3")
        check_no_t5(prompt)
        text, second = prompt.text, prompt.text if prompt.text_2 is None else prompt.text_2
        chunks = module.read([text, second], prompt.weighting)
        one, two = (module.encode(i, chunks[i], -(prompt.clip_skip + 2), prompt.weighting) for i in (0, 1))
        both = text if second == text else f"{text}\n{second}"
        return Conditioning({"prompt_embeds": torch.cat([one[0], two[0]], -1), "pooled": two[1]}, both)

    def _added(
        self, x: torch.Tensor, recipe: ModelRecipe, inputs: Inputs, dtype: torch.dtype
    ) -> dict[str, torch.Tensor] | None:
        return {"text_embeds": inputs["pooled"].to(dtype), "time_ids": self._ids(x, recipe, inputs).to(dtype)}

    def _ids(self, x: torch.Tensor, recipe: ModelRecipe, inputs: Inputs) -> torch.Tensor:
        """(B, 6), the sizes that were told, or else those of x."""
        if "time_ids" in inputs:
            return inputs["time_ids"]
        height, width = x.shape[2] * recipe.factor, x.shape[3] * recipe.factor
        return size_ids(width, height).repeat(x.shape[0], 1).to(x.device)


def _told_scale(module: nn.Module, x: torch.Tensor, inputs: Inputs, dtype: torch.dtype) -> torch.Tensor | None:
    """(B, D): the guidance scale w as a network that was distilled to follow it (LCM) is told it; else None.

    The sines and cosines of 1000 (w - 1) f, f falling from 1 to 1 / 10000 (Luo et al. 2023, appendix A).
    """
    config: Any = module.config
    size = getattr(config, "time_cond_proj_dim", None)
    if size is None:
        return None
    scale = inputs.get("guidance")
    w = x.new_full((x.shape[0],), LCM_GUIDANCE) if scale is None else scale
    half = size // 2
    f = torch.exp(torch.arange(half, dtype=dtype, device=x.device) * -(math.log(10000) / (half - 1)))
    phases = ((w - 1) * 1000).to(dtype)[:, None] * f
    return torch.nn.functional.pad(torch.cat([torch.sin(phases), torch.cos(phases)], 1), (0, size % 2))


def check_no_t5(prompt: Prompt) -> None:
    """ValueError for a prompt that asks something of a T5 encoder."""
    if prompt.max_tokens is not None:
        raise ValueError("max_tokens is for T5, which this model does not have")
