"""weft models: ls, find, verify; and pull from a hub that runs on this machine."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Weft
from hub_server import COMMIT, Hub, serving

from diffusion import hub as local
from nodes import pulling
from nodes.pulling import Wanted, choose

ROOT = Path(__file__).parent.parent.parent


def tensors(count: int, fill: int = 7) -> bytes:
    """A safetensors file of one tensor with so many bytes."""
    header = json.dumps({"a": {"dtype": "U8", "shape": [count], "data_offsets": [0, count]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes([fill]) * count


FILES = {
    "model_index.json": b"{}",
    "README.md": b"# fox",
    "code.py": b"import os",
    "fox.safetensors": tensors(9000),
    "unet/config.json": b'{"a": 1}',
    "unet/diffusion_pytorch_model.safetensors": tensors(3_000_000),
    "unet/diffusion_pytorch_model.fp16.safetensors": tensors(1_500_000),
    "unet/diffusion_pytorch_model.bin": b"\x80\x02pickle",
    "safety_checker/model.safetensors": tensors(4000),
    "tokenizer/merges.txt": b"a b\n",
}
TAKEN = {"model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "tokenizer/merges.txt"}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", "secret")
    with serving(dict(FILES)) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def pulled(tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / "hub" / "models--owner--fox" / "snapshots" / COMMIT
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_model_is_announced_and_fetched_only_once_that_was_said(weft: Weft, hub: Hub, tmp_path: Path) -> None:
    asked = weft("models", "pull", "owner/fox")
    assert (asked.code, asked.out) == (2, "")
    assert f"owner/fox at {COMMIT}: 4 files, 2.9 MiB" in asked.err
    assert "left out: 4 files" in asked.err
    assert "E-CLI: nothing was fetched; add --yes to fetch it" in asked.err
    assert not any("resolve" in path for path, _ in hub.asked)
    got = weft("models", "pull", "owner/fox", "--yes", "--json")
    assert (got.code, got.json["commit"]) == (0, COMMIT)
    assert pulled(tmp_path) == {name: FILES[name] for name in TAKEN}
    assert local.snapshot("owner/fox") == Path(got.json["folder"])
    assert local.snapshot("owner/fox", COMMIT) == Path(got.json["folder"])
    assert "Bearer secret" in hub.tokens
    hub.asked.clear()
    again = weft("models", "pull", "owner/fox", "--revision", "main")
    assert (again.code, again.out.strip()) == (0, got.json["folder"])
    assert "2.9 MiB of it here already" in again.err
    assert f'"revision": "{COMMIT}"' in again.err
    assert not any("resolve" in path for path, _ in hub.asked)


def test_a_variant_some_files_and_the_small_ones(weft: Weft, hub: Hub, tmp_path: Path) -> None:
    weft("models", "pull", "owner/fox", "--small", "--yes")
    assert set(pulled(tmp_path)) == {name for name in TAKEN if not name.endswith(".safetensors")}
    weft("models", "pull", "owner/fox", "--variant", "fp16", "--yes")
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in pulled(tmp_path)
    assert "unet/diffusion_pytorch_model.safetensors" not in pulled(tmp_path)
    weft("models", "pull", "owner/fox", "fox.safetensors", "--yes")
    assert pulled(tmp_path)["fox.safetensors"] == FILES["fox.safetensors"]
    refused = weft("models", "pull", "owner/fox", "code.py", "--yes")
    assert (refused.code, "code.py" in pulled(tmp_path)) == (3, False)


def test_what_was_interrupted_is_gone_on_with(weft: Weft, hub: Hub, tmp_path: Path) -> None:
    hub.cut = 1_200_000
    first = weft("models", "pull", "owner/fox", "--yes")
    assert first.code == 3
    assert "goes on" in first.err
    name = "unet/diffusion_pytorch_model.safetensors"
    assert name not in pulled(tmp_path)
    hub.asked.clear()
    second = weft("models", "pull", "owner/fox", "--yes")
    assert second.code == 0, second.err
    assert pulled(tmp_path)[name] == FILES[name]
    ranges = {path.partition(COMMIT + "/")[2]: wanted for path, wanted in hub.asked}
    assert ranges[name].startswith("bytes=1")


def test_a_program_is_told_in_lines_and_agrees_with_a_word(hub: Hub, tmp_path: Path) -> None:
    def pull(said: str) -> tuple[int, list[dict[str, Any]]]:
        command = [sys.executable, "-m", "cli", "models", "pull", "owner/fox", "--jsonl"]
        done = subprocess.run(command, cwd=ROOT, input=said, capture_output=True, text=True, check=False)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    code, (offer, wrong) = pull("")
    assert (code, offer["event"], wrong["event"]) == (2, "offer", "error")
    assert offer["here"] == 0
    assert offer["bytes"] == sum(len(FILES[name]) for name in TAKEN) == sum(file["size"] for file in offer["files"])
    assert not any("resolve" in path for path, _ in hub.asked)
    hub.cut = 1_200_000
    code, broken = pull("yes\n")
    assert (code, broken[-1]["event"]) == (3, "error")
    code, (offer, *told, last) = pull("yes\n")
    assert (code, last["event"], last["commit"]) == (0, "pulled", COMMIT)
    assert offer["here"] > 1_000_000, "what came before the connection broke"
    assert {one["event"] for one in told} == {"progress"}
    assert [one["at"] for one in told] == sorted(one["at"] for one in told)
    assert told[-1]["at"] == told[-1]["total"] == offer["here"] + offer["bytes"]


def test_a_killed_pull_leaves_nothing_wrong_and_is_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    env = {**os.environ, "WEFT_CACHE": str(tmp_path / "cache")}
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from nodes import pulling
pulling.fetch(pulling.offer("owner/fox"), lambda file, at: file.size > 10**6 and at > 10**6 and os._exit(9))
"""
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == 9
    assert "unet/diffusion_pytorch_model.safetensors" not in pulled(tmp_path)
    pulling.fetch(pulling.offer("owner/fox"))
    assert pulled(tmp_path) == {name: FILES[name] for name in TAKEN}
    left = [path.name for path in (tmp_path / "hub").rglob("*weft*")]
    assert left == []


