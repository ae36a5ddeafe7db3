"""What survives a full disk, a kill, damage and locks: always the right result, and the run goes on."""

import builtins
import errno
import io
import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from runs import execute, flow, node
from test_executor import finish, start

from engine.cache import Cache
from engine.cache.index import Index
from engine.cache.tensors import encode

WORK = {
    "f": node("Fill", count=3000, value=1),
    "a": node("Shift", tensor="@f"),
    "b": node("Shift", tensor="@f", by=2),
    "t": node("Train", steps=2),
    "w": node("Weigh", model="@t"),
    "s": node("Sum", tensors=["@a", "@b"]),
}


def work():
    return flow(**WORK, targets=["s", "w"])


def check(ran):
    assert ran.outcome.status == "done"
    assert ran.value("s") == 3000 * (2 + 3)
    assert ran.value("w") == "config.json=12 model.safetensors=200"


def blob_of(cache, kind):
    """The path of the biggest blob of the first result of that type."""
    key = next(key for key, type_, *_ in cache.index.rows() if type_ == kind)
    blobs = [b for o in cache.entry(key).outputs.values() for b in (o.blob, *o.files.values()) if b]
    return max((cache.blobs.path(b) for b in blobs), key=lambda p: p.stat().st_size)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def swap(path):
    other = next(p for p in sorted(path.parent.parent.rglob("*")) if p.is_file() and p.name != path.name)
    a, b = path.read_bytes(), other.read_bytes()
    path.write_bytes(b)
    other.write_bytes(a)


DAMAGES = {
    "flip": flip,
    "truncate": lambda p: p.write_bytes(p.read_bytes()[:-1]),
    "empty": lambda p: p.write_bytes(b""),
    "grow": lambda p: p.write_bytes(p.read_bytes() + b"\0"),
    "delete": lambda p: p.unlink(),
    "swap": swap,
    "foreign": lambda p: p.write_bytes(b"".join(map(bytes, encode({}, {"kind": "TENSOR", "meta": "{}"})))),
    "folder": lambda p: (p.unlink(), p.mkdir()),
}


@pytest.mark.parametrize("kind", ["Shift", "Train"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_k10_a_damaged_blob_is_a_miss_and_made_again(tmp_path, damage, kind):
    cache = Cache(tmp_path)
    first = execute(work(), cache)
    cache.forget([key for key, type_, *_ in cache.index.rows() if type_ in ("Sum", "Weigh")])
    path = blob_of(cache, kind)
    DAMAGES[damage](path)
    again = execute(work(), cache)
    check(again)
    assert cache.counts.damaged >= 1
    assert any(f"a cached result of {kind} is damaged" in text for text in again.warnings)
    assert {name: first.digests[name] for name in again.digests} == again.digests
    healed = execute(work(), cache)
    check(healed)
    if damage != "folder":
        assert healed.ran == []
        assert cache.blobs.check(path.name)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE entries SET outputs = replace(outputs, 'TENSOR', 'TRAINED')",
        "UPDATE entries SET outputs = 'garbage'",
        "UPDATE entries SET inputs = '{'",
        "UPDATE entries SET digest = ''",
        "UPDATE entries SET outputs = NULL",
        "UPDATE entries SET outputs = (SELECT outputs FROM entries ORDER BY used LIMIT 1)",
        "DELETE FROM refs",
    ],
)
def test_k10_a_damaged_row_of_the_index_is_a_miss(tmp_path, sql):
    cache = Cache(tmp_path)
    execute(work(), cache)
    cache.close()
    with sqlite3.connect(tmp_path / "index.sqlite") as db:
        db.execute("DELETE FROM entries WHERE type IN ('Sum', 'Weigh')")
        db.execute(sql)
    db.close()
    cache = Cache(tmp_path)
    check(execute(work(), cache))
    check(execute(work(), cache))


def garbage(path: Path):
    path.write_bytes(random.Random(1).randbytes(5000))


