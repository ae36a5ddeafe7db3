"""The index of the cache: which key has which outputs, in one SQLite file that several processes share."""

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.cache.blobs import digest_of

VERSION = 1
"""Of the tables. An index of any other version is set aside: a cache may always be made again."""
_SCHEMA = f"""
CREATE TABLE entries (key TEXT PRIMARY KEY, type TEXT, inputs TEXT, outputs TEXT, digest TEXT,
    bytes INTEGER, seconds REAL, used INTEGER) WITHOUT ROWID;
CREATE TABLE refs (blob TEXT, key TEXT, bytes INTEGER, PRIMARY KEY (blob, key)) WITHOUT ROWID;
CREATE TABLE latest (graph TEXT, node TEXT, key TEXT, inputs TEXT, PRIMARY KEY (graph, node)) WITHOUT ROWID;
CREATE TABLE files (path TEXT PRIMARY KEY, stat TEXT, sha256 TEXT) WITHOUT ROWID;
CREATE INDEX by_use ON entries (used);
CREATE INDEX by_key ON refs (key);
PRAGMA user_version = {VERSION};
"""
_AT_ONCE = 500
_NOTES_AT_MOST = 200_000


@dataclass(slots=True, eq=False)
class Stored:
    """One output of an entry. `meta` is its JSON; arrays, if any, are in the blob; files are blobs by name."""

    kind: str
    digest: str
    meta: Any = None
    blob: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Entry:
    """The result of one node: its outputs by name, the inputs it was made from, and how long that took."""

    key: str
    type: str
    inputs: str
    """As JSON: see engine.keys.inputs_text."""
    outputs: Mapping[str, Stored]
    seconds: float
    bytes: int = 0
    blobs: tuple[tuple[str, int], ...] = ()
    """(digest, bytes) of every blob it refers to; empty in an entry that was read."""


@dataclass(slots=True)
class Removed:
    """What went with some entries: blobs that nothing refers to any more, and the outputs that had files."""

    entries: int = 0
    bytes: int = 0
    blobs: list[str] = field(default_factory=list)
    with_files: list[str] = field(default_factory=list)


