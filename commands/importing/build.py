"""Nodes of ours as they are made, before they have names: equal ones are one, and what nothing needs is left out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class Made:
    """A node: its type, inputs (constants, and `Out` for links), and the name that it would like to have."""

    type: str
    inputs: dict[str, Any]
    number: int
    name: str = ""
    about: str = ""
    unmatched: bool = False
    """Whether it is of a type that weft has not."""


@dataclass(frozen=True, slots=True)
class Out:
    """An output of a node; without a name, its only one."""

    node: Made
    output: str = ""


@dataclass(slots=True)
class Builder:
    """The nodes in the order in which they were made, which is one in which they can run."""

    nodes: list[Made] = field(default_factory=list)
    _by_key: dict[str, Made] = field(default_factory=dict)

    def add(self, kind: str, inputs: Mapping[str, Any], name: str = "", once: bool = True) -> Made:
        """A node, or the equal one that is there already, unless it is to be made anew (once = False).

        Inputs that are None are left out.
        """
        given = {key: value for key, value in inputs.items() if value is not None}
        key = json.dumps([kind, {k: _key(v) for k, v in given.items()}], sort_keys=True)
        if once and key in self._by_key:
            return self._by_key[key]
        made = Made(kind, given, len(self.nodes), name)
        self.nodes.append(made)
        self._by_key[key] = made
        return made

    def kept(self, ends: frozenset[str]) -> list[Made]:
        """The nodes that those of the types in `ends` need, in order, and these."""
        wanted: set[int] = set()
        pending = [made for made in self.nodes if made.type in ends or made.unmatched]
        while pending:
            made = pending.pop()
            if made.number not in wanted:
                wanted.add(made.number)
                pending.extend(out.node for value in made.inputs.values() for out in outs(value))
        return [made for made in self.nodes if made.number in wanted]


def outs(value: Any) -> list[Out]:
    """The links in the value of an input."""
    if isinstance(value, Out):
        return [value]
    return [item for item in value if isinstance(item, Out)] if isinstance(value, list) else []


def _key(value: Any) -> Any:
    if isinstance(value, Out):
        return {"node": value.node.number, "output": value.output}
    if isinstance(value, list):
        return [_key(item) for item in value]
    return value
