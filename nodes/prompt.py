"""Prompts out of templates."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.context import Context
from engine.errors import Place, Problem, error
from engine.inputs import allowed_for, folder_files
from engine.node import Input, Node, Seed
from engine.paths import resolve_input
from engine.source import decode, read_bytes
from engine.text import did_you_mean, quoted

if TYPE_CHECKING:
    from diffusion.template import TemplateError

WILDCARDS = "wildcards"
"""The folder beside a workflow in which wildcard files are, if no other is named."""
FILE_LIMIT = 1024 * 1024
"""Bytes of one wildcard file."""

_text_files = folder_files("*.txt")


def wildcard_files(value: str, base: Path, allowed: Sequence[Path] = ()) -> Sequence[Path]:
    """The wildcard files of a folder (an `engine.spec.FilesOf`); none, where the usual folder is not there."""
    if value == WILDCARDS and not (base / value).exists():
        return []
    return _text_files(value, base, allowed)


class PromptTemplate(Node):
    """One text out of many: choices are drawn with the seed, and the same seed always gives the same text.

    {red|green} is one of these, {3::red|green} red three times as often, {2$$a|b|c} two joined by ", "; they nest.
    __colour__ is a line of wildcards/colour.txt, {name} a value. A backslash before a brace keeps it.
    """

    version = 1
    cached = False
    template: str = Input(about="text with {a|b} choices, __file__ wildcards and {name} values")
    seed: int = Seed()
    values: dict | None = Input(None, about="texts and numbers by name, for {name}")  # type: ignore[type-arg]
    wildcards: str = Input(
        WILDCARDS, about="the folder of wildcard files: one option a line, # for comments", files=wildcard_files
    )

    @classmethod
    def check(cls, literals: Mapping[str, Any]) -> Iterable[Problem]:
        from diffusion.template import TemplateError, parse

        if isinstance(literals.get("template"), str):
            try:
                parse(literals["template"])
            except TemplateError as why:
                yield _problem(why)
        for name, value in (literals.get("values") or {}).items():
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                what = f"the value {quoted(name)} is {quoted(value)}; expected text or a number"
                yield Problem("E-TYPE", what, place=Place(input="values"))

    def run(self, ctx: Context) -> str:
        from diffusion.template import TemplateError, resolve

        wrong = tuple(self.check({"template": self.template, "values": self.values}))
        if wrong:
            raise error(wrong)
        try:
            text = resolve(self.template, self.seed, self.values, _Folder(self.wildcards, ctx))
        except TemplateError as why:
            raise error(_problem(why)) from why
        ctx.say(text)
        return text


def _problem(why: "TemplateError") -> Problem:
    from diffusion.template import TooLong, UnknownName, UnknownWildcard

    place = Place(input="template")
    if isinstance(why, UnknownName):
        missing = isinstance(why, UnknownWildcard)
        usual = "add it to the folder of wildcards, one option a line" if missing else "give it in values"
        hint = did_you_mean(why.name, why.known) or usual
        return Problem("E-NOTFOUND" if missing else "E-TEMPLATE", str(why), hint, place, 3 if missing else 2)
    return Problem("E-SIZE" if isinstance(why, TooLong) else "E-TEMPLATE", str(why), why.hint, place)


class _Folder(Mapping[str, Sequence[str]]):
    """The options behind each wildcard name; a file is read when its name is looked up."""

    def __init__(self, value: str, ctx: Context) -> None:
        settings = ctx.settings
        allowed = allowed_for(settings, ctx.node, "wildcards")
        files = wildcard_files(value, settings.folder, allowed)
        root = resolve_input(value, settings.folder, allowed) if files else Path()
        self._files = {path.relative_to(root).with_suffix("").as_posix(): path for path in files}

    def __getitem__(self, name: str) -> Sequence[str]:
        from diffusion.template import options_of

        data = read_bytes(self._files[name], FILE_LIMIT, f"{name}.txt")
        return options_of(decode(data, f"{name}.txt").text) if data.strip() else []

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)
