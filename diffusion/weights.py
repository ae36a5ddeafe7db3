"""From recipes to modules: one component of a model, with its weights, by the library that defines it."""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from diffusion.recipes import Recipe


def component(recipe: Recipe, part: str, kind: Any, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The part of a model that lies in a folder of that name (unet, vae, text_encoder …), on the CPU.

    kind: its class in diffusers or transformers. ValueError if it is damaged or does not fit its configuration.
    """
    folder = Path(recipe.source) / part
    # a run tells of its own progress
    import_module(kind.__module__.partition(".")[0] + ".utils.logging").disable_progress_bar()
    # transformers has renamed the argument, diffusers has not for single models
    name = "dtype" if kind.__module__.startswith("transformers.") else "torch_dtype"
    how = {name: dtype, "use_safetensors": True, "local_files_only": True, "variant": recipe.variant or None}
    try:
        module: nn.Module = kind.from_pretrained(str(folder), **how)
    except (OSError, RuntimeError, KeyError) as err:
        raise ValueError(f"{folder}: damaged, or weights that do not fit their configuration: {err}") from err
    return module


def tokenizer(recipe: Recipe, part: str, kind: Any) -> Any:
    """The tokenizer that lies in a folder of that name. ValueError if it is damaged."""
    folder = Path(recipe.source) / part
    try:
        return kind.from_pretrained(str(folder), local_files_only=True)
    except (OSError, RuntimeError, KeyError) as err:
        raise ValueError(f"{folder}: damaged: {err}") from err
