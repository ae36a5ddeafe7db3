"""weft.toml: the folders that a person names, for all workflows or for those of a project.

    models = ["~/models", "~/ComfyUI"]     where models are looked for by name; what is in them is for nodes to know
    allow = ["~/Pictures"]                 where nodes may read other files, as with --allow

Two files are read: the person's own, $WEFT_CONFIG/weft.toml or weft's folder among the user's configuration; and that
of the project, the nearest weft.toml in the workflow's folder or above it, whose folders come first. A project's file
may have come with the project, from a stranger: it may only allow folders that lie in its own.
"""

import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import Place, Problem, error
from engine.text import did_you_mean, quoted, visible

NAME = "weft.toml"
LIMIT = 1 << 20
"""Bytes of such a file."""
_KEYS = ("models", "allow")


@dataclass(frozen=True, slots=True)
class Places:
    """Folders in the order in which they are looked into; they need not be there. files: the files that named them."""

    models: tuple[Path, ...] = ()
    allow: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()


def config_folder() -> Path:
    """weft's folder among the user's configuration: $WEFT_CONFIG, if it is set."""
    if given := os.environ.get("WEFT_CONFIG"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", Path.home())) / "weft"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "weft"


def places(folder: Path) -> Places:
    """What is named for workflows in this folder. Raises E-CONFIG with all that is wrong in the files."""
    own, project = config_folder() / NAME, _above(folder)
    found = [_read(project, own=False)] if project is not None and not _same(project, own) else []
    found += [_read(own, own=True)] if own.is_file() else []
    return Places(
        tuple(dict.fromkeys(path for one in found for path in one.models)),
        tuple(dict.fromkeys(path for one in found for path in one.allow)),
        tuple(path for one in found for path in one.files),
    )


def allowed(given: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """The folders in which nodes may read: those of --allow, then those of weft.toml. Raises E-CONFIG."""
    return (*map(Path, given), *places(folder).allow)


def searched(given: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """The folders in which files are looked for by digest: those that nodes may read, and those of models."""
    return (*allowed(given, folder), *places(folder).models)


def _above(folder: Path) -> Path | None:
    absolute = folder.absolute()
    return next((path for at in (absolute, *absolute.parents) if (path := at / NAME).is_file()), None)


def _same(a: Path, b: Path) -> bool:
    return b.exists() and a.samefile(b)


def _read(path: Path, *, own: bool) -> Places:
    where = Place(visible(str(path)))
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise error(Problem("E-SIZE", "larger than 1 MiB", "name folders, not files", where))
        table = tomllib.loads(data.decode("utf-8"))
    except (OSError, ValueError) as why:
        raise error(Problem("E-CONFIG", visible(str(why), 200), "mend it, or move it away", where)) from why
    problems: list[Problem] = []
    for name in table:
        if name not in _KEYS:
            problems.append(Problem("E-CONFIG", f"{quoted(name)} is no setting", did_you_mean(name, _KEYS), where))
    models, allow = (_folders(table, name, path.parent, where, problems) for name in _KEYS)
    if not own:
        inside = path.parent.resolve()
        for one in allow:
            if not one.resolve().is_relative_to(inside):
                hint = f"name it in {visible(str(config_folder() / NAME))}, or give --allow"
                what = f"a project may not allow {quoted(str(one))}, which lies outside it"
                problems.append(Problem("E-CONFIG", what, hint, where))
    if problems:
        raise error(problems)
    return Places(models, allow, (path,))


def _folders(
    table: Mapping[str, Any], name: str, base: Path, where: Place, problems: list[Problem]
) -> tuple[Path, ...]:
    """Folders, relative ones to that of the file."""
    value = table.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) and item and "\0" not in item for item in value):
        hint = f'write {name} = ["~/folder"]'
        problems.append(Problem("E-CONFIG", f"{name} is not a list of folders", hint, where))
        return ()
    return tuple(base / os.path.expanduser(item) for item in value)
