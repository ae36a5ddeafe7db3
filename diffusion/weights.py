"""From recipes to modules: one component of a model, with its weights, by the library that defines it."""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from diffusion import single, vae_loading, weights_check
from diffusion.parts import variant_of
from diffusion.reading import unreadable
from diffusion.recipes import Recipe, VAERecipe


def component(recipe: Recipe, part: str, kind: Any, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The part of a model that lies in a folder of that name (unet, vae, text_encoder …), on the CPU; or that part of
    a single file.

    kind: its class in diffusers or transformers. ValueError if it is damaged or does not fit its configuration.
    """
    source = Path(recipe.source)
    # a VAE may also be in a folder by itself
    folder = source / part if (source / part).is_dir() or source.is_file() else source
    # a run tells of its own progress, and what is wrong with weights is looked for here
    logging: Any = import_module(kind.__module__.partition(".")[0] + ".utils.logging")
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        if isinstance(recipe, VAERecipe) and source.is_file() and not recipe.config:
            return vae_loading.load_file(recipe, dtype)  # by itself, and not in a model's file
        if source.is_file():
            return single.component(recipe, part, kind, dtype)
        return _of_folder(folder, recipe.variant, kind, dtype)
    except (OSError, RuntimeError, KeyError) as err:
        raise unreadable(folder, err) from err


def tokenizer(recipe: Recipe, part: str, kind: Any) -> Any:
    """The tokenizer that lies in a folder of that name. ValueError if it is damaged."""
    folder = Path(recipe.config or recipe.source) / part
    try:
        return kind.from_pretrained(str(folder), local_files_only=True)
    except (OSError, RuntimeError, KeyError) as err:
        raise ValueError(f"{folder}: damaged: {err}") from err


def _of_folder(folder: Path, wanted: str, kind: Any, dtype: torch.dtype) -> nn.Module:
    transformers = kind.__module__.startswith("transformers.")
    file = "model.safetensors" if transformers else "diffusion_pytorch_model.safetensors"
    variant = variant_of(folder, file, wanted) or None
    # transformers has renamed the argument, diffusers has not for single models
    how = {"dtype" if transformers else "torch_dtype": dtype, "use_safetensors": True, "local_files_only": True}
    module: nn.Module
    module, info = kind.from_pretrained(str(folder), variant=variant, output_loading_info=True, **how)
    # both libraries fill what is missing with random numbers
    weights_check.complain(str(folder), [f"{key} is missing" for key in sorted(info["missing_keys"])])
    return module
