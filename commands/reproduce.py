"""weft reproduce: make what a picture, a lock or a bundle tells of again, and say how close it came."""

import argparse
import gc
import math
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.common import known_nodes, print_json, say
from commands.progress import display
from commands.subjects import bases, inputs_of, opened
from engine.api import numerics
from engine.bind import bind
from engine.cache import Cache, default_root
from engine.compile import compile
from engine.context import Settings
from engine.diff import ABSENT
from engine.document import from_value
from engine.errors import Cancelled, Place, Problem, error
from engine.events import problem_json
from engine.executor import Executor, Outcome
from engine.graph import Workflow
from engine.machine import strict
from engine.places import allowed, searched
from engine.share.distance import Distance, distance
from engine.share.found import find
from engine.share.lock import Lock, lock_of
from engine.share.reproduce import EXIT, Comparison, compare
from engine.share.subject import Subject
from engine.text import visible

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Make FILE again; returns 0 for the same bits, 10 within the tolerance, 11 different, 3 if a file is missing."""
    subject = opened(args.file)
    lock = subject.lock
    if lock is None or not lock.data["outputs"]:
        what = "carries no lock, so there is nothing to compare with"
        raise error(Problem("E-LOCK", what, f"run it: weft run {visible(args.file)}", Place(subject.name)))
    if not any(lock.data["outputs"].values()):
        what = "a lock that was written before a run, so there is nothing to compare with"
        raise error(Problem("E-LOCK", what, "give the lock that weft run wrote", Place(subject.name)))
    nodes = known_nodes(registry)
    with ExitStack() as stack:
        folder = stack.enter_context(inputs_of(subject))
        if absent := nodes.absent(lock.data.get("packs", {})):
            raise error(problem.at(Place(subject.name)) for problem in absent)
        workflow = _compiled(subject, lock, nodes, folder)
        out = Path(args.out) if args.out else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weft-")))
        settings = _settings(args, lock, folder, out, nodes)
        cache = Cache(default_root())
        stack.callback(cache.close)
        places = find(workflow, lock, cache, searched(args.allow, folder), bases(folder))
        if places.missing:
            raise error(problem.at(Place(subject.name)) for problem in places.missing)
        settings = replace(settings, open_paths=frozenset(places.open))
        outcome, again = _run(workflow, places.given, settings, cache, lock)
        comparison = compare(lock, again, list(workflow.order))
        comparison.distances = _distances(subject, lock, outcome)
    failed = bool(outcome.problems)  # what was made until then is compared all the same
    verdict = "failed" if failed else comparison.verdict(args.tolerance)
    say(outcome.problems)
    if args.json:
        print_json({**_json(verdict, comparison), "problems": [problem_json(p) for p in outcome.problems]})
    else:
        print("\n".join(_told(verdict, comparison, args.tolerance)))
    return error(outcome.problems).exit_code if failed else EXIT[verdict]


def _compiled(subject: Subject, lock: Lock, nodes: "Registry", folder: Path) -> Workflow:
    targets = [name for name in lock.data["outputs"] if name in lock.document["nodes"]]
    return compile(from_value(dict(lock.document), subject.name, folder), nodes, targets)


def _settings(args: argparse.Namespace, lock: Lock, folder: Path, out: Path, nodes: "Registry") -> Settings:
    """The settings of the lock; where its device is not here, what there is, and the comparison tells of it."""
    from nodes.device import check_choices, resolve

    said = {name: str(lock.data["settings"].get(name, "auto")) for name in ("device", "dtype", "attention", "offload")}
    device, dtype = resolve(args.device or _here(said["device"]), said["dtype"])
    attention = said["attention"] if device.startswith(said["device"]) else "auto"
    offload = said["offload"] if said["offload"] != "auto" else "none"
    speed = str(lock.data["settings"].get("speed", "none")) if device.startswith(said["device"]) else "none"
    check_choices(device, offload, attention, speed)
    settings = Settings(
        device=device,
        dtype=dtype,
        numerics=numerics(device, dtype, attention, speed),
        out=out,
        folder=folder,
        allowed=allowed(args.allow, folder),
        use_cache=False,
        metadata=bool(args.out),
        offload=offload,
        attention=attention,
        speed=speed,
        machine=nodes.machine(),
    )
    return strict(settings) if lock.data["settings"].get("strict") else settings


def _here(device: str) -> str:
    from nodes.device import cuda_count, has_mps

    there = {"cuda": bool(cuda_count()), "mps": has_mps(), "cpu": True}
    return device if there.get(device) else "auto"


def _run(
    workflow: Workflow, given: Mapping[str, str], settings: Settings, cache: Cache, lock: Lock
) -> tuple[Outcome, Lock]:
    """Run without reading results; the lock of that, as far as it came. Raises Cancelled."""
    gc.enable()
    with display(quiet=False) as show:
        executor = Executor([bind(workflow, given)], cache, settings, emit=show)
        outcome = executor.run()
    if outcome.status == "cancelled":
        raise Cancelled
    outputs: dict[str, Sequence[str]] = dict.fromkeys(lock.data["outputs"], ())
    outputs |= {name: [file.digest for file in saved.files] for (_, name), saved in outcome.saved.items()}
    return outcome, lock_of(executor.book, 0, outputs)


def _distances(subject: Subject, lock: Lock, outcome: Outcome) -> dict[tuple[str, int], Distance | None]:
    """Of every picture that differs and whose first making is at hand: the opened picture itself, or those beside a
    lock or in a bundle."""
    found: dict[tuple[str, int], Distance | None] = {}
    originals = _originals(subject)
    wanted = [str(digest) for digests in lock.data["outputs"].values() for digest in digests]
    if subject.kind == "picture" and len(wanted) == 1:  # a JPEG's pixels are no longer those that were digested
        originals.setdefault(wanted[0], subject.data)
    for (_, name), saved in outcome.saved.items():
        before = lock.data["outputs"].get(name, [])
        for i, file in enumerate(saved.files):
            if i < len(before) and before[i] != file.digest and file.mime.startswith("image/"):
                first = originals.get(str(before[i]))
                found[name, i] = distance(first, file.path.read_bytes()) if first is not None else None
    return found


def _originals(subject: Subject) -> dict[str, bytes]:
    """Pictures by the digest of their pixels."""
    import io

    from PIL import Image

    from nodes.image import pixel_digest

    files = [subject.data] if subject.kind == "picture" else list(subject.outputs.values())
    if subject.kind == "lock":
        beside = [p for p in sorted(subject.path.parent.iterdir()) if p.suffix.lower() in (".png", ".webp", ".jpg")]
        files = [path.read_bytes() for path in beside[:64] if path.is_file() and path.stat().st_size < 64 << 20]
    found = {}
    for data in files:
        try:
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture:
                found[pixel_digest(picture)] = data
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
    return found


def _told(verdict: str, found: Comparison, tolerance: float) -> list[str]:
    lines = [f"  {one}" for one in found.environment]
    lines = ["made elsewhere, or otherwise:", *lines] if lines else []
    lines += [str(found.first)] if found.first else []
    if len(found.differing) > 1:
        lines.append(f"after it: {visible(', '.join(found.differing[1:]), 300)}")
    for (name, i), apart in found.distances.items():
        told = str(apart) if apart is not None else "not comparable: another size, or the first picture is not at hand"
        lines.append(f"{name} picture {i + 1}: {told}")
    counted = f"{found.equal} digests equal" + (f", {found.unknown} unknown" if found.unknown else "")
    words = {"failed": "it failed", "exact": "bit-exact", "near": f"within {tolerance:g} dB", "different": "different"}
    return [*lines, f"{words[verdict]}: {counted}"]


def _json(verdict: str, found: Comparison) -> dict[str, Any]:
    def apart(one: Distance | None) -> dict[str, Any] | None:
        if one is None:
            return None
        return {"largest": one.largest, "share": one.share, "psnr": None if math.isinf(one.psnr) else one.psnr}

    first = found.first
    return {
        "verdict": verdict,
        "first": first and {
            "node": first.node, "type": first.type, "outputs": list(first.outputs), "inputs_equal": first.inputs_equal,
        },
        "differing": list(found.differing),
        "equal": found.equal,
        "unknown": found.unknown,
        "pictures": [{"node": name, "index": i, "distance": apart(d)} for (name, i), d in found.distances.items()],
        "environment": [
            {"path": f"{one.part}.{one.path}", "before": None if one.before is ABSENT else one.before,
             "after": None if one.after is ABSENT else one.after}
            for one in found.environment
        ],
    }  # fmt: skip
