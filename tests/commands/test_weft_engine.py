"""weft engine --stdio: what a client says, and what it hears."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import toy_nodes
from sums import SUMS

from commands import engine as verb
from engine.serve import Server

Message = dict[str, Any]


class Talk:
    """An engine in threads of this process, and the two ends of its pipe."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.heard: list[Message] = []
        self._new = threading.Condition()
        self._at = 0
        lines = iter(self._lines.get, None)
        shop = verb.Workshop(toy_nodes.registry())
        self._thread = threading.Thread(target=lambda: Server(shop, self._hear).serve(lines, lazy=True))
        self._thread.start()

    def _hear(self, message: Any) -> None:
        with self._new:
            self.heard.append(json.loads(json.dumps(message)))
            self._new.notify()

    def say(self, do: str, **more: Any) -> None:
        self._lines.put(json.dumps({"do": do, **more}))

    def say_line(self, line: str) -> None:
        self._lines.put(line)

    def until(self, event: str, **fields: Any) -> Message:
        """The next message of this kind; those before it are passed over."""
        with self._new:
            for _ in range(200):
                while self._at < len(self.heard):
                    message = self.heard[self._at]
                    self._at += 1
                    if message["event"] == event and all(message.get(k) == v for k, v in fields.items()):
                        return message
                self._new.wait(0.1)
        raise AssertionError(f"never heard {event} {fields}: {self.heard}")

    def kinds(self, run: str) -> list[str]:
        """The events of a run, memory aside."""
        return [m["event"] for m in self.heard if m.get("run") == run]

    def close(self) -> None:
        self._lines.put(None)
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Talk]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    found = Talk()
    yield found
    found.close()


def slow(steps: int = 200, pause: float = 0.01) -> Message:
    return {
        "format": 1,
        "nodes": {
            "wait": {"type": "Steps", "steps": steps, "pause": pause},
            "say": {"type": "Say", "text": "@wait"},
        },
    }


def test_the_first_line_says_who_speaks(talk: Talk) -> None:
    hello = talk.until("hello")
    assert hello["protocol"] == 1
    assert hello["pid"] == os.getpid()
    assert {"weft", "torch", "device", "dtype"} <= hello.keys()


def test_a_run_is_told_as_jsonl_tells_it(talk: Talk, tmp_path: Path) -> None:
    talk.say("run", run="r1", document=SUMS, set={"a": 5}, out="here")
    assert talk.until("over", run="r1")["status"] == "done"
    kinds = talk.kinds("r1")
    assert kinds[:2] == ["plan", "run_started"]
    assert kinds[-2:] == ["run_finished", "over"]
    assert kinds.count("node_finished") == 3
    lock, file = sorted((tmp_path / "here").iterdir())
    assert lock.name == "sums.lock" or lock.suffix == ".lock"
    assert file.read_text().strip() == "17.0"


def test_a_plan_says_what_will_run_and_then_what_is_cached(talk: Talk) -> None:
    talk.say("plan", id=1, document=SUMS)
    before = talk.until("plan", id=1)
    assert (before["will_run"], before["total"]) == (3, 3)
    talk.say("run", run="r", document=SUMS)
    talk.until("over", run="r")
    talk.say("plan", id=2, document=SUMS, set={"b": 3.5})
    after = talk.until("plan", id=2)
    assert {n["node"]: n["status"] for n in after["nodes"]} == {"sum": "cached", "twice": "cached", "save": "run"}


def test_a_workflow_may_be_text_that_is_in_no_file_yet(talk: Talk, tmp_path: Path) -> None:
    talk.say("plan", id=1, text=json.dumps(SUMS), path=str(tmp_path / "unsaved.json"))
    assert talk.until("plan", id=1)["total"] == 3
    talk.say("plan", id=2, text='{"format": 1, "nodes": {"a": {"type": "Calculat"}}}', name="broken.json")
    (problem,) = talk.until("plan", id=2)["problems"]
    assert problem["code"] == "E-NODE"
    assert problem["where"].startswith("broken.json:1:")


def test_runs_wait_for_each_other_and_one_that_waits_can_be_dropped(talk: Talk) -> None:
    for name in ("a", "b", "c"):
        talk.say("run", run=name, document=slow(5))
    talk.say("cancel", run="b")
    talk.until("over", run="c")
    assert {m["run"]: m["status"] for m in talk.heard if m["event"] == "over"} == {
        "a": "done", "b": "cancelled", "c": "done",
    }  # fmt: skip
    assert talk.kinds("b") == ["over"]
    order = [m["run"] for m in talk.heard if m["event"] == "run_started"]
    assert order == ["a", "c"]


