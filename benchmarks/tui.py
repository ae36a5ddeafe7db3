"""What the TUI costs: time to the first screen, the longest its event loop stands still, how soon a key is answered.

    uv run python benchmarks/tui.py [--seconds 5]

The engine is a script that speaks the protocol: 500 steps a second of one node, each with a preview of 128 x 128. A
turn of the event loop is measured twice: by the clock, and by the processor time of its thread, which other programs on
the machine do not change. Everything runs without a terminal, at 120 x 40.
"""

import argparse
import asyncio
import base64
import io
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# This file is called as the package that it measures.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

ENGINE = """
import json, sys, time
preview, count = open(sys.argv[1]).read(), int(sys.argv[2])
def say(**event):
    sys.stdout.write(json.dumps(event) + "\\n")
    sys.stdout.flush()
say(event="hello", device="cpu")
say(event="ready")
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] not in ("plan", "run"):
        continue
    nodes = json.loads(command["text"])["nodes"]
    rows = [dict(node=n, type=v["type"], status="run", why="", variants=[0], also=[], key=n) for n, v in nodes.items()]
    plan = dict(event="plan", total=len(rows), will_run=len(rows), drawn=[], nodes=rows)
    if command["do"] == "plan":
        say(**plan, id=command["id"])
        continue
    at = dict(run=command["run"], variant=0, node="denoise")
    say(**plan, run=command["run"])
    say(event="run_started", run=command["run"], name="", variants=1, total=len(rows), cached=0, seeds=[])
    say(event="node_started", type="UNetDenoise", key="k", **at)
    began = time.time()
    for step in range(count):
        say(event="node_progress", step=step + 1, total=count, message="", preview=preview, **at)
        time.sleep(max(0.0, began + (step + 1) / 500 - time.time()))
    say(event="run_finished", run=command["run"], status="done", seconds=1, ran=1, cached=0, failed=0, skipped=0)
    say(event="over", run=command["run"], status="done")
"""

PAINT = """
import time
began = time.perf_counter()
import asyncio, sys
from commands.common import known_nodes
from tui.app import WeftApp
async def main():
    app = WeftApp("ddpm-digits", registry=lambda: known_nodes(None), client=lambda hear: Idle())
    async with app.run_test(size=(120, 40)) as pilot:
        painted = time.perf_counter() - began
        while app.desk.session is None and time.perf_counter() < began + 30:
            await pilot.pause(0.005)
        await pilot.pause()
        heavy = {"torch", "diffusers", "transformers", "numpy", "networkx"} & {*sys.modules}
        print(painted, time.perf_counter() - began, time.process_time(), ",".join(heavy) or "none")
class Idle:
    status, alive, hello, since = "ready", True, {}, 0.0
    def start(self): pass
    def send(self, do, **more): pass
    async def close(self): pass
asyncio.run(main())
"""


def first_paint(times: int = 5) -> None:
    """Print the median of several starts."""
    command = [sys.executable, "-c", PAINT]
    found = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(times)
    ]  # fmt: skip
    middle = [sorted(float(one[i]) for one in found)[times // 2] for i in range(3)]
    print(f"first paint           {middle[0]:6.2f} s after the first import (median of {times})")
    print(f"workflow shown        {middle[1]:6.2f} s; processor time {middle[2]:.2f} s")
    print(f"imported of torch, diffusers, transformers, numpy, networkx: {found[0][3]}")


async def flood(folder: Path, seconds: float) -> None:
    """Print how the event loop fares under 500 events a second with previews, and how soon keys are answered."""
    from commands.common import HOME, known_nodes
    from tui import garbage
    from tui.app import WeftApp
    from tui.client import Client
    from tui.config import Config
    from tui.history import History

    (folder / "engine.py").write_text(ENGINE)
    (folder / "preview").write_text(base64.b64encode(_picture()).decode())
    count = int(500 * seconds)
    command = [sys.executable, str(folder / "engine.py"), str(folder / "preview"), str(count)]
    app = WeftApp(
        str(HOME / "workflows" / "ddpm-digits.json"), registry=lambda: known_nodes(None), config=Config(),
        history=lambda: History(folder), client=lambda hear: Client(hear, command), settle=garbage.settle,
    )  # fmt: skip
    async with app.run_test(size=(120, 40)) as pilot:
        for _ in range(1000):
            if app.desk.session is not None and app.desk.board.total:
                break
            await pilot.pause(0.01)
        turns: list[tuple[float, float]] = []
        beat = asyncio.create_task(_beat(turns))
        await pilot.press("f5")
        run = next(iter(app.desk.runs.values()))
        answers: list[tuple[float, float]] = []
        main: Any = app.screen
        while run.status in ("queued", "running"):
            began, worked, before = time.perf_counter(), time.thread_time(), main.graph.selected
            app.simulate_key("up" if len(answers) % 2 else "down")
            while main.graph.selected == before and time.perf_counter() < began + 0.2:
                await asyncio.sleep(0)
            answers.append((time.perf_counter() - began, time.thread_time() - worked))
            await asyncio.sleep(0.1)
        beat.cancel()
    wall, spent = (sorted(turn[i] for turn in turns) for i in (0, 1))
    print(f"under 500 events/s with previews, {seconds:g} s, {len(turns)} turns of the event loop:")
    print(f"longest turn          {1000 * wall[-1]:6.0f} ms by the clock, {1000 * spent[-1]:.0f} ms of processor time")
    print(f"99 of 100 turns       {1000 * wall[int(len(wall) * 0.99)]:6.0f} ms by the clock, "
          f"{1000 * spent[int(len(spent) * 0.99)]:.0f} ms of processor time")  # fmt: skip
    by_clock, by_work = (sorted(answer[i] for answer in answers) for i in (0, 1))
    middle, longest = 1000 * by_clock[len(answers) // 2], 1000 * by_clock[-1]
    print(f"a key is answered in  {middle:6.0f} ms (median), {longest:.0f} ms at most of {len(answers)} keys; "
          f"{1000 * by_work[-1]:.0f} ms of processor time at most")  # fmt: skip


async def _beat(turns: list[tuple[float, float]]) -> None:
    """Ask to be called every two milliseconds, and note how long it takes until that happens."""
    while True:
        last = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.002)
        turns.append((time.perf_counter() - last[0], time.thread_time() - last[1]))


def _picture() -> bytes:
    """Noise of 128 x 128, which is the hardest to draw, as a JPEG."""
    from PIL import Image

    out = io.BytesIO()
    Image.frombytes("RGB", (128, 128), random.Random(0).randbytes(128 * 128 * 3)).save(out, "JPEG", quality=60)
    return out.getvalue()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long the engine floods the screen")
    seconds = parser.parse_args().seconds
    first_paint()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(flood(Path(folder), seconds))


if __name__ == "__main__":
    main()
