"""Finding the files that a lock names, by their digests, on this machine. Nothing is downloaded."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.cache import Cache
from engine.errors import Problem, WeftError, error
from engine.graph import Workflow
from engine.inputs import before_a_run, names_of
from engine.share.lock import Lock
from engine.text import quoted, size

SEARCHED = 100_000
"""Files that are looked at in the folders a person names."""


@dataclass
class Places:
    """Where files are. given: what to set, by "node.input" or param, where the name in the workflow does not lead
    there. open: the inputs whose paths may lie anywhere. missing: what is not on this machine."""

    given: dict[str, str] = field(default_factory=dict)
    open: set[tuple[str, str]] = field(default_factory=set)
    missing: list[Problem] = field(default_factory=list)


def find(workflow: Workflow, lock: Lock, cache: Cache, folders: Sequence[Path], here: Sequence[Path]) -> Places:
    """The files of a lock: by the names in the workflow, relative to the folders `here`; else among all that were ever
    digested on this machine; else in `folders`."""
    places = Places()
    for entry in (*lock.data["models"], *lock.data["inputs"]):
        node, name = str(entry.get("node")), str(entry.get("input"))
        if node not in workflow.nodes or name not in workflow.nodes[node].cls.inputs:
            continue
        wanted = {str(file.get("name")): file for file in entry["files"]}
        digests = {str(file["sha256"]) for file in entry["files"]}
        source = before_a_run(workflow, workflow.nodes[node], name)
        base = next((b for b in here if _digests(_named(workflow, node, name, b), cache) == digests), None)
        if base is not None and base == here[0]:
            continue
        at = base / source if base is not None and isinstance(source, str) else _elsewhere(wanted, cache, folders)
        if at is None:
            places.missing.append(_absent(node, name, entry))
            continue
        param = workflow.nodes[node].params.get(name)
        places.given[param or f"{node}.{name}"] = str(at.absolute())
        places.open |= set(workflow.params[param].feeds if param else ((node, name),))
    return places


def paths_of(
    workflow: Workflow, lock: Lock, cache: Cache, folders: Sequence[Path], here: Sequence[Path]
) -> dict[str, Path]:
    """SHA-256 -> where it is, of every input of a lock that is no model. Raises E-NOTFOUND with all that are absent."""
    found: dict[str, Path] = {}
    missing = []
    for entry in lock.data["inputs"]:
        node, name = str(entry.get("node")), str(entry.get("input"))
        paths = [path for base in here for path in _named(workflow, node, name, base)]
        digests = {cache.sha256(path): path for path in reversed(paths)}
        for file in entry["files"]:
            path = digests.get(file["sha256"]) or next(_with(file, cache, folders), None)
            if path is None:
                missing.append(_absent(node, name, entry))
                break
            found[file["sha256"]] = path
    if missing:
        raise error(missing)
    return found


def _digests(paths: Sequence[Path], cache: Cache) -> set[str]:
    try:
        return {cache.sha256(path) for path in paths}
    except OSError:
        return set()


def _named(workflow: Workflow, node: str, name: str, folder: Path) -> Sequence[Path]:
    """The files that the name in the workflow leads to from a folder; none where it leads nowhere."""
    found = workflow.nodes.get(node)
    spec = found.cls.inputs.get(name) if found is not None else None
    if found is None or spec is None or spec.files is None:
        return ()
    literals = {key: value for key in (name, *spec.beside) if (value := before_a_run(workflow, found, key)) is not ...}
    try:
        return spec.find_files(literals, folder, ())
    except (WeftError, OSError, KeyError):
        return ()


def _elsewhere(wanted: Mapping[str, Any], cache: Cache, folders: Sequence[Path]) -> Path | None:
    """The file, or the folder of the files, that have these digests."""
    names = list(wanted)
    if len(names) == 1:
        return next(_with(wanted[names[0]], cache, folders), None)
    # of a folder with many files the largest is the rarest
    first = max(names, key=lambda name: int(wanted[name].get("size") or 0))
    for path in _with(wanted[first], cache, folders):
        above = path
        for _ in Path(first).parts:
            above = above.parent
        files = [above / name for name in names]
        try:
            if all(cache.sha256(file) == wanted[name]["sha256"] for name, file in zip(names, files, strict=True)):
                # names begin with the folder's own, as `engine.inputs.names_of` gives them
                return above / Path(first).parts[0] if names_of(files) == names else None
        except OSError:
            continue
    return None


def _with(file: Mapping[str, Any], cache: Cache, folders: Sequence[Path]) -> Iterator[Path]:
    """Files of this digest."""
    yield from cache.with_sha256(file["sha256"])
    wanted = file.get("size")
    looked = 0
    for folder in folders:
        for here, _, names in os.walk(folder):
            for name in names:
                looked += 1
                path = Path(here, name)
                try:
                    if looked < SEARCHED and path.stat().st_size == wanted and cache.sha256(path) == file["sha256"]:
                        yield path
                except OSError:
                    continue


def _absent(node: str, name: str, entry: Mapping[str, Any]) -> Problem:
    files = entry["files"]
    whole = sum(int(file.get("size") or 0) for file in files)
    largest = max(files, key=lambda file: int(file.get("size") or 0), default={"sha256": ""})
    revision = f" at revision {quoted(entry['revision'], 12)}" if entry.get("revision") else ""
    what = f"{node}.{name}: {quoted(entry.get('source'))}{revision} is not here, or is another"
    hint = f"get its {size(whole)}, sha256 {str(largest['sha256'])[:16]}…, and name its folder with --allow"
    return Problem("E-NOTFOUND", what, hint, exit_code=3)
