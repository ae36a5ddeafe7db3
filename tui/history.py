"""Runs that were: what ran, with what, what came of it, and its events; and how long nodes take here.

    history.sqlite      runs, their outputs, and the time of nodes by signature (see `tui.eta`)
    runs/ID.jsonl       the events of a run with the times at which they came, for replay and bug reports

In the folder `state_root()`. Everything here may block: call it from a thread. A history that cannot be read or
written is empty, and says so once through `broken`; it never ends the program.
"""

import contextlib
import json
import os
import secrets
import sqlite3
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tui.board import Run

VERSION = 1
EVENTS_LIMIT = 64 << 20
"""Bytes of one run's events that are kept."""
RUNS_KEPT = 1000
TIMES_KEPT = 20
"""Of one signature."""

_SCHEMA = f"""
CREATE TABLE runs (id TEXT PRIMARY KEY, began REAL, file TEXT, name TEXT, workflow TEXT, sets TEXT, device TEXT,
    status TEXT, seconds REAL, variants INTEGER, seeds TEXT, ran INTEGER, cached INTEGER, problem TEXT,
    starred INTEGER);
CREATE TABLE outputs (run TEXT, variant INTEGER, node TEXT, path TEXT, digest TEXT, mime TEXT);
CREATE TABLE times (signature TEXT, at REAL, seconds REAL);
CREATE TABLE recent (file TEXT PRIMARY KEY, at REAL);
CREATE INDEX runs_by_time ON runs (began);
CREATE INDEX outputs_by_run ON outputs (run);
CREATE INDEX times_by_signature ON times (signature, at);
PRAGMA user_version = {VERSION};
"""


def state_root() -> Path:
    """$WEFT_STATE, else weft's folder among the user's state (or application data)."""
    if given := os.environ.get("WEFT_STATE"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "weft" / "state"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "weft"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "weft"


def new_id() -> str:
    """An id for a run: the second it was made in, and four letters against two in one second."""
    return time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)


@dataclass(frozen=True, slots=True)
class Past:
    """A run of the past. workflow: its text as it ran; sets: what was set beside it; began: seconds since 1970."""

    id: str
    began: float
    file: str
    name: str
    workflow: str
    sets: Mapping[str, Any]
    device: str
    status: str
    seconds: float
    variants: int
    seeds: Sequence[Mapping[str, int]]
    ran: int
    cached: int
    problem: str
    starred: bool
    outputs: Sequence[Mapping[str, Any]] = ()


