"""What an input that names a picture takes: a PNG, JPEG or WebP that is whole and of a size that is read."""

from collections.abc import Sequence
from pathlib import Path

from engine.errors import Place, Problem, WeftError, error
from engine.inputs import one_file
from engine.pictures.container import PNG, parts
from engine.pictures.texts import texts

_PIXELS = ("IHDR", "PLTE", "tRNS", "IDAT", "IEND", "eXIf")
"""The chunks of a PNG that its first picture is made of, and the one that says how the camera was held."""
FILE_BYTES = 1 << 30
"""The largest file that is read."""


def picture_file(value: str, base: Path, allowed: Sequence[Path] = ()) -> list[Path]:
    """The picture that `value` names, found whole and of a size that is read (an `engine.spec.FilesOf`).

    Raises the errors of `one_file` and of `check_picture`.
    """
    paths = one_file(value, base, allowed)
    check_picture(paths[0])
    return paths


def check_picture(path: Path) -> None:
    """Look through a file without decoding it. Errors as `engine.pictures.texts`, the file's name in what they say;
    E-SIZE for one of more than 1 GiB."""
    if path.stat().st_size > FILE_BYTES:
        raise error(Problem("E-SIZE", f"{path.name} is larger than 1 GiB", "get it again"))
    try:
        texts(path.read_bytes())
    except WeftError as why:
        raise error(Problem(p.code, f"{path.name}: {p.what}", p.hint, Place()) for p in why.problems) from None


def pixels_only(data: bytes) -> bytes:
    """The same file with only the chunks that its picture needs, if it is a PNG: texts, profiles and frames dropped."""
    if not data.startswith(PNG):
        return data
    return PNG + b"".join(data[part.at : part.end + 4] for part in parts(data) if part.kind in _PIXELS)


def damaged(name: str, where: str) -> WeftError:
    """The error for a picture that is not whole."""
    return error(Problem("E-IMAGE", f"{name}: damaged {where}", "get it again, or save it anew with another program"))
