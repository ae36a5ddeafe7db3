"""T5, a text encoder that reads sentences (Raffel et al. 2020), beside the CLIPs of a model.

It reads a fixed number of tokens with an end mark; a shorter text is padded, and the padding is not masked, since the
models that use it were trained so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from diffusion.clip import TextEncoders, weighted
from diffusion.prompt import Chunk, Cut, Special, chunks, find_cut, parse
from diffusion.recipes import TextEncoderRecipe
from diffusion.types import Weighting
from diffusion.weights import component, tokenizer


class T5(nn.Module):
    """A T5 encoder with its tokenizer, or the zeros that stand for one: its encoder None, and only its width known."""

    def __init__(self, encoder: nn.Module | None, tokenizer: Any, width: int) -> None:
        super().__init__()
        self.encoder, self.tokenizer, self.width = encoder, tokenizer, width

    def reads(self, most: int) -> int:
        """Tokens of a text where nobody says how many: a family's own number, or fewer if the tokenizer says so."""
        return most if self.tokenizer is None else min(most, int(self.tokenizer.model_max_length))

    def encode(self, text: str, length: int, weighting: Weighting = "none") -> torch.Tensor:
        """The last layer of a text read as `length` tokens, (1, length, width); zeros without an encoder."""
        if self.encoder is None:
            return torch.zeros(1, length, self.width)
        chunk = self._chunk(text, length, weighting)
        rows = [chunk, self._chunk("", length, "none")] if any(w != 1 for w in chunk.weights) else [chunk]
        ids = torch.tensor([row.ids for row in rows], device=next(self.encoder.parameters()).device)
        z = self.encoder(ids)[0]
        return weighted(z[:1], [chunk], weighting, z[1:])

    def cut_off(self, text: str, length: int, weighting: Weighting = "none") -> Cut:
        """How much of a text is read as `length` tokens."""
        remedy = f"say it in fewer words, or have T5 read more than {length} of them with max_tokens"
        # the end mark takes one place
        return find_cut("".join(span.text for span in parse(text, weighting)), self._tokenize, length - 1, remedy)

    def _chunk(self, text: str, length: int, weighting: Weighting) -> Chunk:
        special = Special(None, self.tokenizer.eos_token_id, self.tokenizer.pad_token_id)
        # it reads on where CLIP would begin anew
        spans = [span._replace(breaks=False) for span in parse(text, weighting)]
        return chunks(spans, weighting, self._tokenize, special, length)[0]

    def _tokenize(self, part: str) -> list[int]:
        ids: list[int] = self.tokenizer(part, add_special_tokens=False, verbose=False).input_ids
        return ids


class TextEncodersWithT5(TextEncoders):
    """CLIP text encoders and a T5. t5_part: what that is called in a model's folder."""

    def __init__(
        self, encoders: Sequence[nn.Module], tokenizers: Sequence[Any], parts: Sequence[str], t5: T5, t5_part: str
    ) -> None:
        super().__init__(encoders, tokenizers, parts)
        self.t5, self.t5_part = t5, t5_part

    def named_parts(self) -> dict[str, nn.Module]:
        """As `TextEncoders.named_parts`, T5 included where there is one."""
        found = super().named_parts()
        return found if self.t5.encoder is None else {**found, self.t5_part: self.t5.encoder}

    def paces(self) -> list[tuple[list[nn.Parameter], float]]:
        """As `TextEncoders.paces`. T5 takes softmax(q k), and others take softmax(q k / sqrt(d)): the factor is in the
        weights of its queries, which are so much smaller, and have to be moved so much less. At the rate of the others
        each word soon looks at one other alone, whichever that is, and nothing is learned any more."""
        if self.t5.encoder is None:
            return super().paces()
        parts: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for name, weight in self.named_parameters():
            parts[name.endswith("SelfAttention.q.weight")].append(weight)
        config: Any = self.t5.encoder.config
        return [(parts[False], 1.0), (parts[True], config.d_kv**-0.5)]


def load_with_t5(
    recipe: TextEncoderRecipe, clips: Mapping[str, Any], t5_part: str, width: int, dtype: torch.dtype
) -> TextEncodersWithT5:
    """The CLIPs of a model, by part and class, and its T5 with their tokenizers, on the CPU.

    t5_part: where the T5 lies; "" where the model has none, and `width` then says how wide its embeddings would be.
    """
    from transformers import CLIPTokenizer, T5EncoderModel, T5TokenizerFast  # type: ignore[attr-defined]

    def words(part: str, kind: Any) -> Any:
        return tokenizer(recipe, part.replace("text_encoder", "tokenizer"), kind)

    encoders = [component(recipe, part, kind, dtype) for part, kind in clips.items()]
    t5 = T5(None, None, width)
    if t5_part:
        t5 = T5(component(recipe, t5_part, T5EncoderModel, dtype), words(t5_part, T5TokenizerFast), width)
    return TextEncodersWithT5(encoders, [words(part, CLIPTokenizer) for part in clips], tuple(clips), t5, t5_part)
