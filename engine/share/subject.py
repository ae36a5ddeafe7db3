"""Whatever carries a workflow, opened: its own file, a picture, a lock, a bundle, or the folder of a run.

Opening runs, imports and looks up nothing, and writes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine import document as documents
from engine.errors import Place, Problem, error
from engine.jsontext import parse
from engine.opening import PICTURE_LIMIT, beside, is_workflow_file, kind_of
from engine.share import bundle as bundles
from engine.share.lock import Lock
from engine.share.lockfile import checked, lock_in
from engine.share.picture import Found, found_in, no_workflow
from engine.source import Source, names_in, read_bytes, read_source
from engine.text import plural, visible

Kind = Literal["workflow", "picture", "lock", "bundle"]


@dataclass(frozen=True)
class Subject:
    """What was opened. document: its workflow, as plain JSON. lock: None for a workflow's own file, and for a picture
    without one. found: of a picture, all that it says. data: its bytes. inputs, outputs: what a bundle brings."""

    kind: Kind
    path: Path
    name: str
    document: Mapping[str, Any]
    lock: Lock | None = None
    found: Found = field(default_factory=Found)
    data: bytes = b""
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    outputs: Mapping[str, bytes] = field(default_factory=dict)


def open_subject(path: Path, name: str = "") -> Subject:
    """What lies at a path, which messages call `name`. Raises all that is wrong with it."""
    name = name or visible(str(path))
    if path.is_dir():
        path = _lock_in_folder(path, name)
        name = visible(str(path))
    kind = kind_of(path)
    if kind == "picture":
        return _picture(path, name)
    if kind == "bundle":
        bundle = bundles.read(path, name)
        lock = bundle.lock
        return Subject("bundle", path, name, lock.document, lock, inputs=bundle.inputs, outputs=bundle.outputs)
    if not is_workflow_file(path):
        lock = lock_in(read_source(path, name=name))
        return Subject("lock", path, name, lock.document, lock)
    return Subject("workflow", path, name, documents.read(path, name).data)


def _picture(path: Path, name: str) -> Subject:
    data = read_bytes(path, PICTURE_LIMIT, name)
    found = found_in(data, name)
    if not found.workflow:
        if not found.lock:
            raise error(no_workflow(found, name))
        lock = beside(path, found.lock, name)
        return Subject("picture", path, name, lock.document, lock, found, data)
    document = documents.from_source(Source(name, found.workflow), None, path.parent).data
    lock_: Lock | None = None
    if found.lock:
        said = parse(Source(f"{name} weft_lock", found.lock)).value
        if isinstance(said, dict) and "file" in said:
            lock_ = beside(path, found.lock, name)
        else:
            lock_ = checked(said, parse(Source(name, found.workflow)).value, name)
    return Subject("picture", path, name, document, lock_, found, data)


def _lock_in_folder(folder: Path, name: str) -> Path:
    """The one lock in the folder of a run."""
    locks = sorted(file for file in names_in(folder) if file.endswith(".lock"))
    if len(locks) == 1:
        return folder / locks[0]
    what = f"a folder with {plural(len(locks), 'lock')}"
    hint = f"name one of them: {visible(', '.join(locks[:5]))}" if locks else "name a file"
    raise error(Problem("E-NOTFILE", what, hint, Place(name)))
