"""Models that are fetched from the hub: `weft models pull` in a process of its own, one at a time.

What would be fetched is announced, and nothing is until `agree`. To stop it its process is killed, which loses nothing:
the next one goes on from there.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from commands.pace import Flow
from engine.text import plural, size, visible

Message = Mapping[str, Any]
Status = Literal["none", "asking", "offered", "fetching", "done", "failed", "stopped"]
COMMAND = (sys.executable, "-P", "-m", "cli", "models", "pull", "--jsonl")
OPTIONS = ("--revision", "--variant", "--small")
"""What may stand beside names: not --yes, which a workflow could bring along."""
LINE = 16 << 20
"""Bytes of the longest line that is read: an offer of very many files."""


class Puller:
    """The latest pull. All methods are for the event loop."""

    def __init__(self, changed: Callable[[], object], clock: Callable[[], float] = time.monotonic) -> None:
        """`changed`: told that something here is new."""
        self.status: Status = "none"
        self.words: tuple[str, ...] = ()
        self.offer: Message = {}
        """What is to be fetched: the event of `commands.pull`."""
        self.flow = Flow(0)
        self.wrong = ""
        """Why it failed."""
        self._changed, self._clock = changed, clock
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def source(self) -> str:
        """The model."""
        return self.words[0] if self.words else ""

    @property
    def told(self) -> str:
        """How far it is, in one line; nothing where none was asked for."""
        match self.status:
            case "none":
                return ""
            case "asking":
                return f"asking the hub for {self.source}…"
            case "offered":
                return f"{self.source}: {self.announced}"
            case "fetching":
                return f"{self.source}  {self.flow}"
            case "failed":
                return f"{self.source}: {self.wrong}"
            case "stopped":
                return f"{self.source} was not fetched; what came stays, and once more goes on from there"
        return f"{self.source} is here"

    @property
    def announced(self) -> str:
        """What is to be fetched, and how much it is."""
        here = f", {size(self.offer['here'])} of it here already" if self.offer["here"] else ""
        return f"{plural(len(self.offer['files']), 'file')}, {size(self.offer['bytes'])}{here}"

    @property
    def busy(self) -> bool:
        """Whether one is going on, be it that it waits for a yes."""
        return self.status in ("asking", "offered", "fetching")

    def ask(self, words: Sequence[str]) -> None:
        """Ask the hub what there is; words: as `weft models pull` takes them. While one goes on, nothing happens."""
        if not self.busy and words:
            self.words, self.offer, self.wrong, self.flow = tuple(words), {}, "", Flow(0)
            if wrong := next((word for word in words if word.startswith("-") and word not in OPTIONS), ""):
                self._fail(f"{wrong} is not taken here; {', '.join(OPTIONS)} are")
                return
            self._set("asking")
            self._task = asyncio.ensure_future(self._run())

    def agree(self) -> None:
        """Fetch what was announced."""
        if self.status == "offered" and self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(b"yes\n")
            self._set("fetching")

    async def stop(self) -> None:
        """Stop; what is here stays."""
        if self.busy:
            self._set("stopped")
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
            if self._task is not None:
                await self._task

    async def _run(self) -> None:
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *COMMAND, *self.words, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, limit=LINE,
                start_new_session=sys.platform != "win32",
            )  # fmt: skip
        except OSError as why:
            self._fail(f"it did not start: {why.strerror or why}")
            return
        self._process = process
        if self.status == "stopped":
            process.kill()
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                self._hear(json.loads(line))
            code = await process.wait()
        except ValueError:  # a line that is none of ours
            code = 1
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            self._process = None
        if self.busy:
            self._fail(f"it ended early (code {code}); once more goes on from there")

    def _hear(self, event: Message) -> None:
        match event["event"]:
            case _ if self.status == "stopped":
                return
            case "offer":
                self.offer = event
                self.flow = Flow(event["bytes"] + event["here"])
                self.flow.tick(self._clock(), event["here"])
                self._set("offered" if event["files"] else "fetching")
            case "progress":
                self.flow.tick(self._clock(), event["at"])
                self._changed()
            case "pulled":
                self._set("done")
            case "error":
                problem = event["problems"][0]
                self._fail("; ".join(filter(None, (problem["what"], problem["hint"]))))

    def _fail(self, wrong: str) -> None:
        self.wrong = visible(wrong, 400)
        self._set("failed")

    def _set(self, status: Status) -> None:
        self.status = status
        self._changed()
