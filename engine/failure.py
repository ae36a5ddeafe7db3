"""What a node did wrong, in words: outputs that are not what it declares, and exceptions."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from engine.errors import OutOfMemory, Place, Problem, RunError, WeftError
from engine.graph import NodeDef, upstream
from engine.node import Node, output_type
from engine.spec import Bad
from engine.text import visible

Explain = Callable[[Exception, NodeDef], Problem | None]
"""Turns an error of a library into a problem in words; None if it has no better ones."""

_SIZES = ("width", "height", "batch")
_TILE = "tile"
_SLICING = "slicing"


_output_type = functools.cache(output_type)


def outputs(cls: type[Node], returned: Any) -> dict[str, Any]:
    """What `run` returned, by output, checked against what the class declares. Raises RunError."""
    if cls.single:
        values = {next(iter(cls.outputs)): returned}
    elif not isinstance(returned, tuple) or len(returned) != len(cls.outputs):
        count = len(returned) if isinstance(returned, tuple) else type(returned).__name__
        raise _returned(cls, f"{count} instead of {len(cls.outputs)} outputs ({', '.join(cls.outputs)})")
    else:
        values = dict(zip(cls.outputs, returned, strict=True))
    for name, value in values.items():
        kind, may_be_none = _output_type(cls, name)
        if value is None and may_be_none:
            continue
        if kind is float and type(value) is int:
            values[name] = float(value)
        elif not isinstance(value, kind) or (type(value) is bool and kind is not bool):
            raise _returned(cls, f"{type(value).__name__} for {name}, but declares {kind.__name__}")
    return values


def _returned(cls: type[Node], what: str) -> RunError:
    hint = f"this is a mistake in the node {cls.__name__}, not in the workflow"
    return RunError(Problem("E-RUN", f"{cls.__name__} returned {what}", hint, exit_code=1))


def problems_of(
    why: BaseException, node: NodeDef, nodes: Mapping[str, NodeDef], explain: Explain
) -> tuple[Problem, ...]:
    """An exception that a node of the graph `nodes` met, as problems at that node."""
    if isinstance(why, WeftError):
        return tuple(p.at(replace(p.place, node=node.id)) for p in why.problems)
    found = explain(why, node) if isinstance(why, Exception) else None
    if found is None and isinstance(why, ValidationError):
        return tuple(_invalid(error, node) for error in why.errors())
    if found is None:
        found = _in_words(why)
    if found.code == "E-MEMORY" and not found.hint:
        more = why.levers if isinstance(why, OutOfMemory) else ()
        found = replace(found, hint=levers(node, nodes, more))
    return (found.at(Place(node=node.id, input=found.place.input)),)


def _in_words(why: BaseException) -> Problem:
    text = visible(str(why), 1000)
    if isinstance(why, MemoryError) or _is_of_a_tensor(why):
        return Problem("E-MEMORY", f"out of memory: {text}" if text else "out of memory", exit_code=1)
    if isinstance(why, SystemExit):
        return Problem("E-RUN", "the node tried to end the program", "the run goes on without it", exit_code=1)
    if isinstance(why, OSError) and why.strerror:
        named = f": {visible(str(why.filename))}" if why.filename else ""
        return Problem("E-RUN", f"{why.strerror}{named}", exit_code=1)
    if isinstance(why, ValueError) and text:
        return Problem("E-RUN", text, exit_code=1)
    what = f"{type(why).__name__}: {text}" if text else type(why).__name__
    return Problem("E-RUN", what, "--debug shows the traceback", exit_code=1)


def _is_of_a_tensor(why: BaseException) -> bool:
    """Whether a library of tensors found no memory: an error of its own, or a plain one that says so."""
    return type(why).__name__ == "OutOfMemoryError" or (
        isinstance(why, RuntimeError) and "can't allocate memory" in str(why)
    )


def _invalid(error: Any, node: NodeDef) -> Problem:
    """A value that came over a link and does not fit its input, in the words that a literal would have got."""
    name = str(error["loc"][0]) if error["loc"] else ""
    place = Place(node=node.id, input=name)
    try:
        if name in node.cls.inputs:
            node.cls.inputs[name].check(error["input"])
    except Bad as bad:
        return replace(bad.problem, place=place, exit_code=1)
    return Problem("E-TYPE", visible(error["msg"]), place=place, exit_code=1)


def levers(node: NodeDef, nodes: Mapping[str, NodeDef], more: Sequence[str] = ()) -> str:
    """What this workflow could make smaller, for a node that ran out of memory, and what else the node names."""
    needed = upstream(nodes, [node.id])
    smaller: list[str] = []
    tiles: list[str] = []
    slices: list[str] = []
    several = False
    for name in (n for n in nodes if n in needed):
        for key, value in nodes[name].literals.items():
            if key in _SIZES and type(value) is int and value > 1:
                smaller.append(f"{name}.{key}={value}")
                several |= key == "batch"
            elif key == _TILE and value == 0:
                tiles.append(f"{name}.{key}")
            elif key == _SLICING and value is False:
                slices.append(f"{name}.{key}=true")
    advice = [f"make one of these smaller: {', '.join(smaller)}"] if smaller else []
    advice += [f"set {', '.join(tiles)} to work in tiles"] if tiles else []
    advice += [f"set {', '.join(slices)} for one picture at a time"] if slices and several else []
    return "; or ".join([*advice, *more]) or "close other programs that use memory"
