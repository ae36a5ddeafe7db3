"""A model is written as a folder in diffusers layout whatever it was loaded from, and draws the same from there."""

import json
import shutil
from dataclasses import replace

import diffusers
import numpy as np
import pytest
import single_files
import text_to_image
import torch
from parity import pixels
from safetensors.torch import load_file, save_file

from diffusion.recipes import Patch
from engine.api import load
from engine.errors import WeftError
from engine.foresight import foresee
from nodes import registry
from nodes.sources import recipes

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")
UNET, TEXT = "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"
PICTURES = {"type": "Shapes", "count": 4, "size": 64, "seed": 0}


@pytest.fixture
def single(checkpoint, tmp_path):
    """A file with the weights of a tiny SDXL in float16, and the inputs that load it."""

    def made(name="one.safetensors", kind="sdxl", **more):
        file, configs = single_files.write(checkpoint(kind), tmp_path / name, **more), tmp_path / f"{kind}-configs"
        if not configs.exists():
            shutil.copytree(checkpoint(kind), configs, ignore=shutil.ignore_patterns("*.safetensors"))
        halves = {key: value.half() if value.is_floating_point() else value for key, value in load_file(file).items()}
        save_file(halves, file)
        return {"type": "LoadCheckpoint", "source": str(file), "config": str(configs)}

    return made


def draw(run_nodes, base, **changes):
    """A picture of a model; changes as of `text_to_image.graph`."""
    nodes = {**text_to_image.graph("", "a fox", 7.5, 3, 5, **changes), "base": base}
    return run_nodes(nodes, "decode")["decode"].pixels


def folder_of(path):
    return {"type": "LoadCheckpoint", "source": str(path)}


def wires(name):
    return {part: f"@{name}.{part}" for part in ("model", "text_encoder")}