def test_a_file_that_is_not_what_was_announced_is_not_kept(weft: Weft, hub: Hub, tmp_path: Path) -> None:
    hub.lie = "unet/diffusion_pytorch_model.safetensors"
    got = weft("models", "pull", "owner/fox", "--yes")
    assert (got.code, "E-DIGEST" in got.err) == (1, True)
    assert hub.lie not in pulled(tmp_path)
    assert local.snapshot("owner/fox") is None


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["owner/cat"], 3, 'E-NOTFOUND: the hub has no model "owner/cat"; look at its name'),
        (["owner/fox", "--revision", "old"], 3, 'no model "owner/fox" at revision "old"'),
        (["fox"], 2, 'E-CLI: "fox" is no model of the hub; write OWNER/NAME'),
        ([], 2, "E-CLI: pull takes a model of the hub"),
    ],
)
def test_what_cannot_be_pulled_is_told(weft: Weft, hub: Hub, words: list[str], code: int, said: str) -> None:
    got = weft("models", "pull", *words, "--yes")
    assert (got.code, said in got.err) == (code, True), got.err


@pytest.mark.parametrize("name", ["../../fox.safetensors", "/etc/fox.safetensors", "a\\..\\b.json", "a/\x1b.json"])
def test_a_hub_that_names_files_elsewhere_is_refused(weft: Weft, hub: Hub, tmp_path: Path, name: str) -> None:
    hub.names["fox.safetensors"] = name
    got = weft("models", "pull", "owner/fox", "--yes")
    assert (got.code, "E-PATH" in got.err) == (5, True)
    assert "\x1b" not in got.err
    assert pulled(tmp_path) == {}


def test_pickles_a_licence_and_a_hub_that_is_away(weft: Weft, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in hub.files if name.endswith(".safetensors")]:
        del hub.files[name]
    got = weft("models", "pull", "owner/fox", "--yes")
    assert (got.code, "E-PICKLE" in got.err) == (5, True)
    hub.status = 403
    assert "hf auth login" in weft("models", "pull", "owner/fox", "--yes").err
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    got = weft("models", "pull", "owner/fox", "--yes")
    assert (got.code, "the hub does not answer" in got.err) == (3, True)
    assert "Traceback" not in got.err


def test_the_weights_of_one_kind_are_chosen() -> None:
    def taken(*names: str, variant: str = "") -> set[str]:
        return {file.name for file in choose([Wanted(name, 1, "") for name in names], variant)}

    assert taken("a.safetensors", "b.bin", ".git/x.json") == {"a.safetensors"}
    assert taken("a.fp16.safetensors") == {"a.fp16.safetensors"}
    shards = ("model-00001-of-2.safetensors", "model-00002-of-2.safetensors", "model.safetensors.index.json")
    half = ("model.fp16-00001-of-2.safetensors", "model.safetensors.index.fp16.json")
    assert taken(*shards, *half) == {*shards}
    assert taken(*shards, *half, variant="fp16") == {*half}
    assert taken("model_index.json", "fox.safetensors", "vae/x.safetensors") == {
        "model_index.json",
        "vae/x.safetensors",
    }


def test_models_are_listed_found_and_verified(weft: Weft, hub: Hub, tmp_path: Path) -> None:
    weft("models", "pull", "owner/fox", "--yes")
    (tmp_path / "models" / "loras").mkdir(parents=True)
    (tmp_path / "models" / "loras" / "style.safetensors").write_bytes(tensors(50))
    (tmp_path / "weft.toml").write_text('models = ["models"]')
    sources = {row["source"]: row["place"] for row in weft("models", "ls", "--json").json["models"]}
    assert sources["owner/fox"] == "hub"
    assert sources["style.safetensors"] == "placed"
    assert sources["ddpm-digits"] == "shipped"
    assert weft("models", "ls", "digits").out.startswith("ddpm-digits")
    found = weft("models", "find", "style", "ddpm-digits")
    assert [Path(line).name for line in found.out.splitlines()] == ["style.safetensors", "ddpm-digits"]
    digest = hashlib.sha256(tensors(50)).hexdigest()
    assert weft("models", "find", f"sha256:{digest[:10]}").out.strip().endswith("style.safetensors")
    assert weft("models", "find", "sha256:" + "0" * 64).code == 3
    assert weft("models", "find", "nothing").code == 3
    good = weft("models", "verify", "owner/fox", "style.safetensors", "--json")
    assert {(row["model"], row["state"]) for row in good.json["files"]} == {
        ("owner/fox", "ok"),
        ("style.safetensors", "read"),
    }
    blob = (tmp_path / "hub" / "models--owner--fox" / "blobs") / hashlib.sha256(
        FILES["unet/diffusion_pytorch_model.safetensors"]).hexdigest()  # fmt: skip
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    (tmp_path / "models" / "loras" / "style.safetensors").write_bytes(tensors(50)[:-5])
    bad = weft("models", "verify", "owner/fox", "style.safetensors")
    assert bad.code == 1
    assert "changed" in bad.out
    assert "damaged" in bad.out
    assert "2 files damaged" in bad.out


def test_options_of_pull_belong_to_pull(weft: Weft) -> None:
    assert weft("models", "ls", "--yes").err.startswith("E-CLI: --yes belongs to pull")
