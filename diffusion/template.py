r"""Prompt templates: one text that stands for many, and a seed that says which.

    {red|green|blue}         one of these
    {3::red|green}           red three times as often as green
    {2$$red|green|blue}      two different ones, joined by ", "
    {1-3$$ and $$a|b|c}      one to three, joined by " and "
    __colour__               a line of the file colour.txt; __colour/warm__ of warm.txt in the folder colour
    {2$$__colour__}          two different lines of it
    {name}                   a value given beside the template, as it stands
    \{ \} \| \_ \# \$        the character itself; any other backslash stays, such as those of \(weights\)

Choices nest, and lines of files are templates too. In a file, a line that begins with # is a comment, and `3::` before
a line is its weight.

The same template, seed, values and files give the same text in every process and on every machine: choices are drawn,
in the order in which they stand, from Python's Mersenne Twister, whose `random()` is promised not to change.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

LIMIT = 64 * 1024
"""Bytes of text, in UTF-8, that a template may become."""
DEPTH_LIMIT = 20
"""Choices and wildcards inside each other."""
DRAW_LIMIT = 1000
"""Choices made in one template. Two wildcards in each line of a file would otherwise double at every level."""

_NAME = r"[^\W\d_][\w-]*"
_WILDCARD = r"__([^\W_](?:[^\W_]|[/.-]|_(?!_))*)__"
_TOKEN = re.compile(rf"\\([{{}}|_#$])|{_WILDCARD}|\{{({_NAME})\}}|([{{}}|])")
_COUNT = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?\$\$(?:([^{}|$\\]*)\$\$)?")
_WEIGHT = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})::")


class TemplateError(ValueError):
    """A template that cannot be filled in. hint: what to do."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class UnknownName(TemplateError):
    """A {name} without a value, or a __wildcard__ without a file. known: those that there are."""

    def __init__(self, what: str, name: str, known: Sequence[str]) -> None:
        super().__init__(what)
        self.name = name
        self.known = tuple(known)


class UnknownWildcard(UnknownName):
    """A __wildcard__ without a file."""


class TooLong(TemplateError):
    """The text that a template becomes is longer than `LIMIT`."""


@dataclass(frozen=True, slots=True)
class Value:
    """{name}."""

    name: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    """__name__."""

    name: str


@dataclass(frozen=True, slots=True)
class Option:
    """One of the things to choose from."""

    parts: "tuple[Part, ...]"
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Choice:
    """{a|b|c}: `low` to `high` different options, joined; with one, it stands exactly as it is written."""

    options: tuple[Option, ...]
    written: str
    """As it stands in the template."""
    low: int = 1
    high: int = 1
    joiner: str = ", "


Part = str | Value | Wildcard | Choice


