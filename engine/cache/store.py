"""The cache as the rest of the engine sees it: results by key, in memory and on disk."""

import contextlib
import hashlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cache.blobs import Blobs
from engine.cache.codec import Coded, code, is_stored, sockets, told
from engine.cache.disk import Disk
from engine.cache.index import Entry, Index, is_damage
from engine.cache.memory import Held, Memory
from engine.cache.scratch import Scratch
from engine.errors import Problem
from engine.text import size as size_text

if TYPE_CHECKING:
    from engine.node import Node

Warn = Callable[[Problem], None]
_BODY = "#body"
"""Behind a file's name, for the digest of what lies behind its header."""
_FRESH = 2 * 10**9
"""Nanoseconds within which two changes of a file may leave the same times behind."""


def default_root() -> Path:
    """$WEFT_CACHE, else weft's folder in the user's cache folder."""
    if given := os.environ.get("WEFT_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "weft" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "weft"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weft"


@dataclass(slots=True)
class Counts:
    """What the cache did since it was opened."""

    hits: int = 0
    misses: int = 0
    stored: int = 0
    evicted: int = 0
    damaged: int = 0


class Cache:
    """Results by key. Never a wrong result, and never the end of a run: what does not match its digest is a miss, and
    when the disk cannot be used the cache says so (W-CACHE) and goes on without it.

    root: the folder on disk, or None for memory alone. limit: bytes on disk; the least recently used go first.
    memory: bytes of results that are kept in memory between runs of one process; 0 keeps none.
    """

    def __init__(self, root: Path | None = None, *, limit: int = 20 << 30, memory: int = 0) -> None:
        self.root = root
        self.limit = limit
        self.counts = Counts()
        self.memory = Memory(memory)
        self.disk: Disk | None = None
        self._warn: Warn | None = None
        self._unsaid: list[Problem] = []
        self._notes: dict[str, str] = {}
        self._digests: dict[tuple[str, int, bool], tuple[str, str]] = {}
        self._scratch = Scratch(root / "scratch" if root is not None else None)
        if root is not None:
            try:
                self.disk = Disk(root)
                self._scratch.sweep()
            except (OSError, sqlite3.Error) as why:
                self._off(why)

    def listen(self, warn: Warn | None) -> None:
        """Send warnings there from now on, those first that nobody has heard yet; None: keep them."""
        self._warn = warn
        while warn is not None and self._unsaid:
            warn(self._unsaid.pop(0))

    @property
    def index(self) -> Index | None:
        """The index on disk, to list it; None where the disk is not used."""
        return self.disk.index if self.disk is not None else None

    @property
    def blobs(self) -> Blobs | None:
        """The blobs on disk, to check them; None where the disk is not used."""
        return self.disk.blobs if self.disk is not None else None

    def known(self, keys: Iterable[str]) -> set[str]:
        """Of these keys those that have a result, in memory or on disk. Reads no result."""
        wanted = [k for k in keys if k]
        found = {k for k in wanted if k in self.memory}
        with self._guard() as disk:
            if disk is not None and len(found) < len(wanted):
                found |= disk.known(k for k in wanted if k not in found)
        return found

    def entry(self, key: str) -> Entry | None:
        """What is known about a result on disk, without reading it."""
        with self._guard() as disk:
            return disk.entry(key) if disk is not None else None
        return None

    def load(self, key: str, cls: "type[Node]", names: Iterable[str]) -> Held | None:
        """These outputs of a result, or None if it is not there whole. A damaged one is set aside."""
        names = tuple(names)
        held = self.memory.get(key)
        if held is None or any(n not in held.values for n in names):
            held = self._load(key, cls, names)
        if held is None:
            self.counts.misses += 1
            return None
        self.counts.hits += 1
        if self.disk is not None:
            self.disk.touch(key)
        return held

    def _load(self, key: str, cls: "type[Node]", names: Sequence[str]) -> Held | None:
        with self._guard() as disk:
            entry = disk.entry(key) if disk is not None else None
            if disk is None or entry is None:
                return None
            try:
                values = {name: disk.read(entry, name, sockets(cls)[name]) for name in names}
            except Exception as why:  # a blob of an older weft may trip any line of a socket's unpack
                self.counts.damaged += 1
                self._say(f"a cached result of {cls.__name__} is damaged: {_words(why)}", "it is made again")
                disk.forget([key])
                return None
            found = Held(values, {n: s.digest for n, s in entry.outputs.items()}, entry.seconds, entry.bytes)
            if len(values) == len(cls.outputs) and not any(s.files for s in entry.outputs.values()):
                self.memory.put(key, found)
            return found
        return None

    def store(
        self, key: str, cls: "type[Node]", values: Mapping[str, Any], seconds: float, inputs: str, *, keep: bool
    ) -> Held:
        """Keep a result (if `keep`), and say its digests. `inputs` is what it was made from, as JSON. Files in it are
        taken over into the cache, and the values that come back point to them there. Raises what is wrong with the
        values themselves."""
        stored = is_stored(cls)
        coded = {name: code(value, sockets(cls)[name]) for name, value in values.items()} if stored else {}
        has_files = any(one.file_digests for one in coded.values())
        written = False
        if keep and stored:
            with self._guard(coded) as disk:
                if disk is not None:
                    values = _moved(cls, values, coded, disk.write(key, cls.__name__, coded, seconds, inputs))
                    written = True
                    self.counts.stored += 1
                    if disk.written > self.limit // 8:
                        self.flush()
        digests = {n: c.digest for n, c in coded.items()}
        if not stored and not cls.effect:
            digests = {n: d for n, value in values.items() if (d := told(value, sockets(cls)[n]))}
            if keep:
                self.tell(key, json.dumps(digests))
        held = Held(values, digests, seconds, sum(c.bytes for c in coded.values()))
        # Files may be evicted, by others too; only the disk knows whether they are still there.
        if keep and cls.cached and not cls.effect and not (written and has_files):
            self.memory.put(key, held)
        if written or cls.effect or (stored and not has_files):
            self._scratch.drop(key)
        return held

    def digests(self, keys: Iterable[str]) -> dict[str, Mapping[str, str]]:
        """key -> the digest of each output of its result, also of one that is not stored but made anew each time.
        Those of which nothing is known are left out."""
        keys = list(keys)
        found: dict[str, Mapping[str, str]] = {}
        for key, text in self.told(keys).items():
            with contextlib.suppress(ValueError):
                found[key] = json.loads(text)
        found |= {key: held.digests for key in keys if (held := self.memory.get(key))}
        with self._guard() as disk:
            if disk is not None:
                for entry in disk.entries(k for k in keys if k not in found):
                    found[entry.key] = {name: stored.digest for name, stored in entry.outputs.items()}
        return found

    def told(self, keys: Iterable[str]) -> dict[str, str]:
        """What was noted under these keys, where something was."""
        keys = list(keys)
        found = {key: self._notes[key] for key in keys if key in self._notes}
        with self._guard() as disk:
            if disk is not None:
                found |= disk.told(keys)
        return found

    def tell(self, key: str, text: str) -> None:
        """Note a short text under a key, for later runs."""
        with self._guard() as disk:
            if disk is not None:
                disk.tell(key, text)
                return
        self._notes[key] = text

    def forget(self, keys: Iterable[str]) -> None:
        """Drop results."""
        keys = list(keys)
        for key in keys:
            self.memory.drop(key)
        with self._guard() as disk:
            if disk is not None:
                disk.forget(keys)

    def flush(self) -> None:
        """Write what waits to be written, and keep to the limit."""
        with self._guard() as disk:
            if disk is not None:
                disk.flush()
                if disk.written or disk.is_full:
                    self.counts.evicted += disk.shrink(self.limit).entries

    def collect(self, limit: int) -> tuple[int, int]:
        """Evict the least recently used until no more than `limit` bytes are left: (entries dropped, bytes left)."""
        self.let_go()
        with self._guard() as disk:
            if disk is not None:
                dropped = disk.shrink(limit).entries
                self.counts.evicted += dropped
                return dropped, disk.index.total()
        return 0, 0

    def let_go(self) -> None:
        """Nobody needs any more the files of results that were handed out: they may be evicted like the rest."""
        if self.disk is not None and self.disk.in_use:
            self.disk.in_use.clear()
            self.disk.is_full = True

    def scratch(self, key: str) -> Path:
        """A folder for the unfinished work of a node with this key; `store` deletes it. Raises OSError."""
        return self._scratch.folder(key)

    def sha256(self, path: Path, *, body: bool = False) -> str:
        """SHA-256 of a file, remembered for as long as its size and times stay the same. Raises OSError.

        body: of a .safetensors file, only of what lies behind its header. Both are computed when one is first asked
        for, side by side, so that a file of gigabytes is read once.
        """
        status = path.stat()
        stamp = f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
        at = str(path), status.st_dev, body
        if (seen := self._digests.get(at)) and seen[0] == stamp:
            return seen[1]
        name = str(path.resolve())
        with self._guard() as disk:
            if disk is not None and (known := disk.index.file_digest(name + _BODY * body, stamp)):
                self._digests[at] = stamp, known
                return known
        digests = {name: 0}
        if path.suffix == ".safetensors":
            with path.open("rb") as file:
                digests[name + _BODY] = 8 + int.from_bytes(file.read(8), "little")
        with ThreadPoolExecutor(len(digests)) as pool:
            found = dict(zip(digests, pool.map(lambda start: _sha256(path, start), digests.values()), strict=True))
        # A file that changes twice within one tick of the file system's clock keeps its times: trust only older ones.
        if time.time_ns() - status.st_ctime_ns > _FRESH:
            for called, digest in found.items():
                self._digests[str(path), status.st_dev, called != name] = stamp, digest
            with self._guard() as disk:
                if disk is not None:
                    for called, digest in found.items():
                        disk.index.set_file_digest(called, stamp, digest)
        return found[name + _BODY * body]

    def known_sha256(self, path: Path) -> str:
        """The SHA-256 that a file of this size and these times had when it was last read whole; empty if unknown."""
        status = path.stat()
        stamp = f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
        with self._guard() as disk:
            if disk is not None:
                return disk.index.file_digest(str(path.resolve()), stamp) or ""
        return ""

    def with_sha256(self, digest: str) -> list[Path]:
        """The files that had this SHA-256, or one that begins so, when they were last looked at, and are there still,
        unchanged."""
        with self._guard() as disk:
            known = disk.index.files_with(digest) if disk is not None else []
            paths = [Path(name) for name in known if not name.endswith(_BODY)]
            return [path for path in paths if path.is_file() and self.sha256(path).startswith(digest)]
        return []

    def remember(self, graph: str, nodes: Sequence[tuple[str, str, str]]) -> None:
        """Keep (node id, key, inputs as JSON) of the last run of a graph."""
        with self._guard() as disk:
            if disk is not None:
                disk.index.set_latest(graph, nodes)

    def latest(self, graph: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """node id -> (key, inputs) of the last run of a graph."""
        with self._guard() as disk:
            return disk.index.latest(graph) if disk is not None else {}
        return {}

    def close(self) -> None:
        """Write what waits and close."""
        self.let_go()
        self.flush()
        self._scratch.close()
        if self.disk is not None:
            self.disk.close()
            self.disk = None

    @contextlib.contextmanager
    def _guard(self, writing: Mapping[str, Coded] | None = None) -> Iterator[Disk | None]:
        """Use the disk; if that fails, go on without it."""
        try:
            yield self.disk
        except (sqlite3.Error, OSError) as why:
            needed = sum(one.bytes for one in writing.values()) if writing else 0
            self._off(why, f" while writing {size_text(needed)}" if needed else "")

    def _off(self, why: Exception, doing: str = "") -> None:
        if self.disk is not None:
            if isinstance(why, sqlite3.Error) and is_damage(why):
                self.disk.index.set_aside()
            with contextlib.suppress(sqlite3.Error):
                self.disk.close()
            self.disk = None
        self._say(f"the cache is off for this run: {_words(why)}{doing}", f"look at {self.root}")

    def _say(self, what: str, hint: str) -> None:
        problem = Problem("W-CACHE", what, hint)
        if self._warn is None:
            self._unsaid.append(problem)
        else:
            self._warn(problem)


def _sha256(path: Path, start: int) -> str:
    """SHA-256 of a file from an offset on."""
    with path.open("rb") as file:
        file.seek(min(start, path.stat().st_size))
        return hashlib.file_digest(file, "sha256").hexdigest()


def _moved(
    cls: "type[Node]", values: Mapping[str, Any], coded: Mapping[str, Coded], files: Mapping[str, Mapping[str, Path]]
) -> Mapping[str, Any]:
    """The values, those with files made to point to where these lie now."""
    moved = dict(values)
    for name, paths in files.items():
        packed, unpack = coded[name].packed, sockets(cls)[name].unpack
        assert packed is not None
        assert unpack is not None
        moved[name] = unpack(replace(packed, files=paths))
    return moved


def _words(why: Exception) -> str:
    return (why.strerror or str(why)) if isinstance(why, OSError) else str(why) or type(why).__name__
