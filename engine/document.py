"""A workflow file as it was read: plain JSON in the current format, with the place of every part of it."""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import Place, Problem, error
from engine.jsontext import Json, dump_canonical, parse
from engine.migrate import FORMAT, migrate
from engine.source import Source, read_source
from engine.text import did_you_mean, quoted

TOP_KEYS = ("format", "name", "about", "params", "nodes")
NODE_LIMIT = 10_000
NODE_ID = re.compile(r"(?!__)[A-Za-z0-9_-]{1,64}\Z")
PARAM_NAME = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]{0,63}\Z")


@dataclass(frozen=True, eq=False)
class Document:
    """A workflow before it is checked against any node class.

    data: the workflow in the current format. name: how messages call the file. folder: where the files that its
    nodes read lie. json: the text it came from; None for one built in Python.
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

    def problem(self, code: str, what: str, hint: str = "", *, path: tuple[str | int, ...] = (), key: bool = False,
                exit_code: int = 2) -> Problem:  # fmt: skip
        """A problem at the part of the file that `path` names, or at its key."""
        node = str(path[1]) if len(path) > 1 and path[0] == "nodes" else ""
        name = str(path[2]) if node and len(path) > 2 else ""
        if path[:1] == ("params",) and len(path) > 1:
            node = f"${path[1]}"
        place, excerpt = Place(self.name, node=node, input=name), ""
        if self.json is not None:
            line, column = self.json.locate(path, key)
            place = Place(self.name, line, column, node, name)
            excerpt = self.json.excerpt(line, column) if path else ""
        return Problem(code, what, hint, place, exit_code, excerpt)

    def canonical(self) -> str:
        """The one JSON text of this workflow."""
        return dump_canonical(self.data)

    def resolved(self, values: Mapping[str, Any], literals: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
        """The workflow with these values in its params and literal inputs: what an image made by it carries."""
        data = copy.deepcopy(self.data)
        for name, value in values.items():
            declared = data["params"][name]
            if isinstance(declared, dict):
                declared["default"] = value
            else:
                data["params"][name] = value
        for (node, name), value in literals.items():
            data["nodes"][node][name] = escape(value)
        return data


def escape(value: Any) -> Any:
    """A literal as a file writes it: text that begins with @ or $ gets that mark twice."""
    return value[0] + value if isinstance(value, str) and value[:1] in ("@", "$") else value


def read(path: Path) -> Document:
    """The document in a workflow file. Raises what is wrong with the file, its JSON, or its outermost shape."""
    source = read_source(path)
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
    from engine.errors import WeftError

    try:
        text = dump_canonical(value)  # type: ignore[arg-type]
        return from_text(text, name, folder)
    except (TypeError, ValueError, RecursionError) as why:
        if isinstance(why, WeftError):
            raise
        raise error(Problem("E-SHAPE", f"not a workflow: {why}", "give plain JSON values", Place(name))) from why


def _shape(draft: Document, value: Any) -> Document:
    """Check the outermost shape, which everything else rests on, and bring an older format up to date."""
    problem = draft.problem
    if not isinstance(value, dict):
        named = {list: "a list", str: "text", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
        raise error(problem("E-SHAPE", f'{named}; expected an object with "nodes"'))
    _foreign(draft, value)
    version = value.get("format", FORMAT if "nodes" in value else None)
    if version is None:
        raise error(problem("E-SHAPE", 'no "nodes"; expected an object with "nodes"', _near_top(value)))
    if type(version) is not int or version < 0:
        raise error(problem("E-VERSION", f"format {quoted(version)}; expected {FORMAT}", path=("format",)))
    if version > FORMAT:
        what = f"written for format {version}, this weft reads up to {FORMAT}"
        raise error(problem("E-VERSION", what, "update weft", path=("format",)))
    if version < FORMAT:
        try:
            value = migrate(value, version)
        except (KeyError, TypeError, AttributeError) as why:
            raise error(problem("E-SHAPE", f"a damaged file of format {version}: {why!r}")) from why
    problems = [
        problem("E-KEY", f"{quoted(key)} unknown", did_you_mean(key, TOP_KEYS), path=(key,), key=True)
        for key in value
        if key not in TOP_KEYS
    ]
    if "format" not in value:
        problems.append(problem("E-MISSING", '"format" is required', f'add "format": {FORMAT}'))
    for key, kind, name in (("name", str, "text"), ("about", str, "text"), ("params", dict, "an object")):
        if key in value and not isinstance(value[key], kind):
            problems.append(problem("E-SHAPE", f'"{key}" must be {name}', path=(key,)))
    nodes = value.get("nodes")
    if not isinstance(nodes, dict):
        what = 'no "nodes"' if nodes is None else '"nodes" must be an object'
        problems.append(problem("E-SHAPE", f'{what}; expected an object with "nodes"', path=("nodes",)))
    elif len(nodes) > NODE_LIMIT:
        problems.append(problem("E-LIMIT", f"{len(nodes)} nodes, limit {NODE_LIMIT}", path=("nodes",)))
    if problems:
        raise error(problems)
    return Document(value, draft.name, draft.folder, draft.path, draft.json, draft.notes)


def _foreign(draft: Document, value: dict[str, Any]) -> None:
    """Refuse ComfyUI's two formats by name: its editor's file and its API's prompt."""
    if isinstance(value.get("nodes"), list) and "links" in value:
        count = len(value["nodes"])
        raise error(draft.problem("E-FOREIGN", f"this is a ComfyUI workflow with {count} nodes", "try: weft import"))
    if value and all(isinstance(n, dict) and "class_type" in n for n in value.values()):
        what = f"this is a ComfyUI prompt (API format) with {len(value)} nodes"
        raise error(draft.problem("E-FOREIGN", what, "try: weft import"))


def _near_top(value: dict[str, Any]) -> str:
    from engine.text import nearest

    found = next((k for k in value if nearest(k, ["nodes"])), None)
    return f'did you mean "nodes" for {quoted(found)}?' if found else ""
