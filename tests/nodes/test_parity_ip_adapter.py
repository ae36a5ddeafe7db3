"""P16: IP-Adapters give the pictures that diffusers' pipelines give."""

import adapters
import diffusers
import numpy as np
import parity
import pytest
import text_to_image
import torch
from PIL import Image
from safetensors.torch import save_file

from engine.errors import WeftError

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]
PIPELINES = {"sd15": diffusers.StableDiffusionPipeline, "sdxl": diffusers.StableDiffusionXLPipeline}
STEPS, SCALE = 3, 5.0


@pytest.fixture
def pipeline(checkpoint, tmp_path):
    """A function that loads a pipeline, and writes its adapters and their image encoder into models/."""

    def load(kind, *adapter_kinds):
        cls = PIPELINES[kind]
        folder = tmp_path / "models"
        adapters.image_encoder(folder / "image_encoder")
        pipe = cls.from_pretrained(checkpoint(kind), dtype=torch.float32, use_safetensors=True)
        files = [adapters.ip_adapter(folder / f"{i}.safetensors", pipe.unet, k, i) for i, k in enumerate(adapter_kinds)]
        pipe.load_ip_adapter(str(tmp_path), subfolder="models", weight_name=[file.name for file in files])
        pipe.set_progress_bar_config(disable=True)
        pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
        return pipe, files

    return load


@pytest.fixture
def pictures(tmp_path):
    """Two pictures, as files and opened."""
    random = np.random.default_rng(0)
    opened = [Image.fromarray(random.integers(0, 255, (40, 48, 3), dtype=np.uint8)) for _ in range(2)]
    for i, picture in enumerate(opened):
        picture.save(tmp_path / f"picture{i}.png")
    return opened


@pytest.fixture
def ours(checkpoint, run_nodes):
    """A function that runs a graph of ours with IP-Adapters (inputs of IPAdapterApply), one behind the other."""

    def go(kind, *applied, **changes):
        nodes = text_to_image.graph(checkpoint(kind), "a fox", SCALE, STEPS, **changes)
        nodes |= {f"open{i}": {"type": "LoadImage", "path": f"picture{i}.png"} for i in (0, 1)}
        nodes["both"] = {"type": "ImageBatch", "images": ["@open0.image", "@open1.image"]}
        model = "@base.model"
        for i, inputs in enumerate(applied):
            nodes[f"seen{i}"] = {"type": "IPAdapterApply", "model": model, "image": "@open0.image", **inputs}
            model = f"@seen{i}"
        nodes["guide"]["model"] = model
        return run_nodes(nodes, "decode")["decode"].pixels

    return go


def drawn(pipe, *seen, batch=1):
    return parity.pixels(
        pipe, batch=batch, num_inference_steps=STEPS, guidance_scale=SCALE, ip_adapter_image=list(seen)
    )


@pytest.mark.parametrize("adapter", ["plain", "plus"])
@pytest.mark.parametrize("kind", PIPELINES)
def test_p16_one_picture(ours, pipeline, pictures, kind, adapter):
    pipe, (file,) = pipeline(kind, adapter)
    pipe.set_ip_adapter_scale(0.0)
    plain = drawn(pipe, pictures[0])
    pipe.set_ip_adapter_scale(0.6)
    there = drawn(pipe, pictures[0])
    assert np.abs(there - plain).max() > 1e-2
    parity.assert_same(ours(kind, {"source": str(file), "strength": 0.6}), there)
    assert np.array_equal(ours(kind, {"source": str(file), "strength": 0.0}), ours(kind))


def test_p16_several_pictures_and_a_batch(ours, pipeline, pictures):
    pipe, (file,) = pipeline("sd15", "plain")
    there = drawn(pipe, pictures, batch=2)
    here = ours("sd15", {"source": str(file), "image": "@both"}, blank__batch=2)
    parity.assert_same(here, there)


def test_p16_two_adapters(ours, pipeline, pictures):
    pipe, (one, two) = pipeline("sd15", "plain", "plus")
    pipe.set_ip_adapter_scale([0.5, 0.8])
    there = drawn(pipe, pictures[0], pictures[1])
    first = {"source": str(one), "strength": 0.5}
    second = {"source": str(two), "strength": 0.8, "image": "@open1.image"}
    parity.assert_same(ours("sd15", first, second), there)


def test_it_acts_on_its_part_of_the_schedule(ours, pipeline, pictures):
    _, (file,) = pipeline("sd15", "plain")
    whole = ours("sd15", {"source": str(file)})
    late = ours("sd15", {"source": str(file), "start": 0.6})
    assert np.abs(whole - late).max() > 1e-3
    assert np.abs(late - ours("sd15")).max() > 1e-3


def test_an_adapter_for_another_model_is_refused(ours, pipeline, pictures):
    _, (file,) = pipeline("sdxl", "plain")
    with pytest.raises(WeftError) as found:
        ours("sd15", {"source": str(file)})
    assert found.value.problems[0].code == "E-ARCH"
    assert "is for text embeddings 32 wide, and this model takes 16 wide" in str(found.value)


def test_an_adapter_for_faces_is_refused(ours, pipeline, pictures, tmp_path):
    _, (file,) = pipeline("sd15", "plain")
    tensors = {"image_proj.norm.weight": torch.zeros(4), "ip_adapter.1.to_k_ip.weight": torch.zeros(16, 16)}
    save_file(tensors, file)
    with pytest.raises(WeftError, match="is an IP-Adapter for faces"):
        ours("sd15", {"source": str(file)})
