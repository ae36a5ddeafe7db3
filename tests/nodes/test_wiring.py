"""What belongs to different families and was wired together is told of: where, what it is, and what to do now.

From the headers and JSON files of the models, so before anything runs.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import text_to_image
from PIL import Image

from engine.api import load
from engine.errors import Place, WeftError
from engine.foresight import foresee
from nodes import registry


def other(checkpoint, kind):
    return {"type": "LoadCheckpoint", "source": str(checkpoint(kind))}


def of_text(encoder):
    return {"type": "TextEncode", "text_encoder": encoder, "text": "a fox"}


# the kind of the model, what is wired to it of another (one node, of the kind or file named), and what is said
WIRES = {
    "an SDXL latent into a Flux VAE": (
        "sdxl", {"other": "flux-dev", "decode__vae": "@other.vae"},
        "E-ARCH decode.latent: the latent is in the space sdxl, and this VAE decodes flux; "
        "use the VAE of the model that made it",
    ),
    "a Flux VAE's latent into SDXL": (
        "sdxl", {"other": "flux-dev", "denoise__latent": "@coded",
                 "coded": {"type": "VAEEncode", "vae": "@other.vae", "image": "@open.image"}},
        "E-ARCH denoise.latent: the latent is in the space flux, and the model works in sdxl; "
        "make the latent with this model or its VAE",
    ),
    "an empty latent of another model": (
        "sd15", {"other": "sd3", "blank__model": "@other.model"},
        "E-ARCH denoise.latent: the latent is in the space sd3, and the model works in sd; "
        "make the latent with this model or its VAE",
    ),
    "a VAE by itself of another family": (
        "sd15", {"own": {"type": "LoadVAE", "source": "sdxl/vae"}, "decode__vae": "@own"},
        "E-ARCH decode.latent: the latent is in the space sd, and this VAE decodes sdxl; "
        "use the VAE of the model that made it",
    ),
    "an SD conditioning into SDXL": (
        "sdxl", {"other": "sd15", "wanted": of_text("@other.text_encoder")},
        "E-ARCH guide.positive: the conditioning is for Stable Diffusion 1.x or 2.x, and the model is SDXL; "
        "encode the text with the text encoder of this model",
    ),
    "an SD negative on SDXL": (
        "sdxl", {"other": "sd15", "no": of_text("@other.text_encoder"), "guide__negative": "@no"},
        "E-ARCH guide.negative: the conditioning is for Stable Diffusion 1.x or 2.x, and the model is SDXL; "
        "encode the text with the text encoder of this model",
    ),
    "an SDXL LoRA on SD 1.5": (
        "sd15", {"adapt": {"type": "LoRALoad", "model": "@base.model", "source": "lora-sdxl.safetensors"},
                 "guide__model": "@adapt.model"},
        "E-ARCH adapt: lora-sdxl.safetensors is a LoRA for SDXL, and this model is Stable Diffusion 1.x or "
        "2.x; take one that was made for this model",
    ),
    "an SD 1.5 ControlNet on SDXL": (
        "sdxl", {"net": {"type": "LoadControlNet", "source": "control-sd15"},
                 "steered": {"type": "ControlNetApply", "model": "@base.model", "controlnet": "@net",
                             "image": "@open.image"},
                 "guide__model": "@steered"},
        "E-ARCH steered.controlnet: the ControlNet is for Stable Diffusion 1.x or 2.x, and the model is SDXL; "
        "take a ControlNet that was made for this model",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WIRES)
def test_b76_what_is_of_another_family(checkpoint, run_nodes, tmp_path, case):
    kind, changes, message = WIRES[case]
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "in.png")
    (tmp_path / "lora-sdxl.safetensors").symlink_to(checkpoint("lora-sdxl"))
    for name in ("sdxl", "control-sd15"):
        (tmp_path / name).symlink_to(checkpoint(name))
    changes = {name: other(checkpoint, value) if name == "other" else value for name, value in changes.items()}
    nodes = text_to_image.graph(checkpoint(kind), "a fox", 7.5, 2, **changes)
    nodes["open"] = {"type": "LoadImage", "path": "in.png"}
    (tmp_path / "wires.json").write_text(json.dumps({"format": 1, "nodes": nodes}))
    (problem,) = foresee(load(tmp_path / "wires.json", registry=registry(), targets=("decode",)))
    assert problem.place.line == 1, "the place of the wire in the file"
    place = Place(node=problem.place.node, input=problem.place.input)
    assert str(replace(problem, place=place, excerpt="")) == message
    with pytest.raises(WeftError) as found:
        run_nodes(nodes, "decode")
    assert message.split(": ", 1)[1] in str(found.value), "a run says the same"
