"""weft export: a workflow as another program's file."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from commands.common import known_nodes, opened, wrong_usage
from commands.importing.command import refuse_existing, write
from commands.importing.export import export
from engine.errors import Problem, error

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Export FILE. Returns 0, or raises E-FOREIGN with all nodes that have no match; then nothing is written."""
    if not args.comfy:
        raise wrong_usage("export", "say to what: --comfy")
    out = None if args.out is None else Path(args.out)
    refuse_existing(out)
    made = export(opened(args.file, known_nodes(registry)))
    if made.unmatched:
        hint = "docs/importing.md lists what has a match"
        raise error([Problem("E-FOREIGN", line, hint) for line in made.unmatched])
    text = json.dumps(made.prompt, indent=2, ensure_ascii=False) + "\n"
    if out is None:
        print(text, end="")
    else:
        write(out, text)
        print(out)
    for line in made.differs:
        print(line, file=sys.stderr)
    return 0
