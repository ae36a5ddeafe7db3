"""Single files of weights: by path, or those of the hub that lie in its local cache already. Nothing is downloaded."""

import re
from collections.abc import Sequence
from pathlib import Path

from engine.errors import Problem, error
from engine.text import quoted

_REMOTE = re.compile(r"([\w.-]+/[\w.-]+)/([\w./-]+\.\w+)")


def find_file(source: str, folder: Path) -> Path:
    """The file at a path (relative to the workflow's folder), or owner/name/file out of the hub's local cache.

    Raises E-NOTFOUND, with the command that gets it where it looks like a file of the hub, and E-NOTFILE.
    """
    path = Path(source).expanduser()
    path = path if path.is_absolute() else folder / path
    if path.is_file():
        return path
    if path.exists():
        raise error(Problem("E-NOTFILE", f"{quoted(source)} is a folder", "name a file in it"))
    if remote := _REMOTE.fullmatch(source):
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(*remote.groups())
        if isinstance(found, str):
            return Path(found)
        repo, name = remote.groups()
        local = repo.partition("/")[2]
        hint = f"get it with hf download {repo} {name} --local-dir {local}, and give {local}/{name}"
        raise error(Problem("E-NOTFOUND", f"no file {quoted(source)} here or in the hub's cache", hint, exit_code=3))
    raise error(Problem("E-NOTFOUND", f"no file {quoted(source)}", "give the path of the weights", exit_code=3))


def find_folder(source: str, folder: Path) -> Path:
    """The folder at a path, or that of owner/name in the hub's local cache. Raises E-NOTFOUND, with how to get it."""
    path = Path(source).expanduser()
    path = path if path.is_absolute() else folder / path
    if path.is_dir():
        return path
    hint = "give the folder of the model"
    if re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        try:
            return Path(snapshot_download(source, local_files_only=True))
        except (LocalEntryNotFoundError, HfHubHTTPError, OSError):
            local = source.partition("/")[2]
            hint = f"get it with hf download {source} --local-dir {local}, and give that folder"
    raise error(Problem("E-NOTFOUND", f"no model {quoted(source)} here or in the hub's cache", hint, exit_code=3))


def upscaler_file(source: str, folder: Path, allowed: Sequence[Path] = ()) -> list[Path]:
    """The .safetensors file of an upscaler, its header read (an `engine.spec.FilesOf`).

    Raises E-NOTFOUND, E-PICKLE, E-MODEL for a damaged one, and E-ARCH where the names of its tensors tell another kind.
    """
    from diffusion import header
    from diffusion.identify import identify

    path = find_file(source, folder)
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
