"""The engine in its own process: started in the background, spoken to in JSON lines, killed and started again.

The client never raises for what the engine does. What it hears goes to `on_events`, a few events at a time (see
`coalesce`), with two of its own among them:

    {"event": "started", "pid": …}
    {"event": "exited", "code": …, "reason": "engine exited (signal 9, likely out of memory)", "wanted": bool}

and what the engine's process writes on standard error as {"event": "log", "text": …}.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from engine.text import visible
from tui.coalesce import Coalescer

Message = Mapping[str, Any]
Status = Literal["off", "starting", "importing", "ready", "dead"]

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""
LINE = 64 << 20
"""Bytes of the longest line that is read: the plan of the largest workflow."""


def engine_command() -> list[str]:
    """How this installation starts an engine. -P: nothing is imported from the folder that happens to be current."""
    return [sys.executable, "-P", "-m", "cli", "engine", "--stdio"]


class Client:
    """One engine at a time. All methods are to be called on the event loop."""

    def __init__(
        self,
        on_events: Callable[[list[Message]], None],
        command: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`env`: variables that the engine gets beside this process's own."""
        self.status: Status = "off"
        self.hello: Message = {}
        self.since = 0.0
        """When the status changed last, on the clock."""
        self._on_events = on_events
        self._command = list(command or engine_command())
        self._env = dict(env or {})
        self._clock = clock
        self._events = Coalescer()
        self._process: asyncio.subprocess.Process | None = None
        self._wanted = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake: asyncio.TimerHandle | None = None
        self._unsent: list[Message] = []

    @property
    def pid(self) -> int | None:
        """The engine's process, while there is one."""
        return self._process.pid if self._process is not None else None

    @property
    def alive(self) -> bool:
        """Whether there is an engine, or one is being started."""
        return self.status in ("starting", "importing", "ready")

    def start(self) -> None:
        """Start an engine in the background, if there is none."""
        if not self.alive:
            self._set("starting")
            self._spawn(self._run())

    def send(self, do: str, **more: Any) -> None:
        """Tell the engine to do something; where there is none yet, as soon as there is one."""
        message = {"do": do, **more}
        self.start()
        if self._process is None:
            self._unsent.append(message)
        else:
            self._write(message)

    async def stop(self) -> None:
        """End the engine: SIGTERM, and SIGKILL if it has not ended after two seconds."""
        self._wanted = True
        self._unsent.clear()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), GRACE)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def restart(self) -> None:
        """End the engine and start another."""
        await self.stop()
        while self.alive:  # until its end was told
            await asyncio.sleep(0.01)
        self.start()

    async def close(self) -> None:
        """End the engine and everything here."""
        await self.stop()
        if self._wake is not None:
            self._wake.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        self._wanted = False
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=LINE,
                env={**os.environ, **self._env},
                # A group of its own, so that keys which the terminal turns into signals do not reach it.
                start_new_session=sys.platform != "win32",
            )
        except OSError as why:
            self._over(None, f"the engine did not start: {why.strerror or why}")
            return
        self._process = process
        if self._wanted:  # to end, before there was anything to be ended
            process.kill()
        self._add({"event": "started", "pid": process.pid})
        for message in self._unsent:
            self._write(message)
        self._unsent.clear()
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.ensure_future(self._read_errors(process.stderr))
        try:
            await self._read(process.stdout)
            code = await process.wait()
            # What it said last often tells why it ended, but whoever holds the pipe now may never close it.
            await asyncio.wait([errors], timeout=0.2)
        finally:
            errors.cancel()
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        self._over(code, _reason(code))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than LINE
                continue
            if not line:
                return
            try:
                event = json.loads(line)
                kind = event["event"]
            except (ValueError, TypeError, KeyError):
                self._add({"event": "log", "text": visible(line.decode(errors="replace").rstrip())})
                continue
            if kind == "hello":
                self.hello = event
            elif kind == "importing":
                self._set("importing")
            elif kind == "ready":
                self._set("ready")
            self._add(event)

    async def _read_errors(self, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:
                continue
            if not line:
                return
            self._add({"event": "log", "text": visible(line.decode(errors="replace").rstrip(), 500)})

    def _over(self, code: int | None, reason: str) -> None:
        self._process = None
        self._set("off" if self._wanted else "dead")
        self._add({"event": "exited", "code": code, "reason": reason, "wanted": self._wanted})
        self._unsent.clear()

    def _write(self, message: Message) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        if not process.stdin.is_closing():
            process.stdin.write(json.dumps(message).encode() + b"\n")

    def _set(self, status: Status) -> None:
        self.status, self.since = status, self._clock()

    def _add(self, event: Message) -> None:
        self._events.add(event, self._clock())
        self._arm()

    def _arm(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        due = self._events.due
        if due < float("inf"):
            loop = asyncio.get_running_loop()
            self._wake = loop.call_later(max(due - self._clock(), 0.0), self._flush)

    def _flush(self) -> None:
        events = self._events.take(self._clock())
        self._arm()
        if events:
            self._on_events(events)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _reason(code: int) -> str:
    """Why a process ended, in words."""
    if code >= 0:
        return f"engine exited (code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = ""
    likely = {"SIGKILL": ", likely out of memory", "SIGSEGV": ", a crash in a library"}.get(name, "")
    return f"engine exited (signal {-code}{likely})"
