"""From a ComfyUI graph to nodes of ours: each of its nodes by the row of `table` for its type, sources first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from commands.importing import kinds
from commands.importing import values as v
from commands.importing.build import Builder, Made, Out
from commands.importing.core import Signature, signatures
from commands.importing.graph import ComfyGraph, ComfyNode, Link, in_order, needed, place_of, shown
from commands.importing.nearest import NEAREST
from engine.errors import Place, Problem, WeftError, error
from engine.text import nearest, visible

MODELS = ("CheckpointLoaderSimple", "CheckpointLoader", "unCLIPCheckpointLoader", "UNETLoader")
"""Types that load a model; they are translated first, since text encoders and VAEs may belong to them."""

ENDS = ("SaveImage", "PreviewImage", "SaveAnimatedWEBP", "CheckpointSave")
"""Types that save something."""

T = TypeVar("T")


@dataclass(slots=True)
class Import:
    """What a translation makes: nodes of ours, and what is to be said.

    differs: what will not be as in ComfyUI. unmatched: what has no match. said: what a workflow has no place for.
    """

    builder: Builder = field(default_factory=Builder)
    differs: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    models: dict[str, tuple[Made, str]] = field(default_factory=dict)
    """The models that were loaded, by the file's name: the node, and the kind."""


Row = Callable[["Call"], tuple[v.Value | None, ...]]
"""Translates a node of one type: the values of its outputs, in order."""


class Call:
    """A node that is translated: its inputs, and what the row may do."""

    def __init__(self, graph: ComfyGraph, node: ComfyNode, signature: Signature, done: Import,
                 fed: Mapping[str, v.Value | None]) -> None:  # fmt: skip
        self.graph, self.node, self.signature, self.done, self.fed = graph, node, signature, done, fed

    def __getitem__(self, name: str) -> Any:
        """The constant of an input: what is written, what a node gives that only holds a value, or the default."""
        found = self.fed.get(name)
        if isinstance(found, v.Constant):
            from commands.importing.widgets import typed

            try:
                return typed(self.signature.inputs[name], found.value)
            except TypeError as why:
                raise self.wrong(name, "E-TYPE", f"{shown(found.value)}; expected {why}") from None
        if found is not None:
            self.differ(f"{name} is linked to a node that has no match, and is {shown(self._default(name))} here")
            return self._default(name)
        if name in self.node.inputs and not isinstance(self.node.inputs[name], Link):
            return self.node.inputs[name]
        return self._default(name)

    def _default(self, name: str) -> Any:
        default = self.signature.inputs[name].default
        if default is None:
            raise self.wrong(name, "E-MISSING", f'"{name}" has no value')
        return default

    def wrong(self, name: str, code: str, what: str) -> WeftError:
        """The error about an input of this node."""
        return error(Problem(code, what, "open it in ComfyUI, and save it again", place_of(self.node, name)))

    def get(self, name: str, kind: type[T]) -> T:
        """The value that is linked to an input. E-MISSING if there is none, E-TYPE for one of another kind."""
        found = self.maybe(name, kind)
        if found is None:
            raise self.wrong(name, "E-MISSING", f'"{name}" is not linked')
        return found

    def maybe(self, name: str, kind: type[T]) -> T | None:
        """The value that is linked to an input, if there is one."""
        found = self.fed.get(name)
        if found is None:
            return None
        if isinstance(found, v.Unmatched):
            return _taken(found, kind)
        if not isinstance(found, kind):
            wanted = self.signature.inputs[name].type or "a value"
            raise self.wrong(name, "E-TYPE", f"gets {type(found).__name__.upper()}, expects {wanted}")
        return found

    def add(self, kind: str, name: str, /, **inputs: Any) -> Out:
        """A node of ours with one output; what saves something is made anew each time."""
        return Out(self.done.builder.add(kind, inputs, name, once=kind not in ("SaveImage", "SaveModel")))

    def several(self, kind: str, name: str, outputs: Sequence[str], /, **inputs: Any) -> tuple[Out, ...]:
        """A node of ours with several outputs."""
        made = self.done.builder.add(kind, inputs, name)
        return tuple(Out(made, output) for output in outputs)

    def differ(self, what: str) -> None:
        """Say what will not be as in ComfyUI."""
        self.done.differs.append(f"{self.node.called}: {what}")

    def vae(self, vae: v.Vae, kind: str) -> Out:
        """A VAE as a link; one that is a file by itself codes latents of this kind of model."""
        if vae.out is not None:
            return vae.out
        first = next((kind for _, kind in self.done.models.values()), "sd")
        space = kinds.space_of(kind or vae.kind or first)
        return self.add("LoadVAE", "vae", source=vae.source, family=space)


def translate(graph: ComfyGraph) -> Import:
    """Nodes of ours for a graph. Raises E-CYCLE, E-LINK, E-MISSING, E-TYPE, and E-NOOUT if nothing is saved."""
    from commands.importing.table import ROWS

    done = Import(said=list(graph.said))
    if not graph.nodes:
        raise error(Problem("E-NOOUT", "there are no nodes in it", "save a graph in ComfyUI"))
    order = in_order(graph, MODELS)
    wanted = _wanted(graph)
    if not wanted:
        first = next(iter(graph.nodes.values()))
        hint = "it needs a SaveImage or PreviewImage"
        raise error(Problem("E-NOOUT", "nothing in it is saved", hint, Place(first.place.file)))
    for node in order:
        if node.id not in wanted:
            done.said.append(f"{node.called}: nothing that is saved needs it; left out")
    results: dict[str, tuple[v.Value | None, ...]] = {}
    for node in order:
        if node.id not in wanted:
            continue
        fed = {
            name: _slot(results[link.node], link.slot) for name, link in node.inputs.items() if isinstance(link, Link)
        }
        signature, row = signatures().get(node.type), ROWS.get(node.type)
        if signature is None or row is None:
            results[node.id] = _unmatched(graph, node, fed, signature, done)
        else:
            results[node.id] = row(Call(graph, node, signature, done, fed))
    return done


