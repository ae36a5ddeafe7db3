"""From the words of a command line to the graphs that run: values, sweeps, folders, device."""

import argparse
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.common import opened, parse_size
from engine.bind import bind
from engine.context import Settings
from engine.errors import Problem, WeftError, error
from engine.graph import Graph, Workflow
from engine.machine import strict
from engine.places import allowed
from engine.spec import InputSpec
from engine.sweep import Sweep
from engine.text import did_you_mean, quoted

if TYPE_CHECKING:
    from engine.registry import Registry

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}\Z")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_LONGEST_NUMBER = 400


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a run needs but the cache. variants: what each graph of a sweep sets; one empty without."""

    workflow: Workflow
    graphs: Sequence[Graph]
    variants: Sequence[Mapping[str, Any]]
    settings: Settings
    given: Mapping[str, Any]
    """What was set by name=value."""
    columns: int = 1
    """Values on the last axis of the sweep."""


def prepare(args: argparse.Namespace, registry: "Registry", folder: Path | None = None) -> Job:
    """The job that the arguments of run and plan describe. Raises all that is wrong with them.

    folder: where the files lie that the workflow reads, if not beside it.
    """
    from engine.api import numerics
    from nodes.device import check_choices, resolve

    workflow = opened(args.file, registry, args.target)
    reader = _Reader(workflow)
    given = reader.assignments(args.values)
    products = reader.lists(args.sweep, "--sweep")
    zips = reader.lists(args.zip, "--zip")
    for name in [n for n in (*products, *zips) if n in given]:
        reader.problems.append(Problem("E-SWEEP", f"{quoted(name)} is both set and swept", "do one of them"))
    if args.batch < 1:
        reader.problems.append(Problem("E-CLI", f"--batch {args.batch}; expected 1 or more"))
    if reader.problems:
        raise error(reader.problems)
    device, dtype = resolve(args.device, args.dtype)
    check_choices(device, args.offload, args.attention, args.speed)
    sweep = Sweep(products, zips)
    settings = Settings(
        device=device,
        dtype=dtype,
        numerics=numerics(device, dtype, args.attention, args.speed),
        out=Path(getattr(args, "out", None) or "out"),
        folder=folder or workflow.document.folder,
        allowed=allowed(args.allow, folder or workflow.document.folder),
        keep_going=getattr(args, "keep_going", False),
        use_cache=not args.no_cache,
        metadata=not args.no_metadata,
        batch=args.batch,
        vram=parse_size(args.vram) if args.vram else 0,
        offload=args.offload,
        attention=args.attention,
        speed=args.speed,
        open_paths=frozenset(reader.open_paths),
        machine=registry.machine(),
    )
    if args.strict:
        settings = strict(settings)
    variants = list(sweep)
    graphs = graphs_of(workflow, given, products | zips, variants)
    return Job(workflow, graphs, variants, settings, given, len(sweep.axes[-1][0][1]) if sweep.axes else 1)


def graphs_of(
    workflow: Workflow,
    given: Mapping[str, Any],
    swept: Mapping[str, Sequence[Any]],
    variants: Sequence[Mapping[str, Any]],
) -> list[Graph]:
    """A graph a variant. Seeds that nobody chose are drawn once, so that variants differ in what is swept alone."""
    problems: dict[Problem, None] = {}
    for name, values in swept.items():
        first = {other: items[0] for other, items in swept.items()}
        for value in values:
            try:
                bind(workflow, {**given, **first, name: value})
            except WeftError as why:
                problems.update(dict.fromkeys(why.problems))
    if problems:
        raise error(problems)
    base = bind(workflow, {**given, **variants[0]})
    drawn = {name: base.seeds[name] for name in base.drawn if name not in swept}
    return [base, *(bind(workflow, {**given, **drawn, **variant}) for variant in variants[1:])]


class _Reader:
    """Reads `name=value` words. What is wrong is collected in `problems`; files named here in `open_paths`."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.problems: list[Problem] = []
        self.open_paths: set[tuple[str, str]] = set()

    def assignments(self, words: Sequence[str]) -> dict[str, Any]:
        """Every name with its value."""
        given: dict[str, Any] = {}
        for name, text in self._pairs(words, "E-CLI", "is given twice", "name=value"):
            given[name] = self.value(name, text)
        return given

    def lists(self, words: Sequence[str], option: str) -> dict[str, list[Any]]:
        """Every name with the values it is swept over."""
        found: dict[str, list[Any]] = {}
        for name, text in self._pairs(words, "E-SWEEP", "is swept twice", f"{option} name=a,b,c"):
            items = _json_list(text)
            found[name] = [self.value(name, t) for t in split(text)] if items is None else items
        return found

    def _pairs(self, words: Sequence[str], code: str, twice: str, form: str) -> list[tuple[str, str]]:
        pairs: dict[str, str] = {}
        for word in words:
            name, equals, text = word.partition("=")
            if not equals or not name:
                close = did_you_mean(word, self.workflow.params)
                hint = close.replace('"?', '=…"?') if close.startswith("did") else ""
                self.problems.append(Problem("E-CLI", f"{quoted(word)} is not {form}", hint))
            elif name in pairs:
                self.problems.append(Problem(code, f"{quoted(name)} {twice}", "name it once"))
            elif (bad := _not_unicode(text)) >= 0:
                what = f"{quoted(name)}: not valid Unicode at character {bad + 1}"
                self.problems.append(Problem("E-ENC", what, "check the terminal's encoding"))
            else:
                pairs[name] = text
        return list(pairs.items())

    def value(self, name: str, text: str) -> Any:
        """A text as the value that the inputs behind a name take. One that does not fit is left as it is: `bind`
        knows best what is wrong with it."""
        found = self._spec(name)
        if found is None:
            return text
        spec, uses = found
        if spec.files is not None and os.path.lexists(text):
            self.open_paths.update(uses)
            return os.path.abspath(text)
        return typed(text, spec)

    def _spec(self, name: str) -> tuple[InputSpec, Sequence[tuple[str, str]]] | None:
        param = self.workflow.params.get(name)
        if param is not None:
            return param.spec, param.feeds
        node, _, key = name.partition(".")
        spec = self.workflow.nodes[node].cls.inputs.get(key) if node in self.workflow.nodes else None
        return (spec, [(node, key)]) if spec is not None else None


def typed(text: str, spec: InputSpec) -> Any:
    """The value of a text for an input; the text itself where it does not read as one."""
    if text == "null" and (spec.seed or (spec.optional and str not in spec.kinds)):
        return None
    if spec.many:
        items = _json_list(text)
        return text if items is None else items
    if text in ("true", "false") and bool in spec.kinds:
        return text == "true"
    if (int in spec.kinds or float in spec.kinds) and len(text) <= _LONGEST_NUMBER:
        if _INTEGER.match(text):
            return int(text)
        if _NUMBER.match(text):
            return float(text)
    if dict in spec.kinds and text.startswith("{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def split(text: str) -> list[str]:
    r"""The parts between commas; `\,` is a comma inside a part."""
    return [part.replace("\\,", ",") for part in re.split(r"(?<!\\),", text)] if text else []


def _json_list(text: str) -> list[Any] | None:
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def _not_unicode(text: str) -> int:
    """Where a text holds half a character, as a shell passes bytes that are not UTF-8; -1 if nowhere."""
    return next((i for i, c in enumerate(text) if "\ud800" <= c <= "\udfff"), -1)
