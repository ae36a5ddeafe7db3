"""Many captions at once, with gradients: their tokens, and what the text encoders of a family make of them.

One text at a time, with weights and chunks, is read by the adapters (`diffusion.family`); here a text is cut where an
encoder stops, as the models were trained.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from diffusion.clip import TextEncoders
from diffusion.t5 import TextEncodersWithT5

Ids = Sequence[torch.Tensor]
"""(N, L) for each encoder in turn, T5 last."""

SD3_TOKENS = 256
"""Places for T5 in an SD3 that has none."""

Embeds = dict[str, torch.Tensor]
"""Inputs of a network by name, first axis N; see the family."""


def tokens(encoders: TextEncoders, captions: Sequence[str]) -> list[torch.Tensor]:
    """The token ids of captions, padded and cut."""
    readers = [(own, own.model_max_length) for own in encoders.tokenizers]
    if isinstance(encoders, TextEncodersWithT5) and encoders.t5.encoder is not None:
        readers.append((encoders.t5.tokenizer, encoders.t5.reads(SD3_TOKENS)))
    return [
        torch.tensor(own(list(captions), padding="max_length", max_length=length, truncation=True).input_ids)
        for own, length in readers
    ]


def embed(family: str, encoders: TextEncoders, ids: Ids) -> Embeds:
    """What a network of the family is fed for these tokens. ValueError for a family that reads no text."""
    if family not in EMBED:
        raise ValueError(f"a model of the family {family} is not told texts; families that are: {', '.join(EMBED)}")
    return EMBED[family](encoders, ids)


def _sd(encoders: TextEncoders, ids: Ids) -> Embeds:
    return {"prompt_embeds": encoders.states(0, ids[0], -1, norm=True)[0]}


def _sdxl(encoders: TextEncoders, ids: Ids) -> Embeds:
    both = [encoders.states(i, one, -2) for i, one in enumerate(ids[: len(encoders.encoders)])]
    return {"prompt_embeds": torch.cat([z for z, _ in both], -1), "pooled": both[-1][1]}


def _sd3(encoders: TextEncoders, ids: Ids) -> Embeds:
    assert isinstance(encoders, TextEncodersWithT5)
    one, two = (encoders.states(i, ids[i], -2) for i in (0, 1))
    clip = torch.cat([one[0], two[0]], -1)
    t5 = encoders.t5
    long = clip.new_zeros(len(clip), SD3_TOKENS, t5.width) if t5.encoder is None else t5.encoder(ids[-1])[0]
    wide = nn.functional.pad(clip, (0, long.shape[-1] - clip.shape[-1]))
    return {"prompt_embeds": torch.cat([wide, long], -2), "pooled": torch.cat([one[1], two[1]], -1)}


def _flux(encoders: TextEncoders, ids: Ids) -> Embeds:
    assert isinstance(encoders, TextEncodersWithT5)
    assert encoders.t5.encoder is not None
    return {"prompt_embeds": encoders.t5.encoder(ids[-1])[0], "pooled": encoders.states(0, ids[0], -1)[1]}


EMBED: dict[str, Callable[[TextEncoders, Ids], Embeds]] = {
    "sd": _sd,
    "sdxl": _sdxl,
    "sdxl-refiner": _sdxl,
    "sd3": _sd3,
    "flux": _flux,
}
