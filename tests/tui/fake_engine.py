"""An engine that says what a test wants it to, and an app that talks to it."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from textual.pilot import Pilot

import nodes
from engine.registry import Registry
from tui import desk
from tui.app import WeftApp
from tui.board import State
from tui.config import Config
from tui.history import History

Message = Mapping[str, Any]

WORKFLOW: dict[str, Any] = {
    "format": 1,
    "params": {"seed": 7, "steps": {"default": 20, "min": 1, "max": 100}, "prompt": "a fox"},
    "nodes": {
        "base": {"type": "LoadCheckpoint", "source": "ddpm-digits"},
        "positive": {"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": "$prompt"},
        "schedule": {"type": "NoiseSchedule", "model": "@base.model", "steps": "$steps"},
        "sampler": {"type": "Sampler", "kind": "ddim"},
        "noise": {"type": "Noise", "seed": "$seed"},
        "blank": {"type": "EmptyLatent", "model": "@base.model"},
        "guide": {"type": "CFG", "model": "@base.model", "positive": "@positive", "scale": 6.0},
        "denoise": {"type": "UNetDenoise", "guider": "@guide", "schedule": "@schedule", "sampler": "@sampler",
                    "noise": "@noise", "latent": "@blank"},
        "decode": {"type": "VAEDecode", "vae": "@base.vae", "latent": "@denoise"},
        "save": {"type": "SaveImage", "image": "@decode", "path": "x.png"},
    },
}  # fmt: skip


class FakeClient:
    """Stands in for `tui.client.Client`. Plans are answered at once; of runs the test tells."""

    def __init__(self, on_events: Callable[[list[Message]], None]) -> None:
        self._on_events = on_events
        self.status = "ready"
        self.hello: Message = {"device": "cpu", "weft": "0"}
        self.since = 0.0
        self.sent: list[dict[str, Any]] = []
        self.cached: set[str] = set()
        """The nodes that plans say are cached."""
        self.plan_problems: list[Message] = []

    @property
    def alive(self) -> bool:
        return self.status == "ready"

    def start(self) -> None:
        if self.status == "dead":
            self.status = "ready"
            self.feed({"event": "hello", **self.hello})

    def send(self, do: str, **more: Any) -> None:
        self.start()
        self.sent.append({"do": do, **more})
        if do == "plan":
            self.feed({**self.plan(more), "id": more["id"]})

    def feed(self, *events: Message) -> None:
        """Say these events, in the next turn of the loop as a real one would."""
        asyncio.get_running_loop().call_soon(self._on_events, list(events))

    def plan(self, command: Message) -> dict[str, Any]:
        if self.plan_problems:
            return {"event": "plan", "problems": self.plan_problems}
        data = command.get("document") or json.loads(command["text"])
        text = json.dumps(data.get("params", {}))
        rows = [
            {"node": name, "type": node["type"], "status": "cached" if name in self.cached else "run",
             "why": "cached" if name in self.cached else "not run before", "variants": [0], "also": [],
             "key": json.dumps(node) + text}
            for name, node in data["nodes"].items()
        ]  # fmt: skip
        run = sum(row["status"] == "run" for row in rows)
        return {"event": "plan", "total": len(rows), "will_run": run, "variants": 1, "drawn": [], "nodes": rows}

    def sent_runs(self) -> list[dict[str, Any]]:
        return [message for message in self.sent if message["do"] == "run"]

    def begin(self, seeds: Sequence[Message] = ()) -> str:
        """Say that the run sent last has begun; returns its id."""
        command = self.sent_runs()[-1]
        plan = self.plan(command)
        ready = len(plan["nodes"]) - plan["will_run"]
        self.feed(
            {**plan, "run": command["run"]},
            {"event": "run_started", "run": command["run"], "name": "x", "variants": 1, "total": plan["will_run"],
             "cached": ready, "seeds": list(seeds)},
        )  # fmt: skip
        return str(command["run"])

    def node(self, kind: str, name: str, **more: Any) -> None:
        """Say that something happened to a node of the run sent last."""
        command = self.sent_runs()[-1]
        row = next(r for r in self.plan(command)["nodes"] if r["node"] == name)
        if kind in ("started", "cached", "finished"):
            more = {"key": row["key"], **more}
        if kind == "finished":
            more = {"seconds": 1.0, "peak_bytes": 0, "digests": {}, "files": [], "text": "", **more}
        self.feed(
            {"event": f"node_{kind}", "run": command["run"], "variant": 0, "node": name, "type": row["type"], **more}
        )

    def end(self, status: str = "done", seconds: float = 1.0) -> None:
        """Say that the run sent last is over."""
        run = self.sent_runs()[-1]["run"]
        self.feed(
            {"event": "run_finished", "run": run, "status": status, "seconds": seconds, "ran": 0, "cached": 0,
             "failed": 0, "skipped": 0},
            {"event": "over", "run": run, "status": status},
        )  # fmt: skip

    def die(self, reason: str = "engine exited (signal 9, likely out of memory)") -> None:
        """Be gone."""
        self.status = "dead"
        self.feed({"event": "exited", "code": -9, "reason": reason, "wanted": False})

    async def stop(self) -> None:
        self.status = "off"

    async def restart(self) -> None:
        self.feed({"event": "exited", "code": -15, "reason": "", "wanted": True})
        self.status = "ready"

    async def close(self) -> None:
        self.status = "off"


class Stage:
    """An app under test: the pilot that presses keys, and the engine."""

    def __init__(self, app: WeftApp, pilot: Pilot[Any]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def engine(self) -> FakeClient:
        return self.app.desk.client  # type: ignore[return-value]

    @property
    def main(self) -> Any:
        return next(s for s in self.app.screen_stack if getattr(s, "NAME", "") == "main")

    @property
    def session(self) -> Any:
        return self.app.desk.session

    @property
    def screen_name(self) -> str:
        return getattr(self.app.screen, "NAME", type(self.app.screen).__name__)

    def state(self, node: str) -> State:
        return self.app.desk.board.view(node).state

    def states(self) -> str:
        return "".join(self.state(node).glyph for node in self.main.graph.order)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.until(lambda: not self.app.typed_ahead)
        await self.settle()

    async def type(self, text: str) -> None:
        """Type a text into whatever has the focus."""
        names = {" ": "space", "-": "minus", ".": "full_stop", "/": "slash", "_": "underscore"}
        await self.press(*(names.get(c, c) for c in text))

    async def settle(self) -> None:
        """Until plans were asked for and answered."""
        await self.pilot.pause()
        await self.pilot.pause(0.01)

    async def until(self, true: Callable[[], object], seconds: float = 5.0) -> None:
        for _ in range(int(seconds / 0.02)):
            if true():
                return
            await self.pilot.pause(0.02)
        raise AssertionError(f"never came true; on {self.screen_name}:\n{self.text()}")

    def text(self) -> str:
        """What is on the screen."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in line).rstrip() for line in strips)

    def row(self, part: str) -> str:
        """The first line on the screen that holds a text."""
        return next((line for line in self.text().splitlines() if part in line), "")


