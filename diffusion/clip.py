"""CLIP text encoders with their tokenizers: from prompts to embeddings (Radford et al. 2021).

A prompt is cut or padded to the tokenizer's length, 77 tokens with begin and end, or read in several such chunks whose
embeddings are then laid end to end. Padding is not masked, since the models that use these encoders were trained so.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from diffusion.prompt import Chunk, Cut, Special, Tokenize, chunks, find_cut, parse
from diffusion.recipes import TextEncoderRecipe
from diffusion.types import Weighting
from diffusion.weights import component, tokenizer

REMEDY = "say it in fewer words, or set weighting to a1111 or comfy, which read all of it"
"""For a text that is longer than an encoder reads at once."""


def weighted(
    z: torch.Tensor, chunks: Sequence[Chunk], weighting: Weighting, empty: torch.Tensor | None = None
) -> torch.Tensor:
    """What an encoder made of n chunks, (n, L, D), with the weights w of their tokens put in.

    a1111: z' = w z, then times mean(z) / mean(z') of each chunk, so that the embeddings grow no larger as a whole.
    comfy: z' = z_empty + w (z - z_empty), where empty (1, L, D) is made of a text without words; not needed where all
    weights are 1.
    """
    if weighting == "none":
        return z
    w = torch.tensor([chunk.weights for chunk in chunks], dtype=z.dtype, device=z.device)[..., None]  # (n, L, 1)
    if weighting == "a1111":
        changed = w * z
        return changed * (z.mean(dim=(1, 2), keepdim=True) / changed.mean(dim=(1, 2), keepdim=True))
    if empty is None or bool((w == 1).all()):
        return z
    return torch.where(w == 1, z, empty + w * (z - empty))


class TextEncoders(nn.Module):
    """One CLIP text encoder or two, each with its tokenizer. parts: what each is called in a model's folder."""

    def __init__(self, encoders: Sequence[nn.Module], tokenizers: Sequence[Any], parts: Sequence[str]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.tokenizers = tuple(tokenizers)
        self.parts = tuple(parts)

    def named_parts(self) -> dict[str, nn.Module]:
        """The encoders by their names in a model's folder."""
        return dict(zip(self.parts, self.encoders, strict=True))

    def part(self, name: str) -> nn.Module | None:
        """The encoder of that name in a model's folder; None if there is none."""
        return self.named_parts().get(name)

    def paces(self) -> list[tuple[list[nn.Parameter], float]]:
        """The weights in parts, each with what a learning rate is multiplied with, so that none runs away."""
        return [(list(self.parameters()), 1.0)]

    def read(self, texts: Sequence[str], weighting: Weighting = "none") -> list[list[Chunk]]:
        """The chunks of a text for each encoder, as many for one as for another: empty ones follow a shorter text.

        ValueError as in `diffusion.prompt.parse`.
        """
        found = [self._chunks(i, text, weighting) for i, text in enumerate(texts)]
        most = max(map(len, found))
        return [one + self._chunks(i, "", "none") * (most - len(one)) for i, one in enumerate(found)]

    def encode(
        self, i: int, chunks: Sequence[Chunk], layer: int, weighting: Weighting = "none", norm: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Encoder i's states of a text in n chunks, (1, 77 n, width), and the pooled output of its first, (1, D).

        layer: -1 the last layer, -2 the one before; ValueError if there are not so many. norm: after the encoder's last
        normalisation. The pooled output has no weights.
        """
        aside = weighting == "comfy" and any(w != 1 for chunk in chunks for w in chunk.weights)
        rows = [*chunks, *self._chunks(i, "", "none")] if aside else chunks
        ids = torch.tensor([chunk.ids for chunk in rows], device=next(self.encoders[i].parameters()).device)
        z, pooled = self.states(i, ids, layer, norm)
        n = len(chunks)
        z = weighted(z[:n], chunks, weighting, z[n:] if aside else None)
        return z.flatten(0, 1)[None], pooled[:1]

    def states(self, i: int, ids: torch.Tensor, layer: int, norm: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """Encoder i's states of token ids (n, L): (n, L, width), and its pooled output, (n, D). As `encode`."""
        encoder: Any = self.encoders[i]
        out = encoder(ids, output_hidden_states=True)
        if -layer > len(out.hidden_states):
            most = len(out.hidden_states) - 1
            raise ValueError(f"clip_skip asks for layer {-layer} of a text encoder that has {most}")
        z = out.hidden_states[layer]
        if norm:
            # the encoder's own output is its last layer, normalised; one that was skipped to is not normalised yet
            z = out.last_hidden_state if layer == -1 else self._norm(i)(z)
        return z, out.text_embeds if "text_embeds" in out else out.pooler_output

    def cut_off(self, texts: Sequence[str], weighting: Weighting = "none") -> Cut:
        """How much there is to read for the encoder that loses most of its text, or has most to read."""
        return max(
            (self._cut(i, text, weighting) for i, text in enumerate(texts)), key=lambda cut: (cut.cut, cut.total)
        )

    def _cut(self, i: int, text: str, weighting: Weighting) -> Cut:
        if weighting == "none":
            # begin and end take two places
            return find_cut(text, self._tokenize(i), self.tokenizers[i].model_max_length - 2, REMEDY)
        found = self._chunks(i, text, weighting)
        return Cut(sum(chunk.used for chunk in found), 0, "", len(found))

    def _chunks(self, i: int, text: str, weighting: Weighting) -> list[Chunk]:
        own = self.tokenizers[i]
        comma = own.convert_tokens_to_ids(",</w>")
        special = Special(own.bos_token_id, own.eos_token_id, own.pad_token_id, comma)
        return chunks(parse(text, weighting), weighting, self._tokenize(i), special, own.model_max_length)

    def _tokenize(self, i: int) -> Tokenize:
        def tokenize(part: str) -> list[int]:
            ids: list[int] = self.tokenizers[i](part, add_special_tokens=False, verbose=False).input_ids
            return ids

        return tokenize

    def _norm(self, i: int) -> nn.Module:
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
    return TextEncoders(encoders, tokenizers, parts)
