"""How long the commands take to start, each the median of several fresh processes, with bytecode compiled.

    python benchmarks/startup.py [--runs 9]

Printed beside each: its budget, and the ratio to a bare `python -c pass` of the same minutes. Exit code 1 if a budget
is not kept.
"""

import argparse
import compileall
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CASES = [
    ("weft --help", 120, ["--help"]),
    ("weft check, 13 nodes", 220, ["check", "chain-13.json"]),
    ("weft check, 1,000 nodes", 260, ["check", "chain-1000.json"]),
    ("weft run, 1,000 nodes, all cached", 350, ["run", "chain-1000.json"]),
]
"""(what, budget in milliseconds, arguments)."""


def chain(count: int) -> dict[str, object]:
    """A workflow of `count` nodes: additions one after another, and the sum saved at the end."""
    nodes: dict[str, object] = {"n0": {"type": "Calculate", "a": 1.0, "b": 1.0}}
    for i in range(1, count - 1):
        nodes[f"n{i}"] = {"type": "Calculate", "a": f"@n{i - 1}", "b": 1.0}
    nodes["save"] = {"type": "SaveText", "value": f"@n{count - 2}"}
    return {"format": 1, "nodes": nodes}


def seconds(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """How long one process takes."""
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return time.perf_counter() - started


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description="time the start of each command")
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    for folder in ("engine", "commands", "nodes", "diffusion"):
        compileall.compile_dir(ROOT / folder, quiet=2)
    compileall.compile_file(ROOT / "cli.py", quiet=2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in (13, 1000):
            (folder / f"chain-{count}.json").write_text(json.dumps(chain(count), indent=2))
        environment = {**os.environ, "WEFT_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
        weft = [sys.executable, "-c", "import sys, cli; sys.exit(cli.main())"]
        subprocess.run([*weft, "run", "chain-1000.json"], cwd=folder, env=environment, check=True, capture_output=True)
        bare = [sys.executable, "-c", "pass"]
        times: dict[str, list[float]] = {}
        for _ in range(runs):
            times.setdefault("python -c pass", []).append(seconds(bare, folder, environment))
            for what, _, words in CASES:
                times.setdefault(what, []).append(seconds([*weft, *words], folder, environment))
    base = statistics.median(times["python -c pass"])
    late = 0
    print(f"{'':36}{'median':>9}{'budget':>9}{'ratio':>7}   (median of {runs})")
    print(f"{'python -c pass':36}{base * 1000:6.0f} ms{'':>9}{1:6.1f}x")
    for what, budget, _ in CASES:
        taken = statistics.median(times[what])
        late += taken * 1000 > budget
        verdict = "  LATE" if taken * 1000 > budget else ""
        print(f"{what:36}{taken * 1000:6.0f} ms{budget:6} ms{taken / base:6.1f}x{verdict}")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
