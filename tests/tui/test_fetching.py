"""Fetching what a workflow lacks: announced, agreed to, stopped and gone on with; from a hub on this machine."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_engine import WORKFLOW, Stage, play
from hub_server import COMMIT, Hub, serving

from engine.errors import Problem
from tui.needs import Need

NAME = "big.safetensors"
SLOW = 120.0
"""Seconds that another process may take to start on a busy machine."""


def weights(count: int) -> bytes:
    """A safetensors file of one tensor of so many bytes."""
    header = json.dumps({"a": {"dtype": "U8", "shape": [count], "data_offsets": [0, count]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(count)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving({NAME: weights(3_000_000)}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A workflow with a LoRA that is on the hub alone."""
    lora = {"type": "LoRALoad", "model": "@base.model", "source": f"owner/fox/{NAME}"}
    document: dict[str, Any] = {**WORKFLOW, "nodes": {**WORKFLOW["nodes"], "lora": lora}}
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document, indent=2))
    return path


def fetched(tmp_path: Path) -> Path:
    return tmp_path / "hub" / "models--owner--fox" / "snapshots" / COMMIT / NAME


def lacking(stage: Stage) -> None:
    """Tell that the file is not there, as the engine's plan does."""
    hint = f"get it with weft models pull owner/fox {NAME}"
    stage.engine.plan_problems = [{
        "code": "E-NOTFOUND", "what": "no file", "hint": hint, "where": "lora.source", "node": "lora",
        "input": "source", "line": 1, "column": 1, "exit_code": 3,
    }]  # fmt: skip
    stage.app.desk.replan()


def test_the_model_that_a_node_lacks_is_fetched_once_that_was_agreed_to(tmp_path: Path, hub: Hub, file: Path) -> None:
    async def work(stage: Stage) -> None:
        lacking(stage)
        await stage.settle()
        stage.main.go_to("lora")
        await stage.settle()
        assert "fFetch" in stage.text()
        await stage.press("f")
        await stage.until(lambda: "f does it" in stage.text())
        await stage.until(lambda: "owner/fox: 1 file, 2.9 MiB" in stage.text(), SLOW)
        assert stage.screen_name == "Confirm"
        assert f"2.9 MiB  {NAME}" in stage.text()
        assert not any("resolve" in path for path, _ in hub.asked)
        hub.hold = 1_500_000
        await stage.press("f")
        await stage.until(lambda: "35 %  1.0 MiB of 2.9 MiB" in stage.text())
        assert "⇩ 35 %" in stage.row("Models"), "the header says it on every screen"
        stage.engine.plan_problems = []
        hub.go_on.set()
        await stage.until(lambda: "owner/fox is here" in stage.text(), SLOW)
        assert fetched(tmp_path).read_bytes() == hub.files[NAME]
        await stage.press("escape")
        await stage.until(lambda: stage.state("lora").glyph == "◌")

    play(work, tmp_path, file)


def test_what_was_stopped_is_gone_on_with(tmp_path: Path, hub: Hub, file: Path) -> None:
    async def work(stage: Stage) -> None:
        stage.app.show_screen("models", missing=True)
        await stage.until(lambda: "f does it" in stage.text())
        await stage.press("f")
        await stage.until(lambda: stage.screen_name == "Confirm", SLOW)
        hub.hold = 1_500_000
        await stage.press("f")
        await stage.until(lambda: "35 %  1.0 MiB of 2.9 MiB" in stage.text())
        await stage.press("f")
        assert "comes first" in stage.text()
        await stage.press("x")
        await stage.until(lambda: "was not fetched; what came stays" in stage.text())
        assert not fetched(tmp_path).exists()
        hub.hold = 0
        hub.go_on.set()
        await stage.press("f")
        await stage.until(lambda: "1.0 MiB of it here already" in stage.text(), SLOW)
        await stage.press("f")
        await stage.until(fetched(tmp_path).exists, SLOW)
        assert [wanted for path, wanted in hub.asked if "resolve" in path][-1] == "bytes=1048576-"

    play(work, tmp_path, file)


def test_what_is_not_agreed_to_is_not_fetched_and_errors_are_told(tmp_path: Path, hub: Hub) -> None:
    async def work(stage: Stage) -> None:
        stage.app.show_screen("models")
        await stage.until(lambda: "ddpm-digits" in stage.text())
        await stage.press("f")
        await stage.type("owner/fox")
        await stage.press("enter")
        await stage.until(lambda: stage.screen_name == "Confirm", SLOW)
        await stage.press("escape")
        await stage.until(lambda: "owner/fox was not fetched" in stage.text())
        assert not any("resolve" in path for path, _ in hub.asked)
        puller = stage.app.desk.puller
        puller.ask(["owner/fox", "--yes"])
        assert puller.told == "owner/fox: --yes is not taken here; --revision, --variant, --small are"
        puller.ask(["owner/cat"])
        await stage.until(lambda: 'the hub has no model "owner/cat"; look at its name' in stage.text(), SLOW)

    play(work, tmp_path)


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        ("get it with weft models pull owner/fox --revision 'a b'", ["owner/fox", "--revision", "a b"]),
        ("get them with weft models pull a/b --small, or name a folder", ["a/b", "--small"]),
        ("get it with weft models pull a/b, and give a/b as model", ["a/b"]),
        ("get it with hf download a/b x.pth --local-dir b, and give b as model", []),
        ("get it with weft models pull a/b --revision 'x, or y'", []),
        ("give the folder of the model", []),
    ],
)
def test_the_words_that_fetch_are_those_of_the_hint(hint: str, words: list[str]) -> None:
    assert list(Need("a", "b", "c", problem=Problem("E-NOTFOUND", "x", hint)).pull) == words
