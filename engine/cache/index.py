"""The index of the cache: which key has which outputs, in one SQLite file that several processes share."""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.cache.blobs import digest_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, type TEXT, inputs TEXT, outputs TEXT, digest TEXT,
    bytes INTEGER, seconds REAL, used INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refs (blob TEXT, key TEXT, bytes INTEGER, PRIMARY KEY (blob, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS latest (graph TEXT, node TEXT, key TEXT, inputs TEXT,
    PRIMARY KEY (graph, node)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, stat TEXT, sha256 TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_use ON entries (used);
"""
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Stored:
    """One output of an entry. `meta` is its JSON; arrays, if any, are in the blob; files are blobs by name."""

    kind: str
    digest: str
    meta: Any = None
    blob: str = ""
    files: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """The result of one node: its outputs by name, the inputs it was made from, and how long that took."""

    key: str
    type: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Stored]
    seconds: float
    bytes: int = 0
    blobs: tuple[tuple[str, int], ...] = ()
    """(digest, bytes) of every blob it refers to."""


class Index:
    """Entries by key. Damage to the file itself loses the entries, never more: it is set aside and begun anew."""

    def __init__(self, path: Path) -> None:
        """Raises OSError or sqlite3.Error if the folder cannot be written."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as why:
            if isinstance(why, sqlite3.OperationalError) and "malformed" not in str(why):
                raise
            self._set_aside()
            self._db = self._open()
        (newest,) = self._db.execute("SELECT max(used) FROM entries").fetchone()
        self._tick = newest or 0

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.executescript(_SCHEMA)
        except BaseException:
            db.close()
            raise
        return db

    def _set_aside(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self.path}{suffix}", f"{self.path}.damaged{suffix}")

    def known(self, keys: Iterable[str]) -> dict[str, int]:
        """Of these keys those that have an entry, with the bytes of each."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, int] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            found.update(self._db.execute(f"SELECT key, bytes FROM entries WHERE key IN ({marks})", part))
        return found

    def get(self, key: str) -> Entry | None:
        """The entry, or None if there is none or its row is damaged."""
        row = self._db.execute("SELECT * FROM entries WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        _, kind, inputs, outputs, digest, size, seconds, _ = row
        if digest_of([outputs.encode()]) != digest:
            self.remove([key])
            return None
        stored = {name: Stored(**value) for name, value in json.loads(outputs).items()}
        return Entry(key, kind, json.loads(inputs), stored, seconds, size)

    def put(self, entries: Sequence[Entry]) -> None:
        """Store entries, in one transaction."""
        with self._transaction():
            for entry in entries:
                outputs = json.dumps({name: _row(out) for name, out in entry.outputs.items()}, separators=(",", ":"))
                self._tick += 1
                self._db.execute(
                    "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (entry.key, entry.type, json.dumps(entry.inputs, separators=(",", ":")), outputs,
                     digest_of([outputs.encode()]), entry.bytes, entry.seconds, self._tick),
                )  # fmt: skip
                self._db.executemany(
                    "INSERT OR REPLACE INTO refs VALUES (?, ?, ?)",
                    [(blob, entry.key, size) for blob, size in entry.blobs],
                )

    def touch(self, keys: Iterable[str]) -> None:
        """Note that these entries were used. Order is counted, not timed: clocks may be wrong."""
        with self._transaction():
            for key in keys:
                self._tick += 1
                self._db.execute("UPDATE entries SET used = ? WHERE key = ?", (self._tick, key))

    def remove(self, keys: Iterable[str]) -> list[str]:
        """Forget entries; returns the blobs that no entry refers to any more."""
        orphans: list[str] = []
        with self._transaction():
            for key in keys:
                blobs = [b for (b,) in self._db.execute("SELECT blob FROM refs WHERE key = ?", (key,))]
                self._db.execute("DELETE FROM refs WHERE key = ?", (key,))
                self._db.execute("DELETE FROM entries WHERE key = ?", (key,))
                for blob in blobs:
                    if not self._db.execute("SELECT 1 FROM refs WHERE blob = ?", (blob,)).fetchone():
                        orphans.append(blob)
        return orphans

    def total(self) -> int:
        """Bytes of all entries; a blob that several share counts once."""
        (inline,) = self._db.execute("SELECT coalesce(sum(bytes), 0) FROM entries").fetchone()
        (blobs,) = self._db.execute(
            "SELECT coalesce(sum(b), 0) FROM (SELECT max(bytes) b FROM refs GROUP BY blob)"
        ).fetchone()
        (counted,) = self._db.execute("SELECT coalesce(sum(bytes), 0) FROM refs").fetchone()
        return int(inline - counted + blobs)

    def oldest(self) -> Iterator[str]:
        """Keys, least recently used first."""
        for (key,) in self._db.execute("SELECT key FROM entries ORDER BY used").fetchall():
            yield key

    def rows(self) -> list[tuple[str, str, int, float, int]]:
        """(key, type, bytes, seconds, used) of every entry, most recently used first."""
        return self._db.execute("SELECT key, type, bytes, seconds, used FROM entries ORDER BY used DESC").fetchall()

    def blobs(self) -> set[str]:
        """Every blob that an entry refers to."""
        return {b for (b,) in self._db.execute("SELECT DISTINCT blob FROM refs")}

    def set_latest(self, graph: str, nodes: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Remember (node id, key, inputs) of the last run of a graph, to say later what changed."""
        rows = [(graph, node, key, json.dumps(inputs, separators=(",", ":"))) for node, key, inputs in nodes]
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO latest VALUES (?, ?, ?, ?)", rows)

    def latest(self, graph: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """node id -> (key, inputs) of the last run of a graph."""
        rows = self._db.execute("SELECT node, key, inputs FROM latest WHERE graph = ?", (graph,))
        return {node: (key, json.loads(inputs)) for node, key, inputs in rows}

    def file_digest(self, path: str, stat: str) -> str | None:
        """The SHA-256 of a file, if it was computed when its size and times were these."""
        row = self._db.execute("SELECT sha256 FROM files WHERE path = ? AND stat = ?", (path, stat)).fetchone()
        return row[0] if row else None

    def set_file_digest(self, path: str, stat: str, sha256: str) -> None:
        """Remember the SHA-256 of a file."""
        self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (path, stat, sha256))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _row(out: Stored) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": out.kind, "digest": out.digest}
    if out.meta is not None:
        row["meta"] = out.meta
    if out.blob:
        row["blob"] = out.blob
    if out.files:
        row["files"] = dict(out.files)
    return row