def torn(path: Path):
    path.write_bytes(path.read_bytes()[:5000])


def scribbled(path: Path):
    data = bytearray(path.read_bytes())
    data[100 : len(data)] = random.Random(2).randbytes(len(data) - 100)
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [garbage, torn, scribbled, lambda p: p.write_bytes(b"")])
def test_a_damaged_index_is_set_aside_and_begun_anew(tmp_path, harm):
    cache = Cache(tmp_path)
    execute(work(), cache)
    cache.close()
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"index.sqlite{suffix}").unlink(missing_ok=True)
    harm(tmp_path / "index.sqlite")
    for _ in range(2):
        cache = Cache(tmp_path)
        check(execute(work(), cache))
        cache.close()
    cache = Cache(tmp_path)
    assert execute(work(), cache).ran == []
    used = cache.index.blobs()
    assert set(cache.blobs.digests()) == used


def test_a_locked_index_is_waited_for_and_then_done_without(tmp_path, monkeypatch):
    Cache(tmp_path).close()
    monkeypatch.setattr(Index.__init__, "__defaults__", (0.05,))
    other = sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    ran = execute(work(), Cache(tmp_path))
    other.execute("ROLLBACK")
    other.close()
    check(ran)
    assert ran.warnings[0].startswith("the cache is off for this run: database is locked")
    assert execute(work(), Cache(tmp_path)).warnings == []


def test_an_index_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    execute(work(), cache)
    cache.close()
    connect = sqlite3.connect

    def read_only(path, **options):
        return connect(f"file:{path}?mode=ro", uri=True, **options)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    ran = execute(flow(**{**WORK, "f": node("Fill", count=3000, value=2)}, targets=["s"]), Cache(tmp_path))
    assert ran.value("s") == 3000 * (3 + 4)
    assert "readonly database" in ran.warnings[0]


def failing_at(monkeypatch, k):
    """Make the k-th call that changes the disk fail. Returns the number of calls seen so far, in a list."""
    seen = [0]

    def wrap(function, writes):
        def wrapped(*args, **kwargs):
            if writes(*args, **kwargs):
                seen[0] += 1
                if seen[0] == k:
                    raise OSError(errno.ENOSPC, "No space left on device")
            return function(*args, **kwargs)

        return wrapped

    def to_write(*args, **kwargs):
        mode = args[1] if len(args) > 1 else kwargs.get("mode", "r")
        return "cache" in str(args[0]) and "scratch" not in str(args[0]) and set(mode) & set("xwa+")

    for module, name in ((os, "fsync"), (os, "replace"), (os, "link"), (os, "symlink"), (os, "mkdir")):
        monkeypatch.setattr(module, name, wrap(getattr(module, name), lambda *a, **k: not str(a[0]).endswith("model")))
    for module in (builtins, io):
        monkeypatch.setattr(module, "open", wrap(module.open, to_write))
    return seen


def test_a_system_call_that_fails_at_any_step_costs_the_cache_at_most(tmp_path, monkeypatch):
    k, calls = -1, 1
    while k < calls:
        k += 1
        root = tmp_path / f"cache-{k}"
        with monkeypatch.context() as patch:
            seen = failing_at(patch, k)
            cache = Cache(root)
            check(execute(work(), cache))
            cache.close()
            calls = max(calls, seen[0])
        after = Cache(root)
        check(execute(work(), after))
        assert after.counts.damaged == 0
        check(execute(work(), after))
        after.close()
    assert calls > 20


class Unreliable:
    """A database whose k-th statement fails."""

    def __init__(self, db, seen, k):
        self._db, self._seen, self._k = db, seen, k

    def __getattr__(self, name):
        found = getattr(self._db, name)
        if not name.startswith("execute"):
            return found

        def call(*args):
            self._seen[0] += 1
            if self._seen[0] == self._k:
                raise sqlite3.OperationalError("disk I/O error")
            return found(*args)

        return call


