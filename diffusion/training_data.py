"""What a denoiser is taught from: the model to begin with, and a data set as pixels, latents and tokens of captions."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from diffusion import captions
from diffusion.clip import TextEncoders
from diffusion.conditions import size_ids
from diffusion.family import family_of
from diffusion.recipes import ModelRecipe, VAERecipe
from diffusion.types import Dataset, Image, ScheduleConfig

AT_ONCE = 64, 64 * 64 * 64
"""Pictures that are put into latents at a time, and their pixels in all, at most; of large ones it is one."""


@dataclass(frozen=True, eq=False)
class Base:
    """A model as a training begins with it: its loaded parts, and what they are."""

    denoiser: nn.Module
    encoders: TextEncoders
    vae: nn.Module
    model: ModelRecipe
    vae_recipe: VAERecipe


@dataclass(frozen=True, eq=False)
class Examples:
    """Pictures of one shape, as a denoiser is taught with them.

    latents: (N, C, h, w). texts: N captions. ids: their tokens, (N, L) for each encoder. none: what stands for a
    caption that is left out. empty: its tokens, a row.
    sizes: (N, 6), what SDXL is told of the sizes of each (`conditions.size_ids`); None for plain ones of this shape.
    hints: uint8 (N, H, W, 3), what a ControlNet sees of each.
    """

    latents: torch.Tensor
    texts: Sequence[str]
    ids: captions.Ids
    empty: captions.Ids
    sizes: torch.Tensor | None = None
    hints: torch.Tensor | None = None
    none: str = ""


def examples(
    base: Base, dataset: Dataset, told: Callable[[int, int], None] = lambda done, total: None, none: str = ""
) -> tuple[Examples, ...]:
    """A data set as what a denoiser learns from, each shape of pictures by itself. told: pictures done, and in all.
    none: what stands for a caption that is left out.

    ValueError if pictures have no captions, or sides that the VAE does not take.
    """
    family, found, done = family_of(base.vae_recipe), [], 0
    for part in dataset.parts:
        count, latents = len(part.images), []
        if len(part.captions) != count:
            raise ValueError(f"{part.name}: {count} pictures, but {len(part.captions)} captions")
        for few in batches(part.images):
            pixels = few.astype(np.float32) / 255
            latents.append(family.encode(base.vae, base.vae_recipe, Image(pixels)).samples.cpu())
            done += len(few)
            told(done, len(dataset))
        read = captions.tokens(base.encoders, [*part.captions, none])
        sizes = None if part.crops is None else sizes_of(part.crops, *part.images.shape[1:3])
        ids, empty = [one[:-1] for one in read], [one[-1:] for one in read]
        found.append(Examples(torch.cat(latents), part.captions, ids, empty, sizes, none=none))
    return tuple(found)


def batches(images: np.ndarray) -> Iterator[np.ndarray]:
    """Pictures (N, H, W, C), a few at a time, as many as a network may well see at once."""
    most, pixels = AT_ONCE
    few = max(1, min(most, pixels // (images.shape[1] * images.shape[2])))
    return (images[start : start + few] for start in range(0, len(images), few))


def sizes_of(crops: np.ndarray, height: int, width: int) -> torch.Tensor:
    """(N, 6) float32, what SDXL is told of pictures of one shape, from `Dataset.crops`: height and width of the whole
    picture, top and left of the part, height and width of the part."""
    rows = [size_ids(whole_w, whole_h, left, top, width, height) for whole_h, whole_w, top, left in crops.tolist()]
    return torch.cat(rows)


def draw(data: Sequence[Examples], batch: int) -> tuple[Examples, torch.Tensor]:
    """Pictures for a step, all of one shape, and which of them, (B,). Each picture comes as often as any other."""
    one = data[0]
    if len(data) > 1:
        counts = torch.tensor([float(len(part.latents)) for part in data])
        one = data[int(torch.multinomial(counts, 1))]
    return one, torch.randint(len(one.latents), (batch,))


def told(
    model: ModelRecipe,
    encoders: TextEncoders,
    one: Examples,
    chosen: torch.Tensor,
    dropped: torch.Tensor,
    device: str,
    shuffle: bool = False,
) -> captions.Embeds:
    """What a network is fed for the captions of the chosen, (B,), of which some, (B,) of booleans, are left out: zeros
    for a model that takes these for no text, else what its encoders make of `Examples.none`. SDXL is told sizes too.

    shuffle: as in `diffusion.training_step.Teaching`.
    """
    ids = [each[chosen] for each in one.ids]
    if shuffle:
        ids = captions.tokens(encoders, [shuffled(one.texts[i]) for i in chosen.tolist()])
    ids, out = [each.to(device) for each in ids], dropped.to(device)
    if model.zero_negative and not one.none:
        embeds = captions.embed(model.family, encoders, ids)
        embeds = {name: e * ~out.view(-1, *[1] * (e.ndim - 1)) for name, e in embeds.items()}
    else:
        kept = [torch.where(out[:, None], none.to(device), each) for each, none in zip(ids, one.empty, strict=True)]
        embeds = captions.embed(model.family, encoders, kept)
    if one.sizes is not None and model.family == "sdxl":
        embeds["time_ids"] = one.sizes[chosen].to(device)
    return embeds


def shuffled(caption: str) -> str:
    """What stands between commas in another order, drawn from torch's default generator; the first stays the first."""
    first, *rest = caption.split(", ")
    return ", ".join([first, *(rest[i] for i in torch.randperm(len(rest)).tolist())])


def training_table(config: ScheduleConfig, shift: float | None = None) -> ScheduleConfig:
    """The table to learn: where the shift follows the size, it is a matter of sampling, and the table has none. shift:
    another than the model's. ValueError if there is one, and the table is not that of a flow."""
    if shift is not None:
        if config.kind != "flow":
            raise ValueError(f"a shift moves the levels of a flow, and this model learned {config.kind}: leave it out")
        return replace(config, base_shift=None, mu=None, shift=shift)
    return replace(config, base_shift=None, mu=None, shift=1.0) if config.base_shift is not None else config


def pixels(images: torch.Tensor) -> torch.Tensor:
    """uint8 (B, H, W, C) as float32 (B, C, H, W) in -1 … 1: p / 127.5 - 1."""
    return images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1


def called(dataset: Dataset, trigger: str) -> Dataset:
    """The data set with a word before every caption; "" for none."""
    if not trigger:
        return dataset
    parts = [
        replace(part, captions=tuple(f"{trigger}, {caption}" for caption in part.captions)) for part in dataset.parts
    ]
    return replace(parts[0], others=tuple(parts[1:]))


def content_of(dataset: Dataset) -> str:
    """SHA-256 of pictures, labels, captions and crops, as hexadecimal digits."""
    seen = hashlib.sha256()
    for part in dataset.parts:
        seen.update(part.images.tobytes())
        seen.update(b"" if part.labels is None else part.labels.tobytes())
        seen.update("\n".join(part.captions).encode())
        seen.update(b"" if part.crops is None else part.crops.tobytes())
    return seen.hexdigest()
