"""weft tui: the graph runner on the terminal."""

import argparse
import gc
import os
import sys
from typing import TYPE_CHECKING

from engine.errors import Problem, WeftError, error

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Run the TUI; returns the exit code. Raises E-CLI where there is no terminal."""
    if not can_run():
        raise error(Problem("E-CLI", "weft tui needs a terminal", "weft run makes the same without one"))
    gc.enable()
    from commands.common import known_nodes
    from tui import config, garbage
    from tui.app import WeftApp

    settings = config.load()
    app = WeftApp(
        args.file or "", registry=lambda: known_nodes(registry), config=settings, settle=garbage.settle,
        images=args.images or "", pixels=_pixels(args.images, settings.images),
    )  # fmt: skip
    return app.run() or app.return_code or 0


def _pixels(asked: str | None, set_to: str) -> str:
    """How finished pictures are drawn. What is asked for is refused where it cannot be; what is set is then left."""
    from tui import pixels

    try:
        return pixels.drawn_as(asked or set_to)
    except WeftError:
        if asked:
            raise
        return "half"


def can_run() -> bool:
    """Whether input and output are a terminal. Textual draws on standard error."""
    return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "unknown"
