"""What reading and checking a workflow costs. Run: uv run python benchmarks/loading.py

Each line: what was measured, the best of several repeats, the target, and their ratio (over 1 misses the target).
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from engine import Context, Input, Node, Registry
from engine.compile import check, compile
from engine.document import from_text

REPEATS = 9


class Add(Node):
    """y = a + b."""

    version = 1
    a: float = Input(about="the left number")
    b: float = Input(0.0, about="the right number")

    def run(self, ctx: Context) -> float:
        """The sum."""
        return self.a + self.b


REGISTRY = Registry()
REGISTRY.add(Add)


def chain(count: int, link: str = "@n{}") -> str:
    """A file of nodes of which each adds to the one before."""
    nodes = {f"n{i}": {"type": "Add", "a": link.format(i - 1) if i else 1.0, "b": 2.5} for i in range(count)}
    return json.dumps({"format": 1, "nodes": nodes}, indent=1)


def best(work: Callable[[], object]) -> float:
    """The least milliseconds that the work took."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return 1000 * min(times)


def line(what: str, milliseconds: float, target: float) -> None:
    """Print one figure beside its target."""
    print(f"{what:<52} {milliseconds:8.1f} ms   target {target:6.0f} ms   {milliseconds / target:5.2f}")


def main() -> None:
    """Print every figure."""
    reading(1_000, 20)
    reading(10_000, 250)
    broken = chain(3_000, "@nowhere{}")
    line("tell of 3000 broken links", best(lambda: check(from_text(broken), REGISTRY, ["n0"])), 1000)


def reading(count: int, target: float) -> None:
    """Print what a file of `count` nodes takes."""
    text = chain(count)
    line(f"read and check {count} nodes", best(lambda: compile(from_text(text), REGISTRY, [f"n{count - 1}"])), target)


if __name__ == "__main__":
    main()
