"""Bringing older workflow files up to date, in memory: an ordered list of pure functions from dict to dict.

Each is registered for the format that it reads, returns the next format, and has a pair of files in
tests/engine/migrations: NAME.before.json and NAME.after.json. What it cannot make sense of it calls `Damaged`.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from engine.graph import escape
from engine.text import quoted

FORMAT = 1
"""The format that this weft writes, and the newest that it reads."""

T = TypeVar("T")
Migration = Callable[[dict[str, Any]], dict[str, Any]]
MIGRATIONS: dict[int, Migration] = {}
"""By the format that each reads."""


class Damaged(Exception):
    """A file is not what its format says; the message tells how."""


def migration(reads: int) -> Callable[[Migration], Migration]:
    """Register a function that turns format `reads` into format `reads` + 1."""

    def add(function: Migration) -> Migration:
        MIGRATIONS[reads] = function
        return function

    return add


def migrate(data: dict[str, Any], version: int) -> dict[str, Any]:
    """The workflow in the current format; `data` stays as it is. Raises Damaged."""
    while version < FORMAT:
        data = MIGRATIONS[version](data)
        version += 1
    return data


@migration(reads=0)
def links_become_text(data: dict[str, Any]) -> dict[str, Any]:
    """Format 0 (the drafts before 1): nodes in a list, with "id" and "inputs"; {"from": "node.output"} was a link and
    {"param": "name"} a param, so that no text needed a mark."""
    nodes: dict[str, Any] = {}
    for index, node in enumerate(_of(list, data.get("nodes"), '"nodes"')):
        where = f"node {index + 1}"
        name = _of(str, _of(dict, node, where).get("id"), f'"id" of {where}')
        if name in nodes:
            raise Damaged(f"node {quoted(name)} stands twice")
        inputs = _of(dict, node.get("inputs", {}), f'"inputs" of {where}')
        kept = {key: value for key, value in node.items() if key not in ("id", "inputs")}
        if both := sorted({*kept} & {*inputs}):
            raise Damaged(f"{where} has an input called {quoted(both[0])}")
        nodes[name] = {**kept, **{key: _marked(value) for key, value in inputs.items()}}
    kept = {key: value for key, value in data.items() if key not in ("format", "nodes")}
    if "params" in kept:
        kept["params"] = {name: _declared(value) for name, value in _of(dict, kept["params"], '"params"').items()}
    return {"format": 1, **kept, "nodes": nodes}


def _marked(value: Any) -> Any:
    """A value of format 0 as format 1 writes it."""
    if isinstance(value, list):
        return [_marked(item) for item in value]
    if isinstance(value, dict) and set(value) in ({"from"}, {"param"}):
        (kind, name), *_ = value.items()
        return {"from": "@", "param": "$"}[kind] + _of(str, name, f'"{kind}"')
    return escape(value)


def _declared(value: Any) -> Any:
    """A param of format 0 as format 1 writes it."""
    if isinstance(value, dict):
        return {**value, "default": escape(value["default"])} if "default" in value else value
    return escape(value)


def _of(kind: type[T], value: Any, what: str) -> T:
    """The value, which must be of that kind; `what` calls it in messages."""
    if not isinstance(value, kind):
        named = {"list": "a list", "dict": "an object", "str": "text"}[kind.__name__]
        raise Damaged(f"{what} must be {named}, not {quoted(value)}")
    return value
