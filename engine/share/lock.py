"""The lock of a run: everything that its results depend on, and a digest of every output of every node.

    workflow     its name, and the digest of its canonical JSON with every value as it ran
    settings     device, dtype, attention, offload, strict, speed if not none: what was asked of the run
    models       source as written, revision, and of each file size, SHA-256, AutoV2, AutoV3
    inputs       other files that were read: size, SHA-256, and the digest of what was read from them
    nodes        type, version, digest of the code, inputs, seed, fallbacks, digests of outputs (of kind, dtype, shape
                 and bytes)
    packs        version and digest of the code of each pack of nodes
    environment  Python, system, CPU, GPU, packages, and the numeric flags as they were read back
    outputs      of each saving node the digests of what it saved: of pixels, for pictures

No times, no names of hosts or users, no folders of this machine: two equal runs give equal bytes.
"""

import json
import ntpath
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.cache.codec import sockets
from engine.canonical import digest, plain
from engine.context import Settings
from engine.graph import Graph, Link, NodeDef, escape, upstream
from engine.plan import Plan, inputs_with_files
from engine.share.book import Book
from engine.share.code import about, code_of

FORMAT = 1
AUTOV2, AUTOV3 = 10, 12
"""Hexadecimal digits of the short digests that model sites use: of the file, and of what is behind its header."""


@dataclass(frozen=True)
class Lock:
    """A lock: its data, and the workflow with every value as it ran, whose digest is in the data."""

    data: Mapping[str, Any]
    document: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the data's canonical JSON."""
        return digest(self.data)

    @property
    def nodes(self) -> Mapping[str, Any]:
        """The nodes by id, in running order where the run that made the lock is the one at hand."""
        nodes: Mapping[str, Any] = self.data["nodes"]
        return nodes


def lock_of(book: Book, variant: int, outputs: Mapping[str, Sequence[str]], *, ran: bool = True) -> Lock:
    """The lock of one variant of a run. outputs: the nodes that it is about, with the digests of what they saved.

    ran: False for a lock that is written before a run; it has no digests of outputs, and no flags read back.
    """
    plan, settings = book.plan, book.settings
    assert plan is not None
    graph = plan.graphs[variant]
    wanted = upstream(graph.nodes, outputs)
    names = [name for name in graph.order if name in wanted]
    document = document_of(graph)
    tasks = [book.task(variant, name) for name in names]
    digests, fallbacks = (book.digests(tasks), book.fallbacks(tasks)) if ran else ({}, {})
    nodes: dict[str, Any] = {}
    models: list[dict[str, Any]] = []
    inputs: list[dict[str, Any]] = []
    packs = {}
    for name, task in zip(names, tasks, strict=True):
        node = task.node if task.node.id == name else graph.nodes[name]
        made = {} if node.cls.effect else _outputs(node, digests.get(task.key))
        nodes[name] = _node(node, made, fallbacks.get(task.key, ()))
        for key in inputs_with_files(node):
            found = _files(plan, settings, book, node, key)
            if _is_model(node, found):
                models.append(found)
            else:
                pixels = {"read": next(iter(made.values()))} if made else {}
                inputs.append({**found, **pixels})
        if node.cls.pack is not None:
            packs[node.cls.pack.name] = node.cls.pack
    data = {
        "weft_lock": FORMAT,
        "workflow": {"name": document.get("name", ""), "digest": digest(document)},
        "settings": _settings(settings),
        "models": models,
        "inputs": inputs,
        "nodes": nodes,
        "packs": {name: about(pack) for name, pack in sorted(packs.items())},
        "environment": _environment(book) if ran else settings.machine.environment(),
        "outputs": {name: list(found) for name, found in outputs.items()},
    }
    return Lock(plain(data), document)


def document_of(graph: Graph) -> dict[str, Any]:
    """A workflow with every param and seed as it runs, without the folders of this machine."""
    return shared(graph.workflow.document.resolved(graph.values, graph.overrides), _paths(graph.workflow.nodes))