class History:
    """Safe to use from several threads and by several processes."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or state_root()
        self.broken = ""
        """Why there is no history, in words; empty if there is one."""
        self._lock = threading.RLock()
        self._logs: dict[str, IO[str]] = {}
        self._db: sqlite3.Connection | None = None
        try:
            self._db = self._open()
        except (OSError, sqlite3.Error) as why:
            self.broken = str(why)

    def _open(self) -> sqlite3.Connection:
        (self.root / "runs").mkdir(parents=True, exist_ok=True)
        path = self.root / "history.sqlite"
        db = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
        try:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                db.execute("PRAGMA journal_mode=WAL")
                db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
            elif version != VERSION:
                raise sqlite3.DatabaseError("made by another version of weft")
        except sqlite3.OperationalError:
            db.close()
            raise
        except sqlite3.DatabaseError:
            # Damaged, or of another version: begin anew beside it.
            db.close()
            path.replace(path.with_suffix(".sqlite.aside"))
            return self._open()
        return db

    def begin(self, run: str, file: str, name: str, workflow: str, sets: Mapping[str, Any], device: str) -> None:
        """A run is handed to the engine. file: of the workflow, empty where it has none."""
        values = (run, time.time(), file, name, workflow, json.dumps(sets), device)
        with self._using() as db:
            db.execute("INSERT OR REPLACE INTO runs VALUES (?,?,?,?,?,?,?,'running',0,1,'[]',0,0,'',0)", values)

    def log(self, run: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Note events of a run as they come; the first of a run opens its file."""
        with self._lock, contextlib.suppress(OSError):
            file = self._logs.get(run)
            if file is None:
                file = self._logs[run] = self._events_path(run).open("a", encoding="utf-8")
            if file.tell() < EVENTS_LIMIT:
                now = time.time()
                file.writelines(json.dumps({"at": round(now, 3), **event}) + "\n" for event in events)

    def finish(self, run: Run, times: Mapping[str, Sequence[float]]) -> None:
        """A run is over. times: seconds of the nodes that ran, by signature."""
        with self._lock:
            if (file := self._logs.pop(run.id, None)) is not None:
                with contextlib.suppress(OSError):
                    file.close()
        states = [str(cell.state) for cell in run.cells.values()]
        problem = str(run.problems[0]["what"]) if run.problems else ""
        with self._using() as db:
            db.execute(
                "UPDATE runs SET status=?, seconds=?, variants=?, seeds=?, ran=?, cached=?, problem=? WHERE id=?",
                (run.status, run.seconds, run.variants, json.dumps(list(run.seeds)), states.count("done"),
                 states.count("cached"), problem, run.id),
            )  # fmt: skip
            db.executemany(
                "INSERT INTO outputs VALUES (?,?,?,?,?,?)",
                [(run.id, o.get("variant"), o.get("node"), os.path.abspath(o["path"]), o.get("digest"), o.get("mime"))
                 for o in run.outputs],
            )  # fmt: skip
            now = time.time()
            for signature, seconds in times.items():
                db.executemany("INSERT INTO times VALUES (?,?,?)", [(signature, now, s) for s in seconds])
                db.execute(
                    "DELETE FROM times WHERE signature=? AND rowid NOT IN "
                    "(SELECT rowid FROM times WHERE signature=? ORDER BY at DESC, rowid DESC LIMIT ?)",
                    (signature, signature, TIMES_KEPT),
                )
        self._prune()

    def _prune(self) -> None:
        with self._using() as db:
            old = db.execute(
                "SELECT id FROM runs WHERE NOT starred ORDER BY began DESC LIMIT -1 OFFSET ?", (RUNS_KEPT,)
            ).fetchall()
            for (run,) in old:
                self.delete(run)

    def runs(self, words: str = "", limit: int = 200) -> list[Past]:
        """The latest runs, newest first, that hold all these words in their name, file, values, status or prompt."""
        found: list[Past] = []
        wanted = words.lower().split()
        with self._using() as db:
            for row in db.execute("SELECT * FROM runs ORDER BY began DESC, id DESC"):
                text = " ".join(map(str, row)).lower()
                if all(word in text for word in wanted):
                    found.append(self._past(db, row))
                if len(found) >= limit:
                    break
        return found

    def run(self, run: str) -> Past | None:
        """One run."""
        with self._using() as db:
            row = db.execute("SELECT * FROM runs WHERE id=?", (run,)).fetchone()
            return self._past(db, row) if row else None
        return None

    def made(self, path: str) -> Past | None:
        """The latest run that saved this file."""
        with self._using() as db:
            query = "SELECT run FROM outputs WHERE path=? ORDER BY rowid DESC LIMIT 1"
            row = db.execute(query, (os.path.abspath(path),)).fetchone()
            return self.run(row[0]) if row else None
        return None

    def events(self, run: str) -> Iterator[dict[str, Any]]:
        """The events of a run, each with "at" in seconds since 1970; what cannot be read is passed over."""
        with contextlib.suppress(OSError), self._events_path(run).open(encoding="utf-8", errors="replace") as file:
            for line in file:
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict) and "event" in event:
                        yield event

    def star(self, run: str, starred: bool) -> None:
        """Keep a run from being dropped as an old one, or no longer."""
        with self._using() as db:
            db.execute("UPDATE runs SET starred=? WHERE id=?", (int(starred), run))

    def delete(self, run: str) -> None:
        """Forget a run; its outputs stay where they are."""
        with self._using() as db:
            db.execute("DELETE FROM outputs WHERE run=?", (run,))
            db.execute("DELETE FROM runs WHERE id=?", (run,))
        with contextlib.suppress(OSError):
            self._events_path(run).unlink()

    def took(self) -> dict[str, float]:
        """The median seconds of a node, by signature."""
        found: dict[str, list[float]] = {}
        with self._using() as db:
            for signature, seconds in db.execute("SELECT signature, seconds FROM times"):
                found.setdefault(signature, []).append(seconds)
        return {signature: statistics.median(seconds) for signature, seconds in found.items()}

    def opened(self, file: Path) -> None:
        """A workflow file was opened or saved."""
        with self._using() as db:
            db.execute("INSERT OR REPLACE INTO recent VALUES (?,?)", (os.path.abspath(file), time.time()))
            db.execute("DELETE FROM recent WHERE file NOT IN (SELECT file FROM recent ORDER BY at DESC LIMIT 50)")

    def recent(self, limit: int = 20) -> list[tuple[Path, float]]:
        """(file, when) of the workflows opened last that are still there, newest first."""
        with self._using() as db:
            rows = db.execute("SELECT file, at FROM recent ORDER BY at DESC, rowid DESC LIMIT ?", (limit,)).fetchall()
            return [(Path(file), at) for file, at in rows if os.path.isfile(file)]
        return []

    def close(self) -> None:
        """Close files; call it once, at the end."""
        with self._lock:
            for file in self._logs.values():
                with contextlib.suppress(OSError):
                    file.close()
            self._logs.clear()
            if self._db is not None:
                self._db.close()
                self._db = None

    def _past(self, db: sqlite3.Connection, row: Any) -> Past:
        columns = ("variant", "node", "path", "digest", "mime")
        found = db.execute(f"SELECT {','.join(columns)} FROM outputs WHERE run=? ORDER BY rowid", (row[0],)).fetchall()
        outputs = [dict(zip(columns, output, strict=True)) for output in found]
        run, began, file, name, workflow, sets, device, status, seconds, variants, seeds, *rest = row
        ran, cached, problem, starred = rest
        return Past(
            run, began, file, name, workflow, json.loads(sets), device, status, seconds, variants, json.loads(seeds),
            ran, cached, problem, bool(starred), outputs,
        )  # fmt: skip

    def _events_path(self, run: str) -> Path:
        return self.root / "runs" / f"{''.join(c for c in run if c.isalnum() or c in '-_')}.jsonl"

    @contextlib.contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """The database, in one transaction; where there is none, an empty one. Errors end the block quietly."""
        with self._lock:
            db = self._db
            if db is None:
                db = sqlite3.connect(":memory:")
                db.executescript(_SCHEMA)
            try:
                with db:
                    yield db
            except sqlite3.Error as why:
                self.broken = str(why)