class Index:
    """Entries by key. Damage to the file itself loses the entries, never more: it is set aside and begun anew."""

    def __init__(self, path: Path, timeout: float = 10.0) -> None:
        """`timeout`: seconds to wait for another process. Raises OSError or sqlite3.Error if it cannot be used."""
        self.path = path
        self._timeout = timeout
        self._tick = 0
        self.is_new = False
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            db = self._open()
        except sqlite3.DatabaseError as why:
            if not is_damage(why):
                raise
            db = None
        if db is None:
            self.set_aside()
            db = self._open()
            if db is None:
                raise sqlite3.DatabaseError("another weft keeps making an index of another version here")
        self._db = db

    def _open(self) -> sqlite3.Connection | None:
        """The open database, its tables made if it is new; None if it is of another version."""
        db = sqlite3.connect(self.path, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        try:
            _use_wal(db, self._timeout)
            db.execute("PRAGMA synchronous=NORMAL")
            if not _version(db):
                db.execute("BEGIN IMMEDIATE")
                if not _version(db) and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
                    for statement in _SCHEMA.split(";"):
                        db.execute(statement)
                    self.is_new = True
                db.execute("COMMIT")
            if _version(db) == VERSION:
                db.execute("CREATE TABLE IF NOT EXISTS told (key TEXT PRIMARY KEY, text TEXT)")
                db.execute("SELECT max(used) FROM entries").fetchone()
                return db
        except BaseException:
            db.close()
            raise
        db.close()
        return None

    def set_aside(self) -> None:
        """Move the file out of the way; the next to open the index begins a new one."""
        with contextlib.suppress(AttributeError, sqlite3.Error):
            self._db.close()
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self.path}{suffix}", f"{self.path}.aside{suffix}")

    def known(self, keys: Iterable[str]) -> set[str]:
        """Of these keys those that have an entry."""
        return {key for (key,) in self._select("SELECT key FROM entries WHERE key IN", keys)}

    def get(self, key: str) -> Entry | None:
        """The entry, or None if there is none or its row is damaged."""
        return next(iter(self.get_all([key])), None)

    def get_all(self, keys: Iterable[str]) -> list[Entry]:
        """The entries of those keys that have one, rows that are damaged left out."""
        found = []
        for row in self._select("SELECT * FROM entries WHERE key IN", keys):
            key, kind, inputs, outputs, digest, size, seconds, _ = row
            if _row_digest(key, kind, inputs, outputs) == digest:
                stored = {name: Stored(**value) for name, value in json.loads(outputs).items()}
                found.append(Entry(key, kind, inputs, stored, seconds, size))
        return found

    def _select(self, question: str, keys: Iterable[str]) -> Iterator[tuple[Any, ...]]:
        """The rows for these keys, some hundreds at a time."""
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            yield from self._db.execute(f"{question} ({','.join('?' * len(part))})", part).fetchall()

    def put(self, entries: Sequence[Entry]) -> None:
        """Store entries, in one transaction."""
        with self._transaction():
            rows = []
            for entry in entries:
                self._tick += 1
                outputs = _outputs_text(entry.outputs)
                digest = _row_digest(entry.key, entry.type, entry.inputs, outputs)
                rows.append(
                    (entry.key, entry.type, entry.inputs, outputs, digest, entry.bytes, entry.seconds, self._tick)
                )
            refs = [(blob, entry.key, size) for entry in entries for blob, size in entry.blobs]
            self._db.executemany("DELETE FROM refs WHERE key = ?", [(entry.key,) for entry in entries])
            self._db.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self._db.executemany("INSERT OR REPLACE INTO refs VALUES (?, ?, ?)", refs)

    def touch(self, keys: Iterable[str]) -> None:
        """Note that these entries were used. Order is counted, not timed: clocks may be wrong."""
        with self._transaction():
            for key in keys:
                self._tick += 1
                self._db.execute("UPDATE entries SET used = ? WHERE key = ?", (self._tick, key))

    def remove(self, keys: Iterable[str]) -> Removed:
        """Forget entries."""
        removed = Removed()
        with self._transaction():
            for key in keys:
                self._remove(key, removed)
        return removed

    def shrink(self, limit: int, keep: Container[str] = ()) -> Removed:
        """Forget the least recently used entries until no more than `limit` bytes are left; but not those to `keep`."""
        removed = Removed()
        if (total := self.total()) > limit:
            with self._transaction():
                for (key,) in self._db.execute("SELECT key FROM entries ORDER BY used").fetchall():
                    if total - removed.bytes <= limit:
                        break
                    if key not in keep:
                        self._remove(key, removed)
        return removed

    def _remove(self, key: str, removed: Removed) -> None:
        row = self._db.execute("SELECT bytes, outputs FROM entries WHERE key = ?", (key,)).fetchone()
        refs = self._db.execute("SELECT blob, bytes FROM refs WHERE key = ?", (key,)).fetchall()
        self._db.execute("DELETE FROM refs WHERE key = ?", (key,))
        self._db.execute("DELETE FROM entries WHERE key = ?", (key,))
        for blob, size in refs:
            if not self._db.execute("SELECT 1 FROM refs WHERE blob = ?", (blob,)).fetchone():
                removed.blobs.append(blob)
                removed.bytes += size
        if row is not None:
            removed.entries += 1
            removed.bytes += row[0] - sum(size for _, size in refs)
            with contextlib.suppress(ValueError, AttributeError):
                removed.with_files += [o["digest"] for o in json.loads(row[1]).values() if o.get("files")]

    def total(self) -> int:
        """Bytes of all entries; a blob that several share counts once."""
        (entries,) = self._db.execute("SELECT coalesce(sum(bytes), 0) FROM entries").fetchone()
        (counted,) = self._db.execute("SELECT coalesce(sum(bytes), 0) FROM refs").fetchone()
        (once,) = self._db.execute(
            "SELECT coalesce(sum(b), 0) FROM (SELECT max(bytes) b FROM refs GROUP BY blob)"
        ).fetchone()
        return int(entries - counted + once)

    def rows(self) -> list[tuple[str, str, int, float, int]]:
        """(key, type, bytes, seconds, used) of every entry, most recently used first."""
        return self._db.execute("SELECT key, type, bytes, seconds, used FROM entries ORDER BY used DESC").fetchall()

    def blobs(self) -> set[str]:
        """Every blob that an entry refers to."""
        return {b for (b,) in self._db.execute("SELECT DISTINCT blob FROM refs")}

    def broken(self, sound: set[str]) -> set[str]:
        """The keys of entries that refer to a blob which is not among these."""
        return {key for blob, key in self._db.execute("SELECT blob, key FROM refs") if blob not in sound}

    def set_latest(self, graph: str, nodes: Iterable[tuple[str, str, str]]) -> None:
        """Remember (node id, key, inputs as JSON) of the last run of a graph, to say later what changed."""
        rows = [(graph, *node) for node in nodes]
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO latest VALUES (?, ?, ?, ?)", rows)

    def latest(self, graph: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """node id -> (key, inputs) of the last run of a graph."""
        rows = self._db.execute("SELECT node, key, inputs FROM latest WHERE graph = ?", (graph,))
        found: dict[str, tuple[str, Mapping[str, Any]]] = {}
        for node, key, inputs in rows:
            with contextlib.suppress(ValueError):
                found[node] = (key, json.loads(inputs))
        return found

    def file_digest(self, path: str, stat: str) -> str | None:
        """The SHA-256 of a file, if it was computed when its size and times were these."""
        row = self._db.execute("SELECT sha256 FROM files WHERE path = ? AND stat = ?", (path, stat)).fetchone()
        return row[0] if row else None

    def set_file_digest(self, path: str, stat: str, sha256: str) -> None:
        """Remember the SHA-256 of a file."""
        self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (path, stat, sha256))

    def files_with(self, sha256: str) -> list[str]:
        """The paths of files that had this SHA-256, or one that begins so."""
        found = self._db.execute("SELECT path FROM files WHERE sha256 >= ? AND sha256 < ?", (sha256, f"{sha256}g"))
        return [path for (path,) in found]

    def told(self, keys: Iterable[str]) -> dict[str, str]:
        """What was noted under these keys, where something was."""
        return dict(self._select("SELECT key, text FROM told WHERE key IN", keys))

    def tell(self, notes: Mapping[str, str]) -> None:
        """Note texts under keys. The oldest go when there are too many."""
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO told (key, text) VALUES (?, ?)", list(notes.items()))
            newest = "(SELECT max(rowid) FROM told)"
            self._db.execute(f"DELETE FROM told WHERE rowid <= {newest} - ?", (_NOTES_AT_MOST,))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            # Other processes count on too; an entry that is used now must be newer than any of theirs.
            (newest,) = self._db.execute("SELECT max(used) FROM entries").fetchone()
            self._tick = max(self._tick, newest or 0)
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise


