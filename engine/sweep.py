"""Sweeps: several runs of one workflow that differ in named values. Zipped lists go inside, products outside."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from engine.errors import Problem, error
from engine.text import quoted

LIMIT = 10_000
"""Variants in one sweep at most."""

Axis = tuple[tuple[str, tuple[Any, ...]], ...]
"""(name, values) of everything that changes together."""


class Sweep:
    """The variants of a workflow.

    products: name -> values; every combination is made, the first name slowest. zips: name -> values, all of equal
    length, taken side by side; they change fastest. Without either there is one variant. Raises E-SWEEP.
    """

    def __init__(
        self, products: Mapping[str, Sequence[Any]] | None = None, zips: Mapping[str, Sequence[Any]] | None = None
    ) -> None:
        products, zips = products or {}, zips or {}
        problems = []
        for name in [n for n in products if n in zips]:
            problems.append(Problem("E-SWEEP", f"{quoted(name)} is swept twice", "name it once"))
        for name, values in [*products.items(), *zips.items()]:
            if not isinstance(values, list | tuple | range):
                problems.append(
                    Problem("E-SWEEP", f"{quoted(name)} needs a list of values", f"{quoted(values)} is none")
                )
            elif not values:
                problems.append(Problem("E-SWEEP", f"{quoted(name)} has no values", f"write {name}=a,b,c"))
        lengths = {name: len(values) for name, values in zips.items() if isinstance(values, list | tuple | range)}
        if len(set(lengths.values())) > 1:
            text = ", ".join(f"{name} has {count}" for name, count in lengths.items())
            problems.append(Problem("E-SWEEP", f"zipped lists differ in length: {text}", "give as many values to each"))
        if problems:
            raise error(problems)
        self.axes: tuple[Axis, ...] = tuple(((name, tuple(values)),) for name, values in products.items())
        if zips:
            self.axes += (tuple((name, tuple(values)) for name, values in zips.items()),)
        count = math.prod(len(axis[0][1]) for axis in self.axes)
        if count > LIMIT:
            raise error(Problem("E-LIMIT", f"would run {_count(count)} times, limit {LIMIT}", "sweep fewer values"))
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The values of each variant, in lexicographic order of the axes."""
        for places in itertools.product(*(range(len(axis[0][1])) for axis in self.axes)):
            yield {name: values[i] for axis, i in zip(self.axes, places, strict=True) for name, values in axis}


def _count(number: int) -> str:
    return str(number) if number < 10**6 else f"{Decimal(number):.1e}".replace("e+", "e")
