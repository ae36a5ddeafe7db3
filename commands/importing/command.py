"""weft import: a workflow of what another program wrote, and a list of what will not be the same."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from commands.common import known_nodes, print_json, say
from commands.importing.source import Imported, checked, imported
from engine.errors import Place, Problem, error
from engine.events import problem_json
from engine.text import plural, visible

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Import FILE. Returns 0 if all of it has a match, and 1 if the workflow cannot run as it is."""
    out = None if args.out is None else Path(args.out)
    refuse_existing(out)
    found = imported(Path(args.file), notes=args.notes)
    problems = checked(found.text, known_nodes(registry))
    if out is not None:
        write(out, found.text)
    problems = [problem for problem in problems if not (problem.code == "E-NODE" and found.unmatched)]
    whole = not found.unmatched and not problems
    if args.json:
        print_json(
            {
                "status": "ok" if whole else "incomplete",
                "path": None if out is None else str(out),
                "workflow": found.text if out is None else None,
                "unmatched": found.unmatched,
                "differs": found.differs,
                "said": found.said,
                "problems": [problem_json(problem) for problem in problems],
            }
        )
    else:
        print(found.text if out is None else out, end="" if out is None else "\n")
    _tell(found)
    say(problems)
    return 0 if whole else 1


def _tell(found: Imported) -> None:
    """The list of what is not the same, on standard error."""
    for line in (*found.unmatched, *found.differs, *found.said):
        print(line, file=sys.stderr)
    counts = [
        f"{plural(found.nodes, 'node')} of {found.origin} became {plural(found.made, 'node')}",
        f"{len(found.unmatched)} without a match",
        f"{plural(len(found.differs), 'difference')}",
    ]
    print("; ".join(counts), file=sys.stderr)


def refuse_existing(out: Path | None) -> None:
    """E-CLI for a file that is there already."""
    if out is not None and os.path.lexists(out):
        what = "is there already, and is kept"
        raise error(Problem("E-CLI", what, "give another name", Place(visible(str(out)))))


def write(out: Path, text: str) -> None:
    """Make a file of a text. E-CLI if it is there already, E-PERM and E-DISK where it cannot be made."""
    where = Place(visible(str(out)))
    try:
        with out.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise error(Problem("E-CLI", "is there already, and is kept", "give another name", where)) from None
    except OSError as why:
        what = f"cannot be written: {os.strerror(why.errno or 0)}"
        raise error(Problem("E-PERM" if isinstance(why, PermissionError) else "E-DISK", what,
                            "give another folder", where, exit_code=1)) from None  # fmt: skip
