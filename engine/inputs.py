"""The files that nodes read: what an input with `files=` stands for, and what can be told of them before a run.

path: str = Input(about="a picture", files=one_file)
folder: str = Input(about="pictures with captions", files=folder_files("*.png", "*.jpg", "*.txt"))
"""

import fnmatch
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import Problem, WeftError, error
from engine.paths import resolve_input
from engine.spec import REQUIRED
from engine.templates import NAMES, NO_VALUE, template_problems
from engine.text import quoted

if TYPE_CHECKING:
    from engine.context import Settings
    from engine.graph import NodeDef, Workflow
    from engine.spec import FilesOf, InputSpec

FILES_LIMIT = 100_000
"""Files of one folder at most."""


def one_file(value: str, base: Path, allowed: Sequence[Path] = ()) -> list[Path]:
    """The one regular file that `value` names. Raises the errors of `resolve_input`, and E-NOTFILE for a folder."""
    path = resolve_input(value, base, allowed)
    if path.is_dir():
        raise error(Problem("E-NOTFILE", f"{quoted(value)} is a directory", "name a file in it"))
    if not stat.S_ISREG(path.stat().st_mode):
        raise error(Problem("E-NOTFILE", f"{quoted(value)} is not a regular file", "name a file"))
    return [path]


def folder_files(*patterns: str) -> "FilesOf":
    """What finds the files in a folder, and in the folders inside it, whose names match one of the patterns ("*.png").

    They come in the order of their paths; upper and lower case match alike, and hidden names are left out. It raises
    the errors of `resolve_input` (also for a link in the folder that leaves it), E-NOTFILE where the name is that of
    a file, E-NOTFOUND where no file matches, and E-LIMIT for more than 100,000.
    """

    def find(value: str, base: Path, allowed: Sequence[Path] = ()) -> list[Path]:
        folder = resolve_input(value, base, allowed)
        if not folder.is_dir():
            raise error(Problem("E-NOTFILE", f"{quoted(value)} is a file", "name the folder that it is in"))
        found: list[Path] = []
        for path in _files_below(folder):
            if any(fnmatch.fnmatch(path.name.lower(), pattern.lower()) for pattern in patterns):
                found.append(path)
                if path.is_symlink():
                    resolve_input(os.path.join(value, path.relative_to(folder)), base, allowed)
            if len(found) > FILES_LIMIT:
                raise error(Problem("E-LIMIT", f"{quoted(value)} has more than {FILES_LIMIT} files", "split it"))
        if not found:
            what = f"{quoted(value)} has no file that matches {' or '.join(patterns)}"
            raise error(Problem("E-NOTFOUND", what, "add some, or name another folder", exit_code=3))
        return sorted(found)

    return find


def names_of(paths: Sequence[Path]) -> list[str]:
    """What files are called in a key: one by its own name; several by their paths from the folder that holds them all,
    whose own name is part of it, since folders inside a data set name its classes."""
    if len(paths) == 1:
        return [paths[0].name]
    folders = [path.parent for path in paths]
    above = Path(os.path.commonpath(folders)).parent if paths else Path()
    return [path.relative_to(above).as_posix() for path in paths]


def _files_below(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(here, name) for name in names if not name.startswith("."))


def allowed_for(settings: "Settings", node: str, name: str) -> Sequence[Path]:
    """The folders, beside the workflow's own, in which a file of this input may lie; all of them, where the path was
    given on the command line."""
    if (node, name) in settings.open_paths:
        return (Path(settings.folder.absolute().anchor),)
    return settings.allowed


def check_files(workflow: "Workflow", allowed: Sequence[Path] = ()) -> list[Problem]:
    """What is wrong with the files that the workflow names itself, in literals and in the defaults of params.

    Those that are read are found, not opened; those that are written get their names. What only a run's values name
    is left to the run, which looks again before anything is made.
    """
    problems: list[Problem] = []
    values = {name: NO_VALUE if p.required else p.spec.default for name, p in workflow.params.items()}
    values |= dict.fromkeys(NAMES, 0)
    for node in workflow.nodes.values():
        for name, spec in node.cls.inputs.items():
            value = before_a_run(workflow, node, name)
            if not isinstance(value, str):
                continue
            found: tuple[Problem, ...] = ()
            if spec.template:
                found = template_problems(value, values)
            elif spec.files:
                literals = {k: v for k in (name, *spec.beside) if (v := before_a_run(workflow, node, k)) is not ...}
                found = _not_found(spec, literals, workflow.document.folder, allowed)
            path = ("nodes", node.id, name) if name in node.literals else ("params", node.params[name])
            placed = [workflow.document.placed(problem, path) for problem in found]
            # a param that several nodes take is wrong once
            problems += [problem for problem in placed if problem not in problems]
    return problems


def _not_found(
    spec: "InputSpec", literals: Mapping[str, Any], folder: Path, allowed: Sequence[Path]
) -> tuple[Problem, ...]:
    try:
        spec.find_files(literals, folder, allowed)
    except WeftError as why:
        return why.problems
    except OSError as why:
        return (Problem("E-NOTFOUND", f"cannot be read: {why.strerror}", exit_code=3),)
    return ()


def before_a_run(workflow: "Workflow", node: "NodeDef", name: str) -> Any:
    """The literal that an input has before a run gives any; `...` where it has none."""
    if name in node.params:
        default = workflow.params[node.params[name]].spec.default
        return ... if default is REQUIRED else default
    return node.literals.get(name, ...)
