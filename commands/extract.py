"""weft extract: what a picture, a lock or a bundle carries, taken out of it."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from commands.subjects import opened
from engine.errors import Place, Problem, error
from engine.files import keep
from engine.share.lockfile import lock_text
from engine.share.subject import Subject
from engine.text import visible
from engine.tidy import laid_out

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Write what FILE carries to standard output, or to a file; returns 0."""
    data = _wanted(opened(args.file), args.what)
    if args.out:
        print(visible(str(keep(Path(args.out), data)), 1000))
    else:
        sys.stdout.write(data.decode())
    return 0


def _wanted(subject: Subject, what: str) -> bytes:
    if what == "workflow":
        return laid_out(json.dumps(subject.document)).encode()
    if what == "lock" and subject.lock is not None:
        return lock_text(subject.lock)
    if what == "parameters" and subject.found.parameters:
        return f"{subject.found.parameters}\n".encode()
    raise error(Problem("E-NOMETA", f"carries no {what}", "weft show FILE says what it has", Place(subject.name)))
