"""weft convert: what a pickle is, why weft does not load one, and a copy of its weights that it does."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from commands.common import wrong_usage
from engine.text import visible

if TYPE_CHECKING:
    from engine.registry import Registry

RISK = """{file} is not loaded because of what a pickle is: a small program that builds objects
and may call any function while it is read. A model from a stranger could read or delete your files that way.

weft convert {file} --yes copies the weights to {copy}. For that torch reads the pickle with
weights_only: it builds tensors and plain containers, calls nothing else, and stops where more is asked for. That is
much safer, but faults in it have been found before. Where there is a .safetensors file of the model, take that.
"""


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Explain, or with --yes convert and print the path of the new file."""
    path = Path(args.file)
    if path.suffix.lower() == ".safetensors":
        raise wrong_usage("convert", "a file that ends in .safetensors: if it is a pickle, rename it to .ckpt first")
    if not args.yes:
        print(RISK.format(file=visible(str(path)), copy=visible(str(path.with_suffix(".safetensors")))), end="")
        return 0
    from nodes.pickles import convert

    print(convert(path))
    return 0
