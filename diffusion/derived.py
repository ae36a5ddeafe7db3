"""A model folder made from another by giving some of its parts other weights; the rest is taken over as it is."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from diffusion import folder as layout
from diffusion.recipes import ModelRecipe, TextEncoderRecipe, VAERecipe

Recipes = tuple[ModelRecipe, TextEncoderRecipe, VAERecipe]


def write(source: Path, target: Path, parts: Mapping[str, nn.Module]) -> None:
    """Write the folder `target`: that of `source` in diffusers layout, with these parts (unet, vae, text_encoder …).

    What is not among the parts is linked, or copied where it cannot be. FileNotFoundError and ValueError as
    `diffusion.folder.read`.
    """
    target.mkdir(parents=True, exist_ok=True)
    for part, module in parts.items():
        shutil.rmtree(target / part, ignore_errors=True)
        module.save_pretrained(target / part, safe_serialization=True)  # type: ignore[operator]
        # the library notes where a part was loaded from: a folder of this machine, which is no content
        set_config(target / part, _name_or_path=None)
    for file in layout.read(source).files:
        name = file.relative_to(source)
        if name.parts[0] not in parts:
            _take_over(file, target / name)


def recipes(folder: Path) -> Recipes:
    """The recipes of a folder, whose digest is that of what its files hold, wherever it lies. Errors as
    `diffusion.folder.recipes`."""
    found = layout.recipes(folder)
    digest = content_of(folder)
    return replace(found[0], digest=digest), replace(found[1], digest=digest), replace(found[2], digest=digest)


def content_of(folder: Path) -> str:
    """SHA-256 over the names and the contents of a model folder's files, as hexadecimal digits."""
    seen = hashlib.sha256()
    for file in sorted(layout.read(folder).files):
        with file.open("rb") as data:
            digest = hashlib.file_digest(data, "sha256").hexdigest()
        seen.update(f"{file.relative_to(folder).as_posix()} {digest}\n".encode())
    return seen.hexdigest()


def set_config(folder: Path, **values: Any) -> None:
    """Change some values of a part's config.json; None takes one out."""
    file = folder / "config.json"
    changed = {**json.loads(file.read_text("utf-8")), **values}
    kept = {name: value for name, value in changed.items() if name not in values or value is not None}
    file.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")


def _take_over(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        os.link(file.resolve(), target)
        return
    shutil.copyfile(file, target)
