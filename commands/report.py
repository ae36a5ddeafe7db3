"""What a run made, gathered from its events: for `--json`, for the lines of standard output, for the grid."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import Problem
from engine.events import (
    Event,
    NodeCached,
    NodeFailed,
    NodeFinished,
    NodeSaid,
    NodeSkipped,
    RunFinished,
    RunStarted,
    Warned,
    problem_json,
)
from engine.text import visible

_GRAVEST = ("failed", "skipped", "done", "cached")


class Report:
    """Listens to a run and remembers what a person or a script wants to know of it afterwards."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, Any]] = []
        self.texts: list[tuple[int, str, str]] = []
        """(variant, node, text) of what nodes said, and of effects that write no file."""
        self.seeds: Sequence[Mapping[str, int]] = ()
        self.nodes: dict[str, dict[str, Any]] = {}
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.traces: list[str] = []
        self.status = "error"
        self.seconds = 0.0

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.seeds = event.seeds
            case NodeCached():
                self._node(event.node, event.type, "cached")
            case NodeFinished():
                self._node(event.node, event.type, "done", event.seconds, event.peak_bytes)
                for file in event.files:
                    self.outputs.append({**file, "node": event.node, "variant": event.variant})
                if event.text and not event.files:
                    self.texts.append((event.variant, event.node, event.text))
            case NodeSaid():
                self.texts.append((event.variant, event.node, event.text))
            case NodeFailed():
                self._node(event.node, event.type, "failed")
                self.problems += event.problems
                self.traces.append(event.traceback)
            case NodeSkipped():
                self._node(event.node, event.type, "skipped")
            case Warned():
                self.warnings.append(event.problem)
            case RunFinished():
                self.status, self.seconds = event.status, event.seconds

    def _node(self, name: str, kind: str, status: str, seconds: float = 0.0, peak: int = 0) -> None:
        """Add one variant's result to a node: the gravest status counts, seconds add up, the highest peak stays."""
        empty = {"type": kind, "status": status, "seconds": 0.0, "peak_bytes": 0, "ran": 0, "cached": 0}
        node = self.nodes.setdefault(name, empty)
        node["status"] = min(node["status"], status, key=_GRAVEST.index)
        node["seconds"] += seconds
        node["peak_bytes"] = max(node["peak_bytes"], peak)
        node["ran"] += status == "done"
        node["cached"] += status == "cached"

    def to_json(self) -> dict[str, Any]:
        """The one object of `--json`."""
        return {
            "status": self.status,
            "seconds": self.seconds,
            "outputs": self.outputs,
            "texts": [{"variant": v, "node": n, "text": t} for v, n, t in self.texts],
            "seeds": [dict(s) for s in self.seeds],
            "nodes": self.nodes,
            "problems": [problem_json(p) for p in self.problems],
            "warnings": [problem_json(p) for p in self.warnings],
        }

    def first_pictures(self) -> dict[int, Path]:
        """The first picture of every variant that has one."""
        found: dict[int, Path] = {}
        for output in self.outputs:
            if output["mime"].startswith("image/"):
                found.setdefault(output["variant"], Path(output["path"]))
        return found


def print_paths(event: Event) -> None:
    """Standard output of a run: the path of each file as it is saved, and texts that are in no file."""
    if isinstance(event, NodeFinished):
        lines = [file["path"] for file in event.files] or shown(event.text)
        if lines:
            sys.stdout.write("".join(f"{line}\n" for line in lines))
            sys.stdout.flush()


def shown(text: str) -> list[str]:
    """The lines of a text, safe to print."""
    return [visible(line.replace("\t", "    "), 10_000) for line in text.splitlines()]
