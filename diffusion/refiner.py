"""The SDXL refiner: a network for the last part of the schedule, told how good the picture is to look.

It shares SDXL's latents and reads the second of its text encoders alone. Beside height and width before cropping, top
and left of the crop, it is told an aesthetic score, 0 … 10. Podell et al. 2023, section 2.5.
"""

import torch
from torch import nn

from diffusion.clip import TextEncoders
from diffusion.conditions import SCORE, size_ids
from diffusion.guidance import Inputs
from diffusion.recipes import ModelRecipe, TextEncoderRecipe
from diffusion.stable import StableDiffusionXL, check_no_t5
from diffusion.types import Conditioning, Prompt

FAMILY = "sdxl-refiner"
SCORES = (6.0, 2.5)
"""The aesthetic scores of what is wanted and of what guidance pushes away from, where none are told."""


class StableDiffusionXLRefiner(StableDiffusionXL):
    """The adapter of SDXL's refiner."""

    encoders: tuple[str, ...] = ("text_encoder_2",)
    scored = True

    @torch.no_grad()
    def encode_text(self, module: nn.Module, recipe: TextEncoderRecipe, prompt: Prompt) -> Conditioning:
        """{"prompt_embeds": (1, 77 n, width), "pooled": (1, D)} of the second encoder."""
        assert isinstance(module, TextEncoders)
        if prompt.text_2 is not None or prompt.text_3 is not None:
            raise ValueError("the refiner has one text encoder: text_2 and text_3 are for models with several")
        check_no_t5(prompt)
        (chunks,) = module.read([prompt.text], prompt.weighting)
        embeds, pooled = module.encode(0, chunks, -(prompt.clip_skip + 2), prompt.weighting)
        return Conditioning({"prompt_embeds": embeds, "pooled": pooled}, prompt.text)

    def _ids(self, x: torch.Tensor, recipe: ModelRecipe, inputs: Inputs) -> torch.Tensor:
        """(B, 5): height, width, top and left of the crop, and the score."""
        score = inputs[SCORE] if SCORE in inputs else x.new_full((x.shape[0],), SCORES[0])
        return torch.cat([super()._ids(x, recipe, inputs)[:, :4], score[:, None]], 1)


def told(model: ModelRecipe, width: int, height: int, batch: int, negative: bool = False) -> dict[str, torch.Tensor]:
    """What SDXL and its refiner are told where the conditioning does not say it, of B rows: the size of the picture, of
    which they may see a window, and the refiner a score. Nothing for other models."""
    if model.family not in ("sdxl", FAMILY):
        return {}
    score = {SCORE: torch.full((batch,), SCORES[negative])} if model.family == FAMILY else {}
    return {"time_ids": size_ids(width, height).repeat(batch, 1), **score}
