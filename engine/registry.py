"""Finding node classes by name, and importing only the modules that a workflow needs.

A pack is a table {module: names of the nodes in it}. weft's own nodes are one pack; others are found by the entry
point group "weft.nodes", and read only when a name is not in a pack that is already known.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import Problem, WeftError, error
from engine.machine import Machine
from engine.text import quoted, visible

if TYPE_CHECKING:
    from engine.node import Node

GROUP = "weft.nodes"


@dataclass(frozen=True)
class Pack:
    """Nodes of one package: `modules` maps a module's full name to the node types that it defines.

    packages: the Python packages whose code its nodes run, where these are more than those of the modules. machine:
    "module:name" of an `engine.machine.Machine` that knows the libraries which its nodes compute with.
    """

    name: str
    modules: Mapping[str, tuple[str, ...]]
    packages: tuple[str, ...] = ()
    machine: str = ""

    @property
    def code(self) -> tuple[str, ...]:
        """The Python packages of its code."""
        return self.packages or tuple(dict.fromkeys(module.partition(".")[0] for module in self.modules))


class Registry:
    """Node classes by type name."""

    def __init__(self, packs: Iterable[Pack] = (), *, entry_points: bool = False) -> None:
        """`entry_points`: also look for packs that other installed packages announce."""
        self._module_of: dict[str, str] = {}
        self._classes: dict[str, type[Node]] = {}
        self._packs: dict[str, Pack] = {}
        self._more = entry_points
        self.broken: dict[str, str] = {}
        """Why installed packs could not be read, by their name."""
        for pack in packs:
            self.add_pack(pack)

    def add_pack(self, pack: Pack) -> None:
        """Know the nodes of a pack; the first pack to name a type keeps it. Raises TypeError for what is no pack."""
        if not isinstance(pack, Pack):
            raise TypeError(f"the entry point gives {type(pack).__name__}, not an engine.registry.Pack")
        for module, names in pack.modules.items():
            self._packs.setdefault(module, pack)
            for name in names:
                self._module_of.setdefault(name, module)

    def add(self, *classes: "type[Node]") -> None:
        """Know node classes that are at hand, under their own names."""
        for cls in classes:
            self._classes[cls.__name__] = cls

    def get(self, name: str) -> "type[Node] | None":
        """The class of that type, its module imported now if need be; None if no pack has it."""
        cls = self._classes.get(name)
        if cls is not None:
            return cls
        if name not in self._module_of:
            self._discover()
        module = self._module_of.get(name)
        if module is None:
            return None
        try:
            found: type[Node] = getattr(importlib.import_module(module), name)
        except (Exception, SystemExit) as why:  # whatever a stranger's package does when it is imported
            pack = self._packs[module].name
            what = f"the module {module} of node {name} does not load: {visible(f'{type(why).__name__}: {why}')}"
            raise error(Problem("E-NODE", what, f"reinstall or mend {pack}")) from why
        found.pack = self._packs[module]
        self._classes[name] = found
        return found

    def machine(self) -> Machine:
        """What knows the libraries that nodes compute with: that of the first pack that has one."""
        named = (pack.machine for pack in self._packs.values() if pack.machine)
        place = next(named, "")
        if not place:
            self._discover()
            place = next((pack.machine for pack in self._packs.values() if pack.machine), "")
        module, _, name = place.partition(":")
        return getattr(importlib.import_module(module), name) if place else Machine()

    def names(self) -> list[str]:
        """All type names, sorted."""
        self._discover()
        return sorted({*self._module_of, *self._classes})

    def classes(self) -> "Iterator[type[Node]]":
        """All classes in the order of their names. Imports every module; `broken` tells of those that do not load."""
        for name in self.names():
            try:
                cls = self.get(name)
            except WeftError as why:
                self.broken[self._packs[self._module_of[name]].name] = why.problems[0].what
                continue
            if cls is not None:
                yield cls

    def packs(self) -> dict[str, Pack]:
        """All packs that are installed and can be read, by name."""
        self._discover()
        return {pack.name: pack for pack in self._packs.values()}

    def absent(self, packs: Mapping[str, Any]) -> list[Problem]:
        """Which packs of a lock (name -> {"version": …}) are not here. They are named, never installed."""
        here = self.packs()
        found = []
        for name in packs:
            if name not in here:
                version = packs[name].get("version") if isinstance(packs[name], Mapping) else ""
                what = f"its nodes come from {quoted(name)} {visible(str(version or ''), 40)}".rstrip()
                why = f", which does not load: {self.broken[name]}" if name in self.broken else ", which is not here"
                hint = "install it, if you trust it: weft runs its code"
                found.append(Problem("E-NODE", what + why, hint, exit_code=3))
        return found

    def _discover(self) -> None:
        if not self._more:
            return
        self._more = False
        import importlib.metadata

        for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda p: p.name):
            try:
                self.add_pack(point.load())
            except (Exception, SystemExit) as why:  # whatever a stranger's package does when it is imported
                self.broken[point.name] = visible(f"{type(why).__name__}: {why}")


def installed() -> Registry:
    """The registry of all packs that are installed beside the engine."""
    return Registry(entry_points=True)
