"""Opening what a person hands over as a workflow: a workflow file, or a picture that carries one."""

from pathlib import Path

from engine.embed import PNG, workflow_in
from engine.errors import Place, Problem, error
from engine.source import Source, decode, read_bytes, read_source
from engine.text import visible

PICTURE_LIMIT = 256 * 1024 * 1024
"""Bytes of a picture that are read at most."""

_OTHERS = (b"\xff\xd8\xff", b"RIFF")


def is_picture(path: Path) -> bool:
    """Whether a file begins as a PNG, JPEG or WebP does; False for what cannot be read."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(8).startswith((PNG, *_OTHERS))
    except (OSError, ValueError):
        return False


def workflow_text(path: Path, name: str = "") -> Source:
    """The text of the workflow in a file, which messages call `name`: its own text, or what a PNG of weft's carries.

    Raises what `read_bytes`, `decode` and `workflow_in` raise, and E-NOMETA for pictures of other formats.
    """
    name = name or visible(str(path))
    if not is_picture(path):
        return read_source(path, name=name)
    data = read_bytes(path, PICTURE_LIMIT, name)
    if not data.startswith(PNG):
        hint = "only PNG files carry workflows; open the workflow's own file"
        raise error(Problem("E-NOMETA", "no generation data", hint, Place(name)))
    return decode(workflow_in(data, name).encode(), name)
