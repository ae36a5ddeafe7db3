"""The grid of a comparison: which variant stands where, what it is called, how far it is. Pure."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commands.inputs import split
from engine.errors import Problem, error
from engine.spec import Bad
from engine.text import quoted
from engine.text import seconds as seconds_text
from tui.board import Run, State
from tui.fields import Field, nudged

MOST = 400
"""Variants that one comparison may have."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Variants in rows and columns. sweep: name -> values, as a run takes it: one axis or two, the first slowest."""

    sweep: Mapping[str, Sequence[Any]]

    @property
    def names(self) -> list[str]:
        """The names of the axes."""
        return list(self.sweep)

    @property
    def count(self) -> int:
        """How many variants."""
        return math.prod(map(len, self.sweep.values()))

    def shape(self, fit: int) -> tuple[int, int]:
        """(rows, columns). Of two axes the second goes across; one axis goes across and wraps after `fit` pictures."""
        lengths = [len(values) for values in self.sweep.values()]
        if len(lengths) > 1:
            return math.prod(lengths[:-1]), lengths[-1]
        columns = max(1, min(lengths[0], fit))
        return math.ceil(lengths[0] / columns), columns

    def values(self, variant: int) -> dict[str, Any]:
        """What a variant sets."""
        found: dict[str, Any] = {}
        for name, items in reversed(list(self.sweep.items())):
            variant, at = divmod(variant, len(items))
            found[name] = items[at]
        return {name: found[name] for name in self.sweep}

    def row_label(self, row: int) -> str:
        """What all of a row have in common; nothing where there is one axis."""
        if len(self.sweep) < 2:
            return ""
        *names, _ = self.names
        values = self.values(row * len(self.sweep[self.names[-1]]))
        return ", ".join(f"{_short(name)} {_said(values[name])}" for name in names)

    def column_label(self, column: int) -> str:
        """What all of a column have in common; nothing where there is one axis."""
        if len(self.sweep) < 2:
            return ""
        name = self.names[-1]
        return f"{_short(name)} {_said(self.sweep[name][column])}"

    def title(self, variant: int) -> str:
        """A variant in a few words: "43 · 6.5"."""
        return " · ".join(_said(value) for value in self.values(variant).values())


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one variant is. part: 0 … 1, negative where that is not known."""

    state: State
    detail: str
    part: float = -1.0


def progress_of(run: Run, variant: int) -> Progress:
    """How far a variant of a run is."""
    cells = [cell for (v, _), cell in run.cells.items() if v == variant]
    running = next((cell for cell in cells if cell.state is State.RUNNING), None)
    if any(cell.state is State.FAILED for cell in cells):
        return Progress(State.FAILED, "failed")
    if running is not None:
        part = running.step / running.total if running.total else -1.0
        return Progress(State.RUNNING, f"{running.step}/{running.total}" if running.total else "running", part)
    saved = any(output.get("variant") == variant for output in run.outputs)
    if saved:
        return Progress(State.DONE, seconds_text(sum(cell.seconds for cell in cells)))
    if any(cell.state is State.CANCELLED for cell in cells) or (not run.active and run.status != "queued"):
        return Progress(State.CANCELLED, "cancelled" if run.status == "cancelled" else run.status)
    return Progress(State.QUEUED, "queued")


def read_axis(field: Field, text: str) -> list[Any]:
    """The values of an axis, as typed: separated by commas, or from…to of whole numbers. Raises WeftError or Bad."""
    parts = [part.strip() for part in split(text)]
    first, dots, last = text.strip().partition("..")
    if dots and first.strip().lstrip("-").isdigit() and last.strip(".").strip().lstrip("-").isdigit():
        low, high = int(first), int(last.strip(".").strip())
        if high - low >= MOST:
            raise error(Problem("E-LIMIT", f"{high - low + 1} values, limit {MOST}"))
        parts = [str(n) for n in range(low, high + 1)]
    if not parts or parts == [""]:
        raise error(Problem("E-SWEEP", "no values", "write some, separated by commas: 3, 5, 8"))
    values = [field.read(part) for part in parts]
    if len(values) > MOST:
        raise error(Problem("E-LIMIT", f"{len(values)} values, limit {MOST}"))
    return values


def typed(values: Sequence[Any]) -> str:
    """Values of an axis as they would be typed; `read_axis` reads them back."""
    texts = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]
    return ", ".join(text.replace(",", "\\,") for text in texts)


def suggested(field: Field, count: int = 3) -> str:
    """Values that one may want to compare, as they would be typed."""
    spec = field.spec
    if spec is not None and spec.choices:
        return ", ".join(spec.choices[:4])
    if field.kind == "flag":
        return "false, true"
    if field.kind == "seed" and isinstance(field.value, int):
        return ", ".join(str(field.value + n) for n in range(count))
    try:
        around = [nudged(field, step * 4) for step in range(-(count // 2), count // 2 + 1)]
    except Bad:
        return str(field.value).replace(",", "\\,") if isinstance(field.value, str) else ""
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in dict.fromkeys(around))


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _said(value: Any) -> str:
    return value if isinstance(value, str) else quoted(value, 24)
