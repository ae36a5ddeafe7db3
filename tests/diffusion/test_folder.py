"""What a model folder in diffusers layout says of itself, and what is refused before any weight is read."""

import json
import shutil
from dataclasses import replace

import pytest

from diffusion.folder import read, recipes
from diffusion.header import PickleError
from diffusion.recipes import from_json, to_json
from diffusion.scheduler_config import schedule_of
from diffusion.types import ScheduleConfig


@pytest.fixture
def folder(checkpoint, tmp_path):
    return shutil.copytree(checkpoint("sd15"), tmp_path / "model")


def change(file, **values):
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_its_files_are_all_that_is_read(folder):
    (folder / "notes.txt").write_text("not read")
    names = {str(file.relative_to(folder)) for file in read(folder).files}
    assert {
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "vae/config.json",
        "scheduler/scheduler_config.json",
        "tokenizer/tokenizer.json",
    } <= names
    assert "notes.txt" not in names


def test_weights_in_shards(folder):
    whole = folder / "unet" / "diffusion_pytorch_model.safetensors"
    shard = whole.rename(folder / "unet" / "part-1.safetensors")
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"conv_in.weight": shard.name}}))
    assert {index, shard} <= set(read(folder).files)
    index.write_text(json.dumps({"weight_map": {"conv_in.weight": "../vae/diffusion_pytorch_model.safetensors"}}))
    with pytest.raises(ValueError, match="names a file outside its folder"):
        read(folder)


def test_recipes_go_through_json_and_change_with_the_files(folder):
    before = recipes(folder)
    assert all(from_json(to_json(recipe)) == recipe for recipe in before)
    assert recipes(folder) == before
    change(folder / "unet" / "config.json", _name="other")
    assert recipes(folder)[0].digest != before[0].digest
    assert replace(recipes(folder)[0], digest=before[0].digest) == before[0]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"_class_name": "PNDMScheduler"}, ScheduleConfig(spacing="leading", even="leading", states_spacing=False)),
        (
            {"_class_name": "DDIMScheduler", "set_alpha_to_one": False},
            ScheduleConfig(spacing="leading", even="leading", states_spacing=False, ends_clean=False),
        ),
        ({"_class_name": "EulerDiscreteScheduler"}, ScheduleConfig(spacing="linspace", states_spacing=False)),
        ({"_class_name": "LCMScheduler", "timestep_spacing": "leading"}, ScheduleConfig(spacing="lcm", even="lcm")),
        (
            {"_class_name": "DDIMScheduler", "timestep_spacing": "trailing", "rescale_betas_zero_snr": True},
            ScheduleConfig(zero_snr=True, even="trailing"),
        ),
        (
            {"_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": True, "beta_schedule": "scaled_linear"},
            ScheduleConfig(kind="scaled_linear", spacing="karras", states_spacing=False),
        ),
        (
            {"_class_name": "DDPMScheduler", "beta_schedule": "squaredcos_cap_v2", "steps_offset": 1},
            ScheduleConfig("cosine", spacing="leading", even="leading", states_spacing=False, steps_offset=1),
        ),
        (
            {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0, "use_beta_sigmas": True},
            ScheduleConfig("flow", spacing="beta", shift=3.0),
        ),
        (
            {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0, "use_dynamic_shifting": True},
            ScheduleConfig("flow", spacing="linspace", base_shift=0.5),
        ),
    ],
)
def test_a_scheduler_config_is_read_with_the_defaults_of_its_class(config, expected):
    assert schedule_of(config) == expected


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("model_index.json", {"_class_name": "KolorsPipeline"}, "unknown pipeline KolorsPipeline; known: StableDiff"),
        ("unet/config.json", {"in_channels": 7}, "takes 7 channels; known: 4 and 9"),
        ("unet/config.json", {"addition_embed_type": "text_time"}, "fed otherwise"),
        ("scheduler/scheduler_config.json", {"_class_name": "Odd"}, "KeyError 'Odd'"),
        ("scheduler/scheduler_config.json", {"trained_betas": [0.1]}, "trained_betas"),
        ("scheduler/scheduler_config.json", {"prediction_type": "odd"}, "KeyError 'odd'"),
        ("scheduler/scheduler_config.json", {"_class_name": "FlowMatchEulerDiscreteScheduler"}, "Scheduler with sd"),
        ("vae/config.json", {"block_out_channels": None}, "does not know"),
    ],
)
def test_what_weft_does_not_know_is_named(folder, file, values, message):
    change(folder / file, **values)
    with pytest.raises(ValueError, match=message):
        recipes(folder)


@pytest.mark.parametrize(
    ("kind", "family", "space", "inpaints", "sampler"),
    [
        ("lcm", "sd", "sd", False, "lcm"),
        ("sd15-inpaint", "sd", "sd", True, "ddim"),
        ("sdxl-inpaint", "sdxl", "sdxl", True, "euler"),
        ("sdxl-refiner", "sdxl-refiner", "sdxl", False, "euler"),
        ("sdxl-turbo", "sdxl", "sdxl", False, "euler_ancestral"),
    ],
)
def test_what_a_folder_is_for(checkpoint, kind, family, space, inpaints, sampler):
    model, text_encoder, vae = recipes(checkpoint(kind))
    assert (model.family, model.space, model.inpaints, model.sampler) == (family, space, inpaints, sampler)
    assert (text_encoder.family, vae.family, vae.space, model.channels) == (family, family, space, 4)


def test_a_weights_file_that_was_cut_short(folder):
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    data = file.read_bytes()
    for length in (0, 7, 100, len(data) - 1):
        file.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"vae.*cut short"):
            read(folder)


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"a": NaN'])
def test_json_that_is_none(folder, text):
    (folder / "vae" / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json: not"):
        read(folder)


def test_only_pickles(folder):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").rename(folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(PickleError, match="as a pickle only; not loaded"):
        read(folder)


@pytest.mark.parametrize("name", ["unet/config.json", "vae/diffusion_pytorch_model.safetensors", "tokenizer"])
def test_a_part_that_is_missing(folder, name):
    shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match="is missing"):
        read(folder)


def test_a_source_reports_each_as_its_own_problem(folder):
    from engine.errors import WeftError
    from nodes.sources import model_files

    def code():
        with pytest.raises(WeftError) as found:
            model_files(str(folder), folder, [])
        return found.value.problems[0].code, found.value.problems[0].exit_code

    assert model_files(str(folder), folder, []) == list(read(folder).files)
    change(folder / "model_index.json", _class_name="KolorsPipeline")
    assert code() == ("E-ARCH", 2)
    change(folder / "model_index.json", _class_name="StableDiffusionPipeline")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    assert code() == ("E-PICKLE", 5)
    weights.with_suffix(".bin").unlink()
    assert code() == ("E-NOTFOUND", 3)
