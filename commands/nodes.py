"""weft nodes: the node types, and what each computes and takes."""

import argparse
import inspect
import re
from typing import TYPE_CHECKING, Any

from commands.common import known_nodes, print_json, table
from engine.errors import Problem, error
from engine.node import Node, output_type
from engine.spec import REQUIRED, InputSpec
from engine.text import did_you_mean, quoted
from engine.values import socket_of

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """List the nodes, or explain NAME; returns the exit code."""
    known = known_nodes(registry)
    if args.name:
        cls = known.get(args.name)
        if cls is None:
            hint = did_you_mean(args.name, known.names()) or "weft nodes lists them"
            raise error(Problem("E-NODE", f"{quoted(args.name)} is not a node type", hint))
        if args.json:
            print_json(as_json(cls))
        else:
            print(explain(cls))
        return 0
    classes = [cls for cls in known.classes() if not cls.hidden]
    if args.json:
        print_json([as_json(cls) for cls in classes])
    else:
        print(listing(classes))
    return 0


def listing(classes: list[type[Node]]) -> str:
    """All nodes in groups, one a module, each with the first sentence it says about itself."""
    groups: dict[str, list[type[Node]]] = {}
    for cls in classes:
        groups.setdefault(cls.__module__, []).append(cls)
    column = max((len(cls.__name__) for cls in classes), default=0)
    blocks = []
    for module in sorted(groups):
        lines = [module.removeprefix("nodes.")]
        lines += [f"  {cls.__name__:<{column}}  {_first_sentence(cls)}" for cls in groups[module]]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def explain(cls: type[Node]) -> str:
    """One node: its docstring with formula, symbols and paper, its inputs and its outputs."""
    blocks = [cls.__name__, inspect.cleandoc(cls.__doc__ or "")]
    rows = [(name, spec.type_name, _default(spec), _range(spec), spec.about) for name, spec in cls.inputs.items()]
    if rows:
        head = ("input", "type", "default", "range", "about")
        blocks.append("\n".join(table(rows, head)))
    outputs = [(name, _output(cls, name)) for name in cls.outputs]
    blocks.append("\n".join(table(outputs, ("output", "type"))))
    return "\n\n".join(blocks)


def as_json(cls: type[Node]) -> dict[str, Any]:
    """One node as JSON."""
    inputs = []
    for name, spec in cls.inputs.items():
        one: dict[str, Any] = {"name": name, "type": spec.type_name, "required": spec.default is REQUIRED}
        if spec.default is not REQUIRED:
            one["default"] = spec.default
        one |= {"optional": spec.optional, "about": spec.about}
        one |= {"choices": list(spec.choices)} if spec.choices else {}
        limits = {"min": spec.ge, "max": spec.le, "multiple_of": spec.multiple_of}
        one |= {name: limit for name, limit in limits.items() if limit is not None}
        inputs.append(one)
    return {
        "name": cls.__name__,
        "module": cls.__module__,
        "version": cls.version,
        "about": inspect.cleandoc(cls.__doc__ or ""),
        "effect": cls.effect,
        "inputs": inputs,
        "outputs": [{"name": name, "type": _output(cls, name)} for name in cls.outputs],
    }


def _first_sentence(cls: type[Node]) -> str:
    paragraph = " ".join(inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0].split())
    return re.split(r"(?<=\.)\s(?=[A-Z])", paragraph, maxsplit=1)[0]


def _default(spec: InputSpec) -> str:
    if spec.default is REQUIRED:
        return "required"
    if spec.default is None:
        return "drawn" if spec.seed else "none"
    return quoted(spec.default, 40)


def _range(spec: InputSpec) -> str:
    steps = f"multiple of {spec.multiple_of:g}" if spec.multiple_of else ""
    return ", ".join(filter(None, [*spec.choices, spec.range_text, steps]))


def _output(cls: type[Node], name: str) -> str:
    kind, may_be_none = output_type(cls, name)
    return socket_of(kind).name + (" or nothing" if may_be_none else "")
