"""weft tui: the graph runner on the terminal."""

import argparse
import gc
import os
import sys
from typing import TYPE_CHECKING

from engine.errors import Problem, error

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Run the TUI; returns the exit code. Raises E-CLI where there is no terminal."""
    if not can_run():
        raise error(Problem("E-CLI", "weft tui needs a terminal", "weft run makes the same without one"))
    gc.enable()
    from commands.common import known_nodes
    from tui.app import WeftApp

    app = WeftApp(args.file or "", registry=lambda: known_nodes(registry))
    return app.run() or app.return_code or 0


def can_run() -> bool:
    """Whether input and output are a terminal. Textual draws on standard error."""
    return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "unknown"
