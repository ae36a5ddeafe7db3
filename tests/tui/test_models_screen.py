"""The models screen: what a workflow reads, found or missing; what this machine has; taking one."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from fake_engine import WORKFLOW, Stage, play
from safetensors.torch import save_file

import nodes
from nodes.library import digest_in_name, on_this_machine
from nodes.sources import SHIPPED, shipped
from tui.needs import needs
from tui.session import Session

LORA = {"type": "LoRALoad", "model": "@base.model", "text_encoder": "@base.text_encoder", "source": "$style"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workflow that reads a shipped model and a LoRA that is not there."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    document: dict[str, Any] = {**WORKFLOW, "params": {**WORKFLOW["params"], "style": "someone/fox/fox.safetensors"}}
    document["nodes"] = {**WORKFLOW["nodes"], "lora": LORA}
    (tmp_path / "work").mkdir()
    path = tmp_path / "work" / "x.json"
    path.write_text(json.dumps(document, indent=2))
    return path


def lora(path: Path) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    save_file({f"{name}.lora_down.weight": torch.zeros(4, 768), f"{name}.lora_up.weight": torch.zeros(320, 4)}, path)


def test_needs_are_inputs_that_name_files(file: Path) -> None:
    session = Session.open(file, nodes.registry())
    assert session.workflow is not None
    found = {need.key: need for need in needs(session.workflow)}
    assert found["base.source"].problem is None
    assert SHIPPED / "ddpm-digits" / "model.safetensors" in found["base.source"].files
    missing = found["lora.source"]
    assert missing.source == "someone/fox/fox.safetensors"
    assert missing.problem is not None
    assert missing.problem.code == "E-NOTFOUND"
    assert missing.command.startswith("weft models pull someone/fox")


def test_models_are_found_where_they_lie(file: Path, tmp_path: Path) -> None:
    lora(file.parent / "loras" / "fox.safetensors")
    (file.parent / "old.ckpt").write_bytes(b"\x80\x02")
    (file.parent / "broken.safetensors").write_bytes(b"<!DOCTYPE html><html></html>")
    commit = "0" * 40
    snapshot = tmp_path / "hub" / "models--an--owner" / "snapshots" / commit
    blob = tmp_path / "hub" / "models--an--owner" / "blobs" / hashlib.sha256(b"").hexdigest()
    lora(blob)
    snapshot.mkdir(parents=True)
    (snapshot / "a.safetensors").symlink_to(blob)
    refs = snapshot.parent.parent / "refs"
    refs.mkdir()
    (refs / "main").write_text(commit)
    found = {model.source: model for model in on_this_machine(file.parent)}
    assert list(found) == [*shipped(), "an/owner", "broken.safetensors", "old.ckpt", "loras/fox.safetensors"]
    assert found["ddpm-digits"].what == "a checkpoint, pixel space"
    assert (found["ddpm-digits"].where, found["ddpm-digits"].wrong) == ("shipped", "")
    assert found["an/owner"].what == "a LoRA for Stable Diffusion 1.x or 2.x"
    assert digest_in_name(found["an/owner"].files[0]) == blob.name
    assert "web page" in found["broken.safetensors"].wrong
    assert "pickle" in found["old.ckpt"].wrong
    assert digest_in_name(file) == ""


def test_a_missing_model_is_told_with_the_way_to_get_it(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.press("M")
        await stage.until(lambda: "ddpm-digits" in stage.text())
        row = stage.row("someone/fox/fox")
        assert "⇩" in row
        assert "lora.source" in row
        stage.app.screen.query_one("Rows").highlighted = stage.app.screen._ids.index("need 1")
        await stage.settle()
        assert "get it with weft models pull someone/fox" in stage.text()
        await stage.press("y")
        assert "copied weft models pull someone/fox" in stage.text()
        await stage.press("enter")
        assert stage.screen_name == "main"
        assert stage.main.graph.selected == "lora"

    play(work, tmp_path, file)


def test_a_model_is_taken_as_a_source_and_its_digest_is_computed(tmp_path: Path, file: Path) -> None:
    lora(file.parent / "fox.safetensors")
    before = file.read_text()

    async def work(stage: Stage) -> None:
        await stage.press("M")
        await stage.until(lambda: "a LoRA for" in stage.text())
        screen = stage.app.screen
        screen.query_one("Rows").highlighted = len(screen._ids) - 1
        await stage.settle()
        assert "d: its digest" in stage.text()
        await stage.press("d")
        digest = hashlib.sha256((file.parent / "fox.safetensors").read_bytes()).hexdigest()
        await stage.until(lambda: digest in stage.text())
        await stage.press("enter")
        await stage.type("lora")
        await stage.press("enter")
        assert stage.session.data["params"]["style"] == "fox.safetensors", "the param that feeds the input"
        await stage.until(lambda: "✓" in stage.row("lora.source"))
        await stage.press("escape", "u")
        assert stage.session.text == before

    play(work, tmp_path, file)


def test_the_list_is_narrowed_by_words(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.press("M")
        await stage.until(lambda: "ships with weft" in stage.text())
        await stage.press("slash")
        await stage.type("fox")
        await stage.press("enter")
        assert "with fox" in stage.text()
        assert "base.source" not in stage.text()
        assert "lora.source" in stage.text()

    play(work, tmp_path, file)


def test_without_a_workflow_the_machines_models_are_shown(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        stage.app.show_screen("models")
        await stage.until(lambda: "ddpm-digits" in stage.text())
        assert "in the hub's cache: nothing" in stage.text()
        assert " reads" not in stage.text()

    play(work, tmp_path)
