"""P15: textual inversions give the pictures that diffusers' pipelines give."""

import diffusers
import numpy as np
import parity
import pytest
import text_to_image
import torch
from safetensors.torch import load_file, save_file

from engine.errors import WeftError

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]
STEPS, SCALE, WIDTH = 2, 5.0, 16


def vectors(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def loaded(folder, cls=diffusers.StableDiffusionPipeline):
    pipe = cls.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
    return pipe


def drawn(pipe, text):
    return parity.pixels(pipe, text, num_inference_steps=STEPS, guidance_scale=SCALE)


@pytest.fixture
def ours(checkpoint, run_nodes):
    """A function that runs a graph of ours with a textual inversion (inputs of the node)."""

    def go(kind, text, **inputs):
        nodes = text_to_image.graph(checkpoint(kind), text, SCALE, STEPS)
        if inputs:
            nodes["taught"] = {"type": "TextualInversion", "text_encoder": "@base.text_encoder", **inputs}
            nodes["wanted"]["text_encoder"] = "@taught"
        return run_nodes(nodes, "decode")["decode"].pixels

    return go


FILES = {
    "diffusers, one vector": ({"<cat>": (WIDTH,)}, {}, "a <cat>, fox"),
    "diffusers, three vectors": ({"<cat>": (3, WIDTH)}, {}, "a <cat>, fox <cat>"),
    "another token": ({"<cat>": (2, WIDTH)}, {"token": "zebra"}, "a zebra"),
    "webui": ({"emb_params": (2, WIDTH)}, {"token": "<dog>"}, "a <dog> in snow"),
}


@pytest.mark.parametrize("case", FILES)
def test_p15_files_for_one_text_encoder(ours, checkpoint, tmp_path, case):
    shapes, inputs, text = FILES[case]
    save_file({name: vectors(*shape) for name, shape in shapes.items()}, tmp_path / "taught.safetensors")
    pipe = loaded(checkpoint("sd15"))
    plain = drawn(pipe, text)
    pipe.load_textual_inversion(str(tmp_path), weight_name="taught.safetensors", **inputs)
    there = drawn(pipe, text)
    assert np.abs(there - plain).max() > 1e-3
    parity.assert_same(ours("sd15", text, source=str(tmp_path / "taught.safetensors"), **inputs), there)
    parity.assert_same(ours("sd15", text), plain)


def test_p15_sdxl_has_vectors_for_both_text_encoders(ours, checkpoint, tmp_path):
    file = tmp_path / "cat.safetensors"
    save_file({"clip_l": vectors(2, WIDTH), "clip_g": vectors(2, WIDTH, seed=1)}, file)
    pipe = loaded(checkpoint("sdxl"), diffusers.StableDiffusionXLPipeline)
    both = load_file(file)
    for name, i in (("clip_l", ""), ("clip_g", "_2")):
        parts = {"text_encoder": getattr(pipe, f"text_encoder{i}"), "tokenizer": getattr(pipe, f"tokenizer{i}")}
        pipe.load_textual_inversion(both[name], token="cat", **parts)
    parity.assert_same(ours("sdxl", "a cat, fox", source=str(file)), drawn(pipe, "a cat, fox"))


@pytest.mark.parametrize(
    ("tensors", "inputs", "message"),
    [
        ({"<cat>": (WIDTH + 1,)}, {}, "vectors 17 wide, and this text encoder takes 16: it was made for another model"),
        ({"clip_l": (WIDTH,), "clip_g": (WIDTH,)}, {}, "is for 2 text encoders, and this model has 1"),
        ({"<cat>": (WIDTH,)}, {"token": "f"}, '"f" is a token that this text encoder knows already'),
        ({"lora_unet_a.lora_down.weight": (2, 4)}, {}, "is a LoRA"),
    ],
)
def test_what_does_not_fit_says_why(ours, tmp_path, tensors, inputs, message):
    save_file({name: vectors(*shape) for name, shape in tensors.items()}, tmp_path / "taught.safetensors")
    with pytest.raises(WeftError) as found:
        ours("sd15", "a fox", source=str(tmp_path / "taught.safetensors"), **inputs)
    assert message in " ".join(str(found.value).split())
    assert found.value.problems[0].code == "E-ARCH"


def test_a_pickle_is_not_loaded(ours, tmp_path):
    torch.save({"string_to_param": {"*": torch.zeros(1, WIDTH)}}, tmp_path / "taught.pt")
    with pytest.raises(WeftError) as found:
        ours("sd15", "a fox", source=str(tmp_path / "taught.pt"))
    assert (found.value.problems[0].code, found.value.exit_code) == ("E-PICKLE", 5)
