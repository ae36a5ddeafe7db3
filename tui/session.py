"""The open workflow: its text, what is wrong with it, how it got there, and the file it came from.

Everything is done to the text, by the functions of `tui.edits`, so that saving writes what the person wrote but for
what was changed. Bypassed and muted nodes are kept beside it: a run gets a rewired workflow (`engine.rewire`), a saved
file is the whole one.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine import document as documents
from engine.compile import check
from engine.document import Document
from engine.errors import Place, Problem, WeftError, error
from engine.files import write_atomic
from engine.graph import Workflow
from engine.node import Node
from engine.opening import is_workflow_file, workflow_text
from engine.registry import Registry
from engine.rewire import without
from engine.source import Source
from engine.text import visible
from engine.tidy import laid_out
from tui import edits

UNDO_LIMIT = 500
"""Changes that can be undone."""

OnDisk = Literal["same", "changed", "gone"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What undo brings back. label: what was done to leave this state, in words."""

    text: str
    bypassed: frozenset[str]
    muted: frozenset[str]
    label: str = ""


class Session:
    """An open workflow. `version` counts its changes; whoever shows it looks there for whether to show it anew."""

    def __init__(self, registry: Registry, text: str, path: Path | None = None, name: str = "") -> None:
        self.registry = registry
        self.path = path
        self.name = name or (path.name if path else "untitled.json")
        self.text = text
        self.saved = text
        self.bypassed: frozenset[str] = frozenset()
        self.muted: frozenset[str] = frozenset()
        self.version = 0
        self.document: Document | None = None
        self.workflow: Workflow | None = None
        """The checked workflow; None while something is wrong."""
        self.problems: Sequence[Problem] = ()
        """Errors and warnings, in the order of the file."""
        self._undo: list[Snapshot] = []
        self._redo: list[Snapshot] = []
        self._stamp = self._stat()
        self._check()

    @classmethod
    def open(cls, path: Path, registry: Registry, name: str = "") -> "Session":
        """The workflow in a file, or in a picture, lock or bundle, which is opened as a copy that has no file yet.

        Raises what is wrong with the file; what is wrong in it is in `problems`.
        name: for a shipped workflow, which is opened as a copy that has no file yet.
        """
        source = workflow_text(path, name or path.name)
        if not is_workflow_file(path):
            # a copy without a file, laid out to be read: saving must not write over the picture
            session = cls(registry, laid_out(source.text), None, f"{path.stem}.json")
        else:
            session = cls(registry, source.text, None if name else path, name)
        session.folder_if_unsaved = path.parent
        return session

    folder_if_unsaved: Path | None = None
    """Where the files lie that a workflow without a file of its own reads."""

    @property
    def data(self) -> Mapping[str, Any]:
        """The workflow as plain JSON; without nodes where the text is not a workflow at all."""
        return self.document.data if self.document is not None else {"nodes": {}}

    @property
    def nodes(self) -> Mapping[str, Any]:
        """The nodes by id, as the file has them."""
        return self.document.nodes if self.document is not None else {}

    def line_of(self, node: str) -> int:
        """The line of the text at which a node begins; 0 where that is not known."""
        found = self.document.json if self.document is not None else None
        return found.locate(("nodes", node), key=True)[0] if found is not None and node in self.nodes else 0

    @property
    def errors(self) -> list[Problem]:
        """The problems that keep it from running."""
        return [p for p in self.problems if not p.is_warning]

    @property
    def modified(self) -> bool:
        """Whether there is something to save."""
        return self.text != self.saved

    @property
    def folder(self) -> Path:
        """The folder that files in the workflow are relative to."""
        if self.path is not None:
            return self.path.parent
        return self.folder_if_unsaved or Path.cwd()

    def cls(self, node: str) -> type[Node] | None:
        """The class of a node; None if it has no type that is known."""
        raw = self.nodes.get(node)
        kind = raw.get("type") if isinstance(raw, dict) else None
        return self.registry.get(kind.partition("@")[0]) if isinstance(kind, str) else None

    def problems_of(self, node: str) -> list[Problem]:
        """The problems at a node."""
        shown = visible(node, 64)
        return [p for p in self.problems if p.place.node == shown]

    # Changing

    def change(self, text: str, label: str) -> bool:
        """Take a new text; False if it is the old one. Raises if it is no JSON, with nothing changed."""
        if text == self.text:
            return False
        if self.document is not None:
            self._read(text)
        self._remember(label)
        self.text = text
        self._check()
        return True

    def set_input(self, node: str, name: str, value: Any) -> bool:
        """A literal for an input; one that a param feeds then has a value of its own."""
        return self.change(edits.set_value(self.text, ("nodes", node, name), value), f"{node}.{name}")

    def set_param(self, name: str, value: Any) -> bool:
        """The default of a param."""
        return self.change(edits.set_param(self.text, self.data, name, value), f"${name}")

    def set_values(self, values: Mapping[str, Any], label: str) -> bool:
        """Several values by the names that a run takes (a param, or node.input) as one change."""
        text, data = self.text, self.data
        for name, value in values.items():
            node, dot, key = name.partition(".")
            if name in data.get("params", {}):
                text = edits.set_param(text, data, name, value)
            elif dot and node in data["nodes"]:
                text = edits.set_value(text, ("nodes", node, key), value)
            data = self._read(text).data
        return self.change(text, label)

    def reset_input(self, node: str, name: str) -> bool:
        """An input back to its default."""
        return self.change(edits.reset(self.text, self.data, node, name), f"reset {node}.{name}")

    def link(self, node: str, name: str, source: str, output: str = "") -> bool:
        """Feed an input from another node; a list input gets one source more."""
        cls = self.cls(node)
        spec = cls.inputs.get(name) if cls is not None else None
        if spec is not None and spec.many:
            text = edits.link_item(self.text, self.data, node, name, source, output)
        else:
            text = edits.link(self.text, node, name, source, output)
        return self.change(text, f"link {node}.{name}")

    def add_node(self, kind: str, inputs: Mapping[str, Any] | None = None) -> str:
        """Add a node of a type; returns its id. inputs: as the file writes them, links as "@node.output"."""
        text, name = edits.add_node(self.text, self.data, kind, inputs)
        self.change(text, f"add {name}")
        return name

    def remove_node(self, node: str) -> bool:
        """Remove a node and every link to it."""
        return self.change(edits.remove_node(self.text, self.data, node), f"delete {node}")

    def toggle_bypass(self, node: str) -> bool:
        """Bypass a node, or no longer; returns whether it is bypassed now."""
        self._remember(f"bypass {node}")
        self.bypassed, self.muted = self.bypassed ^ {node}, self.muted - {node}
        self.version += 1
        return node in self.bypassed

    def toggle_mute(self, node: str) -> bool:
        """Mute a node, or no longer; returns whether it is muted now."""
        self._remember(f"mute {node}")
        self.muted, self.bypassed = self.muted ^ {node}, self.bypassed - {node}
        self.version += 1
        return node in self.muted

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is one to make again."""
        return bool(self._redo)

    def undo(self) -> str | None:
        """Take the last change back; returns what it was, or None if there is none."""
        return self._swap(self._undo, self._redo)

    def redo(self) -> str | None:
        """Make the change again that was undone last; returns what it was, or None."""
        return self._swap(self._redo, self._undo)

    def _swap(self, source: list[Snapshot], target: list[Snapshot]) -> str | None:
        if not source:
            return None
        found = source.pop()
        target.append(Snapshot(self.text, self.bypassed, self.muted, found.label))
        self.text, self.bypassed, self.muted = found.text, found.bypassed, found.muted
        self._check()
        return found.label

    def _remember(self, label: str) -> None:
        self._undo.append(Snapshot(self.text, self.bypassed, self.muted, label))
        del self._undo[:-UNDO_LIMIT]
        self._redo.clear()

    # Running

    def command(self) -> dict[str, Any]:
        """What the engine has to be told of this workflow, to be completed with "do" and the rest."""
        told: dict[str, Any] = {"name": self.name, "folder": str(self.folder)}
        if self.path is not None:
            told["path"] = str(self.path)
        if self.bypassed or self.muted:
            data, _ = without(self.data, self.registry, self.bypassed, self.muted)
            return {**told, "document": data}
        return {**told, "text": self.text}

    def left_out(self) -> set[str]:
        """The nodes that will not run because they, or others that they need, are bypassed or muted."""
        if not (self.bypassed or self.muted):
            return set()
        return without(self.data, self.registry, self.bypassed, self.muted)[1]

    # The file

    def save(self, path: Path | None = None) -> Path:
        """Write the text to the file, or to another one, which it belongs to from then on. Raises what prevents it."""
        target = path or self.path
        if target is None:
            raise error(Problem("E-NAME", "the workflow has no file yet", "save it under a name", Place(self.name)))
        real = target.resolve()
        mode = real.stat().st_mode & 0o777 if real.exists() else None
        write_atomic(real, self.text.encode())
        if mode is not None:
            real.chmod(mode)
        self.path, self.name, self.saved = target, target.name, self.text
        self._stamp = self._stat()
        self.version += 1
        self._check()
        return target

    def on_disk(self) -> OnDisk:
        """Whether the file is as it was when it was last read or written. Looks at its size and times alone."""
        stamp = self._stat()
        return "same" if stamp == self._stamp else "gone" if stamp is None else "changed"

    def reload(self) -> bool:
        """Take what the file holds now, as a change that can be undone; False if that is what is here. Raises what is
        wrong with the file; then nothing is changed."""
        if self.path is None:
            return False
        stamp = self._stat()
        text = self.theirs()
        self._stamp, self.saved = stamp, text
        self.version += 1
        if text == self.text:
            return False
        self._remember("reload")
        self.text = text
        self._check()
        return True

    def theirs(self) -> str:
        """What the file holds now. Raises what is wrong with it."""
        return workflow_text(self.path, self.name).text if self.path is not None else ""

    def keep_mine(self) -> None:
        """Take note of what is on disk without taking it: saving will write over it."""
        self._stamp = self._stat()

    def _stat(self) -> tuple[int, int, int] | None:
        if self.path is None:
            return None
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    # Checking

    def _read(self, text: str) -> Document:
        return documents.from_source(Source(self.name, text), self.path, self.folder)

    def _check(self) -> None:
        self.version += 1
        try:
            self.document = self._read(self.text)
        except WeftError as why:
            self.document, self.workflow, self.problems = None, None, why.problems
            return
        try:
            self.workflow, self.problems = check(self.document, self.registry)
        except WeftError as why:  # a package of nodes that does not load
            self.workflow, self.problems = None, why.problems
        known = frozenset(self.document.nodes)
        self.bypassed, self.muted = self.bypassed & known, self.muted & known
