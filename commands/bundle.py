"""weft bundle: a workflow, its lock and the files that it reads, in one zip."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from commands.common import known_nodes
from commands.inputs import prepare
from commands.lock import lock_of_job
from commands.subjects import bases, inputs_of, opened
from engine.cache import Cache, default_root
from engine.compile import compile
from engine.document import from_value
from engine.errors import Place, Problem, error
from engine.files import keep
from engine.places import searched
from engine.share.bundle import BYTES, Bundle, write
from engine.share.found import paths_of
from engine.share.lock import Lock
from engine.share.subject import Subject
from engine.text import quoted, size, visible

if TYPE_CHECKING:
    from engine.registry import Registry

ENDING = ".weft.zip"


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Write the bundle of FILE; returns 0."""
    nodes = known_nodes(registry)
    subject = opened(args.file)
    lock = subject.lock
    if lock is None:
        lock = lock_of_job(prepare(args, nodes))
    elif args.values:
        raise error(Problem("E-CLI", "values are given, but FILE has them all in its lock", "bundle the workflow"))
    bundle = Bundle(lock, _inputs(subject, lock, nodes, args), _outputs(subject, lock) if args.outputs else {})
    target = Path(args.out) if args.out else Path(Path(args.file).name).with_suffix(ENDING)
    print(visible(str(keep(target, write(bundle))), 1000))
    return 0


def _inputs(subject: Subject, lock: Lock, nodes: "Registry", args: argparse.Namespace) -> dict[str, bytes]:
    """The content of the files that the workflow reads, models aside, by SHA-256. Raises E-NOTFOUND for absent ones."""
    found: dict[str, bytes] = {}
    if not lock.data["inputs"]:
        return found
    cache = Cache(default_root())
    try:
        with inputs_of(subject) as folder:
            workflow = compile(from_value(dict(lock.document), subject.name, folder), nodes)
            paths = paths_of(workflow, lock, cache, searched(args.allow, folder), bases(folder))
            for digest, path in paths.items():
                data = path.read_bytes()
                found[digest] = data
    finally:
        cache.close()
    if sum(map(len, found.values())) > BYTES:
        what = f"its inputs are more than {size(BYTES)}"
        raise error(Problem("E-SIZE", what, "share the folder itself", Place(subject.name)))
    return found


def _outputs(subject: Subject, lock: Lock) -> dict[str, bytes]:
    """What the run saved: the picture itself, or the files that lie beside a lock."""
    if subject.kind == "picture":
        return {subject.path.name: subject.data}
    if subject.kind == "bundle":
        return dict(subject.outputs)
    files = _named(subject)
    absent = [name for name in files if not (subject.path.parent / name).is_file()]
    if absent or not files:
        what = f"{quoted(absent[0])} is not beside the lock" if absent else "nothing says what was saved"
        raise error(Problem("E-NOTFOUND", what, "leave out --outputs", Place(subject.name), exit_code=3))
    return {name: (subject.path.parent / name).read_bytes() for name in files}


def _named(subject: Subject) -> list[str]:
    """The names of the files that a lock's file tells of."""
    import json

    if subject.kind != "lock":
        return []
    files = json.loads(subject.path.read_text("utf-8")).get("files", {})
    return [name for name in files if Path(name).name == name] if isinstance(files, dict) else []
