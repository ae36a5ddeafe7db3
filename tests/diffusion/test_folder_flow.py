"""What folders of SD3 and Flux say of themselves, and what is refused before any weight is read."""

import json
import shutil
from dataclasses import replace

import pytest

from diffusion.folder import recipes
from diffusion.types import ScheduleConfig

FLOW = ScheduleConfig("flow", spacing="linspace", shift=3.0)


@pytest.fixture
def folder(checkpoint, tmp_path):
    return lambda kind: shutil.copytree(checkpoint(kind), tmp_path / kind)


def change(file, **values):
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.mark.parametrize(
    ("kind", "side", "schedule"),
    [
        ("sd3", 64, FLOW),
        ("sd35", 64, FLOW),
        ("flux-schnell", 64, replace(FLOW, spacing="trailing", even="trailing", shift=1.0)),
        ("flux-dev", 64, replace(FLOW, spacing="trailing", even="trailing", shift=1.0, base_shift=0.5)),
    ],
)
def test_recipes(checkpoint, kind, side, schedule):
    model, text_encoder, vae = recipes(checkpoint(kind))
    family = "flux" if kind.startswith("flux") else "sd3"
    assert (model.family, text_encoder.family, vae.family) == (family,) * 3
    assert (model.space, vae.space) == (family, family)
    assert (model.channels, model.factor, model.multiple) == (16, 8, 16)
    assert (model.width, model.height) == (side, side)
    assert (model.prediction, model.sampler, model.clip, model.zero_negative) == ("flow", "flow_euler", False, False)
    assert model.schedule == schedule


def test_flux_draws_as_large_as_its_vae_says(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint("flux-schnell"), tmp_path / "flux")
    change(folder / "vae" / "config.json", sample_size=1024)
    assert (recipes(folder)[0].width, recipes(folder)[0].height) == (1024, 1024)
    change(folder / "vae" / "config.json", sample_size=0)
    assert recipes(folder)[0].width == 1024


@pytest.mark.parametrize(
    ("values", "sampler", "spacing"),
    [
        ({"_class_name": "FlowMatchHeunDiscreteScheduler"}, "heun", "linspace"),
        ({"stochastic_sampling": True}, "lcm", "linspace"),
        ({"use_karras_sigmas": True}, "flow_euler", "karras"),
    ],
)
def test_other_ways_to_sample_a_flow(folder, values, sampler, spacing):
    model = folder("sd3")
    change(model / "scheduler" / "scheduler_config.json", **values)
    assert (recipes(model)[0].sampler, recipes(model)[0].schedule.spacing) == (sampler, spacing)


@pytest.mark.parametrize(
    ("kind", "file", "values", "message"),
    [
        ("flux-dev", "transformer/config.json", {"in_channels": 384}, "the transformer takes 384 channels; known: 64"),
        ("sd3", "transformer/config.json", {"in_channels": 33}, "the transformer takes 33 channels; known: 16"),
        ("sd3", "scheduler/scheduler_config.json", {"_class_name": "DDIMScheduler"}, "DDIMScheduler with sd3"),
        ("sd3", "scheduler/scheduler_config.json", {"shift_terminal": 0.1}, "shift_terminal 0.1"),
        ("flux-dev", "scheduler/scheduler_config.json", {"time_shift_type": "linear"}, "time_shift_type 'linear'"),
        ("sd3", "scheduler/scheduler_config.json", {"invert_sigmas": True}, "invert_sigmas True"),
    ],
)
def test_what_weft_does_not_know_is_named(folder, kind, file, values, message):
    model = folder(kind)
    change(model / file, **values)
    with pytest.raises(ValueError, match=message):
        recipes(model)


def test_sd3_may_be_without_its_t5_and_flux_may_not(folder):
    sd3, flux = folder("sd3"), folder("flux-dev")
    before = recipes(sd3)[1]
    for part in ("text_encoder_3", "tokenizer_3"):
        shutil.rmtree(sd3 / part)
    assert recipes(sd3)[1].digest != before.digest
    shutil.rmtree(flux / "text_encoder_2")
    with pytest.raises(FileNotFoundError, match=r"text_encoder_2.*is missing"):
        recipes(flux)
