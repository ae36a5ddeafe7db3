"""What is made from conditionings alone: zeros in their place, sizes beside them, and one made of two.

Combining, concatenating and averaging are three different things, each as ComfyUI does it:

    combined      both stay, and what the network says under each is mixed
    concatenated  one prompt of more tokens
    averaged      embeddings half-way between two
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from diffusion.types import Conditioning

EMBEDDINGS = ("prompt_embeds", "pooled")
"""What a text encoder made, by the names that families give it."""

SCORE = "aesthetic_score"
"""(P,), 0 … 10, what the SDXL refiner is told beside the sizes."""


def each(conditioning: Conditioning, change: Callable[[Conditioning], Conditioning]) -> Conditioning:
    """The conditioning with a change made to each of its parts."""
    first, *others = map(change, conditioning.parts)
    return replace(first, others=tuple(others))


def zeroed(conditioning: Conditioning) -> Conditioning:
    """The same with all embeddings zero; sizes stay. ValueError if it holds none, as labels do not."""

    def zeros(part: Conditioning) -> Conditioning:
        _embeddings(part)
        embeddings = {name: torch.zeros_like(part.tensors[name]) for name in EMBEDDINGS if name in part.tensors}
        return replace(part, tensors={**part.tensors, **embeddings}, text="")

    return each(conditioning, zeros)


def combined(first: Conditioning, second: Conditioning) -> Conditioning:
    """Both, to be mixed: o = (m_1 o_1 + m_2 o_2) / (m_1 + m_2)."""
    return replace(first, others=(*first.others, *second.parts))


def concatenated(first: Conditioning, second: Conditioning) -> Conditioning:
    """Each part of the first with the tokens of the second behind its own: (P, L_1 + L_2, D). The rest is the first's.

    ValueError if the second has several parts, or if they are of different families or numbers of prompts.
    """
    behind = _single(second)

    def longer(part: Conditioning) -> Conditioning:
        c, more = _alike(part, behind)
        text = "\n".join(filter(None, (part.text, second.text)))
        return replace(part, tensors={**part.tensors, "prompt_embeds": torch.cat([c, more], 1)}, text=text)

    return each(first, longer)


def averaged(first: Conditioning, second: Conditioning, strength: float) -> Conditioning:
    """c = s c_1 + (1 - s) c_2 in each part of the first. The second is cut, or filled with zeros, to as many tokens.

    Errors as in `concatenated`.
    """
    beside = _single(second)

    def between(part: Conditioning) -> Conditioning:
        c, other = _alike(part, beside)
        other = other[:, : c.shape[1]]
        other = torch.cat([other, other.new_zeros(len(c), c.shape[1] - other.shape[1], c.shape[2])], 1)
        tensors = {**part.tensors, "prompt_embeds": strength * c + (1 - strength) * other}
        if "pooled" in part.tensors and "pooled" in beside.tensors:
            tensors["pooled"] = strength * part.tensors["pooled"] + (1 - strength) * beside.tensors["pooled"]
        return replace(part, tensors=tensors, text="\n".join(filter(None, (part.text, second.text))))

    return each(first, between)


def _single(conditioning: Conditioning) -> Conditioning:
    if conditioning.others:
        raise ValueError("the second conditioning is a combination of several: only the first may be")
    return conditioning


def _embeddings(conditioning: Conditioning) -> torch.Tensor:
    if "prompt_embeds" not in conditioning.tensors:
        raise ValueError("the conditioning holds no text embeddings, which this needs")
    return conditioning.tensors["prompt_embeds"]


def _alike(first: Conditioning, second: Conditioning) -> tuple[torch.Tensor, torch.Tensor]:
    """The embeddings of both, (P, L, D) with P and D the same."""
    one, two = map(_embeddings, (first, second))
    if one.shape[2] != two.shape[2]:
        raise ValueError(f"the embeddings are {one.shape[2]} and {two.shape[2]} wide: they are of different models")
    if two.shape[0] not in (1, one.shape[0]):
        raise ValueError(f"one conditioning has {one.shape[0]} prompts, and the other {two.shape[0]}")
    return one, two.expand(one.shape[0], -1, -1)


def size_ids(
    width: int,
    height: int,
    crop_x: int = 0,
    crop_y: int = 0,
    target_width: int | None = None,
    target_height: int | None = None,
) -> torch.Tensor:
    """(1, 6) float32: height and width before cropping, top and left of the crop, height and width asked for."""
    target_width, target_height = target_width or width, target_height or height
    return torch.tensor([[height, width, crop_y, crop_x, target_height, target_width]], dtype=torch.float32)


def sized(conditioning: Conditioning, ids: torch.Tensor, score: float | None = None) -> Conditioning:
    """The conditioning with size ids (1, 6), and an aesthetic score, for each of its prompts.

    ValueError if its family has none.
    """

    def told(part: Conditioning) -> Conditioning:
        if "pooled" not in part.tensors:
            raise ValueError("sizes are part of SDXL's conditioning, and this one is of another family")
        more = {} if score is None else {SCORE: torch.full((part.prompts,), float(score))}
        return replace(part, tensors={**part.tensors, "time_ids": ids.repeat(part.prompts, 1), **more})

    return each(conditioning, told)


def told_scale(conditioning: Conditioning, scale: float) -> Conditioning:
    """The conditioning with a guidance scale for each of its prompts, for networks that take one as an input."""

    def told(part: Conditioning) -> Conditioning:
        return replace(part, tensors={**part.tensors, "guidance": torch.full((part.prompts,), float(scale))})

    return each(conditioning, told)
