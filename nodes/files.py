"""Single files of weights: by path, or those of the hub that lie in its local cache already. Nothing is downloaded."""

import re
from collections.abc import Sequence
from pathlib import Path

from diffusion import hub
from engine.errors import Problem, error
from engine.text import quoted
from nodes import placed
from nodes.sources import shipped

_REMOTE = re.compile(r"([\w.-]+/[\w.-]+)/([\w./-]+\.\w+)")


def find_file(source: str, folder: Path, kind: str = "") -> Path:
    """The file of a LoRA that ships with weft, at a path (relative to the workflow's folder), of a SHA-256 or of a name
    in the folders of weft.toml, or owner/name/file out of the hub's local cache. kind: as `nodes.placed` calls it.

    Raises E-NOTFOUND, with the command that gets it where it looks like a file of the hub, and E-NOTFILE.
    """
    if (ours := shipped().get(source)) is not None and ours.is_file():
        return ours
    path = Path(source).expanduser()
    path = path if path.is_absolute() else folder / path
    if path.is_file():
        return path
    found = None if path.exists() else placed.by_digest(source, folder) or placed.find(source, folder, kind)
    if found is not None and found.is_file():
        return found
    if path.exists() or found is not None:
        raise error(Problem("E-NOTFILE", f"{quoted(source)} is a folder", "name a file in it"))
    if (remote := _REMOTE.fullmatch(source)) and ".." not in source:
        repo, name = remote.groups()
        snapshot = hub.snapshot(repo)
        if snapshot is not None and (snapshot / name).is_file():
            return snapshot / name
        hint = f"get it with weft models pull {repo} {name}"
        raise error(Problem("E-NOTFOUND", f"no file {quoted(source)} here or in the hub's cache", hint, exit_code=3))
    raise error(Problem("E-NOTFOUND", f"no file {quoted(source)}", "give the path of the weights", exit_code=3))


def find_folder(source: str, folder: Path) -> Path:
    """The folder at a path, of a name in the folders of weft.toml, or of owner/name in the hub's cache.

    Raises E-NOTFOUND, with how to get it.
    """
    path = Path(source).expanduser()
    path = path if path.is_absolute() else folder / path
    if path.is_dir():
        return path
    found = placed.find(source, folder) or hub.snapshot(source)
    if found is not None and found.is_dir():
        return found
    hint = f"get it with {hub.how_to_get(source)}" if hub.is_id(source) else "give the folder of the model"
    raise error(Problem("E-NOTFOUND", f"no model {quoted(source)} here or in the hub's cache", hint, exit_code=3))


def upscaler_file(source: str, folder: Path, allowed: Sequence[Path] = ()) -> list[Path]:
    """The .safetensors file of an upscaler, its header read (an `engine.spec.FilesOf`).

    Raises E-NOTFOUND, E-PICKLE, E-MODEL for a damaged one, and E-ARCH where the names of its tensors tell another kind.
    """
    from diffusion import header
    from diffusion.identify import identify

    path = find_file(source, folder, "upscaler")
    try:
        found = identify(path)
    except header.PickleError as why:
        hint = "get the .safetensors file of the model"
        raise error(Problem("E-PICKLE", f"{quoted(source)} is a pickle; not loaded", hint, exit_code=5)) from why
    except header.DamagedError as why:
        raise error(Problem("E-MODEL", str(why), "get it again")) from why
    if found.what not in ("upscaler", "unknown"):
        hint = found.hint or "give an upscaler, such as Real-ESRGAN"
        raise error(Problem("E-ARCH", f"{quoted(source)} is {found}, not an upscaler", hint))
    return [path]
