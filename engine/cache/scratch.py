"""Folders for unfinished work: a node that was interrupted finds there what it had done."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from engine.cache.blobs import is_alive


class Scratch:
    """One folder for each key, for as long as its result is not stored.

    Two processes never share one: the folder is claimed by a file beside it with the process's number, and whoever
    finds it claimed by a living process works in a folder of its own. Without a root, folders are temporary ones.
    """

    def __init__(self, root: Path | None) -> None:
        self.root = root
        self._open: dict[str, Path] = {}

    def folder(self, key: str) -> Path:
        """The folder for a key; what an earlier try left is in it. Where the root cannot be used it is a temporary one.
        Raises OSError if there is no place for that either."""
        if key not in self._open:
            with contextlib.suppress(OSError):
                if self.root is not None:
                    self._open[key] = self._make(self.root, key)
        if key not in self._open:
            self._open[key] = Path(tempfile.mkdtemp(prefix="weft-"))
        return self._open[key]

    def drop(self, key: str) -> None:
        """Delete the folder of a key that this process worked in."""
        folder = self._open.pop(key, None)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
            self._release(key)

    def close(self) -> None:
        """Let other processes go on with what is left."""
        for key in self._open:
            self._release(key)
        self._open.clear()

    def sweep(self) -> None:
        """Delete the second folders that processes which are gone had for a key."""
        for folder in self.root.glob("*-*") if self.root is not None else ():
            pid = folder.name.rpartition("-")[2]
            if pid.isdigit() and not is_alive(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)

    def _make(self, root: Path, key: str) -> Path:
        root.mkdir(parents=True, exist_ok=True)
        folder = root / key if _claim(root / f"{key}.pid") else root / f"{key}-{os.getpid()}"
        folder.mkdir(exist_ok=True)
        return folder

    def _release(self, key: str) -> None:
        if self.root is not None:
            claim = self.root / f"{key}.pid"
            with contextlib.suppress(OSError):
                if claim.read_text() == str(os.getpid()):
                    claim.unlink()


def _claim(claim: Path) -> bool:
    """Put this process's number into a file, unless a living process has; whether it is ours now."""
    for _ in range(2):
        with contextlib.suppress(FileExistsError):
            with claim.open("x") as file:
                file.write(str(os.getpid()))
            return True
        with contextlib.suppress(OSError):
            owner = claim.read_text()
            if owner.isdigit() and is_alive(int(owner)):
                return int(owner) == os.getpid()
            claim.unlink()
    return False
