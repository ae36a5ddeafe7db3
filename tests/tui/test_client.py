"""The engine's process: started, spoken to, killed, started again. The engine here is a few lines of script."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tui.client import Client

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

SCRIPT = """
import json, os, signal, sys, time
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
def say(**event): print(json.dumps(event), flush=True)
say(event="hello", pid=os.getpid())
say(event="importing")
print("not json", flush=True)
print("a warning \\x1b[31m", file=sys.stderr, flush=True)
say(event="ready")
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "die": os.kill(os.getpid(), signal.SIGKILL)
    if command["do"] == "leave": sys.exit(3)
    if command["do"] == "flood":
        for n in range(500): say(event="node_progress", run="r", variant=0, node="d", step=n, total=500)
    say(event="echo", do=command["do"])
"""


class Ear:
    """Remembers what it hears."""

    def __init__(self, *words: str) -> None:
        self.heard: list[Any] = []
        self.batches = 0
        self.client = Client(self._hear, [sys.executable, "-c", SCRIPT, *words])

    def _hear(self, events: list[Any]) -> None:
        self.heard += events
        self.batches += 1

    async def until(self, kind: str, seconds: float = 10.0) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for index, event in enumerate(self.heard):
                if event["event"] == kind:
                    del self.heard[: index + 1]
                    return event
            await asyncio.sleep(0.005)
        raise AssertionError(f"never heard {kind}: {self.heard}")


def talk(work: Callable[[Ear], Coroutine[Any, Any, None]], *words: str) -> None:
    async def whole() -> None:
        ear = Ear(*words)
        try:
            await work(ear)
        finally:
            await ear.client.close()

    asyncio.run(whole())


def test_what_is_sent_before_it_runs_is_answered_when_it_does() -> None:
    async def work(ear: Ear) -> None:
        ear.client.send("first")
        assert ear.client.status == "starting"
        hello = await ear.until("hello")
        assert hello["pid"] == ear.client.pid
        assert (await ear.until("echo"))["do"] == "first"
        assert ear.client.status == "ready"

    talk(work)


def test_stray_output_is_a_log_line_and_harmless() -> None:
    async def work(ear: Ear) -> None:
        ear.client.start()
        texts = {(await ear.until("log"))["text"], (await ear.until("log"))["text"]}
        assert texts == {"not json", "a warning ⟨U+001B⟩[31m"}

    talk(work)


def test_a_killed_engine_is_told_within_a_second_and_can_be_started_again() -> None:
    async def work(ear: Ear) -> None:
        ear.client.start()
        await ear.until("ready")
        assert ear.client.pid is not None
        killed = time.monotonic()
        os.kill(ear.client.pid, signal.SIGKILL)
        exited = await ear.until("exited")
        assert time.monotonic() - killed < 1
        assert exited["reason"] == "engine exited (signal 9, likely out of memory)"
        assert not exited["wanted"]
        assert ear.client.status == "dead"
        ear.client.send("again")
        assert (await ear.until("echo"))["do"] == "again"

    talk(work)


def test_an_exit_code_is_told() -> None:
    async def work(ear: Ear) -> None:
        ear.client.send("leave")
        assert (await ear.until("exited"))["reason"] == "engine exited (code 3)"

    talk(work)


def test_a_wanted_end_is_no_surprise_and_restart_gives_another_process() -> None:
    async def work(ear: Ear) -> None:
        ear.client.start()
        first = (await ear.until("hello"))["pid"]
        await ear.client.restart()
        assert (await ear.until("exited"))["wanted"]
        assert (await ear.until("hello"))["pid"] != first
        await ear.client.stop()
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)

    talk(work)


def test_an_engine_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.client.GRACE", 0.2)

    async def work(ear: Ear) -> None:
        ear.client.start()
        await ear.until("ready")
        await ear.client.stop()
        assert (await ear.until("exited"))["code"] == -signal.SIGKILL

    talk(work, "stubborn")


def test_a_flood_comes_in_few_pieces() -> None:
    async def work(ear: Ear) -> None:
        ear.client.start()
        await ear.until("ready")
        before = ear.batches
        ear.client.send("flood")
        await ear.until("echo")
        assert ear.batches - before < 20

    talk(work)


def test_what_cannot_be_started_is_said(tmp_path: Path) -> None:
    async def work(ear: Ear) -> None:
        ear.client._command = [str(tmp_path / "nothing")]
        ear.client.start()
        assert "did not start" in (await ear.until("exited"))["reason"]

    talk(work)
