"""What benchmarks that compare two ways of doing a thing share: a tiny checkpoint, and timing in pairs.

A and B alternate as A B B A, so that a machine that slows down slows both; what counts is the median of the ratios of
neighbours. The same with A twice tells how much of a ratio is noise.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "nodes")]


@dataclass(frozen=True)
class Ratio:
    """The median of B / A with its quartiles, the median seconds of each, and the quartiles of A / A."""

    median: float
    low: float
    high: float
    a: float
    b: float
    noise: tuple[float, float]

    def __str__(self) -> str:
        own = f"A/A {self.noise[0]:.3f} … {self.noise[1]:.3f}"
        return f"{self.median:.4f} ({self.low:.3f} … {self.high:.3f}; {own}); {self.a:.3f} s and {self.b:.3f} s"


def seconds(work: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    """How long one call takes by a clock."""
    started = clock()
    work()
    return clock() - started


def compared(
    a: Callable[[], Any],
    b: Callable[[], Any],
    rounds: int = 5,
    warm: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Ratio:
    """B against A, in `rounds` of A B B A."""
    for _ in range(warm):
        a()
        b()
    ratios, same, of_a, of_b = [], [], [], []
    for _ in range(rounds):
        first, second, third, fourth = (seconds(work, clock) for work in (a, b, b, a))
        ratios += [second / first, third / fourth]
        same += [fourth / first]
        of_a += [first, fourth]
        of_b += [second, third]
    low, _, high = statistics.quantiles(ratios, n=4)
    noise = statistics.quantiles(same, n=4) if len(same) > 1 else [same[0]] * 3
    return Ratio(
        statistics.median(ratios), low, high, statistics.median(of_a), statistics.median(of_b), (noise[0], noise[2])
    )


def checkpoint(kind: str = "sd15") -> Path:
    """A tiny checkpoint with random weights, in a folder of its own."""
    import checkpoints

    return Path(checkpoints.make(Path(tempfile.mkdtemp(prefix="weft-bench-")) / kind, kind))


def seeds_by_engine(nodes: dict[str, Any], **settings: Any) -> Callable[..., list[Path]]:
    """Draws so many seeds of a graph, in batches, at a speed, as `weft run --sweep` does, and gives the files."""
    from engine.api import load, run
    from engine.cache import Cache
    from engine.context import Settings
    from engine.sweep import Sweep
    from nodes import registry

    workflow = load({"format": 1, "nodes": nodes}, registry=registry())

    def drawn(count: int, batch: int = 1, speed: str = "none") -> list[Path]:
        # a folder and a cache of its own: nothing is found again that an earlier round made
        out = Path(tempfile.mkdtemp(prefix="weft-bench-"))
        sweep, how = Sweep({"noise.seed": list(range(count))}), Settings(out=out, batch=batch, speed=speed, **settings)
        return [Path(file.path) for file in run(workflow, sweep=sweep, settings=how, cache=Cache()).files]

    return drawn


def one_thread() -> None:
    """One thread of the CPU: with others at work, two are slower."""
    import torch

    torch.set_num_threads(1)


def line(what: str, ratio: Ratio, target: float) -> bool:
    """Print a result beside its target; whether it is met."""
    met = ratio.median <= target
    print(f"{what}: {ratio}, target {target}{'' if met else ' MISSED'}")
    return met
