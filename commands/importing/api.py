"""ComfyUI's API format: {id: {"class_type": type, "inputs": {name: constant or [id, slot]}}}."""

from typing import Any

from commands.importing.core import Signature, signatures
from commands.importing.graph import NODE_LIMIT, ComfyGraph, ComfyNode, Link, place_of, shown
from commands.importing.widgets import BROWSER, typed
from engine.errors import Place, Problem, error
from engine.jsontext import Json, JsonPath
from engine.text import visible


def is_api(value: Any) -> bool:
    """Whether JSON is a prompt in the API format, or an object around one."""
    prompt = inner(value)
    return bool(prompt) and all(isinstance(n, dict) and "class_type" in n for n in prompt.values())


def inner(value: Any) -> dict[str, Any]:
    """The nodes of a prompt: the object itself, or what stands under its key "prompt"."""
    if not isinstance(value, dict):
        return {}
    prompt = value.get("prompt")
    return prompt if isinstance(prompt, dict) and "class_type" not in value else value


def read(json: Json) -> ComfyGraph:
    """The graph of a prompt. Raises E-LIMIT, and all that is wrong with nodes and their values (`check`)."""
    value: Any = json.value
    nodes = inner(value)
    above: JsonPath = () if nodes is value else ("prompt",)
    if len(nodes) > NODE_LIMIT:
        raise error(Problem("E-LIMIT", f"{len(nodes)} nodes, limit {NODE_LIMIT}", place=Place(json.source.name)))
    graph, problems = ComfyGraph(), []
    for name, node in nodes.items():
        place = where(json, (*above, name), name)
        inputs = node.get("inputs", {})
        if not isinstance(node["class_type"], str) or not isinstance(inputs, dict):
            what = '"class_type" must be text, and "inputs" an object'
            problems.append(Problem("E-SHAPE", what, place=place))
            continue
        made = ComfyNode(name, node["class_type"], place=place)
        made.inputs = {key: _value(item) for key, item in inputs.items() if key not in BROWSER}
        graph.nodes[name] = made
    if problems:
        raise error(problems)
    check(graph)
    return graph


def where(json: Json, path: JsonPath, name: str) -> Place:
    """The place of a node in a file."""
    line, column = json.locate(path)
    return Place(json.source.name, line, column, visible(name, 64))


def _value(item: Any) -> Any:
    if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) and type(item[1]) is int:
        return Link(item[0], item[1])
    return item


def check(graph: ComfyGraph) -> None:
    """Give the values of known nodes the types that their inputs take.

    Raises all that is wrong: E-TYPE for a value of another kind, E-LINK for an output that a known node has not.
    What a known node has no input for is said, and left out.
    """
    table, problems = signatures(), []
    for node in graph.nodes.values():
        problems += [p for name, link in node.inputs.items() if (p := _slot(graph, node, name, link)) is not None]
        signature = table.get(node.type)
        if signature is not None:
            problems += _typed(graph, node, signature)
    if problems:
        raise error(problems)


def _slot(graph: ComfyGraph, node: ComfyNode, name: str, link: Any) -> Problem | None:
    if not isinstance(link, Link) or link.node not in graph.nodes:
        return None
    source = graph.nodes[link.node]
    signature = signatures().get(source.type)
    if link.slot >= 0 and (signature is None or link.slot < len(signature.outputs)):
        return None
    count = "no outputs" if signature is None or not signature.outputs else f"outputs 0 to {len(signature.outputs) - 1}"
    what = f"output {link.slot} of {source.called}, which has {count}"
    return Problem("E-LINK", what, "link one that is there", place_of(node, name))


def _typed(graph: ComfyGraph, node: ComfyNode, signature: Signature) -> list[Problem]:
    problems, found = [], {}
    for name, value in node.inputs.items():
        socket = signature.inputs.get(name)
        if socket is None:
            if not isinstance(value, Link):
                graph.said.append(f'{node.called}: "{visible(name, 40)}" is no input that weft knows of it; left out')
            continue
        if isinstance(value, Link):
            found[name] = value
            continue
        try:
            found[name] = typed(socket, value)
        except TypeError as why:
            what = f"{shown(value)}; expected {why}"
            problems.append(Problem("E-TYPE", what, "open it in ComfyUI, and save it again", place_of(node, name)))
    node.inputs = found
    return problems
