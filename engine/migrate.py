"""Bringing older workflow files up to date, in memory: an ordered list of pure functions from dict to dict.

Each is registered for the format that it reads, returns the next format, and has a pair of files in
tests/engine/migrations: NAME.before.json and NAME.after.json.
"""

from collections.abc import Callable
from typing import Any

FORMAT = 1
"""The format that this weft writes, and the newest that it reads."""

Migration = Callable[[dict[str, Any]], dict[str, Any]]
_migrations: dict[int, Migration] = {}


def migration(reads: int) -> Callable[[Migration], Migration]:
    """Register a function that turns format `reads` into format `reads` + 1."""

    def add(function: Migration) -> Migration:
        _migrations[reads] = function
        return function

    return add


def migrate(data: dict[str, Any], version: int) -> dict[str, Any]:
    """The workflow in the current format. KeyError if no way leads there from `version`."""
    while version < FORMAT:
        data = _migrations[version](data)
        version += 1
    return data


@migration(reads=0)
def links_become_text(data: dict[str, Any]) -> dict[str, Any]:
    """Format 0 (the drafts before 1): links were {"from": "node.output"}, params {"param": "name"}, ids under "id"."""

    def value(item: Any) -> Any:
        if isinstance(item, dict) and set(item) == {"from"}:
            return f"@{item['from']}"
        if isinstance(item, dict) and set(item) == {"param"}:
            return f"${item['param']}"
        if isinstance(item, list):
            return [value(i) for i in item]
        if isinstance(item, str) and item[:1] in ("@", "$"):
            return item[0] + item
        return item

    nodes = {}
    for node in data.get("nodes", []):
        rest = {k: value(v) for k, v in node.get("inputs", {}).items()}
        nodes[node["id"]] = {"type": node["type"], **rest}
    kept = {k: v for k, v in data.items() if k not in ("format", "nodes")}
    return {"format": 1, **kept, "nodes": nodes}
