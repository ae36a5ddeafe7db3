"""Nodes of ours as the text of a workflow that a person reads and changes: with names, params, and a line a node."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from commands.importing.build import Builder, Made, Out, outs
from engine.graph import escape
from engine.migrate import FORMAT

SAVING = frozenset({"SaveImage", "SaveModel", "SaveText"})
SIDES = ("positive", "negative")
TEXTS = ("text", "text_2", "text_3")


def workflow(builder: Builder, about: str) -> dict[str, Any]:
    """The workflow of what was made: what something saved needs, in an order in which it can run."""
    made = builder.kept(SAVING)
    sides = _sides(made)
    names = _names(made, sides)
    params = _params(made, sides)
    nodes: dict[str, Any] = {}
    for node in made:
        body: dict[str, Any] = {"type": node.type}
        if node.about:
            body["about"] = node.about
        for key, value in node.inputs.items():
            body[key] = _written(value, names, params.get((node.number, key)))
        nodes[names[node.number]] = body
    declared = {name: escape(value) for name, value in _declared(made, params)}
    for body in nodes.values():
        if body["type"] == "SaveImage" and "seed" in declared:
            body["path"] = f"{body['path'].removesuffix('.png')}-{{seed}}.png"
    return {"format": FORMAT, "about": about, "params": declared, "nodes": nodes}


def laid_out(document: dict[str, Any]) -> str:
    """The text of a workflow: a line for each param and each node."""
    lines = ["{", f'  "format": {document["format"]},']
    if document.get("name"):
        lines.append(f'  "name": {_json(document["name"])},')
    if document.get("about"):
        lines.append(f'  "about": {_json(document["about"])},')
    if document["params"]:
        lines += ['  "params": {', *_rows(document["params"], pad=False), "  },"]
    lines += ['  "nodes": {', *_rows(document["nodes"], pad=True), "  }", "}"]
    return "\n".join(lines) + "\n"


def _rows(items: dict[str, Any], pad: bool) -> Iterator[str]:
    width = max(map(len, items)) + 3 if items and pad else 0
    for i, (name, value) in enumerate(items.items()):
        key = f"{_json(name)}:"
        yield f"    {key:<{width}} {_json(value)}{',' if i < len(items) - 1 else ''}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _written(value: Any, names: dict[int, str], param: str | None) -> Any:
    if param is not None:
        return f"${param}"
    if isinstance(value, Out):
        return f"@{names[value.node.number]}" + (f".{value.output}" if value.output else "")
    if isinstance(value, list):
        return [_written(item, names, None) for item in value]
    return escape(value)


def _sides(made: Sequence[Made]) -> dict[int, str]:
    """Of each node that makes a conditioning, the side of a guider that it feeds: positive before negative."""
    found: dict[int, str] = {}
    for side in SIDES:
        pending = [out.node for node in made for out in outs(node.inputs.get(side))]
        while pending:
            node = pending.pop()
            if node.number in found:
                continue
            found[node.number] = side
            above = (node.inputs.get(name) for name in ("conditioning", "first", "second"))
            pending.extend(out.node for value in above for out in outs(value))
    return found


def _names(made: Sequence[Made], sides: dict[int, str]) -> dict[int, str]:
    """An id for each node: what it would like to be called, with a number behind it where that is taken."""
    found: dict[int, str] = {}
    taken: dict[str, int] = {}
    used: set[str] = set()
    for node in made:
        wish = node.name or node.type.lower()
        if node.type == "TextEncode":
            wish = sides.get(node.number, wish)
        elif node.number in sides and sides[node.number] == "negative":
            wish = f"{wish}_negative"
        count = taken[wish] = taken.get(wish, 0) + 1
        name = wish if count == 1 else f"{wish}_{count}"
        while name in used:
            count = taken[wish] = count + 1
            name = f"{wish}_{count}"
        used.add(name)
        found[node.number] = name
    return found


def _params(made: Sequence[Made], sides: dict[int, str]) -> dict[tuple[int, str], str]:
    """Which inputs are params, and which: the first prompt, negative, seed, steps and size, and what equals them."""
    found: dict[tuple[int, str], str] = {}
    for side, name in zip(SIDES, ("prompt", "negative"), strict=True):
        texts = [(n, key) for n in made for key in TEXTS if n.type == "TextEncode" and key in n.inputs]
        _share(found, name, [(n, key) for n, key in texts if sides.get(n.number) == side])
    _share(found, "seed", [(n, "seed") for n in made if n.type == "Noise"])
    _share(found, "steps", [(n, "steps") for n in made if n.type == "NoiseSchedule" and "steps" in n.inputs])
    for side in ("width", "height"):
        blank = [(n, side) for n in made if n.type == "EmptyLatent"]
        _share(found, side, blank + [(n, side) for n in made if n.type == "NoiseSchedule" and blank])
    return found


def _share(found: dict[tuple[int, str], str], name: str, places: Sequence[tuple[Made, str]]) -> None:
    if not places:
        return
    first, key = places[0]
    value = first.inputs[key]
    if isinstance(value, Out):
        return
    for node, other in places:
        if node.inputs.get(other) == value and type(node.inputs.get(other)) is type(value):
            found[node.number, other] = name


def _declared(made: Sequence[Made], params: dict[tuple[int, str], str]) -> Iterator[tuple[str, Any]]:
    by_number = {node.number: node for node in made}
    values = {name: by_number[number].inputs[key] for (number, key), name in params.items()}
    yield from ((name, values[name]) for name in ("prompt", "negative", "seed", "steps", "width", "height")
                if name in values)  # fmt: skip
