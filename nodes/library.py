"""The models that are on this machine, told from names, JSON files and headers alone: no weights are read."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from diffusion import hub
from engine.errors import WeftError
from nodes import placed
from nodes.sources import PICKLES, recipes, shipped, told

if TYPE_CHECKING:
    from engine.cache import Cache

Where = Literal["shipped", "hub", "placed", "beside"]
DEPTH = 3
"""Folders below the one of the workflow that are looked into."""
MOST = 5000
"""Files and folders beside the workflow that are looked at: a workflow may lie in a home folder."""


@dataclass(frozen=True, slots=True)
class Found:
    """A model. source: what a node's `source` would say. what: what it is, in words; wrong: why weft cannot load it.

    files: its weights. bytes: of them.
    """

    where: Where
    source: str
    path: Path
    what: str
    wrong: str
    files: Sequence[Path]
    bytes: int


def on_this_machine(folder: Path) -> Iterator[Found]:
    """The models that ship, those in the hub's cache at main, those in the folders that weft.toml names, and those in
    the folder of a workflow, by name."""
    for name, path in shipped().items():
        yield _file("shipped", name, path) if path.is_file() else _folder("shipped", name, path)
    cached = hub.cache()
    for path in sorted(cached.glob("models--*")) if cached.is_dir() else ():
        source = path.name.removeprefix("models--").replace("--", "/")
        if (snapshot := hub.snapshot(source)) is not None:
            yield _folder("hub", source, snapshot)
    for one in placed.all_placed(folder):
        yield _folder("placed", one.name, one.path) if one.path.is_dir() else _file("placed", one.name, one.path)
    yield from _beside(folder)


def digest_in_name(path: Path) -> str:
    """The SHA-256 that the hub's cache names a file of weights by; empty elsewhere."""
    name = path.resolve().name
    return name if len(name) == 64 and set(name) <= set("0123456789abcdef") else ""


def verify(file: Path, cache: "Cache") -> dict[str, str]:
    """Read a file whole: its "sha256", and "state".

    ok: it is what the hub's cache calls it; read: there is nothing to compare with; changed: it is other than its name
    says, or than when it was last read though its times are the same; damaged, with "why".
    """
    from diffusion import header
    from nodes.pulling import digest_of

    told = {"file": str(file), "sha256": "", "state": "read"}
    try:
        if file.suffix == ".safetensors":
            header.read(file)
        told["sha256"] = digest_of(file, "0" * 64)
    except (OSError, ValueError) as why:
        return {**told, "state": "damaged", "why": str(why)}
    name = file.resolve().name
    if hub.commit_of(file) and len(name) in (40, 64) and set(name) <= set("0123456789abcdef"):
        told["state"] = "ok" if digest_of(file, name) == name else "changed"
    elif (known := cache.known_sha256(file)) and known != told["sha256"]:
        told["state"] = "changed"
    else:
        cache.sha256(file)
    return told


def _beside(folder: Path) -> Iterator[Found]:
    seen = 0
    for here, folders, names in os.walk(folder):
        at = Path(here)
        depth = len(at.relative_to(folder).parts)
        seen += len(folders) + len(names)
        if seen > MOST:
            return
        if at != folder and ("model_index.json" in names or {"config.json", "model.safetensors"} <= {*names}):
            folders[:] = []
            yield _folder("beside", at.relative_to(folder).as_posix(), at)
            continue
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if depth < DEPTH else []
        for name in sorted(names):
            path = at / name
            if path.suffix.lower() in (".safetensors", ".ckpt", ".pt", ".pth") and path.is_file():
                yield _file("beside", path.relative_to(folder).as_posix(), path)


def _folder(where: Where, source: str, path: Path) -> Found:
    files = sorted(path.rglob("*.safetensors"))
    size = sum(map(_size, files))
    whole = (path / "model_index.json").is_file()
    try:
        model = recipes(str(path), path)[0]
        return Found(where, source, path, f"a checkpoint, {_family(model.family)}", "", files, size)
    except WeftError as why:
        if whole:
            return Found(where, source, path, "a checkpoint", why.problems[0].what, files, size)
    if files:
        first = _file(where, source, files[0])
        return Found(where, source, path, first.what, first.wrong, files, size)
    # Folders of the hub's cache may hold anything.
    pickles = [p for p in path.rglob("*") if p.suffix.lower() in PICKLES]
    wrong = "its weights are pickles, which weft does not load" if pickles else "no weights in it"
    return Found(where, source, path, "", wrong, pickles, sum(map(_size, pickles)))


def _file(where: Where, source: str, path: Path) -> Found:
    from diffusion.identify import identify

    if path.suffix.lower() != ".safetensors":
        return Found(where, source, path, "", "a pickle, which could run code", [path], _size(path))
    try:
        identity = told(lambda: identify(path), source)
    except WeftError as why:
        return Found(where, source, path, "", why.problems[0].what.removeprefix(f"{path}: "), [path], _size(path))
    wrong = "" if identity.what != "unknown" else "weft does not know what it is"
    return Found(where, source, path, "" if wrong else str(identity), wrong, [path], _size(path))


def _family(name: str) -> str:
    from diffusion.identify import NAMES

    return {**NAMES, "pixel": "pixel space"}.get(name, name)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