def is_damage(why: sqlite3.Error) -> bool:
    """Whether the file itself is broken, rather than locked, full or not to be written."""
    if isinstance(why, sqlite3.OperationalError):
        return any(word in str(why) for word in ("malformed", "no such table", "no such column"))
    return isinstance(why, sqlite3.DatabaseError) and not isinstance(why, sqlite3.ProgrammingError)


def _use_wal(db: sqlite3.Connection, timeout: float) -> None:
    """Write-ahead log. Two processes that make the same new file may be told at once that it is locked."""
    until = time.monotonic() + timeout
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as why:
            if "locked" not in str(why) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _row_digest(key: str, kind: str, inputs: str, outputs: str) -> str:
    return digest_of([f"{key}\n{kind}\n{inputs}\n{outputs}".encode(errors="surrogatepass")])


_dump = json.JSONEncoder(separators=(",", ":")).encode


def _outputs_text(outputs: Mapping[str, Stored]) -> str:
    """Outputs as a row keeps them. Written piece by piece, which for thousands of small results takes half the time;
    names, kinds and digests need no quoting."""
    parts = []
    for name, out in outputs.items():
        text = f'"{name}":{{"kind":"{out.kind}","digest":"{out.digest}"'
        if out.meta is not None:
            text += f',"meta":{out.meta if type(out.meta) is int else _dump(out.meta)}'
        if out.blob:
            text += f',"blob":"{out.blob}"'
        if out.files:
            text += f',"files":{_dump(dict(out.files))}'
        parts.append(text + "}")
    return f"{{{','.join(parts)}}}"
