"""Pictures and latents in other sizes, by filters and by a network."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from diffusion.types import Level
from engine.api import load
from engine.context import Context, Settings
from engine.errors import WeftError
from engine.events import NodeProgress
from engine.inputs import check_files
from nodes import registry
from nodes.scale import ImageScale, LatentScale, UpscaleImage
from nodes.sockets import Image, Latent


def picture(width: int, height: int, channels: int = 3, batch: int = 1) -> Image:
    pixels = np.random.default_rng(0).random((batch, height, width, channels), np.float32)
    return Image(pixels)


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({}, (40, 20)),
        ({"factor": 2.0}, (80, 40)),
        ({"width": 20}, (20, 10)),
        ({"height": 30}, (60, 30)),
        ({"width": 20, "height": 20}, (20, 20)),
        ({"width": 20, "height": 20, "factor": 1.5}, (30, 30)),
        ({"width": 20, "height": 20, "fit": "crop"}, (20, 20)),
        ({"width": 20, "height": 20, "fit": "pad"}, (20, 20)),
        ({"width": 20, "height": 20, "fit": "inside"}, (20, 10)),
        ({"factor": 0.95, "multiple_of": 8}, (40, 16)),
        ({"factor": 0.01}, (1, 1)),
    ],
)
def test_the_size_is_what_was_asked_for(given, size):
    scaled = ImageScale(image=picture(40, 20, batch=2), **given).run(Context()).pixels
    assert scaled.shape == (2, size[1], size[0], 3)
    assert scaled.dtype == np.float32
    assert 0 <= scaled.min() <= scaled.max() <= 1


def test_the_own_size_changes_nothing():
    image = picture(8, 8)
    assert np.array_equal(ImageScale(image=image).run(Context()).pixels, image.pixels)


@pytest.mark.parametrize("how", ["lanczos", "bicubic", "bilinear", "area"])
def test_what_is_shrunk_is_averaged_over(how):
    board = Image((np.indices((32, 32)).sum(0) % 2).astype(np.float32)[None, ..., None])
    small = ImageScale(image=board, factor=0.25, filter=how).run(Context()).pixels
    assert small[0, 2:-2, 2:-2] == pytest.approx(0.5, abs=0.01)


def test_area_is_the_mean_and_nearest_one_of_them():
    image = picture(8, 8)
    area = ImageScale(image=image, factor=0.5, filter="area").run(Context()).pixels
    assert area == pytest.approx(image.pixels.reshape(1, 4, 2, 4, 2, 3).mean((2, 4)), abs=1e-6)
    twice = ImageScale(image=image, factor=2.0, filter="nearest").run(Context()).pixels
    assert np.array_equal(twice, image.pixels.repeat(2, 1).repeat(2, 2))


def test_crop_takes_the_middle_and_pad_puts_it_there():
    image = picture(4, 2)
    cropped = ImageScale(image=image, width=2, height=2, fit="crop").run(Context()).pixels
    assert np.array_equal(cropped, image.pixels[:, :, 1:3])
    padded = ImageScale(image=image, width=4, height=4, fit="pad", colour="#ff0000").run(Context()).pixels
    assert np.array_equal(padded[:, 1:3], image.pixels)
    assert padded[0, 0].tolist() == padded[0, 3].tolist() == [[1, 0, 0]] * 4


def test_grey_stays_grey_unless_the_padding_is_coloured():
    image = picture(4, 2, channels=1)
    assert ImageScale(image=image, width=4, height=4, fit="pad").run(Context()).pixels.shape[3] == 1
    assert ImageScale(image=image, width=4, height=4, fit="pad", colour="red").run(Context()).pixels.shape[3] == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"width": 16384, "factor": 2.0}, "32768 x 16384 is too large"),
        ({"colour": "reddish"}, "'reddish' is no colour"),
    ],
)
def test_what_cannot_be_scaled_is_told(given, message):
    with pytest.raises((ValueError, WeftError), match=message):
        ImageScale(image=picture(40, 20), **given).run(Context())


def latent(space="sd", state="clean", batch=2, width=6, height=4) -> Latent:
    samples = torch.zeros(batch, 4, height, width) if state == "empty" else torch.randn(batch, 4, height, width)
    return Latent(samples, space, state, Level(500, 0.7, 0.7) if state == "noisy" else None)


@pytest.mark.parametrize(
    ("space", "given", "size"),
    [
        ("sd", {"factor": 1.5}, (9, 6)),
        ("sd", {"width": 96}, (12, 8)),
        ("sd", {"width": 100, "height": 30}, (12, 4)),
        ("pixel", {"height": 8}, (12, 8)),
    ],
)
@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "bicubic", "area"])
def test_a_latent_is_scaled_by_the_pixels_of_its_picture(space, given, size, method):
    scaled = LatentScale(latent=latent(space), method=method, **given).run(Context())
    assert (tuple(scaled.samples.shape), scaled.space, scaled.state) == ((2, 4, size[1], size[0]), space, "clean")


def test_a_mask_is_scaled_along_and_an_empty_latent_stays_empty():
    empty = latent(state="empty")
    masked = Latent(empty.samples, "sd", "empty", mask=torch.eye(4)[None, None])
    scaled = LatentScale(latent=masked, width=64, height=64).run(Context())
    assert scaled.state == "empty"
    assert not scaled.samples.any()
    assert torch.equal(scaled.mask[0, 0], torch.eye(4).repeat_interleave(2, 0).repeat_interleave(2, 1))


def test_a_latent_with_noise_in_it_is_not_scaled():
    with pytest.raises(ValueError, match="denoise it to the end"):
        LatentScale(latent=latent(state="noisy"), factor=2.0).run(Context())


@pytest.fixture(scope="module")
def upscalers(tmp_path_factory) -> Path:
    """A folder with tiny networks of random weights, and things that are none."""
    from spandrel.architectures.Compact import Compact
    from spandrel.architectures.ESRGAN import ESRGAN

    folder = tmp_path_factory.mktemp("upscalers")
    torch.manual_seed(0)
    save_file(Compact(num_feat=8, num_conv=2, upscale=2).state_dict(), folder / "compact.safetensors")
    esrgan = ESRGAN(num_filters=8, num_blocks=1, scale=4).state_dict()
    last = list(esrgan)[-1]
    esrgan[last] = torch.full_like(esrgan[last], 0.5)  # so that it draws something between black and white
    save_file(esrgan, folder / "esrgan.safetensors")
    save_file({f"conv_first.{name}": torch.zeros(2, 2, 1, 1) for name in "ab"}, folder / "other.safetensors")
    lora = {f"lora_unet_mid_block_attentions_0_proj_in.lora_{way}.weight": torch.zeros(4, 4) for way in ("up", "down")}
    save_file(lora, folder / "lora.safetensors")
    (folder / "cut.safetensors").write_bytes((folder / "compact.safetensors").read_bytes()[:-10])
    for name in ("net.pth", "renamed.safetensors"):
        (folder / name).write_bytes(pickle.dumps({"a": 1}))
    return folder


def upscale(folder: Path, name: str, image: Image, **how) -> tuple[np.ndarray, list[NodeProgress]]:
    said: list[NodeProgress] = []
    ctx = Context(settings=Settings(folder=folder), emit=said.append)
    return UpscaleImage(image=image, source=name, **how).run(ctx).pixels, said


@pytest.mark.parametrize(("name", "scale"), [("compact", 2), ("esrgan", 4)])
def test_p_upscaling_equals_the_network_run_directly(upscalers, name, scale):
    from safetensors.torch import load_file
    from spandrel import ModelLoader

    image = picture(12, 10, batch=2)
    pixels, _ = upscale(upscalers, f"{name}.safetensors", image, tile=0)
    module = ModelLoader().load_from_state_dict(load_file(upscalers / f"{name}.safetensors")).model.eval()
    with torch.no_grad():
        direct = module(torch.from_numpy(image.pixels).permute(0, 3, 1, 2)).clamp(0, 1).permute(0, 2, 3, 1)
    assert pixels.shape == (2, 10 * scale, 12 * scale, 3)
    assert pixels == pytest.approx(direct.numpy(), abs=1e-6)
    assert pixels.std() > 0.01


def test_tiles_make_the_same_picture_and_report_progress(upscalers):
    image = picture(20, 14)
    whole, _ = upscale(upscalers, "compact.safetensors", image, tile=0)
    tiled, said = upscale(upscalers, "compact.safetensors", image, tile=8, overlap=8)
    assert tiled == pytest.approx(whole, abs=1e-5)
    assert [(event.step, event.total) for event in said[1:]] == [(i + 1, 6) for i in range(6)]
    assert said[0].message == "RealESRGAN Compact, 2 times"
    without, _ = upscale(upscalers, "compact.safetensors", image, tile=8, overlap=0)
    assert np.abs(without - whole).max() > 1e-3


def test_a_grey_picture_becomes_a_coloured_one(upscalers):
    grey = picture(8, 8, channels=1)
    pixels, _ = upscale(upscalers, "compact.safetensors", grey)
    expected, _ = upscale(upscalers, "compact.safetensors", Image(grey.pixels.repeat(3, axis=3)))
    assert np.array_equal(pixels, expected)


@pytest.mark.parametrize(
    ("source", "code", "exit_code", "words"),
    [
        ("net.pth", "E-PICKLE", 5, "is a pickle; not loaded"),
        ("renamed.safetensors", "E-PICKLE", 5, "is a pickle; not loaded"),
        ("cut.safetensors", "E-MODEL", 2, "cut.safetensors"),
        ("lora.safetensors", "E-ARCH", 2, "is a LoRA"),
        ("none.safetensors", "E-NOTFOUND", 3, "no file"),
        ("owner/Upscalers/x4.safetensors", "E-NOTFOUND", 3, "weft models pull owner/Upscalers x4.safetensors"),
        (".", "E-NOTFILE", 2, "is a folder"),
    ],
)
def test_weft_check_says_what_is_wrong_with_an_upscaler(upscalers, tmp_path, source, code, exit_code, words):
    nodes = {
        "in": {"type": "LoadImage", "path": "a.png"},
        "up": {"type": "UpscaleImage", "image": "@in.image", "source": source},
        "out": {"type": "SaveImage", "image": "@up"},
    }
    (tmp_path / "flow.json").write_text(json.dumps({"format": 1, "nodes": nodes}))
    for file in upscalers.iterdir():
        (tmp_path / file.name).symlink_to(file)
    workflow = load(tmp_path / "flow.json", registry=registry())
    (problem,) = (p for p in check_files(workflow) if p.place.node == "up")
    assert (problem.code, problem.exit_code) == (code, exit_code)
    assert words in str(problem)


def test_a_file_of_another_network_is_told(upscalers):
    with pytest.raises(WeftError, match=r"E-ARCH.*other\.safetensors is no upscaler that spandrel knows"):
        upscale(upscalers, "other.safetensors", picture(8, 8))


def test_a_file_in_the_cache_of_the_hub_is_found(upscalers, tmp_path, monkeypatch):
    commit = "0" * 40
    repo = tmp_path / "models--owner--Upscalers"
    (repo / "snapshots" / commit).mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    (repo / "snapshots" / commit / "x2.safetensors").write_bytes((upscalers / "compact.safetensors").read_bytes())
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    pixels, _ = upscale(upscalers, "owner/Upscalers/x2.safetensors", picture(8, 8))
    assert pixels.shape == (1, 16, 16, 3)
