"""One file as model sites have it gives the pictures of the folder it was made from, and of diffusers' own reader."""

import json
import shutil

import diffusers
import numpy as np
import pytest
import single_files
import text_to_image
import torch
from parity import assert_same, pixels
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPTextModelWithProjection

from diffusion import header, single
from diffusion.weights import component
from engine.errors import WeftError
from nodes.sources import model_files, recipes

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

PIPELINES = {"sd15": diffusers.StableDiffusionPipeline, "sdxl": diffusers.StableDiffusionXLPipeline}
SMALL = ("*.safetensors",)


@pytest.fixture(scope="module")
def one_file(checkpoint, tmp_path_factory):
    """A function from a kind to (its file, a folder with its configurations and tokenizers alone)."""
    place = tmp_path_factory.mktemp("single")

    def made(kind):
        file, configs = place / f"{kind}.safetensors", place / kind
        if not file.is_file():
            single_files.write(checkpoint(kind), file)
            shutil.copytree(checkpoint(kind), configs, ignore=shutil.ignore_patterns(*SMALL))
        return file, configs

    return made


def ours(run_nodes, source, **changes):
    graph = text_to_image.graph(source, "a fox", 7.5, 4, 5, **changes)
    return run_nodes(graph, "decode")["decode"].pixels


@pytest.mark.parametrize("kind", PIPELINES)
def test_p12_a_single_file(checkpoint, one_file, run_nodes, kind):
    file, configs = one_file(kind)
    assert not list(configs.rglob("*.safetensors"))
    picture = ours(run_nodes, file, base__config=str(configs))
    assert np.array_equal(picture, ours(run_nodes, checkpoint(kind)))
    more = {}
    if kind == "sdxl":
        # diffusers tells the two encoders apart by their widths, which are equal in a checkpoint as tiny as this one
        more["text_encoder_2"] = CLIPTextModelWithProjection.from_pretrained(checkpoint(kind) / "text_encoder_2")
    pipe = PIPELINES[kind].from_single_file(
        str(file), config=str(configs), local_files_only=True, torch_dtype=torch.float32, **more
    )
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
    assert_same(ours(run_nodes, file, base__config=str(configs), schedule__spacing="leading"),
                pixels(pipe, num_inference_steps=4, guidance_scale=7.5))  # fmt: skip


def test_recipes_of_a_file_are_those_of_its_folder(checkpoint, one_file, tmp_path):
    file, configs = one_file("sdxl")
    here, there = recipes(str(file), tmp_path, config=str(configs)), recipes(str(checkpoint("sdxl")), tmp_path)
    for a, b in zip(here, there, strict=True):
        assert (a.source, a.config) == (str(file), str(configs))
        assert (a.family, getattr(a, "space", ""), getattr(a, "schedule", "")) == (
            b.family, getattr(b, "space", ""), getattr(b, "schedule", ""),
        )  # fmt: skip
    files = model_files(str(file), tmp_path, config=str(configs))
    assert files[0] == file
    assert configs / "tokenizer" / "tokenizer_config.json" in files


def test_the_refiner_keeps_one_text_encoder_in_its_file(checkpoint, one_file, tmp_path):
    file, configs = one_file("sdxl-refiner")
    model, text_encoder, _ = recipes(str(file), tmp_path, config=str(configs))
    assert (model.family, text_encoder.config) == ("sdxl-refiner", str(configs))
    here, there = (
        component(recipe, "text_encoder_2", CLIPTextModelWithProjection).state_dict()
        for recipe in (text_encoder, recipes(str(checkpoint("sdxl-refiner")), tmp_path)[1])
    )
    assert here.keys() == there.keys()
    assert all(torch.equal(here[name], there[name]) for name in here)


def test_p12_stable_diffusion_2_keeps_its_text_encoder_as_openclip_does(checkpoint, one_file, run_nodes):
    file, configs = one_file("sd21")
    assert "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight" in header.read(file).tensors
    picture = ours(run_nodes, file, base__config=str(configs))
    assert np.array_equal(picture, ours(run_nodes, checkpoint("sd21")))
    pipe = diffusers.StableDiffusionPipeline.from_single_file(
        str(file), config=str(configs), local_files_only=True, torch_dtype=torch.float32
    )
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
    assert_same(ours(run_nodes, file, base__config=str(configs), schedule__spacing="leading"),
                pixels(pipe, num_inference_steps=4, guidance_scale=7.5))  # fmt: skip


@pytest.mark.parametrize("kind", ["sd15-inpaint", "sdxl-inpaint"])
def test_p12_a_file_of_9_channels(checkpoint, one_file, run_nodes, tmp_path, kind):
    values = np.random.default_rng(0).integers(0, 255, (64, 64, 4), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "in.png")
    file, configs = one_file(kind)
    painted = {
        "open": {"type": "LoadImage", "path": "in.png"},
        "blank": {"type": "InpaintLatent", "vae": "@base.vae", "image": "@open.image", "mask": "@open.mask"},
    }
    picture = ours(run_nodes, file, base__config=str(configs), **painted)
    assert np.array_equal(picture, ours(run_nodes, checkpoint(kind), **painted))
    assert recipes(str(file), tmp_path, config=str(configs))[0].inpaints