def play(
    work: Callable[[Stage], Awaitable[None]],
    folder: Path,
    file: Path | str = "",
    *,
    size: tuple[int, int] = (120, 40),
    config: Config | None = None,
    client: Callable[..., Any] = FakeClient,
    registry: Callable[[], Registry] = nodes.registry,
    **more: Any,
) -> None:
    """Open the app on a file in a terminal of this size, and do something with it. more: as WeftApp takes it."""

    async def whole() -> None:
        desk.PLAN_AFTER = 0.0
        app = WeftApp(
            str(file), registry=registry, config=config or Config(out=str(folder / "out")),
            history=lambda: History(folder / "state"), client=client, **more,
        )  # fmt: skip
        async with app.run_test(size=size, notifications=True) as pilot:
            stage = Stage(app, pilot)
            if file:
                await stage.until(lambda: app.desk.session is not None or stage.screen_name != "main")
            await stage.settle()
            await work(stage)

    asyncio.run(whole())


def picture(grey: int = 200) -> bytes:
    """A PNG of 8 x 8 reddish pixels."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (grey, 0, 0)).save(out, "PNG")
    return out.getvalue()


def graph_of(count: int) -> dict[str, Any]:
    """A workflow of so many nodes: two samplers, one of them called hires, and many prompts joined."""
    made: dict[str, Any] = dict(WORKFLOW["nodes"])
    made["hires"] = {"type": "CFG", "model": "@base.model", "positive": "@positive", "scale": 5.0}
    made["again"] = {**made["denoise"], "guider": "@hires", "latent": "@denoise"}
    made["decode"] = {**made["decode"], "latent": "@again"}
    texts = count - len(made)
    for n in range(texts):
        made[f"text_{n}"] = {"type": "Text", "value": f"part {n}"}
    return {**WORKFLOW, "nodes": made}
