"""The cache: results of nodes by key, on disk and in memory. It never gives a wrong result: what does not match its
digest is a miss, and when the disk cannot be used a run goes on without it."""

import contextlib
import hashlib
import os
import sqlite3
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cache.blobs import Blobs, digest_of
from engine.cache.index import Entry, Index, Stored
from engine.cache.tensors import Damaged, decode, encode
from engine.errors import Problem
from engine.jsontext import dump_canonical
from engine.text import size as size_text
from engine.values import Array, Packed, Socket, socket_of

if TYPE_CHECKING:
    from engine.node import Node

INLINE = 4096
"""A result of no more JSON than this, and no arrays, is kept in the index itself."""
_FLUSH_AT = 512

Inputs = Callable[[], Mapping[str, Any]]


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


@dataclass(frozen=True, slots=True)
class Held:
    """A result in memory."""

    values: Mapping[str, Any]
    digests: Mapping[str, str]
    seconds: float
    bytes: int


@dataclass(slots=True)
class _Piece:
    """One output on its way into the cache."""

    value: Any
    socket: Socket
    packed: Packed | None = None
    pieces: list[Any] = field(default_factory=list)
    digest: str = ""
    bytes: int = 0


class Cache:
    """Results by key.

    root: the folder on disk, or None for memory alone. limit: bytes on disk; the least recently used go first.
    memory: bytes of results that are kept in memory between runs of one process; 0 keeps none.
    """

    def __init__(self, root: Path | None = None, *, limit: int = 20 << 30, memory: int = 0) -> None:
        self.root = root
        self.limit = limit
        self.memory = memory
        self.counts = Counts()
        self.warn: Callable[[Problem], None] = lambda problem: None
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._held_bytes = 0
        self._pending: dict[str, Entry] = {}
        self._touched: dict[str, None] = {}
        self._written = 0
        self.blobs: Blobs | None = None
        self.index: Index | None = None
        if root is not None:
            self._open(root)

    def _open(self, root: Path) -> None:
        try:
            self.index = Index(root / "index.sqlite")
            self.blobs = Blobs(root)
            self.blobs.sweep()
        except (OSError, sqlite3.Error) as why:
            self.index = self.blobs = None
            self._off(why)

    def _off(self, why: Exception) -> None:
        """Go on without the disk."""
        if self.index is not None:
            with contextlib.suppress(sqlite3.Error):
                self.index.close()
        self.index = self.blobs = None
        self._pending.clear()
        self.warn(Problem("W-CACHE", f"the cache is off for this run: {why}", f"look at {self.root}"))

    def known(self, keys: Iterable[str]) -> set[str]:
        """Of these keys those that have a result, in memory or on disk. Reads no result."""
        wanted = [k for k in keys if k]
        found = {k for k in wanted if k in self._held or k in self._pending}
        rest = [k for k in wanted if k not in found]
        if rest:
            with self._guard() as index:
                if index is not None:
                    found.update(index.known(rest))
        return found

    def load(self, key: str, cls: "type[Node]", names: Iterable[str]) -> Held | None:
        """These outputs of a result, or None if it is not there whole. A damaged one is set aside."""
        names = tuple(names)
        held = self._held.get(key)
        if held is not None and all(n in held.values for n in names):
            self._held.move_to_end(key)
            self._touched[key] = None
            self.counts.hits += 1
            return held
        entry = self._entry(key)
        if entry is None:
            self.counts.misses += 1
            return None
        values: dict[str, Any] = {}
        for name in names:
            stored = entry.outputs.get(name)
            try:
                if stored is None:
                    raise Damaged(f"no output {name}")
                values[name] = self._read(stored, cls.outputs[name])
            except (Damaged, OSError, ValueError, KeyError, TypeError) as why:
                self.counts.damaged += 1
                self.counts.misses += 1
                self.warn(
                    Problem("W-CACHE", f"a cached result of {cls.__name__} is damaged: {why}", "it is made again")
                )
                self.forget([key])
                return None
        self.counts.hits += 1
        self._touched[key] = None
        found = Held(values, {n: s.digest for n, s in entry.outputs.items()}, entry.seconds, entry.bytes)
        if len(values) == len(cls.outputs):
            self._hold(key, found)
        return found

    def entry(self, key: str) -> Entry | None:
        """What is known about a result, without reading it."""
        return self._entry(key)

    def store(
        self, key: str, cls: "type[Node]", values: Mapping[str, Any], seconds: float, inputs: Inputs, *, keep: bool
    ) -> Held:
        """Keep a result (if `keep`), and say its digests. Files in it are moved into the cache, and the values that
        come back point to them there."""
        pieces = {name: _piece(value, cls.outputs[name]) for name, value in values.items()}
        digests = {name: p.digest for name, p in pieces.items() if p.digest}
        if keep and self.index is not None and cls.is_stored():
            try:
                values = self._write(key, cls, pieces, seconds, inputs)
            except OSError as why:
                needed = size_text(sum(p.bytes for p in pieces.values()))
                self._off(OSError(f"{why.strerror or why} while writing {needed}"))
            except sqlite3.Error as why:
                self._off(why)
        held = Held(values, digests, seconds, sum(p.bytes for p in pieces.values()))
        if keep and cls.cached and not cls.effect:
            self._hold(key, held)
        return held

    def forget(self, keys: Iterable[str]) -> None:
        """Drop results."""
        keys = list(keys)
        for key in keys:
            held = self._held.pop(key, None)
            self._held_bytes -= held.bytes if held else 0
            self._pending.pop(key, None)
        with self._guard() as index:
            if index is not None and self.blobs is not None:
                for blob in index.remove(keys):
                    self.blobs.remove(blob)

    def flush(self) -> None:
        """Write what waits to be written, and keep to the limit."""
        with self._guard() as index:
            if index is None:
                return
            if self._pending:
                index.put(list(self._pending.values()))
                self._pending.clear()
            if self._touched:
                index.touch(self._touched)
                self._touched.clear()
            if self._written:
                self._written = 0
                self.collect(self.limit)

    def collect(self, limit: int) -> tuple[int, int]:
        """Evict the least recently used until no more than `limit` bytes are left: (entries dropped, bytes left)."""
        index, blobs = self.index, self.blobs
        if index is None or blobs is None:
            return 0, 0
        total, dropped = index.total(), 0
        if total > limit:
            for key in index.oldest():
                if total <= limit:
                    break
                for blob in index.remove([key]):
                    blobs.remove(blob)
                dropped += 1
                self.counts.evicted += 1
                total = index.total()
        return dropped, total

    def scratch(self, key: str) -> Path:
        """A folder for the unfinished work of a node with this key."""
        import tempfile

        folder = self.root / "scratch" / key if self.root is not None else Path(tempfile.gettempdir()) / f"weft-{key}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def drop_scratch(self, key: str) -> None:
        """Delete the unfinished work of a node that is done."""
        import shutil

        if self.root is not None:
            shutil.rmtree(self.root / "scratch" / key, ignore_errors=True)

    def sha256(self, path: Path) -> str:
        """SHA-256 of a file, remembered for as long as its size and times stay the same. Raises OSError."""
        status = path.stat()
        stamp = f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
        name = str(path.resolve())
        with self._guard() as index:
            if index is not None and (known := index.file_digest(name, stamp)):
                return known
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with self._guard() as index:
            if index is not None:
                index.set_file_digest(name, stamp, digest)
        return digest

    def remember(self, graph: str, nodes: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Keep (node id, key, inputs) of the last run of a graph."""
        with self._guard() as index:
            if index is not None:
                index.set_latest(graph, nodes)

    def latest(self, graph: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """node id -> (key, inputs) of the last run of a graph."""
        with self._guard() as index:
            return index.latest(graph) if index is not None else {}
        return {}

    def close(self) -> None:
        """Write what waits and close."""
        self.flush()
        if self.index is not None:
            self.index.close()
            self.index = None

    def _entry(self, key: str) -> Entry | None:
        if key in self._pending:
            return self._pending[key]
        with self._guard() as index:
            return index.get(key) if index is not None else None
        return None

    def _read(self, stored: Stored, annotation: Any) -> Any:
        if stored.kind == "NONE":
            return None
        socket = _socket(annotation)
        if (
            socket.name != stored.kind
            or socket.unpack is None
            or (self.blobs is None and (stored.blob or stored.files))
        ):
            raise Damaged(f"holds {stored.kind}, not {socket.name}")
        arrays: Mapping[str, Array] = {}
        meta = stored.meta
        if stored.blob:
            data = self.blobs.get(stored.blob) if self.blobs else None
            if data is None:
                raise Damaged(f"blob {stored.blob[:12]} is absent or does not match its digest")
            import json

            arrays, metadata = decode(data)
            meta = json.loads(metadata["meta"])
        files = {}
        for name, digest in (stored.files or {}).items():
            if self.blobs is None or not self.blobs.check(digest):
                raise Damaged(f"file {name} is absent or does not match its digest")
            files[name] = self.blobs.path(digest)
        return socket.unpack(Packed(meta, arrays, files))

    def _write(
        self, key: str, cls: "type[Node]", pieces: Mapping[str, _Piece], seconds: float, inputs: Inputs
    ) -> dict[str, Any]:
        assert self.blobs is not None
        outputs: dict[str, Stored] = {}
        refs: dict[str, int] = {}
        values: dict[str, Any] = {}
        total = 0
        for name, piece in pieces.items():
            values[name] = piece.value
            if piece.packed is None:
                outputs[name] = Stored("NONE", piece.digest)
                continue
            files: dict[str, str] = {}
            for file, path in piece.packed.files.items():
                digest, length = self.blobs.adopt(path)
                files[file], refs[digest] = digest, length
            if files:
                paths = {file: self.blobs.path(digest) for file, digest in files.items()}
                assert piece.socket.unpack is not None
                values[name] = piece.socket.unpack(Packed(piece.packed.meta, piece.packed.arrays, paths))
            if piece.packed.arrays or piece.bytes > INLINE:
                refs[piece.digest] = self.blobs.put(piece.digest, piece.pieces)
                outputs[name] = Stored(piece.socket.name, piece.digest, None, piece.digest, files or None)
            else:
                total += piece.bytes
                outputs[name] = Stored(piece.socket.name, piece.digest, piece.packed.meta, "", files or None)
        total += sum(refs.values())
        self._pending[key] = Entry(key, cls.__name__, inputs(), outputs, seconds, total, tuple(refs.items()))
        self._written += total
        self.counts.stored += 1
        if refs or seconds > 0.05 or len(self._pending) >= _FLUSH_AT:
            assert self.index is not None
            self.index.put(list(self._pending.values()))
            self._pending.clear()
        if self._written > self.limit // 8:
            self.flush()
        return values

    def _hold(self, key: str, held: Held) -> None:
        if held.bytes > self.memory or not self.memory:
            return
        old = self._held.pop(key, None)
        self._held_bytes += held.bytes - (old.bytes if old else 0)
        self._held[key] = held
        while self._held_bytes > self.memory:
            _, gone = self._held.popitem(last=False)
            self._held_bytes -= gone.bytes

    @contextlib.contextmanager
    def _guard(self) -> Iterator[Index | None]:
        """Use the index; if that fails, go on without it."""
        try:
            yield self.index
        except (sqlite3.Error, OSError) as why:
            self._off(why)


def _socket(annotation: Any) -> Socket:
    from typing import get_args

    parts: Sequence[Any] = [p for p in get_args(annotation) if p is not type(None)] or [annotation]
    return socket_of(parts[0])


def _piece(value: Any, annotation: Any) -> _Piece:
    """A value with its bytes and their digest, if it has any."""
    socket = _socket(annotation)
    if value is None:
        return _Piece(None, socket, digest=digest_of([b"NONE"]))
    if socket.pack is None:
        return _Piece(value, socket)
    packed = socket.pack(value)
    meta = dump_meta(packed.meta)
    if packed.arrays:
        pieces = encode(packed.arrays, {"kind": socket.name, "meta": meta})
        return _Piece(value, socket, packed, pieces, digest_of(pieces), sum(memoryview(p).nbytes for p in pieces))
    text = f"{socket.name} {meta}".encode()
    pieces = encode({}, {"kind": socket.name, "meta": meta}) if len(text) > INLINE else [text]
    return _Piece(value, socket, packed, pieces, digest_of(pieces), len(pieces[0]))


def dump_meta(meta: Any) -> str:
    """JSON as it is digested. NaN and infinities, which a node may well compute, are written by name."""
    try:
        return dump_canonical(meta)
    except ValueError:
        import json

        return json.dumps(meta, sort_keys=True, separators=(",", ":"))
