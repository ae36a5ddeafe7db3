"""The stories of people who come to weft that are not told beside the screens they belong to (2 to 5 and 8 are)."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fake_engine import Stage, play
from real_terminal import ROOT, digit
from textual.events import Paste

COMFY = {
    "3": {"class_type": "KSampler", "inputs": {
        "seed": 11, "steps": 2, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
        "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "fox", "images": ["8", 0]}},
}  # fmt: skip
"""A prompt as ComfyUI writes it for its API."""


def weft(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """weft as on a machine where it never ran, without a GPU and without a network."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WEFT_", "HF_"))}
    env = {**kept, "HOME": str(folder), "WEFT_CACHE": str(folder / "cache"), "WEFT_STATE": str(folder / "state"),
           "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}  # fmt: skip
    return subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), *words], cwd=folder, env=env, text=True, encoding="utf-8",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_story_1_a_prompt_of_comfyui_becomes_a_workflow_that_runs_and_its_picture_opens(
    tmp_path: Path, checkpoint: Callable[[str], Path]
) -> None:
    strange = {**COMFY, "20": {"class_type": "KSamplr", "inputs": {"model": ["4", 0]}}}
    (tmp_path / "strange.json").write_text(json.dumps(strange))
    process = weft(tmp_path, "import", "strange.json", "--out", "strange-ours.json")
    _, err = process.communicate(timeout=60)
    assert "KSamplr" in err
    assert "nearest" in err
    assert "Traceback" not in err

    file = tmp_path / "comfy.json"
    file.write_text(json.dumps(COMFY))
    out, err = weft(tmp_path, "check", "comfy.json").communicate(timeout=60)
    assert "E-FOREIGN" in out + err
    process = weft(tmp_path, "import", "comfy.json", "--out", "ours.json")
    process.communicate(timeout=60)
    assert process.returncode == 0
    document = json.loads((tmp_path / "ours.json").read_text())
    (loader,) = (name for name, node in document["nodes"].items() if node["type"] == "LoadCheckpoint")
    document["nodes"][loader]["source"] = str(checkpoint("sd15"))
    (tmp_path / "ours.json").write_text(json.dumps(document))
    _, err = weft(tmp_path, "check", "ours.json").communicate(timeout=60)
    assert "E-" not in err
    out, err = weft(tmp_path, "run", "ours.json", "seed=12").communicate(timeout=120)
    (saved,) = out.splitlines()
    assert saved.endswith(".png"), err

    async def work(stage: Stage) -> None:
        assert "12" in stage.row("seed")

    play(work, tmp_path, tmp_path / saved)


def test_a_prompt_of_comfyui_is_told_from_a_workflow_on_the_screen(tmp_path: Path) -> None:
    file = tmp_path / "comfy.json"
    file.write_text(json.dumps(COMFY))
    mine = digit(tmp_path)

    async def work(stage: Stage) -> None:
        stage.main.graph.post_message(Paste(str(file)))
        await stage.until(lambda: "ComfyUI prompt (API format) with 7 nodes" in stage.text())
        assert "Traceback" not in stage.text()
        await stage.press("escape", "f5")
        assert stage.engine.sent_runs() == []

    play(work, tmp_path, mine)


def test_story_6_a_script_gets_only_events_or_only_paths_and_two_interrupts_end_it(tmp_path: Path) -> None:
    digit(tmp_path)
    out, _ = weft(tmp_path, "run", "digit.json", "--jsonl").communicate(timeout=120)
    events = [json.loads(line)["event"] for line in out.splitlines()]
    assert events[-1] == "run_finished"
    assert "node_progress" in events
    out, err = weft(tmp_path, "run", "digit.json", "seed=8").communicate(timeout=120)
    assert [(tmp_path / line).is_file() for line in out.splitlines()] == [True], err
    process = weft(tmp_path, "run", "digit.json", "seed=9", "steps=1000")
    assert process.stderr is not None
    for line in process.stderr:
        if "denoise" in line:
            break
    process.send_signal(signal.SIGINT)
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    listed = subprocess.run(["ps", "-A", "-o", "ppid="], capture_output=True, text=True, check=True).stdout.split()
    assert str(process.pid) not in listed, "it leaves nobody behind"


def test_story_7_on_a_fresh_machine_doctor_explains_and_the_first_picture_comes(tmp_path: Path) -> None:
    begun = time.monotonic()
    doctor = weft(tmp_path, "doctor")
    out, err = doctor.communicate(timeout=120)
    assert (doctor.returncode, err) == (0, "")
    rows = [line.split(None, 2) for line in out.splitlines()]
    assert {row[0] for row in rows} <= {"ok", "note"}
    assert all(len(row) == 3 and row[2] for row in rows), "each says what is there or what to do"
    assert any(row[1] == "device" and "cpu" in row[2] for row in rows)
    digit(tmp_path)
    out, err = weft(tmp_path, "run", "digit.json").communicate(timeout=240)
    assert (tmp_path / out.strip()).read_bytes().startswith(b"\x89PNG"), err
    assert time.monotonic() - begun < 300
