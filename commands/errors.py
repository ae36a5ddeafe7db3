"""weft errors: the codes of errors and warnings. They are stable, so that scripts may rely on them."""

import argparse
from typing import TYPE_CHECKING

from commands.common import table
from engine.errors import CODES

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Print the table; returns the exit code."""
    print("\n".join(table(list(CODES.items()))))
    return 0
