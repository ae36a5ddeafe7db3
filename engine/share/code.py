"""Digests of the code that nodes run. None of it is imported here that was not before."""

import functools
import hashlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import Any

from engine.node import Node
from engine.registry import Pack


@functools.cache
def code_of(cls: type[Node]) -> str:
    """SHA-256 of the file that a node class stands in; empty where there is no such file."""
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    except OSError:
        return ""


@functools.cache
def _folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) if places else None


@functools.cache
def _digest(packages: tuple[str, ...]) -> str:
    """SHA-256 over the names and contents of all Python files of these packages."""
    seen = hashlib.sha256()
    for package in packages:
        folder = _folder(package)
        for file in sorted(folder.rglob("*.py")) if folder is not None else ():
            data = file.read_bytes()
            seen.update(f"{package}/{file.relative_to(folder).as_posix()} {len(data)}\n".encode())  # type: ignore[arg-type]
            seen.update(data)
    return seen.hexdigest()


def about(pack: Pack) -> dict[str, Any]:
    """Version and digest of a pack's code."""
    try:
        version = importlib.metadata.version(pack.name)
    except importlib.metadata.PackageNotFoundError:
        version = ""
    return {"version": version, "code": _digest(pack.code)}
