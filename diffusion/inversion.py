"""Textual inversion: words whose embeddings were learned from pictures (Gal et al. 2022).

A file holds n vectors for each text encoder. The token stands for the first of them, and token_1, token_2 … for the
others: where a prompt says the token, all n are read in its place. A file that weft wrote says the token in its
metadata. The encoder's table of embeddings stays as it is; the new ones lie behind its last row.

    layout        tensors                                        of
    diffusers     {token: (n, width)} or {token: (width,)}       one encoder
    webui         emb_params: (n, width)                         one encoder
    SDXL          clip_l: (n, 768), clip_g: (n, 1280)            both
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from diffusion.clip import TextEncoders
from diffusion.identify import identify
from diffusion.patch_check import MisfitError
from diffusion.recipes import Patch

ENCODERS = {"clip_l": 0, "clip_g": 1}
"""Which encoder of SDXL the tensors of a file are for."""
_NO_TOKEN = ("emb_params", *ENCODERS)


class Inversion(nn.Module):
    """The vectors of a file, (n, width), by the index of the encoder they are for. token: as the file calls it."""

    def __init__(self, vectors: Mapping[int, torch.Tensor], token: str, name: str) -> None:
        super().__init__()
        self.encoders = tuple(vectors)
        for i, tensor in vectors.items():
            self.register_buffer(f"vectors_{i}", tensor)
        self.token, self.name = token, name

    def vectors(self, i: int) -> torch.Tensor:
        """(n, width) for encoder i."""
        vectors: torch.Tensor = self.get_buffer(f"vectors_{i}")
        return vectors


def read(path: Path, dtype: torch.dtype) -> Inversion:
    """The vectors of a file. MisfitError for one that holds something else."""
    from safetensors import safe_open

    what = identify(path)
    if what.what != "embedding":
        raise MisfitError(f"{path.name} is {what}, not a textual inversion; {what.hint}".rstrip("; "))
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name).to(dtype) for name in file.keys()}  # noqa: SIM118
        called = (file.metadata() or {}).get("token") or path.stem
    tensors = {name: tensor[None] if tensor.ndim == 1 else tensor for name, tensor in tensors.items()}
    if ENCODERS.keys() & tensors.keys():
        return Inversion({i: tensors[name] for name, i in ENCODERS.items() if name in tensors}, called, path.name)
    if len(tensors) != 1:
        raise MisfitError(f"{path.name} holds several tensors ({', '.join(tensors)}), which name no text encoders")
    ((name, tensor),) = tensors.items()
    return Inversion({0: tensor}, called if name in _NO_TOKEN else name, path.name)


class Extended(nn.Module):
    """A table of embeddings with more rows behind its last."""

    def __init__(self, table: nn.Module, more: torch.Tensor) -> None:
        super().__init__()
        self.table = table
        self.register_buffer("more", more)

    @property
    def weight(self) -> torch.Tensor:
        """The rows of the table itself."""
        weight: torch.Tensor = self.table.weight  # type: ignore[assignment]
        return weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """(…, width) of ids (…)."""
        rows = _rows(self.table)
        more = self.get_buffer("more")
        known: torch.Tensor = self.table(ids.clamp(max=rows - 1))
        return torch.where((ids >= rows)[..., None], more[(ids - rows).clamp(min=0)].to(known), known)


class Words:
    """A tokenizer that reads one token as several, each for a vector."""

    def __init__(self, tokenizer: Any, token: str, tokens: list[str]) -> None:
        self._tokenizer, self._token, self._tokens = tokenizer, token, tokens

    def __call__(self, text: str | list[str], **how: Any) -> Any:
        """As the tokenizer itself, of one text or several."""
        said = " ".join(self._tokens)
        read = (
            text.replace(self._token, said) if isinstance(text, str) else [t.replace(self._token, said) for t in text]
        )
        return self._tokenizer(read, **how)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._tokenizer, name)


def install(module: nn.Module, inversion: Inversion, patch: Patch) -> None:
    """Teach text encoders a token. patch: its setting "token" is what prompts call it; else as the file does.

    MisfitError if the vectors are of another width than the encoder's, or the token is a word that it knows.
    """
    assert isinstance(module, TextEncoders)
    token = patch.text("token") or inversion.token
    tokenizers = list(module.tokenizers)
    for i in inversion.encoders:
        vectors = inversion.vectors(i)
        if i >= len(module.encoders):
            here = len(module.encoders)
            raise MisfitError(f"{inversion.name} is for {i + 1} text encoders, and this model has {here}")
        encoder: Any = module.encoders[i]
        table = encoder.get_input_embeddings()
        if vectors.shape[-1] != table.weight.shape[-1]:
            width = table.weight.shape[-1]
            raise MisfitError(
                f"{inversion.name} has vectors {vectors.shape[-1]} wide, and this text encoder takes {width}: it was "
                "made for another model"
            )
        tokens = [token, *(f"{token}_{n}" for n in range(1, len(vectors)))]
        # tokenizers are shared with the plain module
        own = copy.deepcopy(tokenizers[i])
        known = own.get_vocab()
        if any(one in known for one in tokens):
            raise MisfitError(f'"{token}" is a token that this text encoder knows already: set token to another word')
        first = _rows(table)
        own.add_tokens(tokens)
        if own.convert_tokens_to_ids(token) != first:
            raise MisfitError(f"the tokenizer has {len(known)} words, and the text encoder {first}: no place for more")
        tokenizers[i] = Words(own, token, tokens) if len(tokens) > 1 else own
        encoder.set_input_embeddings(Extended(table, vectors))
    module.tokenizers = tuple(tokenizers)


def _rows(table: nn.Module) -> int:
    """How many ids a table has embeddings for."""
    if isinstance(table, Extended):
        return _rows(table.table) + len(table.get_buffer("more"))
    weight: torch.Tensor = table.weight  # type: ignore[assignment]
    return len(weight)
