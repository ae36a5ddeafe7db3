"""What the verbs share: finding a workflow, showing problems, and telling what a stream can show."""

import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from engine.errors import Problem, WeftError, error
from engine.text import did_you_mean, quoted, visible

if TYPE_CHECKING:
    from engine.document import Document
    from engine.graph import Workflow
    from engine.registry import Registry

HOME = Path(__file__).resolve().parent.parent
"""Where cli.py lies, with the workflows and models that ship beside it."""


def version() -> str:
    """weft's own version."""
    import importlib.metadata

    try:
        return importlib.metadata.version("weft")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def shipped(folder: str = "workflows", suffix: str = ".json") -> dict[str, Path]:
    """The workflows that ship, by name."""
    return {p.stem: p for p in sorted((HOME / folder).glob(f"*{suffix}"))}


def find(name: str) -> Path:
    """The file that a person means: a path, or the name of a shipped workflow. Raises E-NOTFOUND."""
    path = Path(name)
    if os.path.lexists(path) or path.suffix or len(path.parts) != 1:
        return path
    known = shipped()
    if name in known:
        return known[name]
    hint = did_you_mean(name, known) or "give a workflow file"
    raise error(Problem("E-NOTFOUND", f"no file and no shipped workflow {quoted(name)}", hint, exit_code=3))


def read(name: str) -> "Document":
    """The document that FILE names; shipped ones are called by their name in messages."""
    from engine import document

    path = find(name)
    try:
        return document.read(path, f"{name}.json" if path != Path(name) else "")
    except WeftError as why:
        if [problem.code for problem in why.problems] != ["E-FOREIGN"]:
            raise
        raise error(_counted(path, why.problems[0])) from None


def _counted(path: Path, foreign: Problem) -> Problem:
    """E-FOREIGN with how many nodes of a ComfyUI file `weft import` has a match for, where it can be read."""
    from commands.importing.source import count

    try:
        known, every = count(path)
    except WeftError:
        return foreign
    which = "which has a match for all of them" if known == every else f"which has a match for {known} of {every}"
    return replace(foreign, hint=f"{foreign.hint}, {which}")


def opened(name: str, registry: "Registry", targets: Sequence[str] = ()) -> "Workflow":
    """The checked workflow that FILE names. Raises all its problems."""
    from engine.compile import compile

    return compile(read(name), registry, targets)


def known_nodes(registry: "Registry | None") -> "Registry":
    """The registry that was given, or that of weft's own nodes and other installed packs."""
    if registry is not None:
        return registry
    import nodes

    return nodes.registry()


def say(problems: Iterable[Problem]) -> None:
    """Show problems on standard error, each on a line of its own with the place in the file below it."""
    for problem in problems:
        print(problem, file=sys.stderr)


def report(why: Exception, *, as_json: bool = False, as_lines: bool = False, debug: bool = False) -> int:
    """Show the error that ended a command; returns its exit code."""
    if debug:
        import traceback

        traceback.print_exception(why, file=sys.stderr)
    if isinstance(why, WeftError):
        problems, code = why.problems, why.exit_code
    else:
        what = f"weft itself failed: {type(why).__name__}: {visible(str(why))}"
        problems, code = (Problem("E-RUN", what, "please report it, with what --debug shows", exit_code=1),), 1
    say(problems)
    if as_json or as_lines:
        from engine.events import problem_json

        found = [problem_json(p) for p in problems]
        print_json({"status": "error", "problems": found} if as_json else {"event": "error", "problems": found})
    return code


def print_json(value: Any) -> None:
    """One JSON value on a line of standard output. ASCII, so that no terminal or locale can spoil it."""
    import json

    print(json.dumps(value), flush=True)


def parse_size(text: str) -> int:
    """A number of bytes from 10G, 500M, 1.5GiB or 4096; units are powers of 1024. Raises E-CLI."""
    match = re.match(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:i?B)?\Z", text.strip(), re.IGNORECASE)
    if match is None:
        raise error(Problem("E-CLI", f"{quoted(text)} is not a size", "write 10G, 500M or 0"))
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


def wrong_usage(verb: str, what: str) -> WeftError:
    """E-CLI for arguments of a verb."""
    return error(Problem("E-CLI", what, f"weft {verb} --help says what it takes"))


def unknown_verb(verb: str, verbs: Iterable[str]) -> WeftError:
    """E-CLI for a verb that is none, or a file given in place of one."""
    if verb.endswith(".json") or verb in shipped():
        hint = f"try: weft run {visible(verb)}"
    else:
        close = did_you_mean(verb, verbs)
        hint = close if close.startswith("did") else "weft --help lists the verbs"
    return error(Problem("E-CLI", f"{quoted(verb)} is not a command", hint))


def unknown_argument(verb: str, word: str, options: Iterable[str]) -> WeftError:
    """E-CLI for an option or a word too many."""
    if not word.startswith("-"):
        return wrong_usage(verb, f"{quoted(word)} is one word too many")
    close = did_you_mean(word.partition("=")[0], options)
    return error(Problem("E-CLI", f"{quoted(word)} is not an option of weft {verb}",
                         close if close.startswith("did") else f"weft {verb} --help lists them"))  # fmt: skip


def unknown_choice(name: str, value: str, known: Iterable[object]) -> WeftError:
    """E-CLI for a value that an option does not take."""
    return error(Problem("E-CLI", f"{name} {quoted(value)}", did_you_mean(value, map(str, known))))


def colours(stream: TextIO) -> bool:
    """Whether to write colours to a stream: it is a terminal that has them, and the person did not say NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def table(rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> list[str]:
    """Rows as aligned lines, two spaces between columns; the last column is as long as it is."""
    from engine.views.cells import padded, width

    every = [*([head] if head else []), *rows]
    if not every:
        return []
    widths = [max(width(row[i]) for row in every) for i in range(len(every[0]) - 1)]
    return ["  ".join([*map(padded, row, widths), row[-1]]).rstrip() for row in every]
