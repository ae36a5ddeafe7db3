"""The graph engine: reads workflows, checks them, plans, and runs them through a cache. It knows nothing of tensors.

    document, jsontext, source    a file, with the line of everything in it
    node, spec, values, registry  node classes, what their inputs take, what travels on wires
    compile, links, params, order a document checked against the node classes -> Workflow
    report, templates, inputs     gathering problems; names of files that are written and read
    bind, sweep                   values for params and seeds -> Graph
    keys, plan                    what each result depends on; what will run, and why
    cache/                        results by key
    executor, aside, results      running; nodes beside the others; the results that a run has at hand
    endings, outcome, failure     what becomes of nodes; what is told of it; what a node did wrong, in words
    context, events               what a node sees; what everybody else sees
    views/                        a graph as text and pictures
    schema, migrate, diff, paths  editors; older files; comparing; where files may lie
    pictures/                     what a picture's file says of itself, and its texts
    share/, machine               locks, what a picture carries, bundles; what is told of this machine
    canonical, tidy               one text of a value for digests; a workflow laid out for people
    jsonedit, rewire, opening     changing a file's text; leaving nodes out of a run; what holds a workflow
    serve                         an engine that another process drives

From Python: `from engine import load, run`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.api import Result, load, run
    from engine.cache import Cache
    from engine.context import CancelToken, Context, Settings
    from engine.node import Input, Node, Seed
    from engine.registry import Pack, Registry
    from engine.sweep import Sweep

_HOME = {
    "load": "api", "run": "api", "Result": "api", "Cache": "cache", "CancelToken": "context", "Context": "context",
    "Settings": "context", "Input": "node", "Node": "node", "Seed": "node", "Pack": "registry",
    "Registry": "registry", "Sweep": "sweep",
}  # fmt: skip

__all__ = [
    "Cache", "CancelToken", "Context", "Input", "Node", "Pack", "Registry", "Result", "Seed", "Settings", "Sweep",
    "load", "run",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used: `import engine` alone costs nothing."""
    if name not in _HOME:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"engine.{_HOME[name]}"), name)
