"""What a picture was made from: the run that saved it, and the values that this run took for it. Pure."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.registry import Registry
from engine.text import quoted, seconds
from tui.board import Run
from tui.history import Past
from tui.session import Session
from tui.sheet import Sheet


@dataclass(frozen=True, slots=True)
class Origin:
    """The run, and what it noted about the file: path, digest, mime, node, variant (None for the sheet of a sweep)."""

    past: Past
    output: Mapping[str, Any]

    @property
    def values(self) -> dict[str, Any]:
        """What the run was given for this file, by the names of params and node.input."""
        return values_of(self.past, self.output.get("variant"))


def with_live(past: Past, run: Run) -> Past:
    """What the history knows of a run that goes on, with what has come since it began."""
    return replace(past, seeds=list(run.seeds), variants=run.variants, outputs=list(run.outputs), status=run.status)


def output_of(outputs: Sequence[Mapping[str, Any]], path: str) -> Mapping[str, Any] | None:
    """What was noted last about this file."""
    wanted = Path(path).absolute()
    return next((o for o in reversed(outputs) if Path(str(o["path"])).absolute() == wanted), None)


def values_of(past: Past, variant: int | None) -> dict[str, Any]:
    """What a run was given for one of its variants: drawn seeds, what was set, what was swept. None: what all variants
    of it have in common."""
    single, swept = sets_of(past)
    if variant is None and past.variants == 1:
        variant = 0
    if variant is None:
        return single
    seeds = past.seeds[variant] if variant < len(past.seeds) else {}
    return {**seeds, **single, **(Sheet(swept).values(variant) if swept else {})}


def sets_of(past: Past) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """(what was set to one value, what was swept over several). Lists are a sweep if they make as many variants."""
    lists = {name: value for name, value in past.sets.items() if isinstance(value, list)}
    if lists and math.prod(map(len, lists.values())) != past.variants:
        lists = {}
    return {name: value for name, value in past.sets.items() if name not in lists}, lists


def session_of(past: Past, registry: Registry, variant: int | None = None) -> Session:
    """A run's workflow with the values and seeds of the run, or of one variant of it, as a copy without a file."""
    session = Session(registry, past.workflow, None, past.name)
    session.folder_if_unsaved = Path(past.file).parent if past.file else None
    session.set_values(values_of(past, variant), "values of the run")
    return session


def facts(origin: Origin) -> list[tuple[str, str]]:
    """(name, value) of everything that is known, the values of the workflow last; texts as they are, not made safe."""
    past, output = origin.past, origin.output
    when = time.strftime("%d %b %Y %H:%M", time.localtime(past.began))
    found = [
        ("run", past.id), ("made", when), ("workflow", past.file or past.name), ("node", str(output.get("node") or "")),
        ("device", past.device), ("took", seconds(past.seconds) if past.seconds else ""),
        ("digest", str(output.get("digest") or "")),
    ]  # fmt: skip
    values = {**_defaults(past.workflow), **origin.values}
    if output.get("variant") is None and past.variants > 1:
        values |= sets_of(past)[1]
    found += [(name, value if isinstance(value, str) else quoted(value, 200)) for name, value in values.items()]
    return [(name, value) for name, value in found if value]


def _defaults(text: str) -> dict[str, Any]:
    """The params of a workflow with their defaults; none if it is no workflow."""
    import json

    try:
        params = json.loads(text).get("params", {})
        raw = {name: p.get("default") if isinstance(p, dict) else p for name, p in params.items()}
    except (ValueError, AttributeError):
        return {}
    return {name: value for name, value in raw.items() if value is not None}
