"""How far the pictures of our graphs are from those of diffusers' pipelines. Run: uv run python benchmarks/parity.py

Runs every test that compares the two, and prints a row for each comparison: largest and mean difference of the
channels of all pixels, on a scale of 0 … 1. Tiny random checkpoints, float32, one thread of the CPU. --write puts the
table in docs/parity.md. Words after that choose tests by name, as pytest's -k does.
"""

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "parity.md"
HEAD = """\
# How near to diffusers

This page is written by `python benchmarks/parity.py --write`. Each row is a graph of ours and a call of one of
diffusers' pipelines ({versions}), with the same weights, seeds, schedule and steps, in float32 on one thread of a CPU;
checkpoints are tiny and random, in the real folder layouts. Differences are those of channels of pixels, on a scale of
0 … 1: a step of an 8-bit picture is 0.0039. Tests hold them to at most 1e-4, and 5e-6 on average.

They compare what is meant to be equal. Where weft differs on purpose is listed at the end of [models.md](models.md):
DDIM with trailing spacing, for one, is that of diffusers only for numbers of steps that divide 1000.

{summary}
"""


@dataclass(frozen=True)
class Row:
    """One comparison: the test's file, its function and the case, and the differences."""

    file: str
    test: str
    case: str
    most: float
    mean: float


class Recorder:
    """A plugin for pytest that notes what every call of `assert_same` compares."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.failed: list[str] = []
        self._node = ("", "", "")

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Put a recording function in the place of each module's own."""
        import parity

        own: Callable[[Any, Any], None] = parity.assert_same
        parity.assert_same = self._recording(own)
        for module in {item.module for item in items}:
            if hasattr(module, "assert_same"):
                module.assert_same = self._recording(module.assert_same)

    def pytest_runtest_setup(self, item: Any) -> None:
        """Remember which test runs."""
        name, _, case = item.name.partition("[")
        self._node = (Path(item.fspath).stem, name, case.removesuffix("]"))

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note what failed."""
        if report.failed:
            self.failed.append(report.nodeid)

    def _recording(self, compare: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        import numpy as np

        def recorded(here: Any, there: Any) -> None:
            if here.shape == there.shape:
                apart = np.abs(here.astype(np.float64) - there)
                self.rows.append(Row(*self._node, float(apart.max()), float(apart.mean())))
            compare(here, there)

        return recorded


def measured(words: str = "") -> tuple[list[Row], list[str]]:
    """Every comparison of the tests, and the tests that failed."""
    import pytest

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.chdir(ROOT)
    files = [str(p) for p in sorted((ROOT / "tests" / "nodes").glob("test_*.py")) if "assert_same(" in p.read_text()]
    recorder = Recorder()
    chosen = ["-k", words] if words else []
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        pytest.main(["-q", "-n0", "-p", "no:cacheprovider", *files, *chosen], plugins=[recorder])
    return recorder.rows, recorder.failed


def table(rows: list[Row]) -> str:
    """The rows as Markdown, those of one test under each other, with a heading for each file."""
    lines: list[str] = []
    for file in dict.fromkeys(row.file for row in rows):
        name = file.removeprefix("test_").removeprefix("parity_").replace("_", " ")
        head = ["| test | case | largest | mean |", "|---|---|---|---|"]
        lines += ["", f"## {'text to image, image to image' if name == 'parity' else name}", "", *head]
        for row in (row for row in rows if row.file == file):
            test = re.sub(r"_", " ", row.test.removeprefix("test_"))
            lines.append(f"| {test} | {row.case.replace('|', ' ') or '-'} | {row.most:.1e} | {row.mean:.1e} |")
    return "\n".join([*lines, ""])


def summary(rows: list[Row]) -> str:
    """All rows in one sentence."""
    most, mean = max(row.most for row in rows), max(row.mean for row in rows)
    equal = sum(row.most == 0 for row in rows)
    apart = f"at most {most:.1e} apart, on average at most {mean:.1e}"
    return f"{len(rows)} comparisons: {apart}; {equal} are equal bit for bit."


def main(words: list[str]) -> int:
    """Measure, print, and write where asked to. 1 if a test failed."""
    write = "--write" in words
    rows, failed = measured(" ".join(word for word in words if word != "--write"))
    if not rows:
        print("nothing was compared: no test of that name", file=sys.stderr)
        return 1
    print(table(rows))
    print(summary(rows))
    for test in failed:
        print(f"failed: {test}", file=sys.stderr)
    if write and not failed:
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("diffusers", "transformers", "torch"))
        PAGE.write_text(HEAD.format(versions=versions, summary=summary(rows)) + table(rows), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
