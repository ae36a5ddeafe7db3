"""Models in the folders that weft.toml names (`engine.places`), found by name or by SHA-256.

A folder is laid out as ComfyUI or stable-diffusion-webui have it, or anyhow. For each kind of model their folders are
known, so that a LoRA and a checkpoint may be called the same:

    ComfyUI/models/checkpoints, loras, vae, controlnet, …        stable-diffusion-webui/models/Stable-diffusion, Lora, …

A name is a path below such a folder, with or without .safetensors, or just the last part of one.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from diffusion import hub
from engine.errors import Problem, error
from engine.places import places
from engine.text import quoted

KINDS: dict[str, tuple[str, ...]] = {
    "checkpoint": ("checkpoints", "diffusers", "Stable-diffusion"),
    "lora": ("loras", "Lora", "LyCORIS"),
    "vae": ("vae", "VAE"),
    "controlnet": ("controlnet", "ControlNet"),
    "upscaler": ("upscale_models", "ESRGAN", "RealESRGAN"),
    "embedding": ("embeddings",),
    "ip-adapter": ("ipadapter", "IPAdapter"),
    "other": ("diffusion_models", "unet", "clip", "text_encoders", "clip_vision"),
}
"""What ComfyUI and stable-diffusion-webui call the folders of each kind of model."""
DIGEST = re.compile("sha256:([0-9a-fA-F]{10,64})")
"""A source that names a file by its SHA-256, or the beginning of it: ten digits are what model sites show."""
FILES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
DEPTH = 6
"""Folders below each other that are looked into."""
MOST = 50_000
"""Files and folders that are looked at in one place."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A model in a named folder. name: what a node's source would say. kind: as its folder says; empty where none."""

    name: str
    path: Path
    kind: str


def roots(place: Path) -> list[tuple[str, Path]]:
    """(kind, folder) of what a place holds; the place itself where it is laid out as neither program has it."""
    found: dict[Path, str] = {}
    for base in (place / "models", place):
        for kind, names in KINDS.items():
            for name in names:
                if (base / name).is_dir():
                    found.setdefault((base / name).resolve(), kind)
    return [(kind, path) for path, kind in found.items()] or ([("", place)] if place.is_dir() else [])


def all_placed(folder: Path) -> Iterator[Placed]:
    """The models in all places that are named for workflows in this folder, place by place."""
    for place in places(folder).models:
        for kind, root in roots(place):
            for path in models_below(root):
                yield Placed(path.relative_to(root).as_posix(), path, kind)


def find(name: str, folder: Path, kind: str = "") -> Path | None:
    """The model of that name in the first place that has one, in the folder of its kind first; None if none has.

    Raises E-NOTFOUND where one place has several of that name.
    """
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or "\0" in name:
        return None
    for place in places(folder).models:
        every = roots(place)
        for some in ([r for k, r in every if k == kind], [r for k, r in every if k != kind]):
            found = _exact(some, name) or _called(some, name)
            if len(found) > 1:
                told = ", ".join(quoted(str(path), 200) for path in found[:4])
                what = f"{len(found)} models are called {quoted(name)}: {told}"
                raise error(Problem("E-NOTFOUND", what, "name the folder that it lies in, too", exit_code=3))
            if found:
                return found[0]
    return None


def by_digest(source: str, folder: Path) -> Path | None:
    """The file that "sha256:…" names; None for a source that is none such. Reads no file whole.

    Raises E-NOTFOUND where no file is known to have that digest.
    """
    match = DIGEST.fullmatch(source)
    if match is None:
        return None
    wanted = match[1].lower()
    from engine.cache import Cache, default_root

    cache = Cache(default_root())
    try:
        known = cache.with_sha256(wanted)
    finally:
        cache.close()
    known += [path for path in _of_the_hub() if path.resolve().name.startswith(wanted)]
    if known:
        return known[0]
    hint = f"weft models find {source} reads the files that are here, and remembers their digests"
    raise error(Problem("E-NOTFOUND", f"no file is known to have {quoted(source, 80)}", hint, exit_code=3))


def whole(path: Path) -> Path:
    """The folder in diffusers layout that a file is part of, else the file itself."""
    return next((above for above in path.parents[:2] if (above / "model_index.json").is_file()), path)


def models_below(root: Path) -> list[Path]:
    """The files of weights below a folder, and the folders that are one model each; links are followed."""
    found: list[Path] = []
    seen = 0
    for here, folders, names in os.walk(root, followlinks=True):
        at = Path(here)
        seen += len(folders) + len(names)
        if at != root and ("model_index.json" in names or {"config.json", "model.safetensors"} <= {*names}):
            folders[:] = []
            found.append(at)
            continue
        deep = len(at.relative_to(root).parts) >= DEPTH or seen > MOST
        folders[:] = [] if deep else sorted(f for f in folders if not f.startswith("."))
        found += [at / name for name in sorted(names) if name.lower().endswith(FILES) and (at / name).is_file()]
    return found


def _exact(some: list[Path], name: str) -> list[Path]:
    """What lies at that path, with its ending or without."""
    for root in some:
        for path in (root / name, root / f"{name}.safetensors"):
            if path.is_file() or (path.is_dir() and any(path.glob("*.json"))):
                return [path]
    return []


def _called(some: list[Path], name: str) -> list[Path]:
    """What has that name, in whatever folder."""
    if "/" in name or "\\" in name:
        return []
    every = [path for root in some for path in models_below(root)]
    return [path for path in every if path.name == name] or [
        path for path in every if path.stem == name and path.suffix == ".safetensors"
    ]


def _of_the_hub() -> Iterator[Path]:
    """The files of weights in the hub's cache, which names them by their SHA-256."""
    cached = hub.cache()
    yield from sorted(cached.glob("models--*/snapshots/*/**/*.safetensors")) if cached.is_dir() else ()