def _node(node: NodeDef, outputs: Mapping[str, Any], fallbacks: Sequence[str]) -> dict[str, Any]:
    told: dict[str, Any] = {"type": node.cls.__name__, "version": node.cls.version, "code": code_of(node.cls)}
    given: dict[str, Any] = {}
    for name, spec in node.cls.inputs.items():
        if name in node.links:
            given[name] = f"@{node.links[name]}"
        elif name in node.lists:
            given[name] = [
                f"@{item}" if isinstance(item, Link) else escape(_kept(item, False)) for item in node.lists[name]
            ]
        elif name in node.literals:
            given[name] = escape(_kept(node.literals[name], spec.files is not None))
    told["inputs"] = given
    seeds = [node.literals[name] for name in node.cls.seeds if node.literals.get(name) is not None]
    if seeds:
        told["seed"] = seeds[0]
    if fallbacks:
        told["fallbacks"] = list(fallbacks)
    if outputs:
        told["outputs"] = dict(outputs)
    return told


def _outputs(node: NodeDef, digests: Mapping[str, str] | None) -> dict[str, Any]:
    kinds = sockets(node.cls)
    return {name: {"kind": kinds[name].name, "digest": found} for name, found in sorted((digests or {}).items())}


def _files(plan: Plan, settings: Settings, book: Book, node: NodeDef, name: str) -> dict[str, Any]:
    """What is told of the files that an input names."""
    files = []
    revision = ""
    for called, path, sha256 in plan.digest_files.files(node, name):
        one: dict[str, Any] = {"name": called, "size": path.stat().st_size, "sha256": sha256}
        if path.suffix == ".safetensors":
            one |= {"autov2": sha256[:AUTOV2], "autov3": book.cache.sha256(path, body=True)[:AUTOV3]}
        files.append(one)
        revision = revision or settings.machine.revision(path)
    found: dict[str, Any] = {"node": node.id, "input": name, "source": bare(node.literals[name]), "files": files}
    return {**found, "revision": revision} if revision else found


def _is_model(node: NodeDef, found: Mapping[str, Any]) -> bool:
    return bool(node.cls.resident) or any("autov2" in one for one in found["files"])


def _settings(settings: Settings) -> dict[str, Any]:
    return {
        "device": settings.device.partition(":")[0],
        "dtype": settings.dtype,
        "attention": settings.attention,
        "offload": settings.offload,
        "strict": settings.strict,
        **({"speed": settings.speed} if settings.speed != "none" else {}),
    }


def _environment(book: Book) -> dict[str, Any]:
    """What is known of the machine. What only a loaded library tells is remembered for runs that load none."""
    machine = book.settings.machine
    found = machine.environment()
    key = "machine " + digest([found, _settings(book.settings)])
    read = machine.read_back(book.settings)
    if read is None:
        read = json.loads(book.cache.told([key]).get(key, "{}"))
    elif read:
        book.cache.tell(key, json.dumps(read))
    return {**found, **read}


def _paths(nodes: Mapping[str, NodeDef]) -> set[str]:
    """The params and literal inputs that name files, as `shared` calls them."""
    found = set()
    for node in nodes.values():
        for name, spec in node.cls.inputs.items():
            if spec.files:
                found.add(f"${node.params[name]}" if name in node.params else f"{node.id}.{name}")
    return found


def shared(document: Mapping[str, Any], paths: set[str]) -> dict[str, Any]:
    """A workflow as others may see it: files by their names, without the folders of this machine."""
    params = {
        name: {**value, "default": bare(value["default"])}
        if isinstance(value, dict) and f"${name}" in paths and "default" in value
        else _kept(value, f"${name}" in paths)
        for name, value in document.get("params", {}).items()
    }
    nodes = {
        node: {name: _kept(value, f"{node}.{name}" in paths) for name, value in inputs.items()}
        for node, inputs in document["nodes"].items()
    }
    found = {**document, "nodes": nodes}
    return {**found, "params": params} if "params" in document else found


def _kept(value: Any, names_files: bool) -> Any:
    """A value that names files bare; any other too, where it is the path of something on this machine."""
    if isinstance(value, Mapping):
        return {key: _kept(item, names_files) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_kept(item, names_files) for item in value]
    if names_files:
        return bare(value)
    if isinstance(value, str) and len(value) < 4096 and "\0" not in value and os.path.isabs(value):
        return bare(value) if os.path.lexists(value) else value
    return value


def bare(value: Any) -> Any:
    """The name of a file without the folders that lead to it from the root or from home; anything else as it is."""
    if not isinstance(value, str):
        return value
    if value.startswith(("/", "~", "\\")) or ntpath.splitdrive(value)[0]:
        return re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    return value
