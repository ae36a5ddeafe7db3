"""Reading a file that a stranger wrote: its kind, size and encoding are checked before its text is used."""

import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from engine.errors import Place, Problem, error
from engine.lines import Lines
from engine.text import nearest, size, visible

LIMIT = 8 * 1024 * 1024
"""Bytes of text that are read at most."""

FOLDER_LIMIT = 10_000
"""Names of a folder that are looked at for a near miss."""

_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_BOMS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_UTF8_BOM = b"\xef\xbb\xbf"
_EXPECTED = "give a .json, .png or bundle file"


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a file, with its name as messages show it and the notes that reading it left."""

    name: str
    text: str
    notes: tuple[Problem, ...] = ()


def read_source(path: Path, limit: int = LIMIT, name: str = "") -> Source:
    """The text of the UTF-8 file at `path`, which messages call `name` (the path itself, if not given).

    Raises the errors of `read_bytes`, and WorkflowError for an empty file (E-EMPTY) or one that is not UTF-8 (E-ENC).
    A byte order mark of UTF-8 is taken off, with a note (W-BOM).
    """
    name = name or visible(str(path))
    return decode(read_bytes(path, limit, name), name)


def read_bytes(path: Path, limit: int = LIMIT, name: str = "") -> bytes:
    """All bytes of the regular file at `path`, at most `limit` of them. Never waits on a pipe, socket or device.

    Raises MissingError (E-NOTFOUND) and WorkflowError (E-NOTFILE, E-PERM, E-SIZE).
    """
    place = Place(file=name or visible(str(path)))
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as cause:
        raise error(_not_opened(path, cause).at(place)) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise error(_not_regular(status.st_mode).at(place))
        if status.st_size > limit:
            raise error(_too_large(size(status.st_size), limit).at(place))
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    except OSError as cause:
        raise error(_not_opened(path, cause).at(place)) from None
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise error(_too_large(f"more than {_whole(limit)}", limit).at(place))
    return data


def decode(data: bytes, name: str) -> Source:
    """The text of `data`. Raises WorkflowError: E-EMPTY, or E-ENC with the first byte that is not UTF-8."""
    place = Place(file=name)
    encoding = next((e for bom, e in _BOMS.items() if data.startswith(bom)), "") or _unmarked(data)
    if encoding:
        raise error(Problem("E-ENC", f"looks like {encoding}", "save as UTF-8", place))
    marked = data.startswith(_UTF8_BOM)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        offset = cause.start + (len(_UTF8_BOM) if marked else 0)
        lines = Lines(data[:offset].decode("utf-8-sig"))
        line, column = lines.position(len(lines.text))
        what = f"byte 0x{data[offset]:02x} at offset {offset} is not UTF-8"
        raise error(Problem("E-ENC", what, "save as UTF-8", Place(name, line, column))) from None
    if not text.strip(" \t\r\n"):
        raise error(Problem("E-EMPTY", "the file is empty", "expected a workflow", place))
    if marked:
        note = Problem("W-BOM", "starts with a byte order mark, which was ignored", "save as UTF-8 without it", place)
        return Source(name, text, (note,))
    return Source(name, text)


def near_names(name: str, known: Iterable[str]) -> str:
    """The hint for a file that is not there: the nearest of the names that are, or else some of them."""
    names = sorted(known)
    close = nearest(name, names, 3)
    if close:
        return f"did you mean {' or '.join(_quoted(n) for n in close)}?"
    if not names:
        return "check the path; the folder is empty"
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"the folder has {', '.join(_quoted(n) for n in names[:5])}{more}"


def names_in(folder: Path) -> list[str]:
    """The names of the files and folders in `folder`, hidden ones left out; none if it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return [e.name for e in islice(entries, FOLDER_LIMIT) if not e.name.startswith(".")]
    except (OSError, ValueError):
        return []


def _quoted(name: str) -> str:
    return f'"{visible(name)}"'


def _not_opened(path: Path, cause: OSError | ValueError) -> Problem:
    code = cause.errno if isinstance(cause, OSError) else None
    if isinstance(cause, FileNotFoundError | NotADirectoryError) or code == errno.ENAMETOOLONG or code is None:
        if path.parent.is_dir():
            hint = near_names(path.name, names_in(path.parent))
        else:
            hint = f"there is no folder {_quoted(str(path.parent))}"
        return Problem("E-NOTFOUND", "no such file", hint, exit_code=3)
    if isinstance(cause, PermissionError):
        # Windows answers so for a folder as well.
        return _not_regular(stat.S_IFDIR) if path.is_dir() else _forbidden(path)
    if code == errno.ENXIO:
        return _not_regular(stat.S_IFSOCK)
    if code == errno.ELOOP:
        return Problem("E-NOTFILE", "a link that leads back to itself", _EXPECTED)
    return Problem("E-NOTFILE", f"cannot be read: {cause.strerror if isinstance(cause, OSError) else cause}", _EXPECTED)


def _forbidden(path: Path) -> Problem:
    try:
        status = path.stat()
    except OSError:
        return Problem("E-PERM", "no permission to read", "a folder above it is closed to you")
    who = f"it belongs to {_owner(path)}, mode {stat.S_IMODE(status.st_mode):04o}"
    return Problem("E-PERM", "no permission to read", who)


def _owner(path: Path) -> str:
    try:
        return visible(path.owner())
    except (KeyError, OSError, NotImplementedError):
        return f"user {path.stat().st_uid}"


def _not_regular(mode: int) -> Problem:
    if stat.S_ISDIR(mode):
        return Problem("E-NOTFILE", "is a directory", _EXPECTED)
    kind = _KINDS.get(stat.S_IFMT(mode), "something else")
    return Problem("E-NOTFILE", f"not a regular file but {kind}", _EXPECTED)


def _too_large(what: str, limit: int) -> Problem:
    return Problem("E-SIZE", f"{what}, limit {_whole(limit)}", "give a smaller file")


def _whole(count: int) -> str:
    return size(count).replace(".0 ", " ")


def _unmarked(data: bytes) -> str:
    """UTF-16 without a byte order mark: every other byte of the start is NUL, as Latin text then has it."""
    even, odd = data[:64:2], data[1:64:2]
    if len(odd) >= 1 and (any(even) != any(odd)):
        return "UTF-16"
    return ""
