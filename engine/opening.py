"""Opening what a person hands over as a workflow: a workflow file, and one day whatever else holds one."""

from pathlib import Path

from engine.errors import Place, Problem, error
from engine.source import Source, decode, read_bytes
from engine.text import visible

_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")


def workflow_text(path: Path, name: str = "") -> Source:
    """The text of the workflow in a file, which messages call `name`.

    Raises what `read_source` raises, and E-FOREIGN for a picture.
    """
    name = name or visible(str(path))
    data = read_bytes(path, name=name)
    if data.startswith(_PICTURES):
        raise error(Problem("E-FOREIGN", "a picture, not a workflow", "open the file of the workflow that made it",
                            Place(name)))  # fmt: skip
    return decode(data, name)
