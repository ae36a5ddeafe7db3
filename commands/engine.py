"""weft engine --stdio: an engine that another process drives with JSON lines; see engine/serve.py for what they say."""

import argparse
import gc
import importlib
import importlib.metadata
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.common import known_nodes, parse_size, read, version, wrong_usage
from commands.inputs import Job, graphs_of
from engine.api import numerics
from engine.cache import Cache, default_root
from engine.compile import compile
from engine.context import Settings
from engine.document import Document, from_source, from_value
from engine.errors import Problem, error
from engine.machine import strict
from engine.places import allowed
from engine.serve import Message, Server, Write
from engine.source import Source
from engine.sweep import Sweep

if TYPE_CHECKING:
    from engine.registry import Registry

LIBRARY = "torch"
"""What is loaded in the background, because every model needs it."""
PREVIEWS = 4.0
"""Previews a second, where the client does not ask for another number."""


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Serve until the input ends; returns the exit code."""
    if not args.stdio:
        raise wrong_usage("engine", "--stdio missing")
    gc.enable()
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever drives this
    sys.stdout.flush()
    # What libraries print on standard output must not get between the lines of the protocol.
    private = os.dup(1)
    os.dup2(2, 1)
    with open(private, "w", encoding="utf-8", newline="\n") as out, open(0, encoding="utf-8", closefd=False) as lines:

        def write(message: Message) -> None:
            try:
                out.write(json.dumps(message) + "\n")
                out.flush()
            except BrokenPipeError:
                os._exit(0)  # nobody listens any more

        Server(Workshop(known_nodes(registry)), write).serve(lines, lazy=args.lazy)
        # A node that does not stop must not keep the process alive.
        os._exit(0)


class Workshop:
    """What the server needs to know of nodes, devices and libraries."""

    def __init__(self, registry: "Registry") -> None:
        self._registry = registry

    def hello(self) -> dict[str, Any]:
        """Versions, device and dtype."""
        from nodes.device import resolve

        device, dtype = resolve("auto", "auto")
        try:
            library = importlib.metadata.version(LIBRARY)
        except importlib.metadata.PackageNotFoundError:
            library = ""
        return {"weft": version(), LIBRARY: library, "device": device, "dtype": dtype, "pid": os.getpid()}

    def warm(self) -> str:
        """Load the library that models need."""
        importlib.import_module(LIBRARY)
        return LIBRARY

    def prepare(self, command: Message) -> Job:
        """The job of a command.

        "file": a workflow file or the name of a shipped one; or "text" (what a file would hold) or "document" (the
        same as an object), with "path" or "folder" to say where it would lie. "set", "sweep", "zip": values by name.
        "targets", "allow", "out", "device", "dtype", "keep_going", "cache", "batch", "previews", "vram", "offload",
        "attention", "speed", "strict": as the options of weft run. Raises every problem of it.
        """
        from nodes.device import check_choices, resolve

        get = command.get
        workflow = compile(_document(command), self._registry, get("targets") or ())
        products, zips = get("sweep") or {}, get("zip") or {}
        device, dtype = resolve(get("device") or "auto", get("dtype") or "auto")
        offload, attention = get("offload") or "none", get("attention") or "auto"
        speed = get("speed") or "none"
        check_choices(device, offload, attention, speed)
        sweep = Sweep(products, zips)
        settings = Settings(
            device=device,
            dtype=dtype,
            numerics=numerics(device, dtype, attention, speed),
            out=Path(get("out") or "out"),
            folder=workflow.document.folder,
            allowed=allowed(get("allow") or (), workflow.document.folder),
            keep_going=bool(get("keep_going")),
            use_cache=get("cache") is not False,
            batch=get("batch") or 8,
            vram=parse_size(str(get("vram"))) if get("vram") else 0,
            offload=offload,
            attention=attention,
            speed=speed,
            previews_per_second=PREVIEWS if get("previews") is None else float(command["previews"]),
            machine=self._registry.machine(),
        )
        if get("strict"):
            settings = strict(settings)
        variants = list(sweep)
        graphs = graphs_of(workflow, get("set") or {}, products | zips, variants)
        columns = len(sweep.axes[-1][0][1]) if sweep.axes else 1
        return Job(workflow, graphs, variants, settings, get("set") or {}, columns)

    def after(self, command: Message, job: Job, pictures: Mapping[int, str], write: Write) -> None:
        """Draw the grid of a sweep, if the command says "grid"."""
        if command.get("grid") and len(job.variants) > 1 and pictures:
            from commands.grid import save_grid

            found = {variant: Path(path) for variant, path in pictures.items()}
            write({"event": "grid", **save_grid(job, found, lambda event: write(event.to_json()))})

    def cache(self) -> Cache:
        """The user's cache."""
        return Cache(default_root())

    def memory(self) -> dict[str, Any]:
        """Bytes that this process holds, and of a GPU those used and those there are."""
        found: dict[str, Any] = {"held": _resident()}
        torch = sys.modules.get(LIBRARY)
        cuda = getattr(torch, "cuda", None)
        if cuda is not None and cuda.is_initialized():
            free, total = cuda.mem_get_info()
            found |= {"used": total - free, "total": total}
        return found

    def free(self) -> None:
        """Let go of loaded models."""
        store = sys.modules.get("diffusion.store")
        if store is not None:
            store.STORE.clear()
        gc.collect()
        cuda = getattr(sys.modules.get(LIBRARY), "cuda", None)
        if cuda is not None and cuda.is_initialized():
            cuda.empty_cache()


def _document(command: Message) -> Document:
    """The workflow of a command."""
    text, path = command.get("text"), command.get("path")
    at = Path(path) if path else None
    folder = Path(command["folder"]) if command.get("folder") else at.parent if at else None
    name = str(command.get("name") or (at.name if at else "workflow"))
    if isinstance(text, str):
        return from_source(Source(name, text), at, folder)
    if "document" in command:
        # With its path, because a plan is compared with the last run of that file.
        return replace(from_value(command["document"], name, folder), path=at)
    if isinstance(command.get("file"), str):
        return read(command["file"])
    raise error(Problem("E-CLI", "no workflow", 'give "text", "document" or "file"'))


def _resident() -> int:
    """Bytes of memory that this process holds now; at most so far, where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        from engine.executor import resident_peak

        return resident_peak()
