"""The base class of nodes. A node is a pydantic model: its fields are its inputs, `run` makes its output.

    class Brighten(Node):
        \"\"\"y = x + amount, clipped to [0, 1].\"\"\"

        version = 1
        image: Image
        amount: float = Input(0.1, ge=-1, le=1, about="added to every pixel")

        def run(self, ctx: Context) -> Image: ...

Several outputs are a NamedTuple class with typed fields. A node is pure: the same inputs give the same outputs, and
inputs are never changed; one that writes files says `effect = True`. The class is checked when it is defined.
"""

import types
import typing
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from engine.context import Context, Settings
from engine.errors import Problem
from engine.registry import Pack
from engine.spec import REQUIRED, Bad, FilesMark, FilesOf, InputSpec, spec_of
from engine.values import Saved, socket_of

RESERVED = ("type", "about", "cache")


def Input(
    default: Any = ...,
    *,
    about: str = "",
    ge: float | None = None,
    le: float | None = None,
    multiple_of: float | None = None,
    files: FilesOf | None = None,
    beside: tuple[str, ...] = (),
    template: bool = False,
) -> Any:
    """Declare an input: its default (none: required), its description and its range, both ends included.

    files: the text names files whose content belongs in the node's key; see `engine.spec.FilesOf`.
    beside: inputs whose literals decide with it which files those are; `files` gets them by name.
    template: the text is a file name in which `{param}` is expanded when the node runs.
    """
    field = Field(
        default, description=about, ge=ge, le=le, multiple_of=multiple_of, json_schema_extra={"template": template}
    )
    if files:
        field.metadata.append(FilesMark(files, beside))
    return field


def Seed(default: int | None = None, *, about: str = "random seed; -1 or absent draws one") -> Any:
    """Declare a seed: 0 … 2^64 - 1. Absent, null or -1 means that weft draws one, shows it and records it."""
    return Field(default, description=about, ge=0, le=2**64 - 1, json_schema_extra={"seed": True})


class Node(BaseModel):
    """Base class of all nodes."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", defer_build=True, protected_namespaces=())

    version: ClassVar[int]
    """Raised whenever the same inputs would give another output, so that old cache entries are missed."""
    effect: ClassVar[bool] = False
    """Writes files: always runs, and is never in the cache."""
    cached: ClassVar[bool] = True
    """False for what is cheaper to make again than to read back; also false where an output cannot be stored."""
    numeric: ClassVar[bool | None] = None
    """Whether device, dtype and library belong in the key; None: yes if an output's socket says so."""
    pack: ClassVar[Pack | None] = None
    """The pack that it came in; filled in by the registry."""
    hidden: ClassVar[bool] = False
    """Left out of `weft nodes`."""

    inputs: ClassVar[Mapping[str, InputSpec]]
    outputs: ClassVar[Mapping[str, type]]
    output_types: ClassVar[Mapping[str, tuple[type, bool]]]
    """(class, may be None) of each output."""
    resident: ClassVar[frozenset[str]]
    """The outputs that stand for loaded weights; see `Socket.resident`."""
    batches: ClassVar[bool] = False
    """Whether it has a `run_batch` of its own."""
    foresees: ClassVar[bool] = False
    """Whether it has a `foresee` of its own."""
    seeds: ClassVar[tuple[str, ...]]
    """The inputs that are seeds."""
    templates: ClassVar[tuple[str, ...]]
    """The inputs that are file name templates."""
    single: ClassVar[bool]
    """True if `run` returns the one output itself rather than a tuple of them."""

    def run(self, ctx: Context) -> Any:
        """Make the output from the inputs."""
        raise NotImplementedError(type(self).__name__)  # pragma: no cover - the class check refuses such a class

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """What can be told of the outputs before anything runs, by their names; see `engine.foresight`.

        known: literals, and what the nodes before foresaw of linked inputs; an input of which nothing is known is not
        in it. folder: the workflow's. It must be quick, and read no more than headers. Raises a WeftError for what does
        not go together; its place may name an input.
        """
        return {}

    @classmethod
    def check(cls, literals: Mapping[str, Any]) -> Iterable[Problem]:
        """Problems between literal inputs, found before anything runs. Linked inputs are not in `literals`."""
        return ()

    @classmethod
    def runs_aside(cls, settings: Settings) -> bool:
        """Whether `run` may go on in another thread while the nodes after it run; see `engine.aside`.

        Only where it gives the same bits there, changes nothing that others use, and needs little memory beside them.
        """
        return False

    def batch_key(self) -> Hashable | None:
        """Nodes of one class with equal keys may run together in `run_batch`; None: this one may not."""
        return None

    @classmethod
    def room(cls, nodes: Sequence[Self], ctxs: Sequence[Context]) -> int:
        """How many of these nodes of equal `batch_key` this machine has memory for in one `run_batch`."""
        return len(nodes)

    @classmethod
    def run_batch(cls, nodes: Sequence[Self], ctxs: Sequence[Context]) -> Sequence[Any]:
        """Run several nodes of equal `batch_key` as one; outputs in the same order, equal to those of `run`."""
        return [node.run(ctx) for node, ctx in zip(nodes, ctxs, strict=True)]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        check_class(cls)

    @classmethod
    def is_numeric(cls) -> bool:
        """Whether the numerics of the machine belong in this node's key."""
        if cls.numeric is not None:
            return cls.numeric
        return any(socket_of(_required(kind)).numeric for kind in cls.outputs.values())

    @classmethod
    def is_stored(cls) -> bool:
        """Whether its outputs go to the cache on disk."""
        return cls.cached and not cls.effect and all(socket_of(_required(kind)).pack for kind in cls.outputs.values())

    @classmethod
    def output_named(cls, name: str) -> str | None:
        """The output that a link names ("" for the only one), or None if there is no such output."""
        if not name:
            return next(iter(cls.outputs)) if cls.single else None
        return name if name in cls.outputs else None


