"""What one input of a node takes: its type, range, default and description, and the check of a literal against them."""

import json
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from engine.errors import Problem
from engine.text import did_you_mean, quoted, size
from engine.values import socket_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

TEXT_LIMIT = 64 * 1024
DIGITS = 20
REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "required"})()

FilesOf = Callable[..., Sequence[Path]]
"""(the literal, the workflow's folder, other allowed folders) -> the files whose content the input stands for; also by
name the literals of the inputs that it asked for with `beside`."""


class Bad(Exception):
    """A literal that an input does not take. Carries the problem, its place still to be filled in."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class FilesMark:
    """Field metadata: the input names files, and this finds them, knowing the literals of the inputs beside it."""

    files: FilesOf
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input of a node class, read off its pydantic field."""

    name: str
    kinds: tuple[type, ...]
    """The Python types it takes, None aside; several for a union."""
    optional: bool = False
    many: bool = False
    """A list; a list of links feeds it."""
    default: Any = REQUIRED
    about: str = ""
    choices: tuple[str, ...] = ()
    ge: float | None = None
    le: float | None = None
    multiple_of: float | None = None
    seed: bool = False
    """A seed: absent, null or -1 means that one is drawn, shown and recorded."""
    files: FilesOf | None = None
    beside: tuple[str, ...] = ()
    """Other inputs of the node whose literals `files` is told."""
    template: bool = False
    """A file name template; `{param}` is expanded when it runs, and it is not in the key."""
    free: bool = False
    """Takes any value that fits a wire (a viewer, a stopwatch)."""

    @property
    def element(self) -> "InputSpec":
        """What one element of a list input takes."""
        return replace(self, many=False, optional=False, default=REQUIRED)

    @property
    def literal(self) -> bool:
        """True if the input can be written in the file, false if only a link can feed it."""
        return any(k in (bool, int, float, str, dict) for k in self.kinds)

    @property
    def type_name(self) -> str:
        """The type as messages and drawings write it: INT, LATENT, [IMAGE], TEXT."""
        names = " or ".join(dict.fromkeys(socket_of(k).name for k in self.kinds)) if not self.free else "ANY"
        return f"[{names}]" if self.many else names

    @property
    def range_text(self) -> str:
        """The range as messages write it, such as 1…10000; empty if there is none."""
        if self.ge is None and self.le is None:
            return ""
        low = "" if self.ge is None else f"{self.ge:g}" if abs(self.ge) < 1e6 else str(int(self.ge))
        high = "" if self.le is None else f"{self.le:g}" if abs(self.le) < 1e6 else str(int(self.le))
        return f"{low}…{high}"

    def find_files(self, literals: Mapping[str, Any], folder: Path, allowed: Sequence[Path]) -> Sequence[Path]:
        """The files that a literal of this input stands for, by all literals of its node. Errors as its `files` has."""
        assert self.files is not None
        return self.files(literals[self.name], folder, allowed, **{name: literals.get(name) for name in self.beside})

    def takes(self, kind: type) -> bool:
        """Whether a value of this type fits: the same class or a subclass; an int fits where a number does."""
        if self.free:
            return True
        if kind is bool:
            return bool in self.kinds
        return any(issubclass(kind, k) for k in self.kinds) or (kind is int and float in self.kinds)

    def check(self, value: Any) -> Any:
        """The literal as the node gets it (an int made float where one is due); raises `Bad`."""
        if value is None:
            if self.optional or self.seed:
                return None
            raise Bad(Problem("E-TYPE", f"null; expected {self._expected()}"))
        if self.many:
            if not isinstance(value, list | tuple):
                raise Bad(Problem("E-TYPE", f"{_named(value)}; expected a list of {self._expected(one=True)}"))
            return [self._check_one(v) for v in value]
        return self._check_one(value)

    def _check_one(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            if str not in self.kinds:
                raise Bad(Problem("E-TYPE", f"{_named(value)}; expected {self._expected(one=True)}"))
            return self._check_text(value)
        if kind is bool:
            if bool in self.kinds:
                return value
            raise Bad(Problem("E-TYPE", f"{_named(value)}; expected {self._expected(one=True)}"))
        if kind is int:
            if abs(value) >= 10**DIGITS:
                raise Bad(Problem("E-NUM", f"an integer of {_digits(value)} digits, limit {DIGITS}"))
            if int in self.kinds:
                return self._check_range(value)
            if float in self.kinds:
                return self._check_range(float(value))
        elif kind is float:
            if not math.isfinite(value):
                raise Bad(Problem("E-NUM", f"{quoted(value)} is not a number a workflow can hold"))
            if float in self.kinds:
                return self._check_range(value)
            if int in self.kinds:
                fix = f"write {int(value)}" if value.is_integer() else ""
                raise Bad(Problem("E-TYPE", f"{value!r} is not {'an integer' if value.is_integer() else 'whole'}", fix))
        elif kind is dict and dict in self.kinds:
            return _plain(value)
        raise Bad(Problem("E-TYPE", f"{_named(value)}; expected {self._expected(one=True)}"))

    def _check_range(self, value: float) -> float:
        if (self.ge is not None and value < self.ge) or (self.le is not None and value > self.le):
            if self.seed and value == -1:
                return value
            raise Bad(Problem("E-RANGE", f"{_minus(value)} is outside {self.range_text}"))
        if self.multiple_of and not _is_multiple(value, self.multiple_of):
            low = math.floor(value / self.multiple_of) * self.multiple_of
            near = [n for n in (low, low + self.multiple_of) if (self.ge is None or n >= self.ge) and
                    (self.le is None or n <= self.le)]  # fmt: skip
            what = f"{value:g} is not a multiple of {self.multiple_of:g}"
            raise Bad(Problem("E-STEP", what, f"nearest: {', '.join(f'{n:g}' for n in near)}" if near else ""))
        return value

    def _check_text(self, value: str) -> str:
        _check_unicode(value)
        if self.choices and value not in self.choices:
            close = did_you_mean(value, self.choices)
            hint = close if not close.startswith("did") else f"{close} one of {', '.join(self.choices)}"
            raise Bad(Problem("E-CHOICE", f"{quoted(value)} is not a choice", hint))
        return value

    def _expected(self, *, one: bool = False) -> str:
        if self.many and not one:
            return "a list"
        words = {bool: "true or false", int: "an integer", float: "a number", str: "text", dict: "an object"}
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        known = [words[k] for k in self.kinds if k in words and not (k is int and float in self.kinds)]
        if known:
            return " or ".join(known)
        return f'a link to {self.type_name.strip("[]")}, such as "@node"'


def _check_unicode(text: str) -> None:
    """Raise Bad for a text that is too long, or that has half of a surrogate pair in it."""
    try:
        count = len(text.encode())
    except UnicodeEncodeError as why:
        raise Bad(Problem("E-ENC", f"not valid Unicode at character {why.start + 1}", "remove it")) from None
    if count > TEXT_LIMIT:
        raise Bad(Problem("E-SIZE", f"text of {size(count)}, limit {size(TEXT_LIMIT)}", "make it shorter"))


def _plain(value: dict[Any, Any]) -> Any:
    """A copy of an object, made of what a file can hold and nothing else."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        hint = "use text, finite numbers, true, false, null, lists and objects"
        raise Bad(Problem("E-TYPE", "an object with something in it that JSON cannot hold", hint)) from None
    _check_unicode(text)
    return json.loads(text)


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    # 0.3 is three times 0.1 to a person, and nearly so to a float.
    return math.isclose(value / step, round(value / step), rel_tol=1e-9, abs_tol=1e-9)


def _digits(value: int) -> int:
    # Not the length of the text: Python refuses to write more than 4300 digits.
    return math.floor(math.log10(abs(value))) + 1


def _minus(value: float) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text.replace("-", "−", 1) if text.startswith("-") else text


def _named(value: Any) -> str:
    """A value with the name of its type, for messages: text "20", boolean true, a list."""
    kind = type(value)
    if kind in (str, bool, int, float):
        word = {str: "text", bool: "boolean"}.get(kind, "number")
        return f"{word} {quoted(value)}"
    names = {list: "a list", tuple: "a list", dict: "an object", type(None): "null"}
    return names.get(kind, f"a Python {kind.__name__}")


def spec_of(name: str, field: "FieldInfo", annotation: Any) -> InputSpec:
    """Read the spec off a pydantic field. TypeError if its type is not one that a wire or a file can carry."""
    kinds: list[type] = []
    choices: list[str] = []
    optional = many = free = False
    pending = [annotation]
    while pending:
        part = pending.pop(0)
        origin = get_origin(part)
        if origin is Annotated:
            pending.insert(0, get_args(part)[0])
        elif origin in (Union, types.UnionType):
            pending[:0] = get_args(part)
        elif origin is Literal:
            if not all(isinstance(choice, str) for choice in get_args(part)):
                raise TypeError(f"{name}: the choices of a Literal must be text")
            choices.extend(get_args(part))
            kinds.append(str)
        elif origin in (list, tuple):
            many = True
            pending.insert(0, get_args(part)[0])
        elif part is type(None):
            optional = True
        elif part is object:
            free = True
        elif isinstance(part, type):
            kinds.append(part)
        else:
            raise TypeError(f"{name}: {part!r} cannot be an input")
    if not free:
        for kind in kinds:
            try:
                socket_of(kind)
            except KeyError:
                raise TypeError(f"{name}: {kind.__name__} is not a registered wire type") from None
    limits = {k: getattr(m, k) for m in field.metadata for k in ("ge", "le", "multiple_of") if hasattr(m, k)}
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    mark = next((m for m in field.metadata if isinstance(m, FilesMark)), None)
    return InputSpec(
        name=name,
        kinds=tuple(dict.fromkeys(kinds)),
        optional=optional,
        many=many,
        default=REQUIRED if field.is_required() else field.get_default(call_default_factory=True),
        about=field.description or "",
        choices=tuple(choices),
        seed=bool(extra.get("seed")),
        files=mark.files if mark else None,
        beside=mark.beside if mark else (),
        template=bool(extra.get("template")),
        free=free,
        **limits,
    )
