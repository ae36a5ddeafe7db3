"""What can go wrong, in one tree.

    WeftError                a list of problems; the exit code of the command that met it
    ├── WorkflowError    2   the workflow or the command line is wrong; nothing ran
    ├── MissingError     3   a model or a file is not there
    ├── UnsafeError      5   refused: a path that leaves its folder, a pickle
    ├── RunError         1   a node failed while it ran
    └── Cancelled      130   the person stopped it

Every problem says where (file:line:column, node.input), what (with the value), and what to do now.
Codes are stable: scripts may rely on them. `weft errors` prints the table below.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

CODES: dict[str, str] = {
    "E-ARCH": "a model's architecture is not one weft knows, or not the one needed here",
    "E-BOMB": "a picture or a text in it that would expand beyond what weft reads",
    "E-BUNDLE": "a bundle that is damaged, or holds what no bundle may hold",
    "E-CACHE": "the cache folder cannot be used",
    "E-CHOICE": "a value is not one of those an input takes",
    "E-CLI": "the command line is wrong",
    "E-CONFIG": "a weft.toml that is wrong",
    "E-CYCLE": "nodes feed each other in a circle",
    "E-DEPTH": "JSON is nested too deeply",
    "E-DIGEST": "a file's digest is not the one expected",
    "E-DISK": "the disk is full or does not take the file",
    "E-DUPKEY": "a key stands twice in one object",
    "E-EMPTY": "a file is empty",
    "E-ENC": "text is not valid Unicode",
    "E-FOREIGN": "a file belongs to another program",
    "E-NOMETA": "a picture carries no workflow of weft's",
    "E-ID": "a node id or a param name has characters that are not allowed",
    "E-IMAGE": "a picture is damaged, or is no picture",
    "E-INPUT": "a node has no input of that name",
    "E-JSON": "a file is not valid JSON",
    "E-KEY": "an unknown key in a workflow",
    "E-LIMIT": "more nodes, variants, pixels or memory than weft takes",
    "E-LINK": "a link leads nowhere, or to several things at once",
    "E-LOCK": "a lock that is damaged, or no longer fits its workflow",
    "E-MEMORY": "out of memory",
    "E-MISSING": "a required input or param has no value",
    "E-MODEL": "a model file is damaged",
    "E-NAME": "a file name that some systems cannot hold, or that hides something",
    "E-NODE": "an unknown node type",
    "E-NOOUT": "nothing would be saved",
    "E-NOTFILE": "not a regular file",
    "E-NOTFOUND": "a file, model or workflow is not there",
    "E-NUM": "a number that a workflow cannot hold",
    "E-PARAM": "a param is unknown, or used in ways that do not agree",
    "E-PATH": "a path leads out of the folder it must stay in",
    "E-PERM": "no permission to read or write a file",
    "E-PICKLE": "a pickle, which could run code; never loaded",
    "E-RANGE": "a number outside the range of an input",
    "E-RUN": "a node failed while it ran",
    "E-SHAPE": "JSON of the wrong shape",
    "E-SIZE": "a file or a text larger than weft takes",
    "E-STEP": "a number that is not a multiple of what an input needs",
    "E-STRICT": "a strict run would have done other than it was asked to",
    "E-SWEEP": "a sweep that cannot be made",
    "E-TEMPLATE": "a template that cannot be filled in",
    "E-TYPE": "a value or link of the wrong type",
    "E-URL": "a web address where a file is expected; workflows do not fetch",
    "E-VERSION": "a file written for a newer weft",
    "W-BATCH": "variants of a sweep could not run together, and ran in smaller batches",
    "W-BOM": "a byte order mark at the start of a file; ignored",
    "W-CACHE": "a cache entry was damaged and is made again, or the cache could not be written",
    "W-CTRL": "text holds control characters; shown escaped",
    "W-NAME": "a file was found under another spelling of its name",
    "W-NAN": "a model's weights are not all finite numbers",
    "W-OUT": "a file of that name existed; another name was taken",
    "W-PARAM": "a param feeds nothing",
    "W-SEED": "a random seed was drawn",
    "W-SIZE": "a noise schedule or a control picture was made for another size",
    "W-SKIP": "broken nodes that the target does not need were left out",
    "W-SPEED": "a network could not be prepared as --speed asked, and ran as it is",
    "W-TOKENS": "a prompt was longer than the text encoder reads",
    "W-VARIANT": "only a variant of a model's weights is there; it was taken",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a problem is: a file, a position in it (both counted from 1), a node and an input of it."""

    file: str = ""
    line: int = 0
    column: int = 0
    node: str = ""
    input: str = ""

    def __str__(self) -> str:
        parts = []
        if self.file or self.line:
            position = f"{self.line}:{self.column}" if self.line else ""
            parts.append(":".join(p for p in (self.file, position) if p))
        if self.node:
            parts.append(f"{self.node}.{self.input}" if self.input else self.node)
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a stable code, where, what with the value, and what to do now."""

    code: str
    what: str
    hint: str = ""
    place: Place = Place()
    exit_code: int = 2
    excerpt: str = ""
    """The line of the file with a caret under the place, shown on lines of its own; may be empty."""

    @property
    def is_warning(self) -> bool:
        """True for a note that stops nothing (codes W-...)."""
        return self.code.startswith("W-")

    def at(self, place: Place) -> "Problem":
        """The same problem with its place filled in."""
        return replace(self, place=place)

    def __str__(self) -> str:
        head = f"{self.code} {self.place}".rstrip()
        line = f"{head}: {self.what}" + (f"; {self.hint}" if self.hint else "")
        return f"{line}\n{self.excerpt}" if self.excerpt else line


class OutOfMemory(MemoryError):
    """A node found no memory left, and has let go of what it could. levers: what would help beside smaller inputs."""

    def __init__(self, text: str, levers: Iterable[str] = ()) -> None:
        super().__init__(text)
        self.levers = tuple(levers)


class WeftError(Exception):
    """Base of all errors that weft raises on purpose. `problems` is never empty."""

    exit_code = 1

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class WorkflowError(WeftError):
    """The workflow or the command line is wrong. Nothing ran, nothing was written."""

    exit_code = 2


class MissingError(WeftError):
    """A model or a file is not there."""

    exit_code = 3


class UnsafeError(WeftError):
    """Refused: it could reach outside the folders it may use, or run code."""

    exit_code = 5


class RunError(WeftError):
    """A node failed while it ran."""

    exit_code = 1


class Cancelled(WeftError):
    """The person stopped the run."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__(Problem("E-RUN", "interrupted", "run it again to go on from here", exit_code=130))


_BY_EXIT: dict[int, type[WeftError]] = {1: RunError, 2: WorkflowError, 3: MissingError, 5: UnsafeError}


def error(problems: Problem | Iterable[Problem]) -> WeftError:
    """The exception for these problems: the gravest exit code among them decides its class (5, then 2, 3, 1)."""
    items = (problems,) if isinstance(problems, Problem) else tuple(problems)
    gravest = min((p.exit_code for p in items), key=(5, 2, 3, 1).index)
    return _BY_EXIT[gravest](items)
