"""Textual inversion: teaching a model a word for what pictures show, by the embeddings of that word alone (Gal et al.
2022).

    v* = argmin_v E w (o(x_t, t, c(v)) - target)^2,   c(v) what the text encoders make of "a photo of {word}"

v are n vectors in the table of embeddings of each CLIP text encoder, and begin as those of a word that the model knows;
all that there was stays as it is. `diffusion.inversion` reads the file.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors.torch import save as packed
from torch import nn

from diffusion import captions
from diffusion.checkpoint import with_metadata, write_atomically
from diffusion.clip import TextEncoders
from diffusion.family import family_of
from diffusion.guidance import Inputs
from diffusion.inversion import ENCODERS, Inversion, install
from diffusion.loop import seeded
from diffusion.patches import shared_copy
from diffusion.recipes import ModelRecipe, Patch
from diffusion.schedule import table
from diffusion.training_data import Base, Examples, examples, told, training_table
from diffusion.training_look import Run, Viewer, watched
from diffusion.training_step import Teaching, loss_on
from diffusion.types import Dataset, Image

Kind = Literal["object", "style", "captions"]

TEMPLATES: dict[str, tuple[str, ...]] = {
    "object": (
        "a photo of a {}",
        "a rendering of a {}",
        "a cropped photo of the {}",
        "the photo of a {}",
        "a photo of a clean {}",
        "a dark photo of the {}",
        "a photo of my {}",
        "a photo of the cool {}",
        "a close-up photo of a {}",
        "a bright photo of the {}",
        "a good photo of the {}",
        "a photo of one {}",
    ),
    "style": (
        "a painting in the style of {}",
        "a rendering in the style of {}",
        "a cropped painting in the style of {}",
        "the painting in the style of {}",
        "a clean painting in the style of {}",
        "a dark painting in the style of {}",
        "a picture in the style of {}",
        "a cool painting in the style of {}",
        "a close-up painting in the style of {}",
        "a bright painting in the style of {}",
        "a good painting in the style of {}",
        "a small painting in the style of {}",
    ),
}
"""Some of the texts of Gal et al. 2022, appendix B, one of which is drawn for each picture of a step."""


@dataclass(frozen=True)
class InversionTraining(Teaching):
    """token: the new word. word: one that the model knows, to begin with. vectors: n. kind: which texts the word
    stands in, or the captions of the pictures."""

    token: str
    word: str
    vectors: int = 1
    kind: Kind = "object"


def unlike(model: ModelRecipe) -> str:
    """Why a word cannot be taught to a model, or ""."""
    if model.family in ("sd", "sdxl"):
        return ""
    return f"words are taught to models of Stable Diffusion and SDXL, and this is one of the family {model.family}"


def train(
    base: Base,
    dataset: Dataset,
    config: InversionTraining,
    run: Run,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Inversion, tuple[float, ...], Image]:
    """The vectors of the new word, averaged, the loss of every step, and the pictures kept.

    progress: told pictures that are put into latents, and all of them. ValueError for a model of another family, a word
    that the tokenizer makes nothing of, or pictures without captions where these are wanted. Other errors as
    `diffusion.loop.loop` and `diffusion.inversion.install`.
    """
    if why := unlike(base.model):
        raise ValueError(why)
    model, device = base.model, run.device
    with torch.random.fork_rng(devices=[]):
        seeded(config.loop.seed)
        taught = first_vectors(base.encoders, config.word, config.vectors)
        average = copy.deepcopy(taught).requires_grad_(False)
        read, seen = (_with(base.encoders, vectors, config.token) for vectors in (taught, average))
        data = examples(replace(base, encoders=read), _captioned(dataset, config), progress)
        texts = [one.format(config.token) for one in TEMPLATES.get(config.kind, ())]
        ids = captions.tokens(read, texts) if texts else []
        denoiser = base.denoiser
        if config.checkpointing:
            denoiser = shared_copy(denoiser).train()
            cast(Any, denoiser).enable_gradient_checkpointing()
        network, levels = family_of(model).network(denoiser, model), table(training_table(model.schedule, config.shift))

        def feed(one: Examples, chosen: torch.Tensor, dropped: torch.Tensor) -> Inputs:
            if not texts:
                return told(model, read, one, chosen, dropped, device, config.shuffle)
            which = torch.randint(len(texts), (len(chosen),))
            sizes = None if one.sizes is None else one.sizes[chosen]
            drawn = replace(one, ids=[each[which] for each in ids], sizes=sizes)
            return told(model, read, drawn, torch.arange(len(chosen)), dropped, device)

        def looking(one: Examples, chosen: torch.Tensor, dropped: torch.Tensor) -> Inputs:
            return told(model, seen, one, chosen, dropped, device)

        def loss_of() -> torch.Tensor:
            return loss_on(data, network, feed, model, levels, config, device)

        averaged = family_of(model).network(base.denoiser, model)
        viewer = Viewer(replace(base, encoders=seen), averaged, looking, data[0], run)
        losses, kept = watched(taught, average, config.loop, loss_of, run, viewer)
    return _inversion(average, config.token), losses, kept


def first_vectors(encoders: TextEncoders, word: str, count: int) -> nn.ParameterList:
    """(count, width) for each encoder: the embeddings of the tokens of a word, again and again if there are fewer.

    ValueError if the word has none.
    """
    found = []
    for encoder, tokenizer in zip(encoders.encoders, encoders.tokenizers, strict=True):
        ids = tokenizer(word, add_special_tokens=False).input_ids
        if not ids:
            raise ValueError(f'"{word}" is no word to begin with: the tokenizer makes nothing of it')
        rows: torch.Tensor = cast(Any, encoder).get_input_embeddings().weight
        found.append(nn.Parameter(rows[[ids[i % len(ids)] for i in range(count)]].float().clone()))
    return nn.ParameterList(found)


def write(file: Path, taught: Inversion, about: Mapping[str, str]) -> None:
    """Write the vectors as diffusers' load_textual_inversion reads them: {token: (n, width)} for one encoder, else
    clip_l and clip_g; and more metadata, `about`, beside the token."""
    vectors = {i: taught.vectors(i).detach().cpu().contiguous() for i in taught.encoders}
    names = [taught.token] if len(vectors) == 1 else list(ENCODERS)
    tensors = {name: vectors[i] for i, name in enumerate(names)}
    write_atomically(file, with_metadata(packed(tensors), {"format": "pt", "token": taught.token, **about}))


def _inversion(vectors: nn.ParameterList, token: str) -> Inversion:
    return Inversion(dict(enumerate(vectors)), token, "the word in training")


def _with(encoders: TextEncoders, vectors: nn.ParameterList, token: str) -> TextEncoders:
    """A copy of the structure of text encoders that knows the token; its vectors are those given."""
    read = cast(TextEncoders, shared_copy(encoders))
    install(read, _inversion(vectors, token), Patch("inversion", ""))
    return read


def _captioned(dataset: Dataset, config: InversionTraining) -> Dataset:
    """The data set with captions that say the token; for a look alone where texts are drawn."""

    def captioned(part: Dataset) -> Dataset:
        texts = TEMPLATES.get(config.kind)
        said = (texts[0].format(config.token),) * len(part.images) if texts else part.captions
        named = (text if config.token in text else f"{config.token}, {text}" for text in said)
        return replace(part, captions=tuple(named))

    first, *others = map(captioned, dataset.parts)
    return replace(first, others=tuple(others))
