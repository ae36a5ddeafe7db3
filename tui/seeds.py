"""Seeds: which a workflow has, and what becomes of them at each run.

The value in the file is the one that the next run takes, so that what is shown is what was run: with `random` each run
writes a new one first, with `increment` the next one if this one was run already. Both are changes that can be undone.
"""

import secrets
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from engine.spec import InputSpec
from tui.fields import Field, fields_of, params_of
from tui.session import Session

Mode = Literal["fixed", "increment", "random"]
MODES: tuple[Mode, ...] = get_args(Mode)
LARGEST = 2**32 - 1


def draw() -> int:
    """A seed that can be read out and typed."""
    return secrets.randbits(32)


def seeds_of(session: Session) -> list[Field]:
    """The seeds that can be set: params first, then inputs with a value of their own."""
    having = [node for node in session.nodes if any(spec.seed for spec in _specs(session, node))]
    own = [f for node in having for f in fields_of(session, node) if f.kind == "seed" and not f.param]
    fed = [f for f in own if f.editable and not (f.is_default and f.spec is not None and f.spec.optional)]
    return [*(f for f in params_of(session) if f.kind == "seed"), *fed]


def _specs(session: Session, node: str) -> Iterable[InputSpec]:
    cls = session.cls(node)
    return cls.inputs.values() if cls is not None else ()


def next_seeds(session: Session, mode: Mode, ran: Mapping[str, object]) -> dict[str, int]:
    """The values to write before a run. ran: the seeds of the last run, by the same names."""
    if mode == "fixed":
        return {}
    found: dict[str, int] = {}
    for field in seeds_of(session):
        value = field.value
        if mode == "random":
            found[field.key] = draw()
        elif isinstance(value, int) and value >= 0 and ran.get(field.key) == value:
            found[field.key] = value + 1 if value < LARGEST else 0
    return found
