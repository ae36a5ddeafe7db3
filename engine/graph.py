"""A checked workflow, and a graph: the same with every param and seed given a value."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.spec import REQUIRED, InputSpec

if TYPE_CHECKING:
    from engine.document import Document
    from engine.errors import Problem
    from engine.node import Node


class Link(NamedTuple):
    """The output of another node. A tuple, because links are looked up by the thousand, and tuples hash fastest."""

    node: str
    output: str

    def __str__(self) -> str:
        return f"{self.node}.{self.output}"


@dataclass(frozen=True, slots=True)
class ParamRef:
    """The value of a param."""

    name: str


def reference(value: Any) -> Any:
    """What a value in a file stands for: a Link, a ParamRef, or a literal with its doubled mark undone."""
    if not isinstance(value, str) or len(value) < 2 or value[0] not in "@$":
        return value
    if value[1] == value[0]:
        return value[1:]
    if value[0] == "$":
        return ParamRef(value[1:])
    node, _, output = value[1:].partition(".")
    return Link(node, output)


def escape(value: Any) -> Any:
    """A literal as a file writes it: text that begins with @ or $ gets that mark twice. Undone by `reference`."""
    if isinstance(value, list | tuple):
        return [escape(item) for item in value]
    return value[0] + value if isinstance(value, str) and len(value) > 1 and value[0] in "@$" else value


@dataclass(slots=True, eq=False)
class NodeDef:
    """One node of a workflow, checked. Shared between graphs and never changed.

    literals: inputs that have a value; defaults are among them.
    links: inputs fed by one output.
    params: inputs fed by a param, by its name.
    lists: list inputs of which an element is a link or a param; the elements in order.
    """

    id: str
    cls: "type[Node]"
    position: int
    literals: dict[str, Any]
    links: dict[str, Link] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    lists: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    cache: bool = True
    sources: tuple[Link, ...] = ()
    """Every link into this node."""
    fragments: Any = None
    """The parts of its key that do not depend on other nodes; filled in by engine.keys."""

    def __post_init__(self) -> None:
        self.find_sources()

    def find_sources(self) -> None:
        """Gather the links into this node; due again whenever they change, which only a check does."""
        self.sources = tuple(self.links.values())
        if self.lists:
            self.sources += tuple(item for items in self.lists.values() for item in items if isinstance(item, Link))

    @property
    def needs_values(self) -> bool:
        """Whether a param feeds it."""
        return bool(self.params) or any(isinstance(i, ParamRef) for items in self.lists.values() for i in items)

    def with_inputs(self, literals: Mapping[str, Any], lists: Mapping[str, tuple[Any, ...]]) -> "NodeDef":
        """The same node with these literals and lists in place of whatever fed those inputs."""
        return replace(
            self,
            literals={**self.literals, **literals},
            links={k: v for k, v in self.links.items() if k not in literals},
            params={k: v for k, v in self.params.items() if k not in literals},
            lists={k: v for k, v in {**self.lists, **lists}.items() if k not in literals},
            fragments=None,
        )


@dataclass(frozen=True, slots=True)
class Param:
    """A param of a workflow. Its type is that of the inputs it feeds."""

    name: str
    spec: InputSpec
    about: str
    feeds: tuple[tuple[str, str], ...]
    """(node, input) of every use."""

    @property
    def required(self) -> bool:
        """True if a run must give it a value."""
        return self.spec.default is REQUIRED and not self.spec.seed


@dataclass(frozen=True, slots=True, eq=False)
class Workflow:
    """A workflow that passed every check. Immutable; `engine.bind.bind` gives it values."""

    document: "Document"
    name: str
    about: str
    params: Mapping[str, Param]
    nodes: Mapping[str, NodeDef]
    order: tuple[str, ...]
    """All node ids, sources first; nodes that share a model stand together."""
    targets: tuple[str, ...]
    """What a run makes: the effects, or the targets that were named."""
    warnings: tuple["Problem", ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A workflow with a value for every param and seed: everything a run depends on but the files it reads."""

    workflow: Workflow
    nodes: Mapping[str, NodeDef]
    values: Mapping[str, Any]
    """Params by name."""
    seeds: Mapping[str, int]
    """Every seed that takes part, by param or node.input."""
    drawn: tuple[str, ...] = ()
    """Those among them that weft drew."""
    overrides: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    """Literal inputs that were set from outside or drawn, by (node, input)."""

    @property
    def order(self) -> tuple[str, ...]:
        """See Workflow.order."""
        return self.workflow.order


def upstream(nodes: Mapping[str, NodeDef], targets: Iterable[str]) -> set[str]:
    """The ids of the targets and of everything that they need, also of nodes that are not there."""
    found: set[str] = set()
    stack = list(targets)
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            if name in nodes:
                stack.extend(link.node for link in nodes[name].sources)
    return found
