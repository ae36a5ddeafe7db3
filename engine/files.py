"""Writing files so that none is lost and none is half there: names are claimed, contents appear at once."""

import contextlib
import errno
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import BinaryIO

from engine.errors import Place, Problem, error
from engine.paths import NAME_LIMIT, shorten
from engine.source import names_in
from engine.text import size, visible

TEMPORARY = ".weft-"
"""How the name of a file starts while it is written. After a crash such files may be deleted."""

_EXCLUSIVE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TRIES = 9
"""Names tried one by one before the folder is listed."""


def claim(path: Path) -> tuple[Path, BinaryIO]:
    """A new empty file at `path`, and it opened for writing; where the name is taken: name-2, name-3, ...

    No two claims get the same file, from whatever process. Missing folders are made. Raises RunError (E-DISK, E-PERM)
    and WorkflowError (E-NAME).
    """
    candidate, number = path, 1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with contextlib.suppress(FileExistsError):
                return candidate, open(os.open(candidate, _EXCLUSIVE, 0o666), "wb")
            number = (max(number, _highest(path)) if number == _TRIES else number) + 1
            candidate = _numbered(path, number)
    except OSError as cause:
        raise error(_not_written(path, cause, 0)) from None


def write_atomic(path: Path, data: bytes) -> None:
    """`data` as the whole content of `path`: after a crash at any moment it holds either the old content or the new.

    The folder must be there. Raises RunError (E-DISK with the bytes needed, E-PERM); an earlier file is then as it
    was, and nothing is left beside it.
    """
    temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}.tmp"
    try:
        try:
            with open(os.open(temporary, _EXCLUSIVE, 0o666), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as cause:
        raise error(_not_written(path, cause, len(data))) from None


def keep(path: Path, data: bytes) -> Path:
    """`data` as a file at `path`, or beside it under the next free number where that name has other content, which
    stays as it is. Returns where it is. Raises as `claim` and `write_atomic`."""
    if _holds(path, data):
        return path
    found, handle = claim(path)
    handle.close()
    try:
        write_atomic(found, data)
    except BaseException:
        found.unlink(missing_ok=True)
        raise
    return found


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    """Make the new name itself last; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _numbered(path: Path, number: int) -> Path:
    ending = f"-{number}{path.suffix}"
    return path.with_name(shorten(path.stem, NAME_LIMIT - len(ending.encode())) + ending)


def _highest(path: Path) -> int:
    """The highest number that a name like `path` has in its folder."""
    pattern = re.compile(re.escape(path.stem) + r"-(\d{1,9})" + re.escape(path.suffix), re.IGNORECASE)
    return max((int(m.group(1)) for n in names_in(path.parent) if (m := pattern.fullmatch(n))), default=1)


def _not_written(path: Path, cause: OSError, needed: int) -> Problem:
    place = Place(file=visible(str(path)))
    elsewhere = "give another folder with --out"
    if cause.errno in _FULL:
        what = f"the disk is full; {size(needed)} are needed" if needed else "the disk is full"
        with contextlib.suppress(OSError):
            what += f", {size(shutil.disk_usage(path.parent).free)} are free"
        return Problem("E-DISK", what, f"free some space, or {elsewhere}", place, exit_code=1)
    if isinstance(cause, PermissionError) or cause.errno == errno.EROFS:
        return Problem("E-PERM", "no permission to write", elsewhere, place, exit_code=1)
    if cause.errno == errno.ENAMETOOLONG:
        return Problem("E-NAME", "the path is too long", "give a shorter name", place)
    return Problem("E-DISK", f"cannot be written: {cause.strerror}", elsewhere, place, exit_code=1)
