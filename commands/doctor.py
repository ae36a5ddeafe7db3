"""weft doctor: what this installation has, and what to do about what it lacks. Imports neither torch nor models."""

import argparse
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from commands.common import HOME, colours, known_nodes, shipped, table, version
from engine.text import plural, size, visible

if TYPE_CHECKING:
    from engine.registry import Registry

LOW_DISK = 5 << 30


class Finding(NamedTuple):
    """One line of the report."""

    state: Literal["ok", "note", "problem"]
    subject: str
    text: str


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Print all findings; returns 1 if one is a problem."""
    findings = list(examine())
    for line in table([(f.state, f.subject, f.text) for f in findings]):
        print(line)
    return 1 if any(f.state == "problem" for f in findings) else 0


def examine() -> Iterator[Finding]:
    """Everything that is looked at."""
    yield Finding("ok", "weft", version())
    yield Finding("ok", "Python", ".".join(map(str, sys.version_info[:3])))
    yield from _packages()
    yield from _packs()
    yield _device()
    yield from _cache()
    yield _workflows()
    yield _models()
    yield _hub()
    yield _terminal()


def _packages() -> Iterator[Finding]:
    for name in ("torch", "diffusers"):
        try:
            yield Finding("ok", name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding("problem", name, "not installed; run: uv sync")


def _packs() -> Iterator[Finding]:
    """The packages that add nodes, beside weft's own."""
    known = known_nodes(None)
    others = [
        f"{name} ({plural(sum(map(len, pack.modules.values())), 'node')})" for name, pack in known.packs().items()
    ]
    if len(others) > 1:
        yield Finding("ok", "nodes", ", ".join(visible(one, 80) for one in others[1:]))
    for name, why in known.broken.items():
        yield Finding("note", "nodes", f"{visible(name)} does not load: {why}; mend it, or take it out")


def _device() -> Finding:
    from nodes.device import cuda_count, resolve

    device, dtype = resolve("auto", "auto")
    if device == "cpu":
        return Finding("note", "device", f"cpu, {dtype}; no GPU was found, so large models will be slow")
    count = f"{plural(cuda_count(), 'GPU')}, " if device == "cuda" else ""
    return Finding("ok", "device", f"{device}, {count}{dtype}")


def _cache() -> Iterator[Finding]:
    from engine.cache import Cache, default_root

    root = default_root()
    cache = Cache(root)
    try:
        if cache.index is None:
            text = f"{visible(str(root))} cannot be written; set WEFT_CACHE to a folder that can"
            yield Finding("problem", "cache", text)
            return
        yield Finding("ok", "cache", f"{visible(str(root))}, {size(cache.index.total())} of {size(cache.limit)}")
    finally:
        cache.close()
    free = shutil.disk_usage(root).free
    if free < LOW_DISK:
        yield Finding("note", "disk", f"{size(free)} free; weft cache gc --max 1G makes room")
    else:
        yield Finding("ok", "disk", f"{size(free)} free")


def _workflows() -> Finding:
    names = shipped()
    if not names:
        return Finding("problem", "workflows", f"none in {visible(str(HOME / 'workflows'))}; install weft again")
    return Finding("ok", "workflows", ", ".join(names))


def _models() -> Finding:
    folder = HOME / "models"
    names = sorted(p.name for p in _folders(folder) if any(p.glob("**/*.safetensors")))
    if not names:
        return Finding("problem", "models", f"none in {visible(str(folder))}; install weft again")
    return Finding("ok", "models", ", ".join(names))


def _hub() -> Finding:
    from nodes.sources import hub_cache

    folder = hub_cache()
    count = len(list(folder.glob("models--*"))) if folder.is_dir() else 0
    where = visible(str(folder))
    if not count:
        return Finding("note", "hub", f"no models in {where}; weft models pull OWNER/NAME puts one there")
    return Finding("ok", "hub", f"{where}, {plural(count, 'model')}")


def _folders(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.is_dir()] if folder.is_dir() else []


def _terminal() -> Finding:
    if not sys.stderr.isatty():
        return Finding("note", "terminal", "none: progress is a few plain lines")
    if not colours(sys.stderr):
        why = "NO_COLOR is set" if os.environ.get("NO_COLOR") else "TERM is dumb"
        return Finding("note", "terminal", f"without colours: {why}")
    return Finding("ok", "terminal", f"{os.environ.get('TERM', 'unknown')}, colours")
