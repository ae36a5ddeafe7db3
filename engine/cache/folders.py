"""Results with files, as folders in which the files have their own names: links to blobs, made again when needed."""

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from engine.cache.blobs import Blobs
from engine.cache.codec import check_name


class Folders:
    """`views/DIGEST/NAME` for each file of the output with that digest. Nothing is kept only there."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def show(self, digest: str, files: Mapping[str, str]) -> dict[str, Path]:
        """The files of an output (name -> blob) under their own names. Raises OSError, and Damaged for a bad name."""
        folder = self._folder(digest)
        paths: dict[str, Path] = {}
        for name, blob in files.items():
            check_name(name)
            paths[name] = folder / name
            self._link(self._blobs.path(blob), paths[name])
        return paths

    def remove(self, digest: str) -> None:
        """Delete the folder of an output."""
        shutil.rmtree(self._folder(digest), ignore_errors=True)

    def _folder(self, digest: str) -> Path:
        return self._blobs.root / "views" / digest

    def _link(self, blob: Path, path: Path) -> None:
        with contextlib.suppress(OSError):
            if path.samefile(blob):
                return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        try:
            # Relative, so that the cache may be moved as a whole.
            temporary.symlink_to(os.path.relpath(blob, path.parent))
        except (OSError, NotImplementedError):
            shutil.copyfile(blob, temporary)
        os.replace(temporary, path)
