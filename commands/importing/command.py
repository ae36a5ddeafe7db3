"""weft import: a workflow of what another program wrote, and a list of what will not be the same."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from commands.common import known_nodes, print_json, say
from commands.importing.source import Imported, checked, imported
from engine.errors import Place, Problem, error
from engine.text import plural, visible

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Import FILE. Returns 0 if all of it has a match, and 1 if the workflow holds nodes that have none."""
    out = None if args.out is None else Path(args.out)
    if out is not None and os.path.lexists(out):
        raise error(Problem("E-CLI", "is there already, and is kept", "give another name", Place(visible(args.out))))
    found = imported(Path(args.file), notes=args.notes)
    problems = checked(found.text, known_nodes(registry))
    if out is not None:
        _write(out, found.text, args.out)
    whole = not found.unmatched
    if args.json:
        print_json(
            {
                "status": "ok" if whole else "unmatched",
                "path": None if out is None else str(out),
                "workflow": found.text if out is None else None,
                "unmatched": found.unmatched,
                "differs": found.differs,
                "said": found.said,
            }
        )
    else:
        print(found.text if out is None else out, end="" if out is None else "\n")
    _tell(found)
    say(problem for problem in problems if not (problem.code == "E-NODE" and found.unmatched))
    return 0 if whole else 1


def _tell(found: Imported) -> None:
    """The list of what is not the same, on standard error."""
    import sys

    parts = [("no match", found.unmatched), ("differs", found.differs), ("said", found.said)]
    for _, items in parts:
        for line in items:
            print(line, file=sys.stderr)
    counts = [
        f"{plural(found.nodes, 'node')} of {found.origin} became {plural(found.made, 'node')}",
        f"{len(found.unmatched)} without a match",
        f"{plural(len(found.differs), 'difference')}",
    ]
    print("; ".join(counts), file=sys.stderr)


def _write(out: Path, text: str, name: str) -> None:
    where = Place(visible(name))
    try:
        with out.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise error(Problem("E-CLI", "is there already, and is kept", "give another name", where)) from None
    except OSError as why:
        what = f"cannot be written: {os.strerror(why.errno or 0)}"
        raise error(Problem("E-PERM" if isinstance(why, PermissionError) else "E-DISK", what,
                            "give another folder", where, exit_code=1)) from None  # fmt: skip