def check_class(cls: type[Node]) -> None:
    """Read inputs and outputs off a node class; TypeError says what it lacks. Runs when the class is defined."""

    def fail(what: str) -> typing.NoReturn:
        raise TypeError(f"node {cls.__name__} ({cls.__module__}): {what}")

    version = cls.__dict__.get("version")
    if type(version) is not int or version < 1:
        fail("needs `version = 1`, an integer of its own")
    if not (cls.__doc__ or "").strip() or cls.__doc__ == Node.__doc__:
        fail("needs a docstring that states what it computes")
    if "run" not in cls.__dict__:
        fail("needs a `run(self, ctx)` of its own")
    try:
        hints = typing.get_type_hints(cls.run)
    except NameError as why:
        fail(f"the annotations of `run` must be importable: {why}")
    if "return" not in hints:
        fail("`run` needs a return annotation: it is the type of the output")
    for name in cls.model_fields:
        if name in RESERVED or hasattr(Node, name) or name in Node.__annotations__:
            fail(f'no input may be called "{name}"')
    specs = {}
    for name, field in cls.model_fields.items():
        try:
            specs[name] = _with_default(spec_of(name, field, field.annotation))
        except TypeError as why:
            fail(str(why))
    cls.inputs = specs
    cls.batches = cls.run_batch.__func__ is not Node.run_batch.__func__  # type: ignore[attr-defined]
    cls.foresees = cls.foresee.__func__ is not Node.foresee.__func__  # type: ignore[attr-defined]
    cls.seeds = tuple(name for name, spec in specs.items() if spec.seed)
    cls.templates = tuple(name for name, spec in specs.items() if spec.template)
    cls.outputs, cls.single = _outputs(cls, hints["return"], fail)
    cls.output_types = {
        name: (_required(kind), type(None) in typing.get_args(kind)) for name, kind in cls.outputs.items()
    }
    cls.resident = frozenset(name for name, (kind, _) in cls.output_types.items() if socket_of(kind).resident)


def _with_default(spec: InputSpec) -> InputSpec:
    """The spec, its default checked and made what the same literal in a file would be. TypeError if it is none."""
    if (spec.files or spec.template) and (spec.kinds != (str,) or spec.many):
        raise TypeError(f"{spec.name}: an input that names a file must be a text")
    if spec.default is REQUIRED:
        return spec
    try:
        return replace(spec, default=spec.check(spec.default))
    except Bad as bad:
        raise TypeError(f"{spec.name}: its default does not fit: {bad.problem.what}") from None


def _outputs(cls: type[Node], kind: Any, fail: Any) -> tuple[dict[str, type], bool]:
    if isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields"):
        hints = typing.get_type_hints(kind)
        outputs = {name: hints[name] for name in kind._fields}
        single = False
    else:
        outputs, single = {"": kind}, True
    for name, out in outputs.items():
        try:
            socket = socket_of(_required(out))
        except (KeyError, AttributeError, TypeError):
            fail(f"output {name or out!r} is not a registered wire type")
        if single:
            outputs = {socket.name.lower().replace(" ", "_"): out}
    return outputs, single


def _required(kind: Any) -> Any:
    """The class behind `T` or `T | None`."""
    if typing.get_origin(kind) not in (types.UnionType, typing.Union):
        return kind
    parts: list[type] = [p for p in typing.get_args(kind) if p is not type(None)]
    return parts[0] if len(parts) == 1 else kind


def output_type(cls: type[Node], output: str) -> tuple[type, bool]:
    """(class, may be None) of one output."""
    return cls.output_types[output]


__all__ = ["REQUIRED", "Context", "Input", "Node", "Saved", "Seed", "check_class", "output_type"]
