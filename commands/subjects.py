"""What weft show, extract, strip, bundle, diff and reproduce share: finding and opening whatever carries a workflow."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commands.common import find
from engine.opening import kind_of
from engine.share.subject import Subject, open_subject


def opened(name: str) -> Subject:
    """What FILE names: a workflow, a picture, a lock, a bundle, a folder with one lock, or a shipped name."""
    path = find(name)
    return open_subject(path, f"{name}.json" if path != Path(name) else "")


def bases(folder: Path) -> list[Path]:
    """Where names of files may be relative to: the folder of a picture or a lock, the one above it, since it may lie in
    the output folder of its workflow, and the one that the person is in."""
    return list(dict.fromkeys((folder, folder.absolute().parent, Path.cwd())))


@contextmanager
def inputs_of(subject: Subject) -> Iterator[Path]:
    """The folder in which a run finds what a workflow reads: that of the file, or for a bundle a temporary one with its
    inputs under the names that the workflow has for them. Their digests were checked when it was opened."""
    if subject.kind != "bundle":
        yield subject.path.parent
        return
    with tempfile.TemporaryDirectory(prefix="weft-") as folder:
        place_inputs(subject, Path(folder))
        yield Path(folder)


def place_inputs(subject: Subject, folder: Path) -> None:
    """Write a bundle's inputs under the names that its lock has for them; names that leave the folder are left out."""
    assert subject.lock is not None
    for entry in subject.lock.data["inputs"]:
        source, files = str(entry.get("source")), entry["files"]
        for file in files:
            data = subject.inputs.get(file["sha256"])
            name = source if len(files) == 1 else f"{Path(source).parent.as_posix()}/{file.get('name')}"
            target = (folder / name).resolve()
            if data is None or not target.is_relative_to(folder.resolve()) or target == folder.resolve():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)


@contextmanager
def unpacked(name: str) -> Iterator[Path | None]:
    """Where the inputs of FILE lie while it is run, if it is a bundle; None for anything else."""
    path = find(name)
    if kind_of(path) != "bundle":
        yield None
        return
    with inputs_of(open_subject(path)) as folder:
        yield folder
