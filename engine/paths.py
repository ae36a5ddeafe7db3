"""The names of files in a workflow: where they may lead, and which of them every system can hold.

A workflow comes from anyone, so its names are judged before the disk is asked: a name that leads out of the folders
it may use is refused in the same words whether there is a file or not.
"""

import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from engine.errors import Problem, error
from engine.source import names_in, near_names
from engine.text import quoted, visible

NAME_LIMIT = 255
"""Bytes of a file name in UTF-8 that common file systems take."""

_URL = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+://|data:", re.IGNORECASE)
# A drive, the home folder, a file address. A backslash has become a slash before these are looked for.
_OTHER_ROOT = re.compile(r"[A-Za-z]:|~|file:|//", re.IGNORECASE)
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# The joiners of Persian and Indic scripts and of emoji: they belong to the spelling and turn nothing around.
_JOINERS = "\u200c\u200d"
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)
_FIELD = re.compile(
    r"\{\{|\}\}|\{([A-Za-z0-9_-]+)\}|\{[^{}]*\}?|\}|%(?:[A-Za-z]+%|\(\w*\)\w|0?\d*[sdifegxr](?![A-Za-z]))"
)


def resolve_input(
    value: str, base: Path, allowed: Sequence[Path] = (), on_note: Callable[[Problem], object] | None = None
) -> Path:
    """The file that a node reads: `value`, relative to the workflow's folder `base`, with all links followed.

    It must lie in `base` or, also if it is absolute, in one of the `allowed` folders, before and after links are
    followed. A name whose letters are composed another way on disk (NFC, NFD) is found; `on_note` gets a W-NAME.

    Raises UnsafeError (E-PATH), WorkflowError (E-URL, E-NAME) and MissingError (E-NOTFOUND). Their problems have no
    place yet.
    """
    if _URL.match(value):
        hint = "download it and add the file"
        raise error(Problem("E-URL", f"{quoted(value)} is a web address; workflows do not fetch", hint))
    if not value.strip("/\\ "):
        raise error(Problem("E-NAME", f"{quoted(value)} names no file", "give the name of a file"))
    _refuse_hidden(value)
    slashed = value.replace("\\", "/")
    roots = [os.path.abspath(r) for r in ((*allowed,) if slashed.startswith("/") else (base, *allowed))]
    lexical = os.path.normpath(os.path.join(os.path.abspath(base), slashed))
    if _OTHER_ROOT.match(slashed) or not any(_inside(lexical, root) for root in roots):
        raise error(_outside(value, "the input folder", "put the file beside the workflow, or allow its folder"))
    found = lexical if os.path.lexists(lexical) else _other_spelling(lexical, roots)
    real = os.path.realpath(found)
    if not any(_inside(real, os.path.realpath(root)) for root in roots):
        raise error(Problem("E-PATH", f"{quoted(value)} is a link that leaves the folder", _COPY, exit_code=5))
    if not os.path.exists(real):
        raise error(_absent(value, Path(lexical)))
    if found != lexical and on_note:
        on_note(_spelling_note(value, os.path.basename(found)))
    return Path(real)


def resolve_output(value: str, out: Path) -> Path:
    """Where a node writes `value`: a path below the folder `out`, with a name that every system can hold.

    Raises UnsafeError (E-PATH) when it leads out of `out`, and WorkflowError (E-NAME) with a name to take instead.
    Creates nothing. The problems have no place yet.
    """
    slashed = value.replace("\\", "/")
    parts = slashed.split("/")
    if _OTHER_ROOT.match(slashed) or slashed.startswith("/") or ".." in parts:
        raise error(_outside(value, "the output folder", "give a name below it; --out chooses the folder"))
    named = [p for p in parts[:-1] if p not in ("", ".")] + parts[-1:]
    for part in named:
        if why := _unsafe_name(part):
            safe = "/".join(safe_name(p) for p in named)
            raise error(Problem("E-NAME", f"{quoted(value)} {why}", f"take {quoted(safe, 300)}"))
    path = out.joinpath(*named)
    if not _inside(os.path.realpath(path), os.path.realpath(out)):
        raise error(Problem("E-PATH", f"{quoted(value)} is a link that leaves the folder", _REMOVE, exit_code=5))
    return path


def safe_name(name: str) -> str:
    """A file name like `name` that every system can hold."""
    name = "".join("_" if _is_hidden(c) or c in "/\\" else c for c in unicodedata.normalize("NFC", name))
    name = _FORBIDDEN.sub("_", name).rstrip(". ").lstrip("-~ ")
    if _is_device(name):
        name = f"_{name}"
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix) > 16:
        stem, dot, suffix = name, "", ""
    return (shorten(stem, NAME_LIMIT - len((dot + suffix).encode())) + dot + suffix) or "file"


