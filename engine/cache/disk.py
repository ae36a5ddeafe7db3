"""Results on disk: entries in the index, their bytes in blobs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from engine.cache.blobs import Blobs
from engine.cache.codec import NOTHING, Coded, value_of
from engine.cache.folders import Folders
from engine.cache.index import Entry, Index, Removed, Stored
from engine.cache.tensors import Damaged
from engine.values import Packed, Socket

_COUNT_AT_ONCE = 512
_SECONDS_AT_ONCE = 0.25
"""Entries without blobs wait for one transaction until there are so many, or so much work in them."""


class Disk:
    """The part of the cache that other processes share. Raises OSError or sqlite3.Error when the disk does not play."""

    def __init__(self, root: Path) -> None:
        self.index = Index(root / "index.sqlite")
        self.blobs = Blobs(root)
        self.folders = Folders(self.blobs)
        self._pending: dict[str, Entry] = {}
        self._pending_seconds = 0.0
        self._touched: dict[str, None] = {}
        self._told: dict[str, str] = {}
        self.in_use: set[str] = set()
        """Keys of results whose files were handed out; `shrink` leaves them."""
        self.is_full = False
        """Whether there may be more than the limit allows, because files were in use."""
        self.written = 0
        """Bytes stored since the last `shrink`."""
        self.blobs.sweep()
        if self.index.is_new:
            self.sweep_orphans()

    def known(self, keys: Iterable[str]) -> set[str]:
        """Of these keys those that have an entry."""
        keys = list(keys)
        return {k for k in keys if k in self._pending} | self.index.known(keys)

    def entry(self, key: str) -> Entry | None:
        """The entry of a key."""
        return self._pending.get(key) or self.index.get(key)

    def read(self, entry: Entry, name: str, socket: Socket) -> Any:
        """The value of one output, checked against its digests. Raises Damaged, and whatever the socket raises."""
        stored = entry.outputs[name]
        if stored.kind == NOTHING:
            return None
        if stored.kind != socket.name:
            raise Damaged(f"holds {stored.kind}, not {socket.name}")
        blob = None
        if stored.blob:
            blob = self.blobs.get(stored.blob)
            if blob is None:
                raise Damaged(f"blob {stored.blob[:12]} is absent or does not match its digest")
        for name, digest in stored.files.items():
            if not self.blobs.check(digest):
                raise Damaged(f"file {name} is absent or does not match its digest")
        files: Mapping[str, Path] = {}
        if stored.files:
            files = self.folders.show(stored.digest, stored.files)
            self.in_use.add(entry.key)
        return value_of(socket, stored.meta, blob, files)

    def write(self, key: str, kind: str, coded: Mapping[str, Coded], seconds: float,
              inputs: str) -> dict[str, Mapping[str, Path]]:  # fmt: skip
        """Store the result of a node of type `kind`. Returns, by output, where the files in it lie now."""
        outputs: dict[str, Stored] = {}
        refs: dict[str, int] = {}
        shown: dict[str, Mapping[str, Path]] = {}
        inline = 0
        for name, one in coded.items():
            blob = ""
            packed = one.packed or Packed(None)
            for file, digest in one.file_digests.items():
                refs[digest] = self.blobs.adopt(digest, packed.files[file])
            if one.file_digests:
                shown[name] = self.folders.show(one.digest, one.file_digests)
                self.in_use.add(key)
            if one.pieces:
                blob = one.digest
                refs[blob] = self.blobs.put(blob, one.pieces)
            else:
                inline += one.bytes
            outputs[name] = Stored(one.kind, one.digest, None if blob else packed.meta, blob, one.file_digests)
        total = inline + sum(refs.values())
        self._pending[key] = Entry(key, kind, inputs, outputs, seconds, total, tuple(refs.items()))
        self._pending_seconds += seconds
        self.written += total
        if refs or self._pending_seconds > _SECONDS_AT_ONCE or len(self._pending) >= _COUNT_AT_ONCE:
            self._put_pending()
        return shown

    def touch(self, key: str) -> None:
        """Note that a result was used."""
        self._touched[key] = None

    def entries(self, keys: Iterable[str]) -> list[Entry]:
        """The entries of those keys that have one."""
        keys = list(keys)
        waiting = [self._pending[key] for key in keys if key in self._pending]
        return waiting + self.index.get_all(key for key in keys if key not in self._pending)

    def told(self, keys: Iterable[str]) -> dict[str, str]:
        """What was noted under these keys, where something was."""
        keys = list(keys)
        return self.index.told(keys) | {key: self._told[key] for key in keys if key in self._told}

    def tell(self, key: str, text: str) -> None:
        """Note a text under a key, written with what else waits."""
        self._told[key] = text

    def flush(self) -> None:
        """Write what waits to be written."""
        self._put_pending()
        if self._told:
            self.index.tell(self._told)
            self._told.clear()
        if self._touched:
            self.index.touch(self._touched)
            self._touched.clear()

    def forget(self, keys: Iterable[str]) -> Removed:
        """Drop results."""
        keys = list(keys)
        for key in keys:
            self._pending.pop(key, None)
        return self._sweep(self.index.remove(keys))

    def shrink(self, limit: int) -> Removed:
        """Drop the least recently used until no more than `limit` bytes are left, but none whose files are in use."""
        self.flush()
        self.written = 0
        self.is_full = False
        return self._sweep(self.index.shrink(limit, self.in_use))

    def sweep_orphans(self) -> int:
        """Delete blobs that no entry refers to, which a process that died may leave; returns how many."""
        orphans = set(self.blobs.digests()) - self.index.blobs()
        for blob in orphans:
            self.blobs.remove(blob)
        return len(orphans)

    def close(self) -> None:
        """Close the index. What waits is lost; flush first."""
        self.index.close()

    def _put_pending(self) -> None:
        if self._pending:
            self.index.put(list(self._pending.values()))
            self._pending.clear()
            self._pending_seconds = 0.0

    def _sweep(self, removed: Removed) -> Removed:
        for blob in removed.blobs:
            self.blobs.remove(blob)
        for digest in removed.with_files:
            self.folders.remove(digest)
        return removed
