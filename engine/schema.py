"""A JSON Schema of workflow files, made from the node classes, so that an editor completes and checks as one types."""

from typing import Any

from engine.document import NODE_LIMIT, TOP_KEYS
from engine.graph import escape
from engine.migrate import FORMAT
from engine.node import Node
from engine.registry import Registry
from engine.spec import REQUIRED, InputSpec

_LINK = {"type": "string", "pattern": "^@[A-Za-z0-9_-]+(\\.[A-Za-z0-9_]+)?$", "description": 'a link: "@node.output"'}
_PARAM = {"type": "string", "pattern": "^\\$[A-Za-z_][A-Za-z0-9_]*$", "description": 'a param: "$name"'}
# Text that begins with @ or $ is a link or a param, unless the mark is doubled.
_TEXT = r"^(?!@[^@]|\$[^$])"
_VALUE: dict[str, Any] = {"type": ["boolean", "number", "string", "null", "array"], "pattern": _TEXT}
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object"}


def schema(registry: Registry) -> dict[str, Any]:
    """The schema of the current format with every node of the registry."""
    nodes = {cls.__name__: _node(cls) for cls in registry.classes()}
    shown = sorted(cls.__name__ for cls in registry.classes() if not cls.hidden)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "weft workflow",
        "type": "object",
        "required": ["format", "nodes"],
        "additionalProperties": False,
        "properties": {
            TOP_KEYS[0]: {"const": FORMAT, "description": "version of the file's grammar"},
            "name": {"type": "string"},
            "about": {"type": "string", "description": "free text"},
            "params": {
                "type": "object",
                "description": "values that a run may set, used as $name",
                "propertyNames": {"pattern": "^(?!__)[A-Za-z_][A-Za-z0-9_]{0,63}$"},
                "additionalProperties": {"anyOf": [_declaration(), _VALUE]},
            },
            "nodes": {
                "type": "object",
                "minProperties": 1,
                "maxProperties": NODE_LIMIT,
                "propertyNames": {"pattern": "^(?!__)[A-Za-z0-9_-]{1,64}$"},
                "additionalProperties": {"$ref": "#/$defs/node"},
            },
        },
        "$defs": {
            "node": {
                "type": "object",
                "required": ["type"],
                "properties": {
                    "type": {
                        "description": "which node; NAME@2 asks for version 2 or newer",
                        "anyOf": [{"enum": shown}, {"type": "string", "pattern": f"^({'|'.join(sorted(nodes))})(@|$)"}],
                    }
                },
                "allOf": [
                    {
                        "if": {"properties": {"type": {"pattern": f"^{name}(@|$)"}}, "required": ["type"]},
                        "then": {"$ref": f"#/$defs/{name}"},
                    }
                    for name in sorted(nodes)
                ],
            },
            **nodes,
        },
    }


def _declaration() -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "default": {**_VALUE, "type": [*_VALUE["type"], "object"]},
            "min": {"type": "number"},
            "max": {"type": "number"},
            "about": {"type": "string"},
        },
    }


def _node(cls: type[Node]) -> dict[str, Any]:
    required = [name for name, spec in cls.inputs.items() if spec.default is REQUIRED]
    return {
        "type": "object",
        "description": " ".join((cls.__doc__ or "").split()),
        "required": ["type", *required],
        "additionalProperties": False,
        "properties": {
            "type": {"enum": [cls.__name__, *(f"{cls.__name__}@{n}" for n in range(1, cls.version + 1))]},
            "about": {"type": "string", "description": "free text"},
            "cache": {"type": "boolean", "description": "false: never kept in the cache"},
            **{name: input_schema(spec) for name, spec in cls.inputs.items()},
        },
    }


def input_schema(spec: InputSpec) -> dict[str, Any]:
    """What may stand in a file for one input: a literal, a link, or a param."""
    marks = ([_PARAM] if spec.literal else []) + ([] if spec.files else [_LINK])
    literals = [_literal(spec, kind) for kind in spec.kinds if kind in _TYPES]
    options = [*literals, *marks]
    if spec.many:
        options = [{"type": "array", "items": {"anyOf": options}}, *marks]
    if spec.optional or spec.seed:
        options.append({"type": "null"})
    out: dict[str, Any] = {"description": f"{spec.type_name}. {spec.about}".strip(), "anyOf": options}
    if spec.default is not REQUIRED and spec.default is not None:
        out["default"] = escape(spec.default)
    return out


def _literal(spec: InputSpec, kind: type) -> dict[str, Any]:
    if kind is str:
        return {"enum": list(spec.choices)} if spec.choices else {"type": "string", "pattern": _TEXT}
    out: dict[str, Any] = {"type": _TYPES[kind]}
    if kind in (int, float):
        low = -1 if spec.seed else spec.ge
        out.update({k: v for k, v in (("minimum", low), ("maximum", spec.le)) if v is not None})
        # A validator would divide a float exactly, and find that 0.3 is no multiple of 0.1.
        if spec.multiple_of and kind is int:
            out["multipleOf"] = spec.multiple_of
    return out
