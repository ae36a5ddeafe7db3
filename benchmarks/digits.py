"""How good the shipped digits models are, how long a picture takes, and (with --train) how long their training took.

    python benchmarks/digits.py            quality, both at equal cost, and `weft run` from an empty and a full cache
    python benchmarks/digits.py --train    also trains them anew by the shipped workflows: many minutes on two cores

Each figure stands beside what it must reach, if it must reach something. The reader is scikit-learn's support vector
machine, trained on real digits alone; the Fréchet distance is in the features of a small network trained on the same,
with 360 pictures on each side, and stands beside that of 360 real test digits.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from engine.api import load, run
from engine.cache import Cache
from engine.context import Settings
from nodes import registry

ROOT = Path(__file__).parent.parent
WORKFLOWS = ROOT / "workflows"
MODELS = ("ddpm-digits", "dit-digits")
STEPS = {"ddpm-digits": 16, "dit-digits": 35}
"""Steps of equal cost; what they cost is counted here."""


def main() -> int:
    """Print the table; 1 if a figure misses its target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--train", action="store_true", help="train the models anew and time it")
    parser.add_argument("--model", default="", help="one shipped model, or a folder; absent: all that ship")
    given = parser.parse_args()
    rows = []
    for model in [given.model] if given.model else MODELS:
        rows += quality(model)
        if model in MODELS:
            rows += picture(model)
        if model in MODELS and given.train:
            rows.append(training(model))
    if not given.model:
        rows += equal_cost()
    width = max(len(name) for name, *_ in rows)
    for name, figure, target, good in rows:
        print(f"{name:{width}}  {figure:>10}  {target:>12}  {('ok' if good else 'MISSED') if target else ''}".rstrip())
    return 0 if all(good for *_, good in rows) else 1


Row = tuple[str, str, str, bool]


def quality(model: str) -> list[Row]:
    """Samples read as the label asked for, and the Fréchet ratio at several guidance scales."""
    rows = []
    for scale in (2.0, 1.0):
        accuracy, ratio = judged(model, guidance=scale)
        at = f"{model}, guidance {scale:g}:"
        rows.append((f"{at} read as the label, 160 samples", f"{accuracy:.1%}", ">= 97%", accuracy >= 0.97))
        rows.append((f"{at} Fréchet ratio to real", f"{ratio:.2f}", "<= 2", ratio <= 2))
    return rows


def equal_cost() -> list[Row]:
    """The same of both models, with steps that take as many operations for each picture."""
    workflow = load(WORKFLOWS / "ddpm-or-dit.json", registry=registry(), targets=["work-ddpm", "work-dit"])
    counted = ran(workflow, steps=STEPS["ddpm-digits"], dit_steps=STEPS["dit-digits"])
    work = {"ddpm-digits": counted["work-ddpm"]["gflop"], "dit-digits": counted["work-dit"]["gflop"]}
    rows = []
    for model, steps in STEPS.items():
        accuracy, ratio = judged(model, steps=steps)
        at = f"{model}, {steps} steps, {work[model]:.3f} GFLOP a picture:"
        rows.append((f"{at} read as the label", f"{accuracy:.1%}", "", True))
        rows.append((f"{at} Fréchet ratio to real", f"{ratio:.2f}", "", True))
    return rows


def judged(model: str, **params: float) -> tuple[float, float]:
    """The share of samples read as asked, and the Fréchet ratio."""
    workflow = load(WORKFLOWS / "evaluate-ddpm.json", registry=registry(), targets=["read", "distance"])
    values = ran(workflow, model=model, **params)
    return values["read"]["accuracy"], values["distance"]["ratio"]


def ran(workflow: Any, **params: Any) -> dict[str, Any]:
    """The values of a run with nothing cached."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(out=Path(folder), folder=WORKFLOWS)
        return dict(run(workflow, settings=settings, cache=Cache(), **params).values)


def picture(model: str) -> list[Row]:
    """`weft run` of a model's workflow in fresh processes: with an empty cache, then a full one (the best of three)."""
    with tempfile.TemporaryDirectory() as folder:
        first = weft("run", model, folder=folder)
        again = min(weft("run", model, folder=folder) for _ in range(3))
    return [
        (f"weft run {model}", f"{first:.1f} s", "<= 60 s", first <= 60),
        ("the same again, all cached", f"{again:.2f} s", "<= 1 s", again <= 1),
    ]


def training(model: str) -> Row:
    """`weft run train-…` from an empty cache: seconds on the clock, and for the transformer those of one processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with tempfile.TemporaryDirectory() as folder:
        threads = {"OMP_NUM_THREADS": "1"} if model == "dit-digits" else {}
        seconds = weft("run", f"train-{model}", folder=folder, **threads)
    if threads:
        minutes = (resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before) / 60
        return f"weft run train-{model}, processor time of one thread", f"{minutes:.1f} min", "<= 12 min", minutes <= 12
    return f"weft run train-{model}", f"{seconds / 60:.1f} min", "<= 10 min", seconds <= 600


def weft(*words: str, folder: str, **more: str) -> float:
    """Seconds that a command took in a fresh process, with its cache and output in `folder`."""
    code = "import sys; from cli import main; sys.exit(main())"
    environment = {**os.environ, "WEFT_CACHE": f"{folder}/cache", "PYTHONPATH": str(ROOT), **more}
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *words], cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