def resolve(
    template: str,
    seed: int,
    values: Mapping[str, str | int | float] | None = None,
    wildcards: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """The text that the template becomes for this seed (any integer). wildcards: the options behind each name.

    Raises TemplateError for braces that do not match and choices that cannot be made, UnknownName and UnknownWildcard,
    and TooLong.
    """
    return _Resolver(Random(seed), values or {}, wildcards or {}).text(parse(template), ())


def parse(template: str) -> tuple[Part, ...]:
    """The template taken apart. Raises TemplateError for braces that do not match, with the place."""
    return _Parser(template).parts()


def options_of(text: str) -> list[str]:
    """The options in the text of a wildcard file: its lines, without comments, empty lines and outer space."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


class _Parser:
    """One pass over a template, from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._opened: list[int] = []

    def parts(self) -> tuple[Part, ...]:
        """Everything up to the | or } that ends an option, or up to the end of the text."""
        parts: list[Part] = []
        text = ""
        while match := _TOKEN.search(self._text, self._at):
            text += self._text[self._at : match.start()]
            self._at = match.end()
            escaped, wildcard, name, brace = match.groups()
            if escaped:
                text += escaped
                continue
            if brace == "|" and not self._opened:
                text += brace
                continue
            if brace in ("|", "}"):
                self._at = match.start()
                if not self._opened:
                    raise TemplateError(f'"}}" {self._place(self._at)} closes nothing', r"write \} for a brace")
                break
            parts += [text] if text else []
            text = ""
            parts.append(Wildcard(wildcard) if wildcard else Value(name) if name else self._choice(match.start()))
        else:
            if self._opened:
                where = self._place(self._opened[-1])
                raise TemplateError(f'"{{" {where} is never closed', r"close it, or write \{ for a brace")
            text += self._text[self._at :]
        return (*parts, text) if text else tuple(parts)

    def _choice(self, start: int) -> Choice:
        """What follows a {, and the } that ends it."""
        if len(self._opened) == DEPTH_LIMIT:
            raise TemplateError(
                f"choices inside each other more than {DEPTH_LIMIT} deep", "put some into a wildcard file"
            )
        self._opened.append(start)
        low, high, joiner = 1, 1, ", "
        count = _COUNT.match(self._text, self._at)
        if count:
            self._at = count.end()
            low = int(count[1])
            high = int(count[2] or low)
            joiner = joiner if count[3] is None else count[3]
        options = [self._option()]
        while self._text[self._at] == "|":
            self._at += 1
            options.append(self._option())
        self._at += 1
        self._opened.pop()
        written = self._text[start : self._at]
        if len(options) == 1 and not count:
            hint = r"a value is {name}, a choice {a|b}, and \{ a brace"
            raise TemplateError(f'"{_short(written)}" {self._place(start)} is neither a value nor a choice', hint)
        if high < low:
            raise TemplateError(
                f'"{_short(written)}" asks for {low} to {high} options', "write the smaller number first"
            )
        return Choice(tuple(options), written, low, high, joiner)

    def _option(self) -> Option:
        weight = _WEIGHT.match(self._text, self._at)
        if weight:
            self._at = weight.end()
        return Option(self.parts(), float(weight[1]) if weight else 1.0)

    def _place(self, at: int) -> str:
        return f"at character {at + 1}"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


class _Pool:
    """Options to draw from; those of weight 0 are left out."""

    def __init__(self, options: Iterable[Option]) -> None:
        self.options = [option for option in options if option.weight > 0]
        self._ends = list(accumulate(option.weight for option in self.options))

    def draw(self, point: float) -> int:
        """The number i of an option, with probability weight_i / sum of weights for a uniform `point` in [0, 1)."""
        return min(bisect_right(self._ends, point * self._ends[-1]), len(self._ends) - 1)

    def without(self, index: int) -> "_Pool":
        """The others."""
        return _Pool(self.options[:index] + self.options[index + 1 :])


class _Resolver:
    """Fills in one template. Everything that it puts into the text is counted once, where it is made."""

    def __init__(
        self, random: Random, values: Mapping[str, str | int | float], wildcards: Mapping[str, Sequence[str]]
    ) -> None:
        self._random = random
        self._values = values
        self._wildcards = wildcards
        self._known: dict[str, _Pool] = {}
        self._left = LIMIT
        self._draws = 0

    def text(self, parts: Sequence[Part], trail: tuple[str, ...]) -> str:
        """The text of these parts. trail: what they are inside of, from the outside in."""
        found: list[str] = []
        for part in parts:
            if isinstance(part, str):
                found.append(self._spend(part))
            elif isinstance(part, Value):
                found.append(self._spend(self._value(part.name)))
            elif isinstance(part, Wildcard):
                found.append(self._chosen(self._lines(part.name), 1, "", (*trail, f"__{part.name}__")))
            else:
                found.append(self._choice(part, (*trail, _short(part.written))))
        return "".join(found)

    def _choice(self, choice: Choice, trail: tuple[str, ...]) -> str:
        only = choice.options[0].parts
        if len(choice.options) == 1 and len(only) == 1 and isinstance(only[0], Wildcard):
            pool = self._lines(only[0].name)
            trail = (*trail, f"__{only[0].name}__")
        else:
            pool = _Pool(choice.options)
        count = choice.low
        if choice.high > choice.low:
            count += int(self._random.random() * (choice.high - choice.low + 1))
        return self._chosen(pool, count, choice.joiner, trail)

    def _chosen(self, pool: _Pool, count: int, joiner: str, trail: tuple[str, ...]) -> str:
        """So many different options, in the order in which they are drawn, as text."""
        if len(trail) > DEPTH_LIMIT:
            what = f"choices and wildcards lead more than {DEPTH_LIMIT} deep: {' in '.join(reversed(trail[-3:]))} …"
            raise TemplateError(what, "a wildcard file that names itself never ends")
        found: list[str] = []
        if count > len(pool.options):
            what = f"{trail[-1]} is to give {count} of {len(pool.options)} options"
            raise TemplateError(what, "ask for fewer; those of weight 0 do not count")
        while len(found) < count:
            index = self._draw(pool)
            text = self.text(pool.options[index].parts, trail)
            found.append(text.strip() if count > 1 else text)
            if len(found) < count:
                pool = pool.without(index)
        self._spend(joiner * max(0, count - 1))
        return joiner.join(found)

    def _draw(self, pool: _Pool) -> int:
        """The number of the option that comes next."""
        self._draws += 1
        if self._draws > DRAW_LIMIT:
            raise TemplateError(f"more than {DRAW_LIMIT} choices in one text", "a wildcard may lead to too many others")
        return pool.draw(self._random.random())

    def _lines(self, name: str) -> _Pool:
        if name not in self._known:
            self._known[name] = _Pool(self._read(name))
        return self._known[name]

    def _read(self, name: str) -> list[Option]:
        if name not in self._wildcards:
            raise UnknownWildcard(f'no wildcard file for "__{name}__"', name, sorted(self._wildcards))
        lines = self._wildcards[name]
        if not lines:
            raise TemplateError(f'the wildcard file for "__{name}__" has no options', "write one on each line")
        found: list[Option] = []
        for line in lines:
            weight = _WEIGHT.match(line)
            rest = line[weight.end() :] if weight else line
            try:
                found.append(Option(parse(rest), float(weight[1]) if weight else 1.0))
            except TemplateError as why:
                raise TemplateError(f'in the wildcard file for "__{name}__": {why}: {_short(line)}', why.hint) from None
        return found

    def _value(self, name: str) -> str:
        if name not in self._values:
            raise UnknownName(f'no value for "{{{name}}}"', name, sorted(self._values))
        return str(self._values[name])

    def _spend(self, text: str) -> str:
        self._left -= len(text.encode())
        if self._left < 0:
            raise TooLong(f"the template becomes a text of more than {LIMIT // 1024} KiB", "make it shorter")
        return text
