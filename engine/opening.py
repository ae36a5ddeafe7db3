"""Opening what a person hands over as a workflow: its own file, or a picture, a lock or a bundle that carries one."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import Place, Problem, WeftError, error
from engine.pictures.container import JPEG, PNG
from engine.source import Source, decode, read_bytes, read_source
from engine.text import quoted, visible

if TYPE_CHECKING:
    from engine.share.lock import Lock

PICTURE_LIMIT = 256 * 1024 * 1024
"""Bytes of a picture that are read at most."""
ENDINGS = (".png", ".webp", ".jpg", ".jpeg")
"""What is called so must be a picture."""
ZIP = b"PK\x03\x04"


def kind_of(path: Path) -> str:
    """What a file is by its first bytes: picture, bundle, or text for all else, and for what cannot be read."""
    try:
        if not path.is_file():
            return "text"
        with path.open("rb") as file:
            start = file.read(8)
    except (OSError, ValueError):
        return "text"
    if start.startswith((PNG, JPEG, b"RIFF")) or path.suffix.lower() in ENDINGS:
        return "picture"
    return "bundle" if start.startswith(ZIP) else "text"


def is_workflow_file(path: Path) -> bool:
    """Whether a file is a workflow's own: what is saved goes into it, and not into what only carries a workflow."""
    if kind_of(path) != "text":
        return False
    try:
        with path.open("rb") as file:
            return b'"weft_lock"' not in file.read(64)
    except (OSError, ValueError):
        return True


def workflow_text(path: Path, name: str = "") -> Source:
    """The text of the workflow in a file, which messages call `name`: its own text, or what carries one has.

    Raises what reading and decoding raise, and what is wrong with a picture, a lock or a bundle.
    """
    name = name or visible(str(path))
    kind = kind_of(path)
    if kind == "picture":
        return _in_picture(path, name)
    if kind == "bundle":
        from engine.share.bundle import read

        return Source(name, json.dumps(read(path, name).lock.document))
    source = read_source(path, name=name)
    if not is_workflow_file(path):
        from engine.share.lockfile import lock_in

        return Source(name, json.dumps(lock_in(source).document), source.notes)
    return source


def _in_picture(path: Path, name: str) -> Source:
    from engine.share.picture import found_in, no_workflow

    found = found_in(read_bytes(path, PICTURE_LIMIT, name), name)
    if found.workflow:
        return decode(found.workflow.encode("utf-8", "replace"), name)
    if found.lock:
        return Source(name, json.dumps(beside(path, found.lock, name).document))
    raise error(no_workflow(found, name))


def beside(path: Path, reference: str, name: str) -> "Lock":
    """The lock in the file that a picture names, which must lie beside it. Raises E-LOCK for a reference that is none,
    E-NOTFOUND where the file is not there, E-DIGEST where it is another lock, and what `lock_in` raises."""
    from engine.share.lockfile import lock_in

    place = Place(name)
    try:
        said = json.loads(reference)
        file, wanted = said["file"], said["sha256"]
        good = isinstance(file, str) and Path(file).name == file and "\\" not in file and isinstance(wanted, str)
    except (ValueError, TypeError, KeyError, RecursionError):
        good = False
    if not good:
        raise error(Problem("E-LOCK", "damaged: what it says of its lock is no reference", "get it again", place))
    try:
        lock = lock_in(read_source(path.parent / file))
    except WeftError as why:
        if why.problems[0].code != "E-NOTFOUND":
            raise
        what = f"the picture only names its lock, {quoted(file)}, which is not beside it"
        hint = f"get that file too; its digest is {visible(wanted, 16)}"
        raise error(Problem("E-NOTFOUND", what, hint, place, exit_code=3)) from None
    if lock.digest != wanted:
        what = f"{quoted(file)} beside it is another lock than the one that the picture names"
        raise error(Problem("E-DIGEST", what, "get the file that came with the picture", place))
    return lock
