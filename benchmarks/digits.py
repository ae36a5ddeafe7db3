"""How good the shipped digits model is, how long its picture takes, and (with --train) how long its training took.

    python benchmarks/digits.py            quality, and `weft run ddpm-digits` from an empty and a full cache
    python benchmarks/digits.py --train    also trains it anew by the shipped workflow: several minutes on two cores

Each figure stands beside what it must reach. The reader is scikit-learn's support vector machine, trained on real
digits alone; the Fréchet distance is in the features of a small network trained on the same, with 360 pictures on each
side, and stands beside that of 360 real test digits.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine.api import load, run
from engine.cache import Cache
from engine.context import Settings
from nodes import registry

ROOT = Path(__file__).parent.parent
WORKFLOWS = ROOT / "workflows"


def main() -> int:
    """Print the table; 1 if a figure misses its target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--train", action="store_true", help="train the model anew and time it")
    parser.add_argument("--model", default="ddpm-digits", help="a shipped model, or a folder")
    given = parser.parse_args()
    rows = [*quality(given.model), *picture()]
    if given.train:
        rows.append(training())
    width = max(len(name) for name, *_ in rows)
    for name, figure, target, good in rows:
        print(f"{name:{width}}  {figure:>10}  {target:>12}  {'ok' if good else 'MISSED'}")
    return 0 if all(good for *_, good in rows) else 1


Row = tuple[str, str, str, bool]


def quality(model: str) -> list[Row]:
    """Samples read as the label asked for, and the Fréchet ratio at several guidance scales."""
    workflow = load(WORKFLOWS / "evaluate-ddpm.json", registry=registry(), targets=["read", "distance"])
    rows = []
    for scale in (2.0, 1.0):
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(out=Path(folder), folder=WORKFLOWS)
            values = run(workflow, settings=settings, cache=Cache(), model=model, guidance=scale).values
        read, distance = values["read"]["accuracy"], values["distance"]["ratio"]
        rows.append((f"guidance {scale:g}: read as the label, 160 samples", f"{read:.1%}", ">= 97%", read >= 0.97))
        rows.append((f"guidance {scale:g}: Fréchet ratio to real", f"{distance:.2f}", "<= 2", distance <= 2))
    return rows


def picture() -> list[Row]:
    """`weft run ddpm-digits` in fresh processes: with an empty cache, then with a full one (the best of three)."""
    with tempfile.TemporaryDirectory() as folder:
        first = weft("run", "ddpm-digits", folder=folder)
        again = min(weft("run", "ddpm-digits", folder=folder) for _ in range(3))
    return [
        ("weft run ddpm-digits", f"{first:.1f} s", "<= 60 s", first <= 60),
        ("the same again, all cached", f"{again:.2f} s", "<= 1 s", again <= 1),
    ]


def training() -> Row:
    """`weft run train-ddpm-digits` from an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = weft("run", "train-ddpm-digits", folder=folder)
    return ("weft run train-ddpm-digits", f"{seconds / 60:.1f} min", "<= 10 min", seconds <= 600)


def weft(*words: str, folder: str) -> float:
    """Seconds that a command took in a fresh process, with its cache and output in `folder`."""
    code = "import sys; from cli import main; sys.exit(main())"
    environment = {**os.environ, "WEFT_CACHE": f"{folder}/cache", "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *words], cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
