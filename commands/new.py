"""weft new: a workflow file of one's own, from one that ships; or a package of nodes."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from commands import node_pack
from commands.common import shipped, wrong_usage
from engine.errors import Place, Problem, error
from engine.text import did_you_mean, quoted, visible

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Copy TEMPLATE to FILE, or make a package; returns the exit code."""
    if args.node_pack is not None:
        if args.file is not None:
            raise wrong_usage("new", "--node-pack takes one folder at most")
        return node_pack.make(args.node_pack, args.template or "")
    if args.file is None:
        raise wrong_usage("new", "TEMPLATE and FILE missing" if args.template is None else "FILE missing")
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
