"""Blobs: byte strings on disk, each under its own digest. Written whole or not at all, checked on every read."""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from io import FileIO
from pathlib import Path

from blake3 import blake3

from engine.values import Buffer

_counter = itertools.count()
_CHUNK = 1 << 20


def digest_of(pieces: Iterable[Buffer]) -> str:
    """BLAKE3 of the pieces one after another, as 64 hex digits."""
    hasher = blake3()
    for piece in pieces:
        hasher.update(piece)
    return hasher.hexdigest()


class Blobs:
    """A folder of blobs.

    Several processes may use it at once: a blob is written under a name of its own, synced, and renamed, so that a
    reader sees all of it or nothing. One that does not match its digest is moved to `damaged/` and reads as absent.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._made: set[Path] = set()

    def path(self, digest: str) -> Path:
        """Where the blob lies, or would lie."""
        return self.root / "blobs" / digest[:2] / digest

    def put(self, digest: str, pieces: Sequence[Buffer]) -> int:
        """Store the pieces, whose digest is known; returns the number of bytes. Raises OSError (a full disk)."""
        size = sum(memoryview(p).nbytes for p in pieces)
        target = self.path(digest)
        if _size(target) == size:
            return size
        with self._new(target) as file:
            for piece in pieces:
                _write(file, piece)
        return size

    def adopt(self, digest: str, source: Path) -> int:
        """Store a file whose digest is known; returns its size. The file itself stays as it is: one that the cache
        made (in `scratch/`) gets a second name, any other is copied."""
        target = self.path(digest)
        size = source.stat().st_size
        if _size(target) == size:
            return size
        if source.resolve().is_relative_to(self.root.resolve()) and self._link(source, target):
            return size
        with source.open("rb") as file, self._new(target) as new:
            while chunk := file.read(_CHUNK):
                _write(new, chunk)
        return size

    def get(self, digest: str) -> bytes | None:
        """The bytes of a blob, checked against its digest; None if it is absent or damaged."""
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if digest_of([data]) != digest:
            self.set_aside(digest)
            return None
        return data

    def check(self, digest: str) -> bool:
        """Whether a blob is there and whole, without keeping it in memory."""
        path = self.path(digest)
        try:
            good = file_digest(path) == digest
        except OSError:
            return False
        if not good:
            self.set_aside(digest)
        return good

    def set_aside(self, digest: str) -> None:
        """Move a damaged blob out of the way, so that it is made again and a person can look at it."""
        aside = self.root / "damaged"
        with contextlib.suppress(OSError):
            aside.mkdir(parents=True, exist_ok=True)
            os.replace(self.path(digest), aside / digest)

    def remove(self, digest: str) -> None:
        """Delete a blob; nothing happens if it is not there."""
        with contextlib.suppress(OSError):
            self.path(digest).unlink()

    def digests(self) -> Iterator[str]:
        """Every blob on disk."""
        yield from sorted(path.name for path in (self.root / "blobs").glob("??/*"))

    def sweep(self) -> int:
        """Delete what processes that died in the middle of writing left behind; returns how many files."""
        folder = self.root / "tmp"
        count = 0
        for stray in folder.iterdir() if folder.is_dir() else ():
            pid = stray.name.partition("-")[0]
            if not (pid.isdigit() and is_alive(int(pid))):
                with contextlib.suppress(OSError):
                    stray.unlink()
                    count += 1
        return count

    @contextlib.contextmanager
    def _new(self, target: Path) -> Iterator[FileIO]:
        temporary = self._temporary(target)
        try:
            with open(temporary, "xb", buffering=0) as file:
                yield file
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def _link(self, source: Path, target: Path) -> bool:
        """Give a file a second name; False where the file system has no such thing."""
        temporary = self._temporary(target)
        try:
            with source.open("r+b") as file:
                os.fsync(file.fileno())
            os.link(source.resolve(), temporary)
            os.replace(temporary, target)
        except OSError:
            return False
        return True

    def _temporary(self, target: Path) -> Path:
        """A name of this process's own on the same disk; the folders of both are made."""
        temporary = self.root / "tmp" / f"{os.getpid()}-{next(_counter)}-{target.name[:16]}"
        self._folder(temporary.parent)
        self._folder(target.parent)
        return temporary

    def _folder(self, folder: Path) -> None:
        if folder not in self._made:
            folder.mkdir(parents=True, exist_ok=True)
            self._made.add(folder)


def file_digest(path: Path) -> str:
    """BLAKE3 of a file."""
    hasher = blake3()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def _write(file: FileIO, data: Buffer) -> None:
    """All of it: one call may write only a part, where the disk is nearly full or the data is over 2 GiB."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def is_alive(pid: int) -> bool:
    """Whether a process of that number runs."""
    if pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