def shorten(text: str, limit: int) -> str:
    """The start of `text` that has at most `limit` bytes of UTF-8 and ends with a whole character."""
    return text.encode()[:limit].decode(errors="ignore").rstrip(". ")


def expand_template(template: str, values: Mapping[str, object]) -> str:
    """`template` with each `{name}` replaced by its value; `{{` and `}}` are braces.

    There is nothing else: no attribute, index, format or %-code, so a template cannot reach into a value. A slash in
    a value becomes `_`, so that only the template makes folders.

    Raises WorkflowError (E-TEMPLATE) with every field that is wrong.
    """
    wrong: list[str] = []

    def field(match: re.Match[str]) -> str:
        if match.group() in ("{{", "}}"):
            return match.group()[0]
        name = match.group(1)
        if name is None or name not in values:
            wrong.append(match.group())
            return ""
        value = values[name]
        return re.sub(r"[/\\]", "_", value if isinstance(value, str) else quoted(value))

    text = _FIELD.sub(field, template)
    if wrong:
        allowed = "allowed: " + (" ".join(f"{{{visible(name)}}}" for name in values) or "no names")
        what = "a file name cannot hold"
        raise error(Problem("E-TEMPLATE", f"{what} {quoted(w)}", allowed) for w in dict.fromkeys(wrong))
    return text


_COPY = "copy the file into it, or allow the folder that the link leads to"
_REMOVE = "remove the link, or give another folder with --out"


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))


def _outside(value: str, folder: str, hint: str) -> Problem:
    return Problem("E-PATH", f"{quoted(value)} is outside {folder}", hint, exit_code=5)


def _is_hidden(c: str) -> bool:
    return unicodedata.category(c) in _HIDDEN and c not in _JOINERS


def _refuse_hidden(value: str) -> None:
    for c in value:
        if _is_hidden(c):
            what = f"{quoted(value)} contains ⟨U+{ord(c):04X}⟩"
            safe = "/".join(map(safe_name, value.replace("\\", "/").split("/")))
            raise error(Problem("E-NAME", what, f"rename the file to {quoted(safe, 300)}"))


def is_safe_name(name: str) -> bool:
    """Whether every system can hold a file of this name, and nothing hides in it."""
    return not _unsafe_name(name)


def _unsafe_name(name: str) -> str:
    """Why some system cannot hold `name`; empty if all can."""
    hidden = next((c for c in name if _is_hidden(c)), "")
    forbidden = _FORBIDDEN.search(name)
    size = len(name.encode(errors="replace"))
    checks = (
        (name in ("", "."), "names no file"),
        (hidden, f"contains {visible(hidden)}"),
        (forbidden, f"contains {forbidden.group() if forbidden else ''}, which Windows does not take"),
        (_is_device(name), "is the name of a device on Windows"),
        (name.endswith((".", " ")), "ends with a dot or a space"),
        (name.startswith(" "), "starts with a space"),
        (name.startswith("-"), "starts with a dash, as an option does"),
        (size > NAME_LIMIT, f"has {size} bytes, limit {NAME_LIMIT}"),
    )
    return next((why for holds, why in checks if holds), "")


def _is_device(name: str) -> bool:
    return _DEVICE.fullmatch(name.partition(".")[0].rstrip()) is not None


def _other_spelling(path: str, roots: list[str]) -> str:
    """The path on disk that reads the same as `path` once both are composed (NFC); `path` itself if there is none."""
    root = next(r for r in roots if _inside(path, r))
    found = root
    for part in Path(path).relative_to(root).parts:
        here = os.path.join(found, part)
        if not os.path.lexists(here):
            form = unicodedata.normalize("NFC", part)
            same = (n for n in names_in(Path(found)) if unicodedata.normalize("NFC", n) == form)
            here = os.path.join(found, next(same, part))
        found = here
    return found


def _spelling_note(value: str, on_disk: str) -> Problem:
    form = "composed (NFC)" if unicodedata.is_normalized("NFC", on_disk) else "decomposed (NFD)"
    what = f"{quoted(value)} was found under another spelling: the name on disk is {form}"
    return Problem("W-NAME", what, "rename the file, or write its name as it is on disk")


def _absent(value: str, path: Path) -> Problem:
    if path.parent.is_dir():
        hint = near_names(path.name, names_in(path.parent))
    else:
        hint = f"there is no folder {quoted(os.path.dirname(value))}"
    return Problem("E-NOTFOUND", f"{quoted(value)} is not there", hint, exit_code=3)
