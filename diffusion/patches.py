"""Patches: what changes a loaded model without touching its weights.

A patched module is a copy of the structure alone: its parameters and buffers are those of the plain one, and what a
patch adds lies beside them. So it takes no memory for the weights a second time, and without the patch the model gives
the same bits as before.

Inputs that patches add to what a network is fed, for patch i of the recipe (see `diffusion.guidance.Inputs`):

    lora_i                  (B,), strength
    ip_adapter_i            (B, N, …), what an image encoder made of N pictures
    ip_adapter_i_strength   (B,)
"""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from diffusion import inversion, ip_adapter, lora, lora_file
from diffusion.guidance import Inputs, Load, Network, outside
from diffusion.patch_check import MisfitError, no_weights
from diffusion.recipes import ModelRecipe, Patch, TextEncoderRecipe
from diffusion.soundness import look
from diffusion.types import Level, Schedule

Piece = Callable[[Patch], nn.Module]
"""What a patch's file holds, loaded."""


def piece(patch: Patch, recipe: ModelRecipe | TextEncoderRecipe, plain: nn.Module, dtype: torch.dtype) -> nn.Module:
    """What the file of a patch holds for a model or for text encoders, on the CPU. Errors as the kind's `read`."""
    found = _read(patch, recipe, plain, dtype)
    look(found.weights() if isinstance(found, lora.Lora) else found.state_dict(), patch.source)
    return found


def _read(patch: Patch, recipe: ModelRecipe | TextEncoderRecipe, plain: nn.Module, dtype: torch.dtype) -> nn.Module:
    path = Path(patch.source)
    if patch.kind == "lora":
        half: lora_file.Half = "denoiser" if isinstance(recipe, ModelRecipe) else "text"
        return lora_file.read(path, recipe.family, half, getattr(plain, "config", None), dtype)
    if patch.kind == "inversion":
        return inversion.read(path, dtype)
    return ip_adapter.read(path, dtype)


def patched(plain: nn.Module, recipe: ModelRecipe | TextEncoderRecipe, pieces: Sequence[nn.Module]) -> nn.Module:
    """A copy of a plain module's structure with the recipe's patches in it, in their order.

    Errors as `lora.install`, `inversion.install` and `ip_adapter.install`.
    """
    module = shared_copy(plain)
    values = [patch.number("strength", 1.0) for patch in recipe.patches]
    strengths = lora.Strengths(values)
    module.strengths = strengths  # type: ignore[assignment]
    adapters: list[ip_adapter.Adapter] = []
    for i, (patch, one) in enumerate(zip(recipe.patches, pieces, strict=True)):
        if isinstance(one, lora.Lora):
            for part in one.parts:
                lora.install(_part(module, recipe, part, one.name), one, part, strengths, i)
        elif isinstance(one, inversion.Inversion):
            inversion.install(module, one, patch)
        elif isinstance(one, ip_adapter.Adapter):
            adapters.append(one)
    if adapters:
        which = [i for i, patch in enumerate(recipe.patches) if patch.kind == "ip_adapter"]
        ip_adapter.install(module, adapters, strengths, which)
    return module.requires_grad_(False).eval()


def merged(module: nn.Module, recipe: ModelRecipe | TextEncoderRecipe) -> nn.Module:
    """The plain module of a recipe itself, with the recipe's LoRAs in its weights. Errors as `lora.merge`, and
    MisfitError for patches that are no change of weights."""
    for patch in recipe.patches:
        if why := no_weights(patch):
            raise MisfitError(why)
        one = piece(patch, recipe, module, torch.float32)
        assert isinstance(one, lora.Lora)
        for part in one.parts:
            lora.merge(_part(module, recipe, part, one.name), one, part, patch.number("strength", 1.0))
    return module


def shared_copy(module: nn.Module) -> nn.Module:
    """A copy of a module whose parameters and buffers, and tokenizers, are the module's own."""
    kept: list[Any] = [*module.parameters(), *module.buffers()]
    for one in module.modules():
        kept += [*getattr(one, "tokenizers", ()), getattr(one, "tokenizer", None)]
    return copy.deepcopy(module, {id(thing): thing for thing in kept if thing is not None})


def driven(network: Network, module: nn.Module, recipe: ModelRecipe, schedule: Schedule) -> Network:
    """The network of a patched module, with the strengths of its patches set to what the inputs and the level say.

    Where an input is not there, the strength is the recipe's. A patch with a start and an end does nothing outside.
    """
    if not recipe.patches:
        return network
    strengths: lora.Strengths = module.strengths  # type: ignore[assignment]
    silent = [outside(schedule, p.number("start", 0.0), p.number("end", 1.0)) for p in recipe.patches]
    given = [(_input(i, patch), patch.number("strength", 1.0)) for i, patch in enumerate(recipe.patches)]

    def run(x: torch.Tensor, level: Level, inputs: Inputs) -> torch.Tensor:
        strengths.values = tuple(
            0.0 if level in off else inputs.get(name, strength)
            for off, (name, strength) in zip(silent, given, strict=True)
        )
        return network(x, level, inputs)

    return run


def patch_inputs(recipe: ModelRecipe, batch: int, load: Load, negative: bool = False) -> dict[str, torch.Tensor]:
    """The inputs of a recipe's patches, of B rows. negative: for what guidance pushes away from."""
    found: dict[str, torch.Tensor] = {}
    for i, patch in enumerate(recipe.patches):
        found[_input(i, patch)] = torch.full((batch,), patch.number("strength", 1.0))
        if patch.kind == "ip_adapter":
            found[f"ip_adapter_{i}"] = ip_adapter.embedded(patch, recipe, batch, load, negative)
    return found


def _input(i: int, patch: Patch) -> str:
    return f"lora_{i}" if patch.kind == "lora" else f"{patch.kind}_{i}_strength"


def _part(module: nn.Module, recipe: ModelRecipe | TextEncoderRecipe, part: str, name: str) -> nn.Module:
    """The module that stands for a part of a model. MisfitError if the model has none."""
    if isinstance(recipe, ModelRecipe):
        if part not in ("unet", "transformer"):
            raise MisfitError(f"{name} changes {part}, which no model has")
        return module
    encoders: Any = module
    found = encoders.part(part)
    if found is None:
        raise MisfitError(f"{name} changes {part}, which this model does not have")
    encoder: nn.Module = found
    return encoder
