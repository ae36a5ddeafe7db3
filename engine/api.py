"""Workflows from Python: `run(load("fox.json"), prompt="a red fox").images[0]`."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import document as documents
from engine.bind import bind
from engine.cache import Cache, default_root
from engine.compile import compile
from engine.context import CancelToken, Settings
from engine.errors import Cancelled, Problem, error
from engine.events import Event, Listener, NodeFinished, Warned
from engine.executor import Executor
from engine.graph import Workflow
from engine.outcome import Outcome
from engine.places import allowed
from engine.registry import Registry, installed
from engine.sweep import Sweep
from engine.values import SavedFile

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


def load(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    registry: Registry | None = None,
    targets: Sequence[str] = (),
) -> Workflow:
    """A workflow from a file, or from a dict of the same shape; checked in full. Raises WeftError with every problem.

    registry: where node classes are found; by default all packs that are installed. targets: the nodes to make,
    instead of everything that saves.
    """
    if isinstance(source, Mapping):
        document = documents.from_value(dict(source))
    else:
        document = documents.read(Path(source))
    return compile(document, registry or installed(), targets)


@dataclass(frozen=True)
class Result:
    """What a run made."""

    files: tuple[SavedFile, ...]
    """What was saved, variant by variant."""
    values: Mapping[str, Any]
    """By node id, the outputs of targets that save nothing; of a sweep, the last variant's."""
    seeds: tuple[Mapping[str, int], ...]
    """For each variant the seeds that feed it, by param or node.input."""
    warnings: tuple[Problem, ...] = ()
    nodes: Mapping[str, NodeFinished] = field(default_factory=dict)
    """Nodes that ran, by id; of a sweep, the last variant's."""

    @property
    def images(self) -> "list[Picture]":
        """The pictures that were saved, read from their files."""
        from PIL import Image

        return [Image.open(f.path) for f in self.files if f.mime.startswith("image/")]


def run(
    workflow: Workflow,
    *,
    sweep: Sweep | None = None,
    settings: Settings | None = None,
    cache: Cache | None = None,
    on_event: Listener | None = None,
    token: CancelToken | None = None,
    **params: Any,
) -> Result:
    """Run a workflow with these params and return what it made.

    Raises WorkflowError for params that do not fit, MissingError for files that are not there, Cancelled if the token
    or Ctrl-C stopped it, and if nodes failed, the error of their problems (RunError, for most).

    settings: device, dtype, output folder and the rest; by default the CPU and ./out. cache: by default the user's
    own on disk. sweep: variants to run instead of one. Params that are not Python names go through `sweep`.
    """
    settings = settings or default_settings(workflow)
    own = cache is None
    cache = cache or Cache(default_root())
    finished: dict[str, NodeFinished] = {}
    warnings: list[Problem] = []

    def listen(event: Event) -> None:
        if isinstance(event, NodeFinished):
            finished[event.node] = event
        elif isinstance(event, Warned):
            warnings.append(event.problem)
        if on_event is not None:
            on_event(event)

    base = bind(workflow, params)
    chosen = {**params, **{name: value for name, value in base.seeds.items() if name in base.drawn}}
    graphs = [bind(workflow, {**chosen, **variant}) for variant in sweep] if sweep else [base]
    try:
        outcome = Executor(graphs, cache, settings, emit=listen, token=token, graph_id=graph_id(workflow)).run()
    finally:
        if own:
            cache.close()
    if outcome.problems:
        raise error(outcome.problems)
    if outcome.status == "cancelled":
        raise Cancelled
    return Result(
        files=tuple(f for _, saved in sorted_saved(outcome) for f in saved.files),
        values={name: _single(values) for (_, name), values in outcome.values.items()},
        seeds=tuple(g.seeds for g in graphs),
        warnings=(*workflow.warnings, *warnings),
        nodes=finished,
    )


def default_settings(workflow: Workflow) -> Settings:
    """Settings for a run on the CPU into ./out, with the numerics of the nodes' library where it is installed."""
    machine = installed().machine()
    folder = workflow.document.folder
    return Settings(folder=folder, allowed=allowed((), folder), numerics=numerics("cpu", "float32"), machine=machine)


def numerics(device: str, dtype: str, attention: str = "auto", speed: str = "none") -> str:
    """What the bits of a tensor depend on beside its inputs: device type, torch's major.minor version, dtype, and the
    kernel of attention and the way to run networks where these were chosen."""
    import importlib.metadata

    try:
        version = ".".join(importlib.metadata.version("torch").split("+")[0].split(".")[:2])
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    chosen = "" if attention == "auto" else f" {attention} attention"
    faster = "" if speed == "none" else f" {speed}"
    return f"{device.partition(':')[0]} torch {version} {dtype}{chosen}{faster}"


def graph_id(workflow: Workflow) -> str:
    """Names a workflow file, so that its next plan can be compared with its last run."""
    path = workflow.document.path
    return str(path.resolve()) if path else f"{workflow.document.name} {workflow.name}"


def sorted_saved(outcome: Outcome) -> list[tuple[tuple[int, str], Any]]:
    """What was saved, variant by variant."""
    return sorted(outcome.saved.items(), key=lambda item: item[0][0])


def _single(values: Mapping[str, Any]) -> Any:
    return next(iter(values.values())) if len(values) == 1 else dict(values)


def dumps(workflow: Workflow) -> str:
    """The workflow as the text of a file; reading it again and writing it gives the same bytes."""
    return json.dumps(workflow.document.data, indent=2, ensure_ascii=False) + "\n"