def test_cancel_stops_within_one_step(talk: Talk) -> None:
    talk.say("run", run="r", document=slow(1000, 0.02))
    step = talk.until("node_progress")["step"]
    talk.say("cancel")
    assert talk.until("over", run="r")["status"] == "cancelled"
    last = [m["step"] for m in talk.heard if m["event"] == "node_progress"][-1]
    assert last <= step + 3


def test_what_cannot_begin_is_an_error_and_the_next_run_is_not_hurt(talk: Talk) -> None:
    talk.say("run", run="bad", document={"format": 1, "nodes": {}})
    talk.say("run", run="worse")
    talk.say("run", run="good", document=SUMS)
    assert talk.until("error", run="bad")["problems"][0]["code"] == "E-NOOUT"
    assert talk.until("error", run="worse")["problems"][0]["code"] == "E-CLI"
    assert talk.until("over", run="good")["status"] == "done"


def test_a_failed_node_is_told_with_its_problem(talk: Talk) -> None:
    nodes = {"f": {"type": "Fail"}, "say": {"type": "Say", "text": "@f"}}
    talk.say("run", run="r", document={"format": 1, "nodes": nodes})
    failed = talk.until("node_failed")
    assert failed["problems"][0]["what"] == "there is nothing to add"
    assert talk.until("over")["status"] == "failed"


def test_a_sweep_shares_work_and_draws_its_grid(talk: Talk, tmp_path: Path) -> None:
    nodes = {
        "slow": {"type": "Steps", "steps": 2},
        "picture": {"type": "Swatch", "grey": "$grey", "after": "@slow", "path": "{grey}.png"},
    }
    document = {"format": 1, "params": {"grey": 0}, "nodes": nodes}
    talk.say("run", run="r", document=document, sweep={"grey": [0, 100, 200]}, grid=True)
    assert Path(talk.until("grid")["path"]).name == "grid.png"
    talk.until("over")
    told = [m for m in talk.heard if m.get("node") == "slow" and m["event"].startswith("node_")]
    assert [m["event"] for m in told].count("node_finished") == 1
    assert (tmp_path / "out" / "grid.png").exists()


def test_what_is_not_a_command_is_said_and_passed_over(talk: Talk) -> None:
    for line in ("nonsense", "[1]", '{"run": 1}', '{"do": "dance\\u001b[2J"}'):
        talk.say_line(line)
    talk.say("ping")
    talk.until("pong")
    texts = [m["text"] for m in talk.heard if m["event"] == "log"]
    assert len(texts) == 4
    assert "\x1b" not in "".join(texts)


def test_memory_is_told(talk: Talk) -> None:
    talk.say("free")
    assert talk.until("memory")["held"] > 1_000_000


PRINTS = """
import nodes, sys, cli
from engine.node import Node
from engine.values import Saved
class Loud(Node):
    "Print where nothing should be printed."
    version = 1
    effect = True
    def run(self, ctx) -> Saved:
        import os
        print("stray", flush=True)
        os.system("echo stray too")
        return Saved((), "done")
known = nodes.registry()
known.add(Loud)
cli.main(["engine", "--stdio", "--lazy"], known)
"""


def test_the_process_keeps_its_lines_apart_from_what_libraries_print(tmp_path: Path) -> None:
    run = {"do": "run", "run": "r", "document": {"format": 1, "nodes": {"a": {"type": "Loud"}}}}
    started = subprocess.Popen(
        [sys.executable, "-c", PRINTS], cwd=tmp_path, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "WEFT_CACHE": str(tmp_path / "c")},
    )  # fmt: skip
    with started as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(json.dumps(run) + "\n")
        process.stdin.flush()
        events = []
        while not events or events[-1] != "over":
            events.append(json.loads(process.stdout.readline())["event"])
        process.stdin.close()
        assert process.stderr.read() == "stray\nstray too\n"
        assert process.wait(10) == 0
    assert events[0] == "hello"
    assert "node_finished" in events


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_the_process_ends_with_its_input_and_at_a_signal(tmp_path: Path) -> None:
    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "engine", "--stdio", "--lazy"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
            env={**os.environ, "WEFT_CACHE": str(tmp_path / "c")},
        )  # fmt: skip
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "hello"
        return process

    with start() as first:
        assert first.stdin is not None
        first.stdin.close()
        assert first.wait(10) == 0
    with start() as second:
        second.send_signal(signal.SIGINT)
        time.sleep(0.1)
        assert second.poll() is None
        second.terminate()
        assert second.wait(10) == -signal.SIGTERM
