"""weft export --comfy: what it writes comes back as the workflow that it was."""

import json

import pytest
from forty import files

import cli
from commands.importing.source import imported
from nodes import registry

BACK = (
    "sd15 text to image", "sd15 img2img", "sd15 clip skip", "sd15 controlnet advanced", "sd15 two controlnets",
    "sd15 inpaint, noise mask", "sd15 latent upscale by", "sd15 model upscale", "sd15 concat", "sd15 average",
    "sd15 timestep range", "sd15 batch of three", "sd15 another vae", "sdxl sizes",
    "sdxl base and refiner", "sd15 two stages", "sd15 split sigmas", "sd3",
)  # fmt: skip
"""Files that can go to weft and back."""


def parts(text):
    """The nodes of a workflow in any order, each with what feeds it written out, and its params put in."""
    document = json.loads(text)
    found = {}

    def whole(value):
        if isinstance(value, str) and value.startswith("@"):
            name, _, output = value[1:].partition(".")
            return [of(name), output]
        if isinstance(value, str) and value.startswith("$"):
            return document["params"][value[1:]]
        return value

    def of(name):
        if name not in found:
            body = {k: v for k, v in document["nodes"][name].items() if k not in ("about", "path", "edges")}
            found[name] = json.dumps({k: whole(v) for k, v in body.items()}, sort_keys=True)
        return found[name]

    return sorted({of(name) for name in document["nodes"]})


@pytest.fixture
def away(tmp_path, monkeypatch, capfd):
    """Export a workflow: (exit code, standard error, the file)."""
    monkeypatch.chdir(tmp_path)

    def go(text):
        (tmp_path / "w.json").write_text(text)
        code = cli.main(["export", "w.json", "--comfy", "--out", "c.json"], registry())
        return code, capfd.readouterr().err, tmp_path / "c.json"

    return go


@pytest.mark.parametrize("name", BACK)
def test_there_and_back(name, away, tmp_path):
    (tmp_path / "f.json").write_text(json.dumps(files()[name].api()))
    there = imported(tmp_path / "f.json").text
    if "ControlImage" in there:
        # edges have no match there: the picture itself stands for them
        document = json.loads(there)
        document["nodes"]["controlled"]["image"] = "@picture.image"
        for node in document["nodes"].values():
            if node.get("image") == "@edges":
                node["image"] = "@picture.image"
        del document["nodes"]["edges"]
        there = json.dumps(document)
    code, said, file = away(there)
    assert (code, said) == (0, "")
    assert parts(imported(file).text) == parts(there)


def test_what_has_no_match_there_is_listed_and_nothing_written(away):
    (text,) = [json.dumps({
        "format": 1,
        "nodes": {
            "digits": {"type": "Digits"},
            "picture": {"type": "DatasetImage", "dataset": "@digits"},
            "save": {"type": "SaveImage", "image": "@picture"},
        },
    })]  # fmt: skip
    code, said, file = away(text)
    assert said.splitlines() == [
        "E-FOREIGN: picture (DatasetImage): no match in ComfyUI; docs/importing.md lists what has a match"
    ]
    assert (code, file.exists()) == (2, False)


def test_what_differs_there_is_said(away):
    nodes = {
        "base": {"type": "LoadCheckpoint", "source": "sd15.safetensors"},
        "text": {"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": "a fox", "weighting": "a1111"},
        "guide": {"type": "CFG", "model": "@base.model", "positive": "@text"},
        "schedule": {"type": "NoiseSchedule", "model": "@base.model", "steps": 20, "spacing": "trailing"},
        "sampler": {"type": "Sampler", "kind": "deis"},
        "noise": {"type": "Noise", "seed": 5},
        "blank": {"type": "EmptyLatent", "model": "@base.model", "width": 512, "height": 512},
        "denoise": {"type": "UNetDenoise", "guider": "@guide", "schedule": "@schedule", "sampler": "@sampler",
                    "noise": "@noise", "latent": "@blank"},
        "decode": {"type": "VAEDecode", "vae": "@base.vae", "latent": "@denoise"},
        "save": {"type": "SaveImage", "image": "@decode"},
    }  # fmt: skip
    code, said, _ = away(json.dumps({"format": 1, "nodes": nodes}))
    assert said.splitlines() == [
        "sampler (Sampler): kind = deis has no match; nearest: euler",
        "schedule (NoiseSchedule): spacing = trailing has no match; nearest: normal",
        "text (TextEncode): weights are read as ComfyUI does, not weighting = a1111",
        "guide (CFG): no negative is a conditioning of zeros",
    ]
    assert code == 0
