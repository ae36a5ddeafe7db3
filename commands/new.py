"""weft new: a workflow file of one's own, from one that ships."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from commands.common import shipped
from engine.errors import Place, Problem, error
from engine.text import did_you_mean, quoted, visible

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Copy TEMPLATE to FILE; returns the exit code."""
    known = shipped()
    if args.template not in known:
        hint = did_you_mean(args.template, known)
        what = f"{quoted(args.template)} is not a shipped workflow"
        raise error(Problem("E-NOTFOUND", what, hint, exit_code=3))
    target = Path(args.file)
    where = Place(file=visible(args.file))
    try:
        with target.open("xb") as file:
            file.write(known[args.template].read_bytes())
    except FileExistsError:
        raise error(Problem("E-CLI", "is there already, and is kept", "give another name", where)) from None
    except OSError as why:
        what = f"cannot be written: {os.strerror(why.errno or 0)}"
        raise error(Problem("E-PERM" if isinstance(why, PermissionError) else "E-DISK", what,
                            "give another folder", where, exit_code=1)) from None  # fmt: skip
    print(target)
    return 0
