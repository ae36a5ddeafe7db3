"""weft lock: write the lock of a workflow before any run, or say what moved since it was written."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from commands.common import known_nodes, print_json
from commands.inputs import Job, prepare
from engine.bind import bind
from engine.cache import Cache, default_root
from engine.diff import ABSENT
from engine.errors import Problem, error
from engine.files import keep, write_atomic
from engine.plan import make_plan
from engine.share.beside import ENDING
from engine.share.book import Book
from engine.share.lock import Lock, lock_of
from engine.share.lockfile import lock_in, lock_text
from engine.share.moved import CODE, Moved, moved
from engine.source import read_source
from engine.text import visible

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Write the lock of FILE, or compare it with the one that is there; returns the exit code."""
    job = prepare(args, known_nodes(registry))
    path = Path(args.out) if args.out else _beside(args.file, job)
    old = lock_in(read_source(path)) if path.is_file() else None
    if old is None and args.check:
        raise error(Problem("E-NOTFOUND", f"no lock {visible(str(path))}", "write it: weft lock FILE", exit_code=3))
    lock = lock_of_job(job, old)
    found = moved(old, lock) if old is not None else []
    found = [one for one in found if not _of_a_run(one)]
    gravest = [one for one in found if one.part in CODE]
    others = [one for one in found if one.part in ("settings", "environment")]
    if args.json:
        print_json({
            "lock": str(path), "digest": lock.digest, "equal": not gravest,
            "moved": [one.to_json() for one in gravest], "environment": [one.to_json() for one in others],
        })  # fmt: skip
    else:
        for one in (*gravest, *others):
            print(one)
    if old is None or (args.update and (gravest or others)):
        path.parent.mkdir(parents=True, exist_ok=True)
        if old is None:
            path = keep(path, lock_text(lock))
        else:
            write_atomic(path, lock_text(lock))
        if not args.json:
            print(visible(str(path), 1000))
        return 0
    if not args.json and not gravest:
        print(f"{visible(str(path), 1000)} fits")
    return 1 if gravest else 0


def _beside(file: str, job: Job) -> Path:
    """Where the lock of a workflow lies: beside its file, or here for one that ships."""
    path = job.workflow.document.path
    return path.with_suffix(ENDING) if path is not None and path == Path(file) else Path(Path(file).name + ENDING)


def lock_of_job(job: Job, old: Lock | None = None) -> Lock:
    """The lock of a job before it runs. Seeds that nobody chose are those of the old lock, where there is one."""
    graph = job.graphs[0]
    if old is not None and graph.drawn:
        known = {name: seed for name in graph.drawn if (seed := _seed(old, name)) is not None}
        graph = bind(job.workflow, {**job.given, **known})
    cache = Cache(default_root())
    try:
        book = Book(cache, job.settings)
        book.open(make_plan([graph], cache, job.settings))
        return lock_of(book, 0, dict.fromkeys(job.workflow.targets, ()), ran=False)
    finally:
        cache.close()


def _seed(lock: Lock, name: str) -> int | None:
    """The value that a seed had, by param or node.input."""
    node, dot, key = name.partition(".")
    value = lock.document["nodes"].get(node, {}).get(key) if dot else lock.document.get("params", {}).get(name)
    value = value.get("default") if isinstance(value, dict) else value
    return value if type(value) is int else None


def _of_a_run(one: Moved) -> bool:
    """Whether only a run can know it: a lock that was written before one has nothing there."""
    told = one.path.endswith((".outputs", ".read", ".fallbacks")) or one.part == "environment"
    return one.after is ABSENT and told