def test_a_file_of_9_channels_wants_the_configurations_of_such_a_model(one_file, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    problem = refusal(str(one_file("sd15-inpaint")[0]), tmp_path)
    assert "weft models pull stable-diffusion-v1-5/stable-diffusion-inpainting" in problem.hint
    problem = refusal(str(one_file("sd15-inpaint")[0]), tmp_path, config=str(one_file("sd15")[1]))
    assert "model.diffusion_model.input_blocks.0.0.weight is 8 x 9 x 3 x 3, expected 8 x 4 x 3 x 3" in problem.what


ELSEWHERE = {
    "sd3": ({"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": (2, 2),
             "first_stage_model.decoder.conv_in.weight": (2, 16, 3, 3)},
            "is a checkpoint for SD3; in one file weft loads Stable Diffusion 1.x, 2.x and SDXL"),
    "flux": ({"double_blocks.0.img_attn.qkv.weight": (2, 2)},
             "is a denoiser without its VAE and text encoders for Flux"),
}  # fmt: skip


@pytest.mark.parametrize("config", [None, "sd3"])
@pytest.mark.parametrize("family", ELSEWHERE)
def test_a_file_of_sd3_or_flux_is_refused_with_the_way_out(checkpoint, tmp_path, family, config):
    shapes, message = ELSEWHERE[family]
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "m.safetensors")
    problem = refusal("m.safetensors", tmp_path, config=config and str(checkpoint(config)))
    assert problem.code == "E-ARCH"
    assert problem.what == f'"m.safetensors" {message}'
    pulled = {"sd3": "stabilityai/stable-diffusion-3.5-medium", "flux": "black-forest-labs/FLUX.1-schnell"}[family]
    assert problem.hint == (f"get the whole model as a folder in diffusers layout, such as: weft models pull {pulled}")


def test_a_mark_of_v_prediction_goes_before_the_folder(checkpoint, one_file, tmp_path):
    configs = one_file("sd15")[1]
    file = single_files.write(
        checkpoint("sd15"), tmp_path / "v.safetensors", v_pred=torch.zeros(0), ztsnr=torch.zeros(0)
    )
    model = recipes(str(file), tmp_path, config=str(configs))[0]
    assert (model.prediction, model.schedule.zero_snr) == ("v", True)
    said = single_files.write(checkpoint("sd15"), tmp_path / "s.safetensors", {"modelspec.prediction_type": "v"})
    assert recipes(str(said), tmp_path, config=str(configs))[0].prediction == "v"


def refusal(*given, **more):
    with pytest.raises(WeftError) as found:
        recipes(*given, **more)
    (problem,) = found.value.problems
    return problem


def test_without_configurations_it_says_how_to_get_them(one_file, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    problem = refusal(str(one_file("sd15")[0]), tmp_path)
    assert (problem.code, problem.exit_code) == ("E-NOTFOUND", 3)
    assert problem.what.endswith(
        "is a checkpoint for Stable Diffusion 1.x or 2.x; the file has no tokenizer and no configuration"
    )
    assert problem.hint == (
        "get them with weft models pull stable-diffusion-v1-5/stable-diffusion-v1-5 --small, "
        "or name a folder that has them as config"
    )


def test_configurations_are_found_in_the_cache_of_the_hub(one_file, tmp_path, monkeypatch):
    file, configs = one_file("sdxl")
    model = tmp_path / "hub" / "models--stabilityai--stable-diffusion-xl-base-1.0"
    shutil.copytree(configs, model / "snapshots" / ("a" * 40))
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("a" * 40)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert recipes(str(file), tmp_path)[0].config == str(model / "snapshots" / ("a" * 40))


def test_a_folder_of_another_family(one_file, tmp_path):
    problem = refusal(str(one_file("sd15")[0]), tmp_path, config=str(one_file("sdxl")[1]))
    assert problem.code == "E-ARCH"
    assert "is a checkpoint for Stable Diffusion 1.x or 2.x, and" in problem.what


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("unet", {"cross_attention_dim": 24}, "attn2.to_k.weight is 16 x 16, expected ? x 24"),
        ("unet", {"block_out_channels": [8, 16, 16], "down_block_types": ["DownBlock2D"] * 3},
         "model.diffusion_model.input_blocks.5.0.out_layers.3.weight is missing"),
        ("vae", {"block_out_channels": [8, 4, 4, 4]}, "first_stage_model.encoder.conv_in.weight is 4 x 3 x 3 x 3"),
        ("text_encoder", {"num_hidden_layers": 5}, "text_model.encoder.layers.4.mlp.fc2.weight is missing"),
    ],
)  # fmt: skip
def test_b76_weights_that_do_not_fit_are_named_before_they_are_read(one_file, tmp_path, part, change, message):
    file, configs = one_file("sd15")
    shutil.copytree(configs, tmp_path / "configs")
    path = tmp_path / "configs" / part / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    problem = refusal(str(file), tmp_path, config="configs")
    assert problem.code == "E-ARCH"
    assert message in problem.what


def test_a_file_that_was_cut_short(one_file, tmp_path):
    file, configs = one_file("sd15")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:-100])
    problem = refusal("cut.safetensors", tmp_path, config=str(configs))
    size = file.stat().st_size
    assert problem.code == "E-MODEL"
    assert problem.what == f"{cut}: {size - 100} bytes where its header says {size}; cut short"


def test_only_the_tensors_of_a_part_are_read(one_file):
    file, configs = one_file("sd15")
    names = header.read(file).tensors
    for part, prefixes in single.PREFIXES.items():
        taken = [name for name in names if name.startswith(prefixes)]
        assert len(taken) < len(names)
        assert bool(taken) == (configs / part).is_dir()