def test_a_statement_of_the_index_that_fails_at_any_step_costs_the_cache_at_most(tmp_path, monkeypatch):
    connect = sqlite3.connect
    k, calls = -1, 1
    while k < calls:
        k += 1
        seen = [0]
        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", lambda *a, k=k, seen=seen, **o: Unreliable(connect(*a, **o), seen, k))
            cache = Cache(tmp_path / str(k))
            ran = execute(work(), cache)
            assert bool(ran.warnings) == (0 < k <= seen[0])
            cache.close()
            calls = max(calls, seen[0])
        check(ran)
        after = Cache(tmp_path / str(k))
        check(execute(work(), after))
        assert after.counts.damaged == 0
        after.close()
    assert calls > 40


FULL = """
import json, resource, sys
from pathlib import Path
from runs import execute, flow, node
from engine.cache import Cache
cache = Cache(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
ran = execute(flow(f=node("Fill", count=1_000_000, value=1), s=node("Sum", tensors=["@f"]), targets=["s"]), cache)
print(json.dumps([ran.outcome.status, ran.value("s"), ran.warnings]))
"""


def test_a_full_disk_names_the_bytes_and_the_run_goes_on(tmp_path):
    small = flow(f=node("Fill", count=1000, value=9), targets=["f"])
    cache = Cache(tmp_path)
    execute(small, cache)
    cache.close()
    status, value, warnings = finish(start(FULL, tmp_path))
    assert (status, value) == ("done", 1_000_000)
    assert warnings == ["the cache is off for this run: File too large while writing 976.7 KiB"]
    assert list((tmp_path / "tmp").iterdir()) == []
    assert execute(small, Cache(tmp_path)).calls == []


KILLED = """
import sys
from pathlib import Path
from runs import execute, flow, node
from engine.cache import Cache
nodes = {f"n{i}": node("Shift", tensor="@f", by=i) for i in range(200)}
cache = Cache(Path(sys.argv[1]), limit=200_000)
print("[]", flush=True)
while True:
    execute(flow(f=node("Fill", count=3000), t=node("Train", steps=3), w=node("Weigh", model="@t"), **nodes,
            s=node("Sum", tensors=[f"@n{i}" for i in range(200)]), targets=["s", "w"]), cache)
    cache.collect(100_000)
"""


def test_a_kill_at_any_moment_leaves_no_wrong_file_and_strays_are_swept(tmp_path):
    pick = random.Random(0)
    for _ in range(5):
        process = start(KILLED, tmp_path)
        assert process.stdout.readline()
        time.sleep(pick.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        cache = Cache(tmp_path)
        assert list((tmp_path / "tmp").iterdir()) == []
        digests = list(cache.blobs.digests())
        assert [d for d in digests if not cache.blobs.check(d)] == []
        ran = execute(work(), cache)
        check(ran)
        assert cache.counts.damaged == 0
        cache.close()


def test_strays_of_a_living_process_are_left_alone(tmp_path):
    Cache(tmp_path).close()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / f"{os.getpid()}-0-abc").write_text("being written")
    (tmp_path / "tmp" / "999999999-0-abc").write_text("stray")
    Cache(tmp_path).close()
    assert [p.name for p in (tmp_path / "tmp").iterdir()] == [f"{os.getpid()}-0-abc"]


def test_two_processes_never_share_a_scratch_folder(tmp_path):
    cache = Cache(tmp_path)
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "k.pid").write_text("1")
    assert cache.scratch("k").name == f"k-{os.getpid()}"
    (tmp_path / "scratch" / "m.pid").write_text("999999999")
    assert cache.scratch("m").name == "m"
    (tmp_path / "scratch" / "k-999999999").mkdir()
    cache.close()
    Cache(tmp_path).close()
    assert sorted(p.name for p in (tmp_path / "scratch").iterdir() if p.is_dir()) == [f"k-{os.getpid()}", "m"]
