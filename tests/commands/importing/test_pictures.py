"""Importing from pictures and from A1111's text; and that it runs, imports, fetches and writes nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from forty import files
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import cli
from commands.importing.source import imported
from engine.errors import WeftError
from nodes import registry

ROOT = Path(__file__).resolve().parents[3]
FILE = files()["sd15 text to image"]
A1111 = """a red fox, (snow:1.2) <lora:foxy:0.8>
Negative prompt: blurry
Steps: 30, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 12345, Size: 512x768, \
Model: sd15, Clip skip: 2, RNG: CPU, Lora hashes: "foxy: 0123456789ab", Version: v1.9.4"""


def as_json(tmp_path):
    path = tmp_path / "f.json"
    path.write_text(json.dumps(FILE.api()))
    return path


def png(path, **texts):
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


def webp(path, **texts):
    exif = Image.Exif()
    for tag, (key, text) in zip(range(0x0110, 0, -1), texts.items(), strict=False):
        exif[tag] = f"{key}:{text}"
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    return path


@pytest.mark.parametrize(("write", "name"), [(png, "p.png"), (webp, "p.webp")])
@pytest.mark.parametrize("keys", [("prompt", "workflow"), ("prompt",), ("workflow",)])
def test_pictures_carry_both_forms(write, name, keys, tmp_path):
    texts = {"prompt": json.dumps(FILE.api()), "workflow": json.dumps(FILE.ui())}
    path = write(tmp_path / name, **{key: texts[key] for key in keys})
    assert imported(path).text == imported(as_json(tmp_path)).text


@pytest.mark.parametrize(
    ("texts", "code"),
    [({}, "E-NOMETA"), ({"weft_workflow": "{}"}, "E-CLI"), ({"prompt": "{", "workflow": "{}"}, "E-JSON")],
)
def test_pictures_without_a_graph(texts, code, tmp_path):
    with pytest.raises(WeftError) as caught:
        imported(png(tmp_path / "p.png", **texts))
    assert [problem.code for problem in caught.value.problems] == [code]


def test_a_picture_without_any_text(tmp_path):
    with pytest.raises(WeftError) as caught:
        imported(png(tmp_path / "p.png"))
    assert str(caught.value).endswith(
        "p.png: no generation data; open a picture that ComfyUI or stable-diffusion-webui saved, with its metadata"
    )


def test_a1111(tmp_path):
    (tmp_path / "a.txt").write_text(A1111)
    made = imported(tmp_path / "a.txt")
    assert (made.unmatched, made.differs, made.said) == ([], [], [])
    assert imported(png(tmp_path / "p.png", parameters=A1111)).text == made.text
    document = json.loads(made.text)
    assert document["params"] == {
        "prompt": "a red fox, (snow:1.2)", "negative": "blurry", "seed": 12345, "steps": 30, "width": 512,
        "height": 768,
    }  # fmt: skip
    nodes = document["nodes"]
    assert nodes["base"]["source"] == "sd15.safetensors"
    assert (nodes["lora"]["source"], nodes["lora"]["strength"]) == ("foxy.safetensors", 0.8)
    assert (nodes["positive"]["clip_skip"], nodes["positive"]["weighting"]) == (1, "a1111")
    assert (nodes["sampler"]["kind"], nodes["schedule"]["spacing"]) == ("dpmpp_2m", "comfy_karras")


@pytest.mark.parametrize(
    ("settings", "node", "expected"),
    [
        ("Sampler: Euler a", "sampler", {"kind": "euler_ancestral"}),
        ("Sampler: DPM++ 2M Karras", "schedule", {"spacing": "comfy_karras"}),
        ("Sampler: DPM++ 2M SDE, Schedule type: Automatic", "schedule", {"spacing": "comfy_exponential"}),
        ("Variation seed: 9, Variation seed strength: 0.3", "noise", {"variation_seed": 9, "variation_strength": 0.3}),
        ("Denoising strength: 0.5", "part", {"start": 0.45}),
        ("Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: Latent", "larger", {"factor": 2.0}),
        ('Model: "a, b"', "base", {"source": "a, b.safetensors"}),
        ("VAE: good.safetensors", "vae", {"source": "good.safetensors", "family": "sd"}),
    ],
)
def test_settings_of_a1111(settings, node, expected, tmp_path):
    (tmp_path / "a.txt").write_text(f"a fox\nSteps: 20, {settings}, Seed: 1, Size: 64x64, RNG: CPU, Version: v1.9")
    found = json.loads(imported(tmp_path / "a.txt").text)["nodes"][node]
    assert expected.items() <= found.items()


def test_notes_are_kept_on_demand(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("f.json").write_text(json.dumps(files()["notes and groups"].ui()))
    assert cli.main(["import", "f.json", "--out", "w.json", "--notes"], registry()) == 0
    assert "the seed is a good one" in json.loads(Path("w.json").read_text())["about"]
    assert "note: the seed is a good one" in capfd.readouterr().err


AUDIT = """
import sys
opened, started = set(), []
def hook(event, args):
    if event == "open" and isinstance(args[0], str) and any(c in str(args[1] or "") for c in "wxa+"):
        opened.add(args[0])
    if event.split(".")[0] in ("socket", "subprocess", "os.system", "ctypes", "urllib") or event in (
        "os.exec", "os.posix_spawn", "os.fork", "pickle.find_class", "os.remove", "os.rename", "os.mkdir",
    ):
        started.append(event)
sys.dont_write_bytecode = True
import cli, nodes
list(nodes.registry().classes())
sys.addaudithook(hook)
code = cli.main(["import", sys.argv[1], "--out", "w.json"])
heavy = {"torch", "diffusers", "transformers", "numpy", "PIL", "safetensors", "spandrel", "scipy"} & set(sys.modules)
print(code, sorted(opened), sorted(set(started)), sorted(heavy))
"""


@pytest.mark.parametrize("kind", ["api", "ui", "png", "unknown"])
def test_importing_runs_fetches_and_writes_nothing_else(kind, tmp_path):
    if kind == "png":
        path = png(tmp_path / "p.png", prompt=json.dumps(FILE.api()))
    else:
        path = tmp_path / "f.json"
        file = files()["unknown node"] if kind == "unknown" else FILE
        path.write_text(json.dumps(file.ui() if kind == "ui" else file.api()))
    found = subprocess.run(
        [sys.executable, "-c", AUDIT, path.name], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)},
    )  # fmt: skip
    code = 1 if kind == "unknown" else 0
    assert found.stdout.splitlines()[-1] == f"{code} ['w.json'] [] []"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, "w.json"])


def test_the_page_names_every_type_that_is_known():
    from commands.importing.nearest import NEAREST
    from commands.importing.table import ROWS

    page = (ROOT / "docs" / "importing.md").read_text()
    assert [name for name in (*ROWS, *NEAREST) if f"`{name}`" not in page] == []
