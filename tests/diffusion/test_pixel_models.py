"""A small class-conditional model on disk: read, loaded, told what to draw, and run, alone and in batches."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from diffusion.checkpoint import PixelConfig, read_config, recipes, write_atomically, write_config
from diffusion.denoise import Job, denoise, own
from diffusion.family import FAMILIES, empty_latent, family_of
from diffusion.pixel import in_channels, labels_of, load_network
from diffusion.recipes import Guider, ModelRecipe, Patch, TextEncoderRecipe, from_json, to_json
from diffusion.schedule import schedule
from diffusion.store import Store, pick_device, pick_dtype
from diffusion.types import Conditioning, Image, Noise, Prompt, Sampler, ScheduleConfig
from diffusion.unet import UNet, UNetConfig

WORDS = ("cat", "dog", "polar bear")
SIZES = UNetConfig(widths=(8, 8), blocks=1, heads=2, groups=4, embedding=8, patch=1, classes=3)


def make(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    torch.manual_seed(seed)
    unet = UNet(SIZES)
    for parameter in unet.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    save_file(unet.state_dict(), folder / "model.safetensors")
    write_config(folder, PixelConfig("unet", vars(SIZES), 8, 8, "v", ScheduleConfig("cosine"), WORDS))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("models") / "animals")


@pytest.fixture
def model(folder: Path) -> ModelRecipe:
    return recipes(folder)[0]


def prompt(text: str) -> Conditioning:
    return Conditioning({"labels": torch.tensor(labels_of(text, WORDS))}, text)


def test_what_a_folder_holds_is_read_without_a_tensor_library(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from diffusion.checkpoint import recipes; import diffusion.types;"
        f"recipes(Path({str(folder)!r}));"
        "print([m for m in ('torch', 'numpy', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_recipes_compare_hash_and_turn_into_json(folder: Path, model: ModelRecipe) -> None:
    for recipe in (*recipes(folder), replace(model, patches=(Patch("lora", "f", "d", (("strength", 0.5),)),))):
        again = from_json(json.loads(json.dumps(to_json(recipe))))
        assert again == recipe
        assert hash(again) == hash(recipe)
    assert recipes(folder)[0] == model
    assert len(model.digest) == 64


@pytest.mark.parametrize("value", [{}, {"recipe": "Model"}, {"recipe": "VAERecipe", "x": 1}])
def test_what_is_no_recipe_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a recipe"):
        from_json(value)


def test_the_digest_follows_the_weights(folder: Path, tmp_path: Path, model: ModelRecipe) -> None:
    assert recipes(make(tmp_path / "same"))[0].digest == model.digest
    assert recipes(make(tmp_path / "other", seed=1))[0].digest != model.digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "sd"}, 'no "family": "pixel"'),
        ({"format": 2}, "model format 2; this version reads format 1"),
        ({"prediction": "eps"}, "damaged: ValueError"),
        ({"unet": None}, "damaged: TypeError"),
        ({"dit": {}}, "the sizes of one network, unet or dit, not several"),
        ({"unet": {"channels": 1}}, "damaged: KeyError 'patch'"),
        ({"unet": vars(SIZES) | {"widths": [8] * 99, "patch": 0}}, "damaged: ValueError"),
        ({"schedule": {"knd": "flow"}}, "damaged: TypeError"),
        ({"height": "tall"}, "damaged: ValueError"),
    ],
)
def test_a_damaged_configuration_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = make(tmp_path / "m") / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message) as caught:
        read_config(path.parent)
    assert str(path) in str(caught.value)


def test_damaged_or_missing_files_are_named(tmp_path: Path) -> None:
    folder = make(tmp_path / "m")
    weights, config = folder / "model.safetensors", folder / "config.json"
    good = weights.read_bytes()
    for bad in (b"", good[: len(good) // 2], b"\xff" * 100):
        weights.write_bytes(bad)
        with pytest.raises(ValueError, match=r"model\.safetensors: damaged"):
            load_network(folder)
    weights.write_bytes(good)
    config.write_text(config.read_text().replace('"blocks": 1', '"blocks": 2'))
    with pytest.raises(ValueError, match="not the weights"):
        load_network(folder)
    config.write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        read_config(folder)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors is missing"):
        read_config(folder)


def test_a_file_that_could_not_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "deep" / "config.json"
    write_atomically(path, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("cat", [0]),
        ("dog cat", [1, 0]),
        ("Dog,cat , polar bear", [1, 0, 2]),
        ("polar bear", [2]),
        ("", [3]),
        (" , ", [3]),
        ("cat cat", [0, 0]),
    ],
)
def test_text_names_classes(text: str, labels: list[int]) -> None:
    assert labels_of(text, WORDS) == labels


@pytest.mark.parametrize(
    ("text", "names", "message"),
    [
        ("cta", WORDS, r'unknown class "cta"; did you mean "cat"\? known: cat, dog, polar bear'),
        ("12", tuple("0123456789"), r'unknown class "12"; .*known: 0, 1, 2'),
        ("cat", (), "not class-conditional"),
    ],
)
def test_an_unknown_class_is_refused(text: str, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        labels_of(text, names)


def test_the_vae_is_the_identity(folder: Path) -> None:
    vae = recipes(folder)[2]
    family = family_of(vae)
    module = family.load(vae, torch.float32)
    pixels = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8, 1)
    latent = family.encode(module, vae, Image(pixels))
    assert (latent.space, latent.state, tuple(latent.samples.shape)) == ("pixel", "clean", (1, 1, 8, 8))
    assert float(latent.samples.min()) == -1
    np.testing.assert_allclose(family.decode(module, vae, latent.samples).pixels, pixels, atol=1e-6)
    assert family.decode(module, vae, 3 * latent.samples).pixels.max() == 1


def test_colours_become_grey_and_grey_becomes_colour() -> None:
    green = np.zeros((1, 2, 2, 3), dtype=np.float32)
    green[..., 1] = 1
    np.testing.assert_allclose(in_channels(green, 1), np.full((1, 2, 2, 1), 0.587), atol=1e-6)
    assert in_channels(np.ones((1, 2, 2, 1), dtype=np.float32), 3).shape == (1, 2, 2, 3)
    assert in_channels(green, 3) is green


def test_empty_latents_have_the_models_size_or_a_multiple(model: ModelRecipe) -> None:
    assert empty_latent(model).samples.shape == (1, 1, 8, 8)
    latent = empty_latent(model, width=4, height=12, batch=3)
    assert (latent.samples.shape, latent.state, latent.space) == ((3, 1, 12, 4), "empty", "pixel")
    for size, message in (({"width": 7}, "width must be a multiple of 2, got 7"), ({"batch": 0}, "at least 1")):
        with pytest.raises(ValueError, match=message):
            empty_latent(model, **size)


STEPS = schedule(ScheduleConfig("cosine"), 4)


def run(guider: Guider, noise: Noise, batch: int, sampler: str = "ddim") -> torch.Tensor:
    return denoise([Job(guider, noise, empty_latent(guider.model, batch=batch))], STEPS, Sampler(sampler), "cpu")[
        0
    ].samples


def test_prompts_are_drawn_one_after_the_other(model: ModelRecipe) -> None:
    both = run(Guider(model, prompt("cat dog")), Noise(5), 4)
    torch.testing.assert_close(both[:2], run(Guider(model, prompt("cat")), Noise(5), 2))
    torch.testing.assert_close(both[2:], run(Guider(model, prompt("dog")), Noise(7), 2))
    assert not torch.allclose(run(Guider(model, prompt("dog")), Noise(5), 2), both[:2])


def test_no_positive_is_the_unconditional_model_and_no_negative_means_no_class(model: ModelRecipe) -> None:
    without = run(Guider(model), Noise(5), 2)
    torch.testing.assert_close(without, run(Guider(model, prompt("")), Noise(5), 2))
    torch.testing.assert_close(without, run(Guider(model, scale=7.0), Noise(5), 2))
    torch.testing.assert_close(without, run(Guider(model, prompt("dog"), None, scale=0.0), Noise(5), 2))
    named = run(Guider(model, prompt("dog"), prompt(""), scale=3.0), Noise(5), 2)
    torch.testing.assert_close(named, run(Guider(model, prompt("dog"), None, scale=3.0), Noise(5), 2))
    assert not torch.allclose(named, run(Guider(model, prompt("dog"), prompt("cat"), scale=3.0), Noise(5), 2))


def test_b8_jobs_run_as_one_batch_equal_jobs_run_one_at_a_time(model: ModelRecipe) -> None:
    guiders = [
        Guider(model, prompt("cat"), None, scale=1.0),
        Guider(model, prompt("cat"), None, scale=3.0),
        Guider(model, prompt("dog polar bear".replace(" ", ",", 1)), prompt("cat"), scale=2.0),
        Guider(model, None),
    ]
    jobs = [Job(guider, Noise(10 * i), empty_latent(model, batch=2)) for i, guider in enumerate(guiders)]
    for order in (jobs, jobs[::-1]):
        together = denoise(order, STEPS, Sampler("ddpm"), "cpu")
        for job, latent in zip(order, together, strict=True):
            torch.testing.assert_close(latent.samples, denoise([job], STEPS, Sampler("ddpm"), "cpu")[0].samples)


def test_the_models_own_sampler_and_clipping(model: ModelRecipe) -> None:
    assert own(Sampler("model", 0.3), model) == Sampler("ddim", 0.3)
    assert torch.equal(run(Guider(model), Noise(1), 2, "model"), run(Guider(model), Noise(1), 2))
    assert float(run(Guider(model), Noise(1), 2).abs().max()) <= 1
    assert float(run(Guider(replace(model, clip=False)), Noise(1), 2).abs().max()) > 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent": {"space": "sdxl"}}, "in the space sdxl, and the model works in pixel"),
        ({"latent": {"samples": torch.zeros(1, 3, 8, 8)}}, "the model takes 1 channels, not 3"),
        ({"model": {"prediction": "flow"}}, "a model that predicts flow needs a flow schedule, not cosine"),
        ({"model": {"family": "sd9"}}, 'unknown model family "sd9"; known: pixel'),
    ],
)
def test_what_does_not_go_together_is_refused(
    model: ModelRecipe, change: dict[str, dict[str, object]], message: str
) -> None:
    recipe = replace(model, **change.get("model", {}))
    latent = replace(empty_latent(model), **change.get("latent", {}))
    with pytest.raises(ValueError, match=message):
        denoise([Job(Guider(recipe), Noise(0), latent)], STEPS, Sampler("ddim"), "cpu")


def test_jobs_of_different_sizes_are_no_batch(model: ModelRecipe) -> None:
    jobs = [Job(Guider(model), Noise(0), empty_latent(model, batch=n)) for n in (1, 2)]
    with pytest.raises(ValueError, match="cannot be one batch"):
        denoise(jobs, STEPS, Sampler("ddim"), "cpu")


def test_the_store_loads_once_and_lets_go_of_the_least_recently_used(tmp_path: Path) -> None:
    models = [recipes(make(tmp_path / name, seed))[0] for seed, name in enumerate("abc")]
    store = Store()
    first = store.load(models[0], "cpu")
    assert store.load(models[0], "cpu") is first
    assert not any(parameter.requires_grad for parameter in first.parameters())
    size = store.bytes
    store = Store(budget=2 * size)
    a, b = store.load(models[0], "cpu"), store.load(models[1], "cpu")
    assert store.load(models[0], "cpu") is a
    store.load(models[2], "cpu")
    assert (len(store), store.bytes) == (2, 2 * size)
    assert store.load(models[0], "cpu") is a
    assert store.load(models[1], "cpu") is not b
    alone = Store(budget=1)
    assert alone.load(models[0], "cpu") is alone.load(models[0], "cpu")
    alone.clear()
    assert len(alone) == 0


def test_a_model_runs_in_the_dtype_asked_for(model: ModelRecipe) -> None:
    store = Store()
    assert next(store.load(model, "cpu", "bfloat16").parameters()).dtype == torch.bfloat16
    assert next(store.load(model, "cpu").parameters()).dtype == torch.float32
    assert len(store) == 2
    latents = denoise([Job(Guider(model), Noise(0), empty_latent(model))], STEPS, Sampler("ddim"), "cpu", "bfloat16")
    assert latents[0].samples.dtype == torch.float32
    torch.testing.assert_close(latents[0].samples, run(Guider(model), Noise(0), 1), rtol=0, atol=0.1)


def test_devices_and_dtypes_by_name() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_dtype("float16", torch.device("cpu")) == torch.bfloat16
    assert pick_dtype("float16", torch.device("cuda")) == torch.float16
    with pytest.raises(ValueError, match='unknown dtype "int8"'):
        pick_dtype("int8", torch.device("cpu"))
    with pytest.raises(ValueError, match='"gpu" is no device'):
        pick_device("gpu")
    with pytest.raises(ValueError, match='device "xpu" is not here'):
        pick_device("xpu")


def test_a_text_encoder_gives_labels(folder: Path) -> None:
    recipe = recipes(folder)[1]
    assert isinstance(recipe, TextEncoderRecipe)
    encoded = FAMILIES["pixel"].encode_text(torch.nn.Identity(), recipe, Prompt("dog"))
    assert encoded.tensors["labels"].tolist() == [1]
    assert (encoded.text, encoded.prompts) == ("dog", 1)
