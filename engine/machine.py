"""What the engine itself does not know of a machine and of the libraries that compute; whoever brings nodes tells it.

The engine imports none of these libraries. A pack of nodes names a subclass (`engine.registry.Pack.machine`).
"""

import functools
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.context import Settings

STRICT_ATTENTION = "math"
"""The kernel of attention that a strict run takes where none is named."""
_SIMD = ("avx", "avx2", "fma", "f16c", "sse4_2", "asimd", "sve", "sve2", "bf16")
"""Features of a CPU that decide which kernels a library takes; those that begin with avx512 or amx count too."""


class Machine:
    """A machine of which no library is known."""

    packages: tuple[str, ...] = ()
    """The distributions whose versions the results of nodes may depend on."""

    def begin(self, settings: "Settings") -> None:
        """Called before the first node of a run computes: set what the run asks of the libraries."""

    def read_back(self, settings: "Settings") -> Mapping[str, Any] | None:
        """The GPU and the numeric flags, as the libraries give them back; None where they are not loaded."""
        return {}

    def revision(self, path: Path) -> str:
        """The revision of a repository that a file was downloaded at; empty where that is not known."""
        return ""

    def environment(self) -> dict[str, Any]:
        """What can be told of the machine without loading anything: the same in each process, folder and locale."""
        import platform

        return {
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "os": f"{platform.system()} {platform.machine()} {' '.join(platform.libc_ver())}".rstrip(),
            "cpu": {"model": _cpu_model(), "features": _cpu_features(), "threads": _threads()},
            "packages": dict(_versions(self.packages)),
        }


def strict(settings: "Settings") -> "Settings":
    """The settings of a strict run. Its results are kept apart from others, and from those of other machines, by what
    is told of this one; variants of a sweep run one by one, since a batch rounds otherwise."""
    from engine.canonical import digest

    attention = STRICT_ATTENTION if settings.attention == "auto" else settings.attention
    told = digest(settings.machine.environment())[:12]
    numerics = f"{settings.numerics} {attention} strict {told}"
    return replace(settings, strict=True, attention=attention, batch=1, numerics=numerics)


@functools.cache
def _versions(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    import importlib.metadata

    found = []
    for name in names:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return tuple(found)


def _threads() -> dict[str, Any]:
    """How many threads there are to compute with, and what the person said of it."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    said = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ}
    return {"cores": count, **said}


@functools.cache
def _cpuinfo() -> dict[str, str]:
    try:
        first = Path("/proc/cpuinfo").read_text(errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    rows = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in rows}


def _cpu_model() -> str:
    import platform

    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def _cpu_features() -> list[str]:
    flags = (_cpuinfo().get("flags") or _cpuinfo().get("Features") or "").split()
    return sorted(f for f in flags if f in _SIMD or f.startswith(("avx512", "amx")))
