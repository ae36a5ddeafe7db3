"""What is in a file that is to be imported, and the workflow of it."""

import json as jsons
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.importing import a1111, api, litegraph, tidy
from commands.importing.graph import ComfyGraph
from commands.importing.translate import Import, mapped, translate
from engine.errors import Place, Problem, WeftError, error
from engine.jsontext import Json, parse
from engine.opening import PICTURE_LIMIT, kind_of
from engine.source import Source, decode, read_bytes, read_source
from engine.text import visible

if TYPE_CHECKING:
    from engine.registry import Registry

OURS = "this is a workflow of weft's already"

_CHANGED = re.compile(r'("is_changed"\s*:\s*\[)([^\[\]{}"]*)(\])')
"""What ComfyUI notes of files that may change: often NaN, which is no JSON. Nothing of it is read."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A workflow made of what another program wrote: its text, and what there is to say (`translate.Import`).

    origin: the program. nodes: how many it had there. made: how many it has now.
    """

    text: str
    origin: str
    nodes: int
    made: int
    unmatched: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def imported(path: Path, notes: bool = False) -> Imported:
    """The workflow of a file. notes: keep what it says in words in the workflow.

    Raises what reading it raises, E-NOMETA for a picture without any such text, and as `graph_of` and `translate`.
    """
    source = text_of(path)
    if not source.text.lstrip().startswith(("{", "[")) and a1111.is_a1111(source.text):
        return _finished(a1111.translate(source.text), "A1111", 1, notes)
    graph = graph_of(source)
    return _finished(translate(graph), "ComfyUI", len(graph.nodes), notes)


def text_of(path: Path) -> Source:
    """The text that a file holds: its own, or of a picture ComfyUI's prompt, else its workflow, else A1111's text."""
    name = visible(str(path))
    if kind_of(path) != "picture":
        return read_source(path)
    from engine.pictures.texts import texts
    from engine.share.picture import found_in

    data = read_bytes(path, PICTURE_LIMIT, name)
    ours = found_in(data, name)
    if ours.workflow or ours.lock:
        raise _ours(name)
    found: dict[str, str] = {}
    for key, text in texts(data, name):
        found.setdefault(key, text)
    for key in ("prompt", "workflow", "parameters"):
        if key in found and (key == "parameters" or found[key].lstrip().startswith("{")):
            return decode(found[key].encode("utf-8", "surrogatepass"), name)
    hint = "open a picture that ComfyUI or stable-diffusion-webui saved, with its metadata"
    raise error(Problem("E-NOMETA", "no generation data", hint, Place(name)))


def graph_of(source: Source) -> ComfyGraph:
    """The ComfyUI graph in a text. Raises E-CLI for a workflow of weft's own, and E-FOREIGN for anything else."""
    json = parsed(source)
    value: Any = json.value
    if litegraph.is_ui(value):
        return litegraph.read(json)
    if isinstance(value, Mapping) and isinstance(value.get("nodes"), dict) and "format" in value:
        raise _ours(source.name)
    if api.is_api(value):
        return api.read(json)
    what = "neither a ComfyUI workflow, nor a ComfyUI prompt, nor A1111's text"
    raise error(Problem("E-FOREIGN", what, "save it in ComfyUI with Save, or Export (API)", Place(source.name)))


def _ours(name: str) -> WeftError:
    return error(Problem("E-CLI", OURS, "weft run takes it as it is", Place(name)))


def parsed(source: Source) -> Json:
    """The JSON of a text, without the NaN that Python writes into a note of ComfyUI's. Errors as in `parse`."""
    try:
        return parse(source)
    except WeftError:
        text = _CHANGED.sub(lambda m: m[1] + " " * len(m[2]) + m[3], source.text)
        if text == source.text:
            raise
        return parse(Source(source.name, text, source.notes))


def _finished(done: Import, origin: str, nodes: int, notes: bool) -> Imported:
    unmatched, differs, said = (list(dict.fromkeys(part)) for part in (done.unmatched, done.differs, done.said))
    parts = [f"Imported from {origin}."]
    if unmatched:
        parts += ["Without a match:", *(f"- {line}" for line in unmatched)]
    if differs:
        parts += ["What differs:", *(f"- {line}" for line in differs)]
    if notes and said:
        parts += ["What the file says:", *(f"- {line}" for line in said)]
    document = tidy.workflow(done.builder, "\n".join(parts))
    return Imported(tidy.laid_out(document), origin, nodes, len(document["nodes"]), unmatched, differs, said)


def count(path: Path) -> tuple[int, int]:
    """(how many nodes of a ComfyUI file have a match, how many there are). Errors as in `graph_of`."""
    graph = graph_of(read_source(path))
    return mapped(graph), len(graph.nodes)


def checked(text: str, registry: "Registry") -> list[Problem]:
    """What is wrong with a workflow, as `weft check` finds it before it looks for files."""
    from engine.compile import check
    from engine.document import from_value

    return [p for p in check(from_value(jsons.loads(text)), registry)[1] if not p.is_warning]
