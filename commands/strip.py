"""weft strip: a copy of a picture without all that it carries."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from commands.common import find
from engine.files import keep
from engine.opening import PICTURE_LIMIT
from engine.pictures.write import without_texts
from engine.source import read_bytes
from engine.text import visible

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Write a copy of a picture without any text; returns 0."""
    path = find(args.file)
    data = without_texts(read_bytes(path, PICTURE_LIMIT), visible(str(path)))
    print(visible(str(keep(Path(args.out or path.with_stem(f"{path.stem}-bare")), data)), 1000))
    return 0
