"""Where models are found: by the name of one that ships with weft, or by path."""

from collections.abc import Sequence
from pathlib import Path

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
            hint = "give a folder with config.json and model.safetensors"
            raise error(Problem("E-PICKLE", f"{quoted(source)} is a pickle; not loaded", hint, exit_code=5))
        raise error(Problem("E-ARCH", f"{quoted(source)} is a file; expected a model folder", exit_code=2))
    hint = did_you_mean(source, shipped())
    raise error(Problem("E-NOTFOUND", f"no model {quoted(source)}, neither shipped nor a folder", hint, exit_code=3))


def model_files(source: str, folder: Path, allowed: Sequence[Path]) -> list[Path]:
    """The files whose content a model's source stands for (an `engine.spec.FilesOf`). Raises E-NOTFOUND, E-ARCH."""
    from diffusion.checkpoint import CONFIG, WEIGHTS, read_config

    path = find_model(source, folder)
    try:
        read_config(path)
    except FileNotFoundError as why:
        raise error(Problem("E-NOTFOUND", str(why), exit_code=3)) from why
    except ValueError as why:
        raise error(Problem("E-ARCH", str(why), f"weft loads folders with {CONFIG} and {WEIGHTS}")) from why
    return [path / CONFIG, path / WEIGHTS]
