"""weft cache: what is kept, how much of it, why a node would run, and whether all of it is whole."""

import argparse
from typing import TYPE_CHECKING

from commands.common import known_nodes, parse_size, print_json, say, table, wrong_usage
from engine.cache import Cache, default_root
from engine.errors import Problem, error
from engine.text import did_you_mean, plural, quoted, seconds, size, visible

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Do ACTION; returns the exit code."""
    if args.action != "why" and args.file is not None:
        raise wrong_usage("cache", f"{quoted(args.file)} is one word too many")
    cache, unusable = Cache(default_root()), list[Problem]()
    cache.listen(unusable.append)
    try:
        if cache.disk is None:
            hint = "set WEFT_CACHE to a folder that can be written; weft doctor says more"
            raise error([Problem("E-CACHE", found.what, hint, exit_code=1) for found in unusable])
        match args.action:
            case "ls":
                return _list(cache, args)
            case "gc":
                return _collect(cache, args)
            case "verify":
                return _verify(cache, args)
            case _:
                return _why(cache, args, registry)
    finally:
        cache.close()


def _list(cache: Cache, args: argparse.Namespace) -> int:
    assert cache.index is not None
    rows, total = cache.index.rows(), cache.index.total()
    listed = rows[: max(args.limit, 0)]
    if args.json:
        entries = [{"key": k, "type": t, "bytes": b, "seconds": s} for k, t, b, s, _ in listed]
        print_json({"folder": str(cache.root), "results": len(rows), "bytes": total, "entries": entries})
        return 0
    head = ("key", "type", "size", "made in")
    for line in table([(k[:12], t, size(b), seconds(s)) for k, t, b, s, _ in listed], head) if listed else ():
        print(line)
    more = f", the latest {len(listed)} listed" if len(listed) < len(rows) else ""
    print(f"{plural(len(rows), 'result')}{more}, {size(total)} of {size(cache.limit)}, in {visible(str(cache.root))}")
    return 0


def _collect(cache: Cache, args: argparse.Namespace) -> int:
    assert cache.disk is not None
    dropped, left = cache.collect(parse_size(args.max))
    strays = cache.disk.sweep_orphans()
    if args.json:
        print_json({"dropped": dropped, "strays": strays, "bytes": left})
    else:
        print(f"dropped {plural(dropped, 'result')}, {plural(strays, 'stray file')}; {size(left)} left")
    return 0


def _verify(cache: Cache, args: argparse.Namespace) -> int:
    """Read every result against its digest. What is damaged is set aside, and made again when it is next needed."""
    assert cache.index is not None
    assert cache.blobs is not None
    keys = [row[0] for row in cache.index.rows()]
    broken = cache.index.broken({blob for blob in cache.index.blobs() if cache.blobs.check(blob)})
    damaged = [key for key in keys if key in broken or cache.index.get(key) is None]
    cache.forget(damaged)
    total = len(keys)
    if args.json:
        print_json({"results": total, "damaged": damaged})
    elif damaged:
        print(f"{len(damaged)} of {plural(total, 'result')} damaged: set aside, and made again when needed")
    else:
        print(f"{plural(total, 'result')}: all whole")
    return 1 if damaged else 0


def _why(cache: Cache, args: argparse.Namespace, registry: "Registry | None") -> int:
    """Say of one node, and of what it needs, why it would run."""
    from commands.inputs import prepare
    from commands.plan import WORDS
    from engine.api import graph_id
    from engine.graph import upstream
    from engine.plan import explain, make_plan

    if not args.file or not args.node:
        raise error(Problem("E-CLI", "weft cache why needs FILE and NODE", "try: weft cache why fox.json denoise"))
    vars(args).update(sweep=[], zip=[], target=[], allow=[], no_cache=False, no_metadata=False, batch=8, strict=False)
    vars(args).update(vram=None, offload="none", attention="auto", speed="none")
    job = prepare(args, known_nodes(registry))
    nodes = job.graphs[0].nodes
    if args.node not in nodes:
        raise error(Problem("E-CLI", f"no node {quoted(args.node)}", did_you_mean(args.node, nodes)))
    plan = make_plan(job.graphs, cache, job.settings)
    reasons = explain(plan, cache, job.settings, graph_id(job.workflow))
    status = {name: task.status for task in plan.tasks.values() for _, name in task.places}
    needed = upstream(nodes, [args.node])
    rows = [
        (name, status[name], reasons[0, name])
        for name in reversed(job.graphs[0].order)
        if name in needed and (name == args.node or status[name] == "run")
    ]
    if args.json:
        print_json([{"node": name, "status": state, "why": reason} for name, state, reason in rows])
        return 0
    say(job.workflow.warnings)
    for name, state, reason in rows:
        print(f"{name}: {WORDS[state]}" + ("" if reason == WORDS[state] else f": {reason}"))
    return 0
