"""CLIP text encoders with their tokenizers: from prompts to embeddings (Radford et al. 2021).

A prompt is cut or padded to the tokenizer's length, 77 tokens with begin and end. Padding is not masked, since the
models that use these encoders were trained so.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from diffusion.prompt import Cut, find_cut
from diffusion.types import TextEncoderRecipe
from diffusion.weights import component, tokenizer


class TextEncoders(nn.Module):
    """One CLIP text encoder or two, each with its tokenizer."""

    def __init__(self, encoders: Sequence[nn.Module], tokenizers: Sequence[Any]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.tokenizers = tuple(tokenizers)

    def hidden(self, i: int, text: str, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Encoder i's hidden state of a text, (1, 77, width), and its first output.

        layer: -1 the last layer, -2 the one before. ValueError if there are not so many.
        """
        encoder, tokenizer = self.encoders[i], self.tokenizers[i]
        ids = tokenizer(
            text,
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        out = encoder(ids.to(next(encoder.parameters()).device), output_hidden_states=True)
        if -layer > len(out.hidden_states):
            most = len(out.hidden_states) - 1
            raise ValueError(f"clip_skip asks for layer {-layer} of a text encoder that has {most}")
        return out.hidden_states[layer], out[0]

    def cut_off(self, i: int, text: str) -> Cut | None:
        """What encoder i does not read of a text; None if it reads all."""
        tokenizer = self.tokenizers[i]

        def tokenize(part: str) -> list[int]:
            ids: list[int] = tokenizer(part, add_special_tokens=False, verbose=False).input_ids
            return ids

        # begin and end take two places
        return find_cut(text, tokenize, tokenizer.model_max_length - 2)

    def norm(self, i: int) -> nn.Module:
        """Encoder i's last normalisation."""
        encoder: Any = self.encoders[i]
        norm: nn.Module = getattr(encoder, "text_model", encoder).final_layer_norm
        return norm


def load_encoders(recipe: TextEncoderRecipe, parts: Sequence[str], dtype: torch.dtype) -> TextEncoders:
    """The encoders of a model with their tokenizers, on the CPU. Where there are two, the second also projects."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    kinds = {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}
    encoders = [component(recipe, part, kinds[part], dtype) for part in parts]
    tokenizers = [tokenizer(recipe, part.replace("text_encoder", "tokenizer"), CLIPTokenizer) for part in parts]
    return TextEncoders(encoders, tokenizers)
