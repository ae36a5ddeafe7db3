"""What SD3 and Flux have in common: transformers that predict a flow on latents of 16 channels, told what to draw by
CLIP and by T5 (Esser et al. 2024)."""

from typing import Any

import torch
from torch import nn

from diffusion import latent
from diffusion.guidance import Inputs, Load
from diffusion.prompt import Cut
from diffusion.recipes import ModelRecipe, TextEncoderRecipe, VAERecipe, text_encoder_of
from diffusion.t5 import TextEncodersWithT5
from diffusion.types import Conditioning, Image, Latent, Prompt


class FlowTransformer:
    """The parts of an adapter that are the same for both; see `diffusion.family.Family` for what each method does.

    tokens: how many tokens T5 reads where the prompt does not say. clip_tokens: how many tokens of the embeddings come
    from CLIP.
    """

    tokens: int
    clip_tokens: int

    def encode_text(self, module: nn.Module, recipe: TextEncoderRecipe, prompt: Prompt) -> Conditioning:
        """{"prompt_embeds": (1, L, width), "pooled": (1, D)}."""
        raise NotImplementedError

    def texts(self, prompt: Prompt) -> tuple[list[str], str]:
        """What each CLIP reads, and what T5 reads."""
        raise NotImplementedError

    def unconditional(self, recipe: ModelRecipe, positive: Conditioning | None, load: Load) -> Conditioning:
        """What the model's text encoders make of an empty text, as long as the positive."""
        encoder = text_encoder_of(recipe)
        embeds = positive.tensors.get("prompt_embeds") if positive else None
        length = None if embeds is None else embeds.shape[1] - self.clip_tokens
        return self.encode_text(load(encoder), encoder, Prompt("", max_tokens=length))

    def cut_off(self, module: nn.Module, prompt: Prompt) -> Cut | None:
        """What none of the encoders reads: a CLIP may stop early in a text that T5 reads too."""
        assert isinstance(module, TextEncodersWithT5)
        clips, text = self.texts(prompt)
        found = []
        if module.t5.encoder is not None:
            found = [module.t5.cut_off(text, prompt.max_tokens or module.t5.reads(self.tokens), prompt.weighting)]
            clips = [clip for clip in clips if clip != text]
        if clips:
            found.append(module.cut_off(clips, prompt.weighting))
        return max(found, key=lambda cut: (cut.cut, cut.total))

    @torch.no_grad()
    def encode(self, module: nn.Module, recipe: VAERecipe, image: Image) -> Latent:
        """As `diffusion.latent.encode`."""
        return latent.encode(module, recipe, image)

    def decode(self, module: nn.Module, recipe: VAERecipe, samples: torch.Tensor) -> Image:
        """As `diffusion.latent.decode`."""
        return latent.decode(module, samples)


def check_inputs(x: torch.Tensor, recipe: ModelRecipe, config: Any, inputs: Inputs) -> None:
    """ValueError where the conditioning is of another family, or the latent has sides that make no whole patches."""
    wanted = {"prompt_embeds": config.joint_attention_dim, "pooled": config.pooled_projection_dim}
    for name, width in wanted.items():
        if name not in inputs or inputs[name].shape[-1] != width:
            what = f"is {inputs[name].shape[-1]} wide, and this model takes {width}" if name in inputs else "is missing"
            raise ValueError(f"{name} of the conditioning {what}: encode the text with the text encoder of this model")
    height, width = x.shape[2] * recipe.factor, x.shape[3] * recipe.factor
    if height % recipe.multiple or width % recipe.multiple:
        raise ValueError(f"the model takes sides that are multiples of {recipe.multiple}, not {width} x {height}")
