"""The lock beside what a run saved."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from engine.files import keep
from engine.share.book import Book
from engine.share.lock import lock_of
from engine.share.lockfile import lock_text
from engine.values import Saved

ENDING = ".lock"


def write_lock(book: Book, variant: int, saved: Mapping[str, Saved]) -> Path:
    """Write the lock of one variant of a run, by the name of its first picture, or else of the workflow.

    saved: what its nodes saved. A lock of that name with other content is kept; the new one gets the next free number.
    Raises what writing raises.
    """
    lock = lock_of(book, variant, {name: [f.digest for f in one.files] for name, one in saved.items()})
    files = {f.path.name: _sha256(f.path) for one in saved.values() for f in one.files}
    pictures = [f.path for one in saved.values() for f in one.files if f.mime.startswith("image/")]
    if pictures:
        path = pictures[0].with_suffix(ENDING)
    else:
        path = book.settings.out / f"{_stem(book, variant)}{ENDING}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return keep(path, lock_text(lock, files))


def _stem(book: Book, variant: int) -> str:
    """The name of the workflow's file, or else its own name, as a file name."""
    assert book.plan is not None
    workflow = book.plan.graphs[variant].workflow
    stem = workflow.document.path.stem if workflow.document.path else Path(workflow.name).stem
    return re.sub(r"[^\w.-]+", "-", stem).strip(".-")[:64] or "run"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