def mapped(graph: ComfyGraph) -> int:
    """How many nodes of a graph have a match."""
    from commands.importing.table import ROWS

    return sum(node.type in ROWS for node in graph.nodes.values())


def _wanted(graph: ComfyGraph) -> set[str]:
    """The nodes that something saved needs. A node of an unknown type that feeds nothing may save something too."""
    feeding = {v.node for node in graph.nodes.values() for v in node.inputs.values() if isinstance(v, Link)}
    table = signatures()
    unknown = [n.id for n in graph.nodes.values() if n.type not in table and n.id not in feeding and n.inputs]
    ends = [n.id for n in graph.nodes.values() if n.type in ENDS]
    return needed(graph, [*ends, *unknown])


def _slot(outputs: tuple[v.Value | None, ...], slot: int) -> v.Value | None:
    if slot < len(outputs):
        return outputs[slot]
    # of an unknown type nobody knows how many outputs it has
    first = outputs[0] if outputs else None
    return v.Unmatched(Out(first.out.node, f"output{slot}")) if isinstance(first, v.Unmatched) else None


def _unmatched(
    graph: ComfyGraph, node: ComfyNode, fed: Mapping[str, v.Value | None], signature: Signature | None, done: Import
) -> tuple[v.Value | None, ...]:
    """A node without a match stays in the workflow as it is, for whoever knows what to put in its place; where what it
    changes has the type of its output, the graph goes on without it."""
    near, why = NEAREST.get(node.type, ("", ""))
    if not near:
        from commands.importing.table import ROWS

        close = nearest(node.type, ROWS)
        near = f"ComfyUI's {close[0]}" if close else ""
    text = f"no match; nearest: {near}" if near else "no match, and nothing near it"
    text += f" ({why})" if why else ""
    passed = _passed(node, fed, signature)
    if passed is not None:
        done.differs.append(f"{node.called}: {text}; left out")
        return passed
    done.unmatched.append(f"{node.called}: {text}")
    constants = {name: value for name, value in node.inputs.items() if not isinstance(value, Link)}
    listed = [f"{visible(k, 40)} = {shown(x)}" for k, x in constants.items()] + [shown(x) for x in node.unnamed]
    if listed:
        done.said.append(f"{node.called}: its values: {', '.join(listed)}")
    links = {name: link for name, value in fed.items() if (link := as_link(value)) is not None}
    made = done.builder.add(node.type, links, _word(node.type), once=False)
    made.about, made.unmatched = text, True
    return (v.Unmatched(Out(made, "output0")),)


def _passed(
    node: ComfyNode, fed: Mapping[str, v.Value | None], signature: Signature | None
) -> tuple[v.Value | None, ...] | None:
    """What a known node without a match hands on: models, conditionings and text encoders that it would change."""
    if signature is None or not signature.outputs:
        return None
    names = [socket for socket in signature.inputs.values() if not socket.kind and fed.get(socket.name) is not None]
    handed: list[v.Value | None] = []
    for kind in signature.outputs:
        same = [socket for socket in names if socket.type == kind and kind in ("MODEL", "CONDITIONING", "CLIP")]
        if not same:
            return None
        at = sum(isinstance(x, object) for x in handed) if len(same) > 1 else 0
        handed.append(fed[same[min(at, len(same) - 1)].name])
    return tuple(handed)


def as_link(value: v.Value | None) -> Out | None:
    """A value as one link, where it is one."""
    return getattr(value, "out", None)


def _word(kind: str) -> str:
    word = "".join(c if c.isascii() and c.isalnum() else "_" for c in kind).strip("_").lower()
    return word[:40] or "unknown"


def _taken(found: v.Unmatched, kind: type[T]) -> T:
    """What comes from a node without a match, as the value that is wanted."""
    made: dict[type, Any] = {
        v.Model: lambda: v.Model(found.out, "sd"),
        v.Clip: lambda: v.Clip(found.out, "sd"),
        v.Vae: lambda: v.Vae(found.out),
        v.Cond: lambda: v.Cond(found.out, "sd"),
        v.Latent: lambda: v.Latent(found.out),
        v.Image: lambda: v.Image(found.out),
        v.Mask: lambda: v.Mask(found.out),
        v.Net: lambda: v.Net(found.out),
        v.Upscaler: lambda: v.Upscaler("unknown.safetensors"),
        v.Sampler: lambda: v.Sampler("euler"),
        v.Noise: lambda: v.Noise(0),
        v.Sigmas: lambda: v.Sigmas(None, "comfy_normal", 20, total=20),
        v.Guider: lambda: v.Guider(v.Model(found.out, "sd"), v.Cond(found.out, "sd"), None, 1.0),
    }
    value: T = made[kind]()
    return value
