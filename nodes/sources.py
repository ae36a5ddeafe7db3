"""Where models are found: by the name of one that ships with weft, or by path."""

import re
from collections.abc import Sequence
from pathlib import Path

from diffusion.recipes import ModelRecipe, TextEncoderRecipe, VAERecipe
from engine.errors import Problem, error
from engine.text import did_you_mean, quoted

SHIPPED = Path(__file__).parent.parent / "models"


def shipped() -> list[str]:
    """The names of the models that ship with weft."""
    return sorted(p.name for p in SHIPPED.iterdir() if (p / "config.json").is_file()) if SHIPPED.is_dir() else []


def find_model(source: str, folder: Path) -> Path:
    """The folder of a model: a shipped name, or a path (relative to the workflow's folder). Raises E-NOTFOUND."""
    if source in shipped():
        return SHIPPED / source
    path = Path(source).expanduser()
    path = path if path.is_absolute() else folder / path
    if path.is_dir():
        return path
    if path.is_file():
        if path.suffix.lower() in (".ckpt", ".pt", ".pth", ".bin", ".pkl"):
            hint = "give a folder in diffusers layout, or one that weft wrote"
            raise error(Problem("E-PICKLE", f"{quoted(source)} is a pickle; not loaded", hint, exit_code=5))
        raise error(Problem("E-ARCH", f"{quoted(source)} is a file; expected a model folder", exit_code=2))
    hint = _download(source) or did_you_mean(source, shipped())
    raise error(Problem("E-NOTFOUND", f"no model {quoted(source)}, neither shipped nor a folder", hint, exit_code=3))


def _download(source: str) -> str:
    """How to get what looks like the id of a model on the hub."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        return ""
    folder = source.partition("/")[2]
    return f"get it with hf download {source} --local-dir {folder}, and give that folder"


def model_files(source: str, folder: Path, allowed: Sequence[Path]) -> list[Path]:
    """The files whose content a model's source stands for (an `engine.spec.FilesOf`).

    Raises E-NOTFOUND, E-PICKLE, and E-ARCH for a model that weft does not know or a damaged one.
    """
    from diffusion import checkpoint
    from diffusion import folder as layout

    path = find_model(source, folder)
    try:
        recipes(path)
        if (path / layout.INDEX).is_file():
            return list(layout.read(path).files)
    except FileNotFoundError as why:
        raise error(Problem("E-NOTFOUND", str(why), exit_code=3)) from why
    except layout.PickleError as why:
        raise error(Problem("E-PICKLE", str(why), "get the safetensors files of the model", exit_code=5)) from why
    except ValueError as why:
        known = f"weft loads folders in diffusers layout, and those with {checkpoint.CONFIG} and {checkpoint.WEIGHTS}"
        raise error(Problem("E-ARCH", str(why), known)) from why
    return [path / checkpoint.CONFIG, path / checkpoint.WEIGHTS]


def recipes(path: Path) -> tuple[ModelRecipe, TextEncoderRecipe, VAERecipe]:
    """The recipes of a model folder of either layout. Errors as in `checkpoint.read_config` and `folder.read`."""
    from diffusion import checkpoint
    from diffusion import folder as layout

    return layout.recipes(path) if (path / layout.INDEX).is_file() else checkpoint.recipes(path)
