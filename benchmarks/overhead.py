"""What the engine costs beside the work itself. Run: uv run python benchmarks/overhead.py

Each line: what was measured, the best and the median of several repeats, the target, and the median's ratio to it. A
ratio over 1 misses the target; on a machine that others use too, the best tells what the engine itself costs. A real
cache on disk is used, in a temporary folder. Nodes are trivial, so that all the time there is belongs to the engine.
"""

import gc
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from engine import Cache, Context, Input, Node, Registry, Settings, load
from engine.bind import bind
from engine.events import NodeFinished
from engine.executor import Executor
from engine.graph import Workflow
from engine.outcome import Recorder
from engine.plan import make_plan
from engine.values import Array, Packed, Socket, register

REPEATS = 7
COUNT = 1000


@dataclass(frozen=True, eq=False)
class Tensor:
    """float32 numbers."""

    data: bytes | memoryview


register(Socket(Tensor, "TENSOR", lambda t: Packed({}, {"x": Array("F32", (len(t.data) // 4,), t.data)}),
                lambda p: Tensor(memoryview(p.arrays["x"].data))))  # fmt: skip


class One(Node):
    """A number."""

    version = 1
    value: int = Input(0)

    def run(self, ctx: Context) -> int:
        return self.value


class Add(Node):
    """y = a + b + c."""

    version = 1
    a: int
    b: int = Input(0)
    c: int = Input(0)

    def run(self, ctx: Context) -> int:
        return add(self.a, self.b, self.c)


class Sum(Node):
    """The sum of many numbers, and one more."""

    version = 1
    items: list[int]
    more: int = Input(0)

    def run(self, ctx: Context) -> int:
        return sum(self.items) + self.more


def add(a: int, b: int, c: int) -> int:
    """What a trivial node computes."""
    return a + b + c


REGISTRY = Registry()
REGISTRY.add(One, Add, Sum)


def chain(count: int) -> dict[str, Any]:
    """Every node feeds the next."""
    nodes: dict[str, Any] = {"n0": {"type": "One"}}
    for i in range(1, count):
        nodes[f"n{i}"] = {"type": "Add", "a": f"@n{i - 1}", "c": i}
    return nodes


def tree(count: int) -> dict[str, Any]:
    """A binary tree: the leaves are numbers, every other node adds two."""
    nodes: dict[str, Any] = {}
    for i in range(count - 1, -1, -1):
        left, right = 2 * i + 1, 2 * i + 2
        if left < count:
            nodes[f"n{i}"] = {"type": "Add", "a": f"@n{left}", "b": f"@n{right}" if right < count else 0}
        else:
            nodes[f"n{i}"] = {"type": "One", "value": i}
    return nodes


def wide(count: int) -> dict[str, Any]:
    """One number, many that add to it, and one that sums these."""
    nodes: dict[str, Any] = {"n0": {"type": "One"}}
    for i in range(1, count - 1):
        nodes[f"n{i}"] = {"type": "Add", "a": "@n0", "c": i}
    nodes["sum"] = {"type": "Sum", "items": [f"@n{i}" for i in range(1, count - 1)]}
    return nodes


GRAPHS: dict[str, tuple[Callable[[int], dict[str, Any]], str, str]] = {
    "chain": (chain, f"n{COUNT - 1}", f"n{COUNT - 1}.c"),
    "tree": (tree, "n0", "n0.c"),
    "wide": (wide, "sum", "sum.more"),
}
"""name -> (the nodes, the target, a literal input of it)."""


def workflow(nodes: dict[str, Any], target: str) -> Workflow:
    """A checked workflow."""
    return load({"format": 1, "nodes": nodes}, registry=REGISTRY, targets=[target])


def execute(flow: Workflow, cache: Cache, given: dict[str, Any] | None = None) -> list[str]:
    """One run; the nodes that ran."""
    ran: list[str] = []
    graph = bind(flow, given)
    done = Executor([graph], cache, Settings(), graph_id="bench",
                    emit=lambda e: ran.append(e.node) if isinstance(e, NodeFinished) else None).run()  # fmt: skip
    assert done.status == "done"
    return ran


def timed(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Seconds that one call takes; of the processor, which other programs on the machine disturb less. Garbage of
    earlier calls is collected before."""
    gc.collect()
    start = clock()
    work()
    return clock() - start


def direct() -> float:
    """Seconds for the work of 1,000 trivial nodes without an engine."""

    def work() -> None:
        value = 0
        for i in range(COUNT):
            value = add(value, 0, i)

    return statistics.median(timed(work) for _ in range(REPEATS))


Line = tuple[str, Sequence[float], float, str]
"""(what, seconds of each repeat, target, its unit)."""
UNITS = {"ms": 1e3, "µs": 1e6}


def graphs(folder: Path) -> Iterator[Line]:
    """1,000 trivial nodes: made, found in the cache, and with one leaf changed."""
    bare = direct()
    for name, (make, target, leaf) in GRAPHS.items():
        flow = workflow(make(COUNT), target)
        colds, cached, changed = [], [], []
        ran: list[str] = []
        for repeat in range(REPEATS + 1):
            cache = Cache(folder / f"{name}-{repeat}", memory=1 << 28)
            colds.append(seconds_of_run(flow, cache, {}, ran))
            assert len(ran) == COUNT
            cached.append(seconds_of_run(flow, cache, {}, ran))
            assert ran == []
            changed.append(seconds_of_run(flow, cache, {leaf: 10**6}, ran))
            assert ran == [target]
            cache.close()
        yield f"{name} of {COUNT}: engine's own time a node", [(s - bare) / COUNT for s in colds[1:]], 50, "µs"
        yield f"{name} of {COUNT}: all of it cached", cached[1:], 10, "ms"
        beyond = [b - a for a, b in zip(cached[1:], changed[1:], strict=True)]
        yield f"{name} of {COUNT}: one leaf changed, beyond that", beyond, 12, "ms"


def seconds_of_run(flow: Workflow, cache: Cache, given: dict[str, Any], ran: list[str]) -> float:
    """How long one run takes; `ran` becomes the nodes that ran."""
    ran.clear()
    return timed(lambda: ran.extend(execute(flow, cache, given)))


def plans(folder: Path) -> Iterator[Line]:
    """What will run, before anything does."""
    flow = workflow(chain(10 * COUNT), f"n{10 * COUNT - 1}")
    cache = Cache(folder / "plan")
    settings = Settings()
    seconds = [timed(lambda: make_plan([bind(flow)], cache, settings)) for _ in range(REPEATS)]
    cache.close()
    yield f"plan of {10 * COUNT} nodes", seconds, 150, "ms"


class Fill(Node):
    """3 million numbers."""

    version = 1
    value: float = Input(0.0)

    def run(self, ctx: Context) -> Tensor:
        return Tensor(struct.pack("<f", self.value) * 3_000_000)


def tensors(folder: Path) -> Iterator[Line]:
    """A tensor of 12 MB through the cache on disk."""
    cache = Cache(folder / "tensors")
    writes, reads = [], []
    for i in range(3 * REPEATS):
        value = Tensor(struct.pack("<f", i) * 3_000_000)
        key = f"{i:040x}"
        write = lambda v=value, k=key: cache.store(k, Fill, {"tensor": v}, 1.0, "{}", keep=True)  # noqa: E731
        writes.append(timed(write, time.perf_counter))
        reads.append(timed(lambda k=key: cache.load(k, Fill, ["tensor"]), time.perf_counter))
        held = cache.load(key, Fill, ["tensor"])
        assert held is not None
        assert bytes(held.values["tensor"].data) == value.data
    cache.close()
    yield "12 MB tensor verified and read", reads, 10, "ms"
    yield "12 MB tensor written", writes, 40, "ms"


def progress(folder: Path) -> Iterator[Line]:
    """What a node pays for each step that it tells of."""
    heard: list[object] = []
    ctx = Context("n", emit=Recorder(heard.append).send)

    def work() -> None:
        heard.clear()
        for step in range(COUNT):
            ctx.progress(step, COUNT)

    yield "progress event and cancel check, a step", [timed(work) / COUNT for _ in range(REPEATS)], 20, "µs"


def main() -> int:
    """Print every figure beside its target; 1 if one misses it."""
    missed = 0
    print(f"{'':52}{'best':>10}{'median':>10}{'target':>10}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as name:
        for part in (graphs, plans, tensors, progress):
            for text, samples, target, unit in part(Path(name)):
                best, middle = (x * UNITS[unit] for x in (min(samples), statistics.median(samples)))
                missed += middle > target
                mark = "  over" if middle > target else ""
                print(f"{text:52}{best:10.2f}{middle:10.2f}{target:7g} {unit}{middle / target:8.2f}{mark}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
