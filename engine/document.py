"""A workflow file as it was read: plain JSON in the current format, with the place of every part of it."""

import copy
import json as jsons
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.errors import Place, Problem, error
from engine.graph import escape
from engine.jsontext import Json, JsonPath, parse
from engine.migrate import FORMAT, Damaged, migrate
from engine.opening import workflow_text
from engine.source import Source
from engine.text import did_you_mean, nearest, quoted, visible

TOP_KEYS = ("format", "name", "about", "params", "nodes")
NODE_LIMIT = 10_000
KEYS_TOLD = 20
"""Unknown keys beside "nodes" that are reported."""
NODE_ID = re.compile(r"(?!__)[A-Za-z0-9_-]{1,64}\Z")
PARAM_NAME = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]{0,63}\Z")


@dataclass(frozen=True, eq=False)
class Document:
    """A workflow before it is checked against any node class.

    data: the workflow in the current format. name: how messages call the file. folder: where the files that its
    nodes read lie. json: the text it came from; None for one built in Python. notes: problems found while it was
    read; the errors among them are raised when it is compiled, together with all others.
    """

    data: dict[str, Any]
    name: str = ""
    folder: Path = field(default_factory=Path)
    path: Path | None = None
    json: Json | None = None
    notes: tuple[Problem, ...] = ()

    @property
    def nodes(self) -> dict[str, dict[str, Any]]:
        """The nodes by id."""
        nodes: dict[str, dict[str, Any]] = self.data["nodes"]
        return nodes

    @property
    def params(self) -> dict[str, Any]:
        """The params by name, as they are written."""
        params: dict[str, Any] = self.data.get("params", {})
        return params

    def problem(self, code: str, what: str, hint: str = "", *, path: JsonPath = (), key: bool = False) -> Problem:
        """A problem at the part of the file that `path` names, or at its key."""
        return self.placed(Problem(code, what, hint), path, key)

    def placed(self, found: Problem, path: JsonPath, key: bool = False) -> Problem:
        """The problem with its place: the part of the file that `path` names, or the key of that part."""
        node = name = ""
        if len(path) > 1:
            node = visible(str(path[1]), 64) if path[0] == "nodes" else f"${visible(str(path[1]), 64)}"
        if len(path) > 2 and path[0] == "nodes":
            name = visible(str(path[2]), 64)
        if self.json is None:
            return replace(found, place=Place(self.name, node=node, input=name))
        line, column = self.json.locate(path, key)
        excerpt = self.json.excerpt(line, column) if path else ""
        return replace(found, place=Place(self.name, line, column, node, name), excerpt=excerpt)

    def resolved(self, values: Mapping[str, Any], literals: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
        """The workflow with these values in its params and literal inputs: what an image made by it carries."""
        data = copy.deepcopy(self.data)
        for name, value in values.items():
            declared = data["params"][name]
            if isinstance(declared, dict):
                declared["default"] = escape(value)
            else:
                data["params"][name] = {"default": value} if isinstance(value, dict) else escape(value)
        for (node, name), value in literals.items():
            data["nodes"][node][name] = escape(value)
        return data


def read(path: Path, name: str = "") -> Document:
    """The document in a workflow file or a picture that carries one; messages call it `name` (or else by its path).

    Raises what is wrong with the file, its JSON, or its outermost shape.
    """
    source = workflow_text(path, name)
    return from_source(source, path)


def from_text(text: str, name: str = "workflow", folder: Path | None = None) -> Document:
    """The document in a text."""
    return from_source(Source(name, text), None, folder)


def from_source(source: Source, path: Path | None, folder: Path | None = None) -> Document:
    """The document in what was read from a file."""
    json = parse(source)
    base = folder or (path.parent if path else Path())
    draft = Document({"nodes": {}}, source.name, base, path, json, source.notes)
    return _shape(draft, json.value)


def from_value(value: object, name: str = "workflow", folder: Path | None = None) -> Document:
    """The document in a Python value, held to the same rules as a file."""
    try:
        text = jsons.dumps(value, indent=2)
        _refuse_other_keys(value)
    except (TypeError, ValueError, RecursionError) as why:
        raise error(Problem("E-SHAPE", f"not plain JSON: {visible(str(why))}", "give dicts, lists, text and numbers",
                            Place(name))) from why  # fmt: skip
    # Lines of a text that nobody has seen would mislead: the places of this document are its nodes and inputs.
    return _shape(Document({"nodes": {}}, name, folder or Path()), parse(Source(name, text)).value)


def _refuse_other_keys(value: object) -> None:
    """TypeError for a key that is no text, which JSON would silently turn into one."""
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            for key in part:
                if not isinstance(key, str):
                    raise TypeError(f"key {key!r} must be text")
            pending.extend(part.values())
        elif isinstance(part, list | tuple):
            pending.extend(part)


def _shape(draft: Document, value: Any) -> Document:
    """Check the outermost shape, and bring an older format up to date.

    What everything else rests on is raised at once; other problems wait in the document's notes.
    """
    problem = draft.problem
    if not isinstance(value, dict):
        named = {list: "a list", str: "text", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
        raise error(problem("E-SHAPE", f'{named}; expected an object with "nodes"'))
    _foreign(draft, value)
    value = _current(draft, value)
    notes, fatal = list(draft.notes), False
    for key in [key for key in value if key not in TOP_KEYS][:KEYS_TOLD]:
        notes.append(problem("E-KEY", f"{quoted(key)} unknown", did_you_mean(key, TOP_KEYS), path=(key,), key=True))
        fatal |= bool(nearest(key, [k for k in ("nodes", "params") if k not in value]))
    for key in ("name", "about"):
        if key in value and not isinstance(value[key], str):
            notes.append(problem("E-SHAPE", f'"{key}" must be text', path=(key,)))
    if not isinstance(value.get("params", {}), dict):
        notes.append(problem("E-SHAPE", '"params" must be an object', path=("params",)))
        fatal = True
    nodes = value.get("nodes")
    if "nodes" not in value and not fatal:
        notes.append(problem("E-SHAPE", 'no "nodes"; expected an object with "nodes"'))
        fatal = True
    elif "nodes" in value and not isinstance(nodes, dict):
        notes.append(problem("E-SHAPE", '"nodes" must be an object', path=("nodes",)))
        fatal = True
    elif nodes and len(nodes) > NODE_LIMIT:
        notes.append(problem("E-LIMIT", f"{len(nodes)} nodes, limit {NODE_LIMIT}", path=("nodes",)))
        fatal = True
    if "format" not in value and "nodes" in value:
        notes.append(problem("E-MISSING", '"format" is required', f'add "format": {FORMAT}'))
    if fatal:
        raise error(notes)
    return replace(draft, data=value, notes=tuple(notes))


def _current(draft: Document, value: dict[str, Any]) -> dict[str, Any]:
    """The workflow in the current format."""
    version = value.get("format", FORMAT)
    if type(version) is not int or version < 0:
        raise error(draft.problem("E-VERSION", f"format {quoted(version)}; expected {FORMAT}", path=("format",)))
    if version > FORMAT:
        what = f"written for format {version}, this weft reads up to {FORMAT}"
        raise error(draft.problem("E-VERSION", what, "update weft", path=("format",)))
    try:
        return migrate(value, version)
    except Damaged as why:
        raise error(draft.problem("E-SHAPE", f"damaged for a file of format {version}: {why}")) from why


def _foreign(draft: Document, value: dict[str, Any]) -> None:
    """Refuse ComfyUI's two formats by name: its editor's file and its API's prompt."""
    if isinstance(value.get("nodes"), list) and "links" in value:
        count = len(value["nodes"])
        raise error(draft.problem("E-FOREIGN", f"this is a ComfyUI workflow with {count} nodes", "try: weft import"))
    prompt = value["prompt"] if isinstance(value.get("prompt"), dict) else value
    if prompt and all(isinstance(n, dict) and "class_type" in n for n in prompt.values()):
        what = f"this is a ComfyUI prompt (API format) with {len(prompt)} nodes"
        raise error(draft.problem("E-FOREIGN", what, "try: weft import"))
