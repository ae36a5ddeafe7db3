"""What a run will do and why, known before anything loads.

The variants of a sweep become one list of tasks. Nodes with equal keys are one task, whichever variants they are in:
that is how shared work is done once.
"""

import functools
import json
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine.cache import Cache
from engine.cache.codec import sockets
from engine.context import Settings
from engine.errors import Place, Problem, WeftError, error
from engine.foresight import foresee_runs
from engine.graph import Graph, Link, NodeDef
from engine.inputs import names_of
from engine.keys import inputs_text, keys
from engine.node import Node
from engine.spec import Bad
from engine.text import quoted

_ANYWHERE = Path(Path.cwd().anchor)

Status = Literal["run", "cached", "unneeded"]


@dataclass(slots=True, eq=False)
class Task:
    """One piece of work: a node of one variant, and of every other in which it has the same key.

    id: the key; for an effect, and where the cache is off for the node, the variant and node id with it.
    """

    id: str
    key: str
    node: NodeDef
    variant: int
    places: list[tuple[int, str]] = field(default_factory=list)
    """Every (variant, node id) that this task stands for."""
    sources: dict[Link, str] = field(default_factory=dict)
    """The task behind each link."""
    status: Status = "unneeded"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The tasks of a run in running order."""

    graphs: Sequence[Graph]
    tasks: Mapping[str, Task]
    targets: tuple[tuple[int, str], ...]
    """(variant, task id) of everything that the run is for."""
    digest_files: "FilesOfNodes"

    def count(self, status: Status) -> int:
        """How many tasks have this status."""
        return sum(task.status == status for task in self.tasks.values())


def make_plan(
    graphs: Sequence[Graph],
    cache: Cache,
    settings: Settings,
    *,
    have: Container[str] = (),
    over: Container[str] = (),
    lost: Container[str] = (),
) -> Plan:
    """The plan for these variants. Raises the problems of files that nodes name and that are not there.

    In the middle of a run: `have` are ids of tasks whose results are at hand, `over` those that need not run any more
    (effects that happened, tasks that failed), `lost` keys whose results the cache has promised and not kept.
    """
    tasks: dict[str, Task] = {}
    targets: list[tuple[int, str]] = []
    digest = FilesOfNodes(cache, settings)
    prepared = [keys(graph, settings.numerics, digest) for graph in graphs]
    for start in range(0, len(graphs), max(1, settings.batch)):
        chunk = range(start, min(start + max(1, settings.batch), len(graphs)))
        _add_tasks(graphs, prepared, chunk, tasks, targets)
    if not (have or over or lost):
        problems = foresee_runs(graphs, settings.folder)
        if problems:
            raise error(problems)
    known = cache.known(t.key for t in tasks.values() if not t.node.cls.effect) if settings.use_cache else set()
    wanted = {task for _, task in targets}
    for task in reversed(tasks.values()):
        if task.id in over:
            continue
        effect = task.node.cls.effect
        if not effect and (task.id in have or (task.key in known and task.node.cache and task.key not in lost)):
            task.status = "cached"
        elif effect or task.id in wanted:
            task.status = "run"
            wanted.update(task.sources.values())
    return Plan(graphs, tasks, tuple(targets), digest)


def _add_tasks(
    graphs: Sequence[Graph],
    prepared: Sequence[Mapping[str, str]],
    chunk: Iterable[int],
    tasks: dict[str, Task],
    targets: list[tuple[int, str]],
) -> None:
    """The tasks of a few variants, node by node, so that equal nodes of several variants stand side by side."""
    ids: dict[int, dict[str, str]] = {variant: {} for variant in chunk}
    order = graphs[next(iter(ids))].order
    for name in order:
        for variant, known in ids.items():
            node = graphs[variant].nodes[name]
            key = prepared[variant][name]
            task_id = f"{variant}.{name} {key}" if node.cls.effect or not node.cache else key
            task = tasks.get(task_id)
            if task is None:
                task = Task(task_id, key, node, variant)
                task.sources = {link: known[link.node] for link in node.sources}
                tasks[task_id] = task
            task.places.append((variant, name))
            known[name] = task_id
    for variant, known in ids.items():
        targets.extend((variant, known[target]) for target in graphs[variant].workflow.targets)


class FilesOfNodes:
    """Finds and digests the files that literals name; each once a plan."""

    def __init__(self, cache: Cache, settings: Settings) -> None:
        self._cache = cache
        self._settings = settings
        self._known: dict[tuple[Any, ...], list[list[str]]] = {}
        self._seen: dict[tuple[Any, ...], tuple[Sequence[Path], list[int]]] = {}

    def __call__(self, node: NodeDef, name: str) -> list[list[str]]:
        """[name, sha256] of each file behind an input; raises Bad if one is missing or may not be read."""
        at = self._at(node, name)
        known = self._known.get(at)
        if known is None:
            paths = self._find(node, name)
            self._seen[at] = paths, _folders(paths)
            known = self._known[at] = self._digest(name, paths)
        return known

    def files(self, node: NodeDef, name: str) -> list[tuple[str, Path, str]]:
        """(name, path, SHA-256) of each file behind an input. Raises as calling it does."""
        known = self(node, name)
        paths, _ = self._seen[self._at(node, name)]
        return [(called, path, sha256) for (called, sha256), path in zip(known, paths, strict=True)]

    def changed(self, node: NodeDef) -> str:
        """The first input of a node whose files are no longer what they were when this plan was made, or nothing."""
        for name in inputs_with_files(node):
            try:
                known = self(node, name)
                paths, folders = self._seen[self._at(node, name)]
                # the same files are found again as long as nothing came to their folders and nothing went
                if _folders(paths) != folders:
                    paths = self._find(node, name)
                if self._digest(name, paths) != known:
                    return name
            except Bad:
                return name
        return ""

    def _at(self, node: NodeDef, name: str) -> tuple[Any, ...]:
        beside = (node.literals.get(other) for other in node.cls.inputs[name].beside)
        return (node.id, name, node.literals[name], *beside)

    def _find(self, node: NodeDef, name: str) -> Sequence[Path]:
        settings = self._settings
        allowed = (_ANYWHERE,) if (node.id, name) in settings.open_paths else settings.allowed
        try:
            return node.cls.inputs[name].find_files(node.literals, settings.folder, allowed)
        except WeftError as why:
            raise Bad(_at_input(why.problems[0], name)) from why
        except OSError as why:
            raise Bad(_at_input(Problem("E-NOTFOUND", f"cannot read: {why.strerror}", exit_code=3), name)) from why

    def _digest(self, name: str, paths: Sequence[Path]) -> list[list[str]]:
        try:
            return [[called, self._cache.sha256(path)] for called, path in zip(names_of(paths), paths, strict=True)]
        except WeftError as why:
            raise Bad(_at_input(why.problems[0], name)) from why
        except OSError as why:
            raise Bad(_at_input(Problem("E-NOTFOUND", f"cannot read: {why.strerror}", exit_code=3), name)) from why


def _folders(paths: Sequence[Path]) -> list[int]:
    """When something last came to or went from each folder that holds these files; 0 for one that is gone."""
    found = []
    for folder in dict.fromkeys(path.parent for path in paths):
        try:
            found.append(os.stat(folder).st_mtime_ns)
        except OSError:
            found.append(0)
    return found


def inputs_with_files(node: NodeDef) -> list[str]:
    """The inputs of a node whose literal names files."""
    return [name for name in _file_inputs(node.cls) if node.literals.get(name) is not None]


@functools.cache
def _file_inputs(cls: type[Node]) -> list[str]:
    return [name for name, spec in cls.inputs.items() if spec.files]


def models_from_files(plan: "Plan") -> dict[str, frozenset[str]]:
    """task id -> the tasks before it, itself included, that hand on a model which is read from its files later on."""
    found: dict[str, frozenset[str]] = {}
    for task in plan.tasks.values():
        behind: frozenset[str] = frozenset()
        if found:
            behind = behind.union(*(found[s] for s in task.sources.values() if s in found))
        if _may_load(task.node.cls) and inputs_with_files(task.node):
            behind |= {task.id}
        if behind:
            found[task.id] = behind
    return found


@functools.cache
def _may_load(cls: type[Node]) -> bool:
    """Whether a node class makes models from files."""
    return bool(_file_inputs(cls)) and any(s.resident for s in sockets(cls).values())


def _at_input(problem: Problem, name: str) -> Problem:
    return problem.at(Place(input=name))


def explain(plan: Plan, cache: Cache, settings: Settings, graph_id: str) -> dict[tuple[int, str], str]:
    """For every (variant, node) of the plan, in words, why it will run or need not."""
    latest = cache.latest(graph_id)
    digest = plan.digest_files
    known = {variant: keys(graph, settings.numerics, digest) for variant, graph in enumerate(plan.graphs)}
    reasons: dict[tuple[int, str], str] = {}
    for task in plan.tasks.values():
        for variant, name in task.places:
            reasons[variant, name] = _reason(task, name, known[variant], latest.get(name), settings, digest)
    return reasons


def _reason(
    task: Task, name: str, known: Mapping[str, str], last: Any, settings: Settings, digest: FilesOfNodes
) -> str:
    node = task.node
    if task.status == "unneeded":
        return "nothing that runs needs it"
    if task.status == "cached":
        return "cached"
    if node.cls.effect:
        return "writes files"
    if not settings.use_cache:
        return "the cache is off"
    if not node.cache:
        return 'the file says "cache": false'
    if last is not None and last[0] != task.key:
        changes = changed(last[1], json.loads(inputs_text(node, known, digest)))
        return "; ".join(changes) if changes else "weft, torch or the device changed"
    if not node.cls.is_stored():
        return "quick to make; not kept on disk"
    return "not run before" if last is None else "its result is no longer in the cache"


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between two sets of inputs, as `inputs_text` writes them, in words: "scale was 6.0, is 7.0"."""
    found = []
    for name, now in after.items():
        was = before.get(name)
        if was is None:
            found.append(f"{name} is new")
        elif was[0] == "v" and now[0] == "v":
            if repr(was[1]) != repr(now[1]):
                found.append(f"{name} was {quoted(was[1])}, is {quoted(now[1])}")
        elif was[0] == "k" and now[0] == "k":
            if was[1:3] != now[1:3]:
                other = "" if was[3:] == now[3:] else f", was {was[3]}"
                found.append(f"{name} comes from {now[3]}, which changed{other}")
        elif was[0] == "f" and now[0] == "f":
            if was[1] != now[1]:
                same = was[2:] == now[2:]
                found.append(
                    f"{name}: the content of {quoted(now[2])} changed"
                    if same
                    else f"{name} was {quoted(was[2])}, is {quoted(now[2])}"
                )
        elif was[:1] != now[:1] or was[1] != now[1]:
            found.append(f"{name} changed")
    found += [f"{name} is gone" for name in before if name not in after]
    return found


def task_json(task: Task, why: str) -> dict[str, object]:
    """A task as JSON: its node, what will become of it and why, and the variants and other nodes that it stands for."""
    return {
        "node": task.node.id,
        "type": task.node.cls.__name__,
        "status": task.status,
        "why": why,
        "variants": sorted({variant for variant, _ in task.places}),
        "also": sorted({name for _, name in task.places} - {task.node.id}),
        "key": task.key,
    }
