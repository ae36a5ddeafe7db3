"""Draws docs/tui.svg: the TUI while a second run of a shipped workflow goes on, after one value was changed.

    uv run python docs/make_tui_picture.py

It is the real app with the real engine, in a terminal that nobody sees. The histories and caches of the person who
draws it are not touched.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tui")]

SIZE = (120, 36)
STEPS = 1000


async def draw(to: Path, folder: Path) -> None:
    """Open, run, change a value, run again, and draw the screen when most of the steps are done."""
    from snapshots import drawn

    import nodes
    from tui.app import WeftApp
    from tui.config import Config
    from tui.history import History

    app = WeftApp("ddpm-digit-samples", registry=nodes.registry, history=lambda: History(folder / "state"),
                  config=Config(out=str(folder / "out")))  # fmt: skip
    async with app.run_test(size=SIZE) as pilot:

        async def until(true: object) -> None:
            for _ in range(3000):
                if true():  # type: ignore[operator]
                    return
                await pilot.pause(0.02)
            raise SystemExit("what was to be drawn never came")

        desk = app.desk
        await until(lambda: desk.session is not None and desk.client.status == "ready")
        assert desk.session is not None
        desk.session.set_values({"label": "3", "count": 1, "seed": 5}, "values")
        desk.edited()
        await until(lambda: desk.board.total)
        await pilot.press("f5")
        await until(lambda: desk.board.run is not None and desk.board.run.status == "done")
        desk.session.set_values({"steps": STEPS, "guidance": 3.0}, "values")
        desk.edited()
        app.go_to("guide")
        await pilot.pause(0.5)
        await pilot.press("f5")

        def far() -> bool:
            run = desk.board.run
            at = run.running() if run is not None else None
            return run is not None and at is not None and run.cells[at].step > STEPS * 4 // 5

        await until(far)
        app.clear_notifications()
        await pilot.pause()
        to.write_text(drawn(app), encoding="utf-8")
        await pilot.press("x")
        await until(lambda: desk.queue.current is None)


def main() -> None:
    """Draw it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"WEFT_CACHE": f"{folder}/cache", "WEFT_STATE": f"{folder}/state", "WEFT_CONFIG": folder}
        asyncio.run(draw(ROOT / "docs" / "tui.svg", Path(folder)))


if __name__ == "__main__":
    main()
