"""A workflow as a prompt in ComfyUI's API format, for graphs whose nodes all have a match there.

It is the way back of `translate`: UNetDenoise with its guider, schedule, sampler and noise becomes SamplerCustom, and
what stands around it one node each. Params are written as the values that they have.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.graph import Link, NodeDef, Workflow

Inputs = dict[str, Any]


@dataclass(slots=True)
class Exported:
    """The prompt; unmatched: nodes that have no match there; differs: what will not be the same."""

    prompt: dict[str, Any] = field(default_factory=dict)
    unmatched: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)


class Export:
    """Nodes of ComfyUI's, made as they are asked for, each once."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow, self.done = workflow, Exported()
        self._made: dict[str, str] = {}

    def value(self, node: NodeDef, name: str) -> Any:
        """The constant of an input, or of the param that feeds it; None for a link."""
        if name in node.params:
            return self.workflow.params[node.params[name]].spec.default
        return node.literals.get(name)

    def add(self, kind: str, **inputs: Any) -> str:
        """A node of ComfyUI's; gives its id."""
        body = {"class_type": kind, "inputs": {k: v for k, v in inputs.items() if v is not None}}
        key = repr(body)
        if kind == "SaveImage" or key not in self._made:
            self._made[key] = str(len(self.done.prompt) + 1)
            self.done.prompt[self._made[key]] = body
        return self._made[key]

    def link(self, node: NodeDef, name: str) -> list[Any] | None:
        """What feeds an input, as ComfyUI links it; None where nothing does."""
        link = node.links.get(name)
        return None if link is None else self.output(link)

    def output(self, link: Link) -> list[Any] | None:
        """An output of a node of ours; None, and listed, for one without a match."""
        from commands.importing.export_rows import ROWS

        node = self.workflow.nodes[link.node]
        row = ROWS.get(node.cls.__name__)
        made = None if row is None else row(self, node)
        if made is None:
            line = f"{node.id} ({node.cls.__name__}): no match in ComfyUI"
            if line not in self.done.unmatched:
                self.done.unmatched.append(line)
            return None
        slots = SLOTS.get(node.cls.__name__, ())
        return [made, slots.index(link.output) if link.output in slots else 0]

    def differ(self, node: NodeDef, what: str) -> None:
        """Say what will not be the same."""
        line = f"{node.id} ({node.cls.__name__}): {what}"
        if line not in self.done.differs:
            self.done.differs.append(line)


Row = Callable[[Export, NodeDef], str | None]

SLOTS: Mapping[str, tuple[str, ...]] = {
    "LoadCheckpoint": ("model", "text_encoder", "vae"),
    "LoRALoad": ("model", "text_encoder"),
    "LoadImage": ("image", "mask"),
}


def export(workflow: Workflow) -> Exported:
    """The prompt of a workflow: everything that it saves, and what that needs."""
    from commands.importing.export_rows import ROWS

    made = Export(workflow)
    for name in workflow.targets:
        node = workflow.nodes[name]
        row = ROWS.get(node.cls.__name__)
        if row is None or row(made, node) is None:
            made.done.unmatched.append(f"{name} ({node.cls.__name__}): no match in ComfyUI")
    made.done.unmatched = list(dict.fromkeys(made.done.unmatched))
    return made.done