def test_a_single_file_becomes_a_folder_that_draws_the_same(single, run_nodes, tmp_path):
    base = single()
    run_nodes({"base": base, "save": {"type": "SaveModel", "model": "@base.model", "path": "whole"}}, "save")
    there = tmp_path / "out" / "whole"
    assert {tensor.dtype for tensor in load_file(there / UNET).values()} == {torch.float16}
    ours = draw(run_nodes, folder_of(there), schedule__spacing="leading")
    assert np.array_equal(ours, draw(run_nodes, base, schedule__spacing="leading"))
    pipe = diffusers.StableDiffusionXLPipeline.from_pretrained(there, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
    assert np.abs(ours - pixels(pipe, num_inference_steps=3, guidance_scale=7.5)).max() < 1e-4


def test_what_a_file_says_of_its_prediction_is_in_the_folder_and_not_in_that_of_the_configurations(
    single, run_nodes, tmp_path
):
    marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    base = single("v.safetensors", "sd15", **marks)
    scheduler = tmp_path / "sd15-configs" / "scheduler" / "scheduler_config.json"
    before = scheduler.read_text()
    run_nodes({"base": base, "save": {"type": "SaveModel", "model": "@base.model", "path": "v"}}, "save")
    model = recipes(str(tmp_path / "out" / "v"), tmp_path)[0]
    assert (model.prediction, model.schedule.zero_snr) == ("v", True)
    assert scheduler.read_text() == before


def test_loras_become_part_of_the_weights(checkpoint, run_nodes, tmp_path):
    base = folder_of(checkpoint("sdxl"))
    first, second = (
        {"type": "LoRALoad", **wires(at), "source": str(checkpoint(kind)), "strength": strength}
        for at, kind, strength in (("base", "lora-sdxl", 0.8), ("first", "lora-sdxl-other", -0.5))
    )
    changes = {"first": first, "second": second, "guide__model": "@second.model"}
    live = draw(run_nodes, base, **changes, wanted__text_encoder="@second.text_encoder")
    save = {"type": "SaveModel", **wires("second"), "path": "both"}
    before = load_file(checkpoint("sdxl") / UNET)
    run_nodes({"base": base, "first": first, "second": second, "save": save}, "save")
    assert np.abs(draw(run_nodes, folder_of(tmp_path / "out" / "both")) - live).max() < 1e-4
    assert np.abs(draw(run_nodes, base) - live).max() > 1e-3
    assert all(torch.equal(value, before[name]) for name, value in load_file(checkpoint("sdxl") / UNET).items())


def test_what_cannot_become_part_of_weights_is_refused(checkpoint, run_nodes):
    lora = {"type": "LoRALoad", "model": "@base.model", "source": str(checkpoint("lora-sdxl")), "start": 0.5}
    for node in ({"type": "SaveModel", "model": "@lora.model"},
                 {"type": "MergeModels", "model": "@base.model", "other_model": "@lora.model"},
                 {"type": "TrainTextToImage", **wires("lora"), "vae": "@base.vae", "dataset": "@shapes", "steps": 1,
                  "batch": 1}):  # fmt: skip
        with pytest.raises(WeftError) as told:
            run_nodes({"base": folder_of(checkpoint("sdxl")), "lora": lora, "shapes": PICTURES, "it": node}, "it")
        (problem,) = told.value.problems
        assert problem.code == "E-ARCH"
        assert problem.what == "lora-sdxl.safetensors acts in a part of the schedule, which weights cannot"
        assert problem.hint == "link what comes before it, and apply it again to what is written"


def test_a_model_that_a_controlnet_steers_is_refused(checkpoint, run_nodes, tmp_path):
    nodes = {
        "base": folder_of(checkpoint("sd15")),
        "net": {"type": "LoadControlNet", "source": str(checkpoint("control-sd15"))},
        "hint": {"type": "ImageFromMask", "mask": "@whole"},
        "whole": {"type": "SolidMask", "width": 64, "height": 64},
        "steered": {"type": "ControlNetApply", "model": "@base.model", "controlnet": "@net", "image": "@hint"},
        "save": {"type": "SaveModel", "model": "@steered"},
    }
    with pytest.raises(WeftError, match=r"E-ARCH .*a ControlNet steers this model, which cannot become part of"):
        run_nodes(nodes, "save")


@pytest.mark.parametrize("part", ["text_encoder", "vae"])
def test_a_part_of_another_family_is_refused_before_anything_is_loaded(checkpoint, part):
    nodes = {kind: folder_of(checkpoint(kind)) for kind in ("sdxl", "sd15")}
    nodes["save"] = {"type": "SaveModel", "model": "@sdxl.model", part: f"@sd15.{part}"}
    (problem,) = foresee(load({"format": 1, "nodes": nodes}, registry=registry(), targets=("save",)))
    assert str(problem) == (
        f"E-ARCH workflow save.{part}: a part for Stable Diffusion 1.x or 2.x beside a model of SDXL; "
        "take one of the model's family"
    )


@pytest.mark.parametrize(("kind", "what"), [("inversion", "a word of its own"), ("ip_adapter", "a look at pictures")])
def test_what_is_no_change_of_weights_says_so(kind, what):
    from diffusion.patch_check import no_weights

    assert no_weights(Patch(kind, "x/fox.safetensors")) == (
        f"fox.safetensors is {what}, which cannot become part of a model's weights"
    )
    assert no_weights(Patch("lora", "fox.safetensors")) == ""


def test_parts_from_elsewhere_take_the_places_of_those_beside_the_model(checkpoint, single, run_nodes, tmp_path):
    vae = tmp_path / "vae.safetensors"
    shutil.copy(checkpoint("sdxl") / "vae" / "config.json", tmp_path)
    tensors = load_file(checkpoint("sdxl") / "vae" / "diffusion_pytorch_model.safetensors")
    save_file({name: value * 0.5 for name, value in tensors.items()}, vae)
    nodes = {
        "base": folder_of(checkpoint("sdxl")),
        "other": single(),
        "vae": {"type": "LoadVAE", "source": str(vae), "family": "sdxl"},
        "save": {"type": "SaveModel", "model": "@base.model", "text_encoder": "@other.text_encoder",
                 "vae": "@vae", "path": "mixed"},
    }  # fmt: skip
    run_nodes(nodes, "save")
    there = tmp_path / "out" / "mixed"
    assert {value.dtype for name, value in load_file(there / TEXT).items() if "position" not in name} == {torch.float16}
    assert {tensor.dtype for tensor in load_file(there / UNET).values()} == {torch.float32}
    written = load_file(there / "vae" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(value, tensors[name] * 0.5) for name, value in written.items())
    changes = {"other": nodes["other"], "vae": nodes["vae"], "decode__vae": "@vae"}
    parts = draw(run_nodes, nodes["base"], **changes, wanted__text_encoder="@other.text_encoder")
    assert np.abs(draw(run_nodes, folder_of(there)) - parts).max() < 1e-3


def test_only_what_belongs_to_the_model_is_written(checkpoint, run_nodes, tmp_path):
    there = shutil.copytree(checkpoint("sd15"), tmp_path / "model")
    for file in ("unet/diffusion_pytorch_model.bin", "README.md", "safety_checker/model.safetensors"):
        (there / file).parent.mkdir(exist_ok=True)
        (there / file).write_bytes(b"what nobody asked for")
    shutil.copy(there / UNET, there / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    run_nodes({"base": folder_of(there), "save": {"type": "SaveModel", "model": "@base.model", "path": "it"}}, "save")
    written = {str(file.relative_to(tmp_path / "out" / "it")) for file in (tmp_path / "out" / "it").rglob("*.*")}
    assert written == {
        "log.json", "model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json",
        "text_encoder/model.safetensors", "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json",
        "unet/config.json", UNET, "vae/config.json", "vae/diffusion_pytorch_model.safetensors",
    }  # fmt: skip


def test_a_controlnet_in_a_file_becomes_a_folder(checkpoint, run_nodes, tmp_path):
    weights = checkpoint("control-sd15") / "diffusion_pytorch_model.safetensors"
    file = shutil.copy(weights, tmp_path / "net.safetensors")
    shutil.copy(weights.with_name("config.json"), tmp_path / "config.json")
    net = {"type": "LoadControlNet", "source": str(file)}
    run_nodes({"net": net, "save": {"type": "SaveModel", "model": "@net", "path": "net"}}, "save")
    there = tmp_path / "out" / "net"
    assert all(torch.equal(value, load_file(weights)[name]) for name, value in load_file(there / weights.name).items())
    assert json.loads((there / "config.json").read_text())["_class_name"] == "ControlNetModel"


@pytest.mark.parametrize("node", ["TrainTextToImage", "TrainVAE"])
def test_a_model_in_a_file_learns_and_is_a_folder_then(single, run_nodes, tmp_path, node):
    base = single()
    learn = {"type": node, **wires("base"), "vae": "@base.vae", "dataset": "@shapes", "steps": 1, "batch": 1}
    if node == "TrainTextToImage":
        learn["train_text"] = False
    nodes = {"base": base, "shapes": PICTURES, "learn": learn, "save": {"type": "SaveModel", "model": "@learn.model"}}
    run_nodes(nodes, "save")
    there = tmp_path / "out" / "model"
    changed = "unet" if node == "TrainTextToImage" else "vae"
    kept = load_file(there / (TEXT if changed == "vae" else "vae/diffusion_pytorch_model.safetensors"))
    assert {value.dtype for name, value in kept.items() if "position" not in name} == {torch.float16}
    learned = load_file(there / changed / "diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in learned.values()} == {torch.float32}
    assert draw(run_nodes, folder_of(there)).shape == (1, 64, 64, 3)


@pytest.mark.parametrize("node", ["TrainTextToImage", "TrainLoRA", "TrainControlNet"])
def test_what_learns_on_a_model_with_a_lora_begins_with_both(checkpoint, run_nodes, tmp_path, node):
    nodes = {
        "base": folder_of(checkpoint("sdxl")),
        "lora": {"type": "LoRALoad", **wires("base"), "source": str(checkpoint("lora-sdxl"))},
        "shapes": PICTURES,
        "merged": {"type": "SaveModel", **wires("lora"), "path": "merged"},
    }  # fmt: skip
    run_nodes(nodes, "merged")
    learn = {"type": node, "vae": "@base.vae", "dataset": "@shapes", "steps": 2, "batch": 1, "warmup": 0}
    live = run_nodes({**nodes, "learn": {**learn, **wires("lora")}}, "learn")["learn"]["losses"].values
    again = {**nodes, "base": folder_of(tmp_path / "out" / "merged"), "learn": {**learn, **wires("base")}}
    assert live == pytest.approx(run_nodes(again, "learn")["learn"]["losses"].values, rel=1e-4)


@pytest.mark.parametrize("dtype", ["auto", "bfloat16"])
def test_what_learns_is_in_the_dtype_that_the_model_was_loaded_in(checkpoint, dtype):
    from types import SimpleNamespace

    from engine.context import Context
    from nodes.learn_common import base_of

    model, text, vae = (replace(one, dtype=dtype) for one in recipes(str(checkpoint("sdxl")), checkpoint("sdxl")))
    model = replace(model, patches=(Patch("lora", str(checkpoint("lora-sdxl"))),))
    base = base_of(SimpleNamespace(model=model, text_encoder=text, vae=vae), Context())
    wanted = {torch.bfloat16 if dtype == "bfloat16" else torch.float32}
    assert {weight.dtype for weight in base.denoiser.parameters()} == wanted


def test_another_model_of_that_name_stays_whole(checkpoint, run_nodes, tmp_path):
    nodes = {
        "base": folder_of(checkpoint("sdxl")),
        "lora": {"type": "LoRALoad", **wires("base"), "source": str(checkpoint("lora-sdxl"))},
        "save": {"type": "SaveModel", **wires("base"), "path": "it", "dtype": "float16"},
    }
    run_nodes(nodes, "save")
    before = {file: file.read_bytes() for file in (tmp_path / "out" / "it").rglob("*.*")}
    other = {**nodes, "save": {**nodes["save"], **wires("lora")}}
    for _ in range(2):  # the second finds its own
        run_nodes(other, "save")
    assert before == {file: file.read_bytes() for file in (tmp_path / "out" / "it").rglob("*.*")}
    assert {folder.name for folder in (tmp_path / "out").iterdir() if folder.is_dir()} == {"it", "it-2"}
    assert draw(run_nodes, folder_of(tmp_path / "out" / "it-2")).shape == (1, 64, 64, 3)
