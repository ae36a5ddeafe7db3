"""Weights with NaN or infinity in them are told of by name when they are read."""

import shutil

import pytest
import text_to_image
import torch
from safetensors.torch import load_file, save_file

from diffusion.soundness import finite
from engine.api import load, run
from engine.cache import Cache
from engine.context import Settings
from engine.events import Warned
from nodes import registry


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_b76_what_is_finite(dtype):
    large = torch.full((100, 100), torch.finfo(dtype).max).to(dtype)
    assert not torch.isfinite(large.sum()), "a sum that overflows proves nothing about its terms"
    assert finite(large)
    for wrong in (float("nan"), float("inf"), -float("inf")):
        large[17, 3] = wrong
        assert not finite(large)
    large[17, 3], large[0, 0] = float("inf"), -float("inf")
    assert not finite(large)
    assert finite(torch.arange(9))


@pytest.fixture
def warnings(tmp_path):
    """A function that runs a graph up to its picture, and gives back what it warned of."""

    def go(nodes):
        said = []
        workflow = load({"format": 1, "nodes": nodes}, registry=registry(), targets=("decode",))
        run(workflow, settings=Settings(out=tmp_path, folder=tmp_path), cache=Cache(), on_event=said.append)
        return [event.problem for event in said if isinstance(event, Warned)]

    return go


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("unet", float("nan"), "conv_in.bias (NaN), and 1 more"),
        ("vae", float("inf"), "decoder.conv_in.bias (infinity), and 1 more"),
        ("text_encoder", float("nan"), "final_layer_norm.bias (NaN)"),
    ],
)
def test_b76_weights_that_are_not_finite(checkpoint, warnings, tmp_path, part, value, message):
    folder = shutil.copytree(checkpoint("sd15"), tmp_path / "model")
    (file,) = (folder / part).glob("*.safetensors")
    names = {"unet": ["conv_in.bias", "conv_out.bias"], "vae": ["decoder.conv_in.bias", "decoder.conv_out.bias"],
             "text_encoder": ["text_model.final_layer_norm.bias"]}[part]  # fmt: skip
    tensors = load_file(file)
    for name in names:
        tensors[name if name in tensors else name.removeprefix("text_model.")][0] = value
    save_file(tensors, file, {"format": "pt"})
    nodes = text_to_image.graph(folder, "a fox", 1.0, 1)
    (problem,) = warnings(nodes)
    node = {"unet": "denoise", "vae": "decode", "text_encoder": "wanted"}[part]
    assert (problem.code, problem.place.node) == ("W-NAN", node)
    assert problem.what.startswith(f"weights that are not finite in {folder}: ")
    assert problem.what.endswith(message)
    assert problem.hint == "what it makes will be black or noise; get the file again"
    assert warnings(nodes) == [], "it is told once, when the weights are read"


def test_b76_a_lora_that_is_not_finite(checkpoint, warnings, tmp_path):
    tensors = load_file(checkpoint("lora-sdxl"))
    tensors["lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight"][0] = float("nan")
    save_file(tensors, tmp_path / "spoiled.safetensors")
    adapt = {"type": "LoRALoad", "model": "@base.model", "text_encoder": "@base.text_encoder",
             "source": "spoiled.safetensors"}  # fmt: skip
    nodes = text_to_image.graph(
        checkpoint("sdxl"), "a fox", 1.0, 1, adapt=adapt, guide__model="@adapt.model",
        wanted__text_encoder="@adapt.text_encoder",
    )  # fmt: skip
    (problem,) = warnings(nodes)
    assert (problem.code, problem.place.node) == ("W-NAN", "denoise")
    layer = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.down (NaN)"
    assert problem.what == f"weights that are not finite in {tmp_path / 'spoiled.safetensors'}: {layer}"


def test_sound_weights_are_told_nothing_of(checkpoint, warnings):
    assert warnings(text_to_image.graph(checkpoint("sd15"), "a fox", 1.0, 1)) == []
