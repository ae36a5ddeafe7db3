"""The true SDXL and Flux on a GPU, beside a loop by hand and diffusers' pipeline. Run: uv run python benchmarks/gpu.py

Instantiates the real configurations with random weights, since speed hardly depends on their values, and draws from
embeddings to a picture in the CPU's memory, in bfloat16: eager, with CUDA graphs, compiled, by each kernel of
attention. SDXL also draws from texts to PNGs on the disk, by a workflow: eight pictures in a row, and a sweep. Prints a
table beside targets for one H200. --model picks one of the models; --kernels also tells which kernels the time of a
picture goes to; --tiny runs the same with tiny models on the CPU.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gpu_kernels import told as kernels_told
from gpu_models import MODELS, ways
from pairs import compared, one_thread, seconds

ROW, SWEEP, BATCH = 8, 64, 16
"""Pictures in a row, and those of a sweep in batches."""
ROW_TARGET, SWEEP_TARGET, PEAK_TARGETS = "0.92 of the pipeline", "48", {"sdxl": "10.5 GiB"}
KERNELS = {"sdxl": ("flash", "efficient", "cudnn"), "flux-schnell": ("flash", "cudnn")}
"""Beside auto, which is `ours`. flux-dev has the network of flux-schnell."""
APART = {"float32": 1e-4, "bfloat16": 0.01}
"""How far two pictures in 0 … 1 may be apart on average and still be the same work."""
MOST_FILES_DIFFER = 8.0
"""Of 255 on average, in bfloat16 and from random weights."""


def report(name: str, device: str, dtype: str, tiny: bool, rounds: int, kernels: bool) -> Iterator[str]:
    """The lines of a model in the table. ValueError where two ways draw different pictures."""
    import numpy as np
    import torch

    from diffusion.store import STORE

    made, gpu = ways(name, device, dtype, tiny), device.startswith("cuda")
    steps, _, targets, few = MODELS[name]
    what = f"{name}, {few if tiny else steps} steps"

    def line(*cells: str) -> str:
        return "| " + " | ".join([*cells, *[""] * (7 - len(cells))]) + " |"

    def timed(way: Callable[[int], Any]) -> Callable[[], Any]:
        return lambda: (way(5), gpu and torch.cuda.synchronize())

    def median(work: Callable[[], Any]) -> str:
        return f"{statistics.median(seconds(work) for _ in range(3)):.3f}"

    def at(speed: str) -> Callable[[], Any]:
        return timed(lambda seed: made.ours(seed, speed=speed))

    picture = made.ours(5)

    def far(other: Any) -> float:
        return float(np.abs(picture - other).mean())

    apart = [far(way(5)) for way in (made.by_hand, made.pipeline)]
    # the pipeline rounds its latents to the dtype after each step
    judged = apart if dtype == "float32" else apart[:1]
    if not np.isfinite(picture).all() or picture.std() < 0.01 or max(judged) > APART[dtype]:
        raise ValueError(f"{name}: the ways differ by {apart} on average: nothing to compare")
    ours = timed(made.ours)
    hand, pipe = (compared(timed(way), ours, rounds) for way in (made.by_hand, made.pipeline))
    ratios = [f"{ratio.median:.3f} ({ratio.low:.3f} … {ratio.high:.3f})" for ratio in (hand, pipe)]
    yield line(what, f"{hand.b:.3f}", f"{hand.a:.3f}", f"{pipe.a:.3f}", *ratios)
    yield line(f"{what}, mean distance from ours, 0 … 1", "", *(f"{one:.1e}" for one in apart))
    if kernels:
        yield from (line(*row) for row in kernels_told("eager", ours, hand.b, gpu))
    made.decoded()
    yield line(f"{name}, of that decoding", median(made.decoded))
    if gpu:
        torch.cuda.reset_peak_memory_stats()
        ours()
        peak = f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB"
        yield line(f"{name}, peak memory", peak, *[""] * 4, PEAK_TARGETS.get(name, ""))
    for speed in ("graphs", "compile", "compile-graphs") if gpu else ():
        started = time.perf_counter()
        distance = far(made.ours(5, speed=speed))
        first = time.perf_counter() - started
        told = f"{what}, --speed {speed} (the first {first:.1f} s; {distance:.1e} from ours)"
        spent = median(at(speed))
        yield line(told, spent, *[""] * 4, "" if tiny else targets.get(speed.removesuffix("-graphs"), ""))
        if kernels:
            yield from (line(*row) for row in kernels_told(f"--speed {speed}", at(speed), float(spent), gpu))
    for kernel in KERNELS.get(name, ()):
        try:
            by_kernel = timed(lambda seed, kernel=kernel: made.ours(seed, kernel))  # type: ignore[misc]
            by_kernel()
            spent = median(by_kernel)
        except ValueError:
            spent = "cannot"
        yield line(f"{what}, attention {kernel}", spent)
    if made.workflow is not None and made.calls is not None:
        yield from files(made.workflow, made.calls, gpu, tiny, line)
    STORE.clear()


def files(
    drawn: Callable[..., list[Path]],
    calls: Callable[[int], list[Path]],
    gpu: bool,
    tiny: bool,
    line: Callable[..., str],
) -> Iterator[str]:
    """The lines of pictures from texts to PNGs. ValueError where they differ."""
    import numpy as np
    from PIL import Image

    few, many, batch = (2, 4, 2) if tiny else (ROW, SWEEP, BATCH)
    pixels = [np.asarray(Image.open(draw(1)[0])).astype(int) for draw in (drawn, calls)]
    apart = float(np.abs(pixels[0] - pixels[1]).mean())
    if apart > MOST_FILES_DIFFER:
        raise ValueError(f"the workflow's picture is {apart:.2f} of 255 from the pipeline's: nothing to compare")
    pair = compared(lambda: calls(few), lambda: drawn(few), rounds=1, warm=0)
    told = f"{few} pictures in a row, text to PNG ({apart:.2f} of 255 apart)"
    ratio = f"{pair.median:.3f}"
    yield line(told, f"{pair.b:.2f}", "", f"{pair.a:.2f}", "", ratio, "" if tiny else ROW_TARGET)
    if gpu:
        drawn(1, speed="graphs")
        spent = seconds(lambda: drawn(few, speed="graphs"))
        yield line("the same, --speed graphs", f"{spent:.2f}", "", "", "", f"{spent / pair.a:.3f}")
    spent, calls_of_all = seconds(lambda: drawn(many, batch)), pair.a / few * many
    told = f"{many} seeds in batches of {batch}, text to PNG, beside so many such calls"
    target = "" if tiny else SWEEP_TARGET
    yield line(told, f"{spent:.2f}", "", f"{calls_of_all:.2f}", "", f"{spent / calls_of_all:.3f}", target)


def main(arguments: list[str]) -> int:
    """Print the table. 0 also where there is no GPU to measure; 1 if two ways draw different pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, help="default: all")
    parser.add_argument("--tiny", action="store_true", help="tiny models on the CPU: does it run at all")
    parser.add_argument("--rounds", type=int, default=3, help="of A B B A, for each ratio")
    parser.add_argument("--kernels", action="store_true", help="where the time of a picture goes")
    options = parser.parse_args(arguments)
    import torch

    if not options.tiny and not torch.cuda.is_available():
        print("no GPU here, so nothing is measured; --tiny runs the same with tiny models on the CPU")
        return 0
    device, dtype = ("cpu", "float32") if options.tiny else ("cuda", "bfloat16")
    if options.tiny:
        one_thread()
    print("tiny models on the CPU" if options.tiny else f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print("| seconds | ours | by hand | diffusers | ours / by hand | ours / diffusers | target, one H200 |")
    print("|---|---|---|---|---|---|---|")
    for name in [options.model] if options.model else MODELS:
        try:
            with torch.no_grad():
                for row in report(name, device, dtype, options.tiny, options.rounds, options.kernels):
                    print(row, flush=True)
        except ValueError as why:
            print(why, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
