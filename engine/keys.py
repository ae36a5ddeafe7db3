"""The key of a node's result: a digest of everything that the result depends on, known before anything runs.

    key = blake2b(canonical JSON of [key version, node type, code version, inputs, numerics])

An input is ["v", literal], ["k", key of the node that feeds it, output], ["l", [items]] for a list fed by links, or
["f", [[name, sha256], …]] where a literal stands for the content of files. Node id, `about`, output path and device
index are not in it; literals keep their JSON type, so 1, 1.0, "1" and true are four values.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from engine.errors import Place, Problem, error
from engine.graph import Graph, Link, NodeDef
from engine.spec import Bad

KEY_VERSION = 1

FilesDigest = Callable[[NodeDef, str], list[list[str]]]
"""(node, input) -> [name, sha256] of each file that the input names."""

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def keys(graph: Graph, numerics: str, digest_files: FilesDigest) -> dict[str, str]:
    """The key of every node of a graph, by node id. Problems with files are raised all at once."""
    found: dict[str, str] = {}
    problems: list[Problem] = []
    nodes = graph.nodes
    for name in graph.order:
        node = nodes[name]
        fragments = node.fragments
        if fragments is None or fragments[3] != numerics:
            try:
                fragments = _fragments(node, numerics, digest_files)
            except Bad as bad:
                where = Place(graph.workflow.document.name, node=name, input=bad.problem.place.input)
                problems.append(bad.problem.at(where))
                found[name] = ""
                continue
            if not any(spec.files for spec in node.cls.inputs.values()):
                node.fragments = fragments
        text, parts, suffix, _ = fragments
        for fragment, link in parts:
            text += fragment if link is None else f'{fragment}"{found[link.node]}","{link.output}"]'
        found[name] = blake2b((text + suffix).encode(), digest_size=20).hexdigest()
    if problems:
        raise error(problems)
    return found


Fragments = tuple[str, tuple[tuple[str, Link | None], ...], str, str]


def _fragments(node: NodeDef, numerics: str, digest_files: FilesDigest) -> Fragments:
    """The key's text with holes for the keys of other nodes: (prefix, parts, suffix, the numerics it was made for)."""
    cls = node.cls
    prefix = f'[{KEY_VERSION},"{cls.__name__}",{cls.version},{{'
    parts: list[tuple[str, Link | None]] = []
    comma = ""
    for name in sorted(cls.inputs):
        spec = cls.inputs[name]
        if spec.template:
            continue
        head = f'{comma}"{name}":'
        comma = ","
        if name in node.links:
            parts.append((f'{head}["k",', node.links[name]))
        elif name in node.lists:
            parts.append((f'{head}["l",[', None))
            for index, item in enumerate(node.lists[name]):
                between = "," if index else ""
                if isinstance(item, Link):
                    parts.append((f'{between}["k",', item))
                else:
                    parts.append((f'{between}["v",{_literal(item)}]', None))
            parts.append(("]]", None))
        elif spec.files and node.literals[name] is not None:
            parts.append((f'{head}["f",{_encode(digest_files(node, name))}]', None))
        else:
            parts.append((f'{head}["v",{_literal(node.literals[name])}]', None))
    suffix = f'}},"{numerics}"]' if cls.is_numeric() else "}]"
    return prefix, _joined(parts), suffix, numerics


def _joined(parts: Sequence[tuple[str, Link | None]]) -> tuple[tuple[str, Link | None], ...]:
    """The same parts with runs of plain text in one piece."""
    joined: list[tuple[str, Link | None]] = []
    text = ""
    for fragment, link in parts:
        text += fragment
        if link is not None:
            joined.append((text, link))
            text = ""
    if text:
        joined.append((text, None))
    return tuple(joined)


def inputs_text(node: NodeDef, found: Mapping[str, str], digest_files: FilesDigest) -> str:
    """The inputs as JSON, as the cache keeps them beside a result, so that it can say later what changed: as in the
    key, with the id of the node that feeds it, and the literal that names files. `found`: keys by node id."""
    parts = []
    for name, spec in node.cls.inputs.items():
        if spec.template:
            continue
        if name in node.links:
            parts.append(f'"{name}":{_link_text(node.links[name], found)}')
        elif name in node.lists:
            items = (_link_text(i, found) if isinstance(i, Link) else f'["v",{_literal(i)}]' for i in node.lists[name])
            parts.append(f'"{name}":["l",[{",".join(items)}]]')
        elif spec.files and node.literals[name] is not None:
            literal = node.literals[name]
            parts.append(f'"{name}":["f",{_encode(digest_files(node, name))},{_literal(literal)}]')
        else:
            parts.append(f'"{name}":["v",{_literal(node.literals[name])}]')
    return f"{{{','.join(parts)}}}"


def _link_text(link: Link, found: Mapping[str, str]) -> str:
    # Ids, keys and names of outputs need no quoting: none may hold a quotation mark or a backslash.
    return f'["k","{found[link.node]}","{link.output}","{link.node}"]'


def _literal(value: Any) -> str:
    """A literal as JSON; the common numbers without the detour over an encoder."""
    kind = type(value)
    return repr(value) if kind is int or (kind is float and value - value == 0) else _encode(value)
