"""Opening what a person hands over as a workflow: a workflow file, or a picture that carries one."""

from pathlib import Path

from engine.embed import workflow_in
from engine.pictures.container import JPEG, PNG
from engine.source import Source, decode, read_bytes, read_source
from engine.text import visible

PICTURE_LIMIT = 256 * 1024 * 1024
"""Bytes of a picture that are read at most."""
ENDINGS = (".png", ".webp", ".jpg", ".jpeg")
"""What is called so must be a picture."""


def is_picture(path: Path) -> bool:
    """Whether a file begins as a PNG, JPEG or WebP does; False for what cannot be read."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(8).startswith((PNG, JPEG, b"RIFF"))
    except (OSError, ValueError):
        return False


def workflow_text(path: Path, name: str = "") -> Source:
    """The text of the workflow in a file, which messages call `name`: its own text, or what a picture carries.

    Raises what `read_bytes`, `decode` and `workflow_in` raise.
    """
    name = name or visible(str(path))
    if not is_picture(path) and path.suffix.lower() not in ENDINGS:
        return read_source(path, name=name)
    return decode(workflow_in(read_bytes(path, PICTURE_LIMIT, name), name).encode(), name)
