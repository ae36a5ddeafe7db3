"""Reading and writing pictures."""

import hashlib

import numpy as np
import pytest
from PIL import Image as Pillow

from engine.context import Context, Settings
from engine.errors import WeftError
from nodes.image import ImageGrid, LoadImage, SaveImage, Stopwatch, pixel_digest
from nodes.sockets import Image


def context(tmp_path, **kwargs) -> Context:
    return Context(node="n", settings=Settings(out=tmp_path / "out", folder=tmp_path), **kwargs)


def gradient(batch=1, height=6, width=5, channels=3):
    count = batch * height * width * channels
    return Image((np.arange(count) % 256 / 255).astype(np.float32).reshape(batch, height, width, channels))


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_a_picture_is_read_back_as_it_was_written(tmp_path, name):
    (saved,) = SaveImage(image=gradient(), path=name).run(context(tmp_path)).files
    saved.path.replace(tmp_path / name)
    image, mask = LoadImage(path=name).run(context(tmp_path))
    assert np.array_equal(image.pixels, gradient().pixels)
    assert mask.values.shape == (1, 6, 5)
    assert not mask.values.any()


def test_jpeg_is_near(tmp_path):
    smooth = Image(np.full((1, 16, 16, 3), 0.5, np.float32))
    (saved,) = SaveImage(image=smooth, path="a.jpg").run(context(tmp_path)).files
    assert (saved.mime, np.asarray(Pillow.open(saved.path)).mean()) == ("image/jpeg", pytest.approx(128, abs=1))


def test_every_picture_of_a_batch_gets_a_file(tmp_path):
    files = SaveImage(image=gradient(batch=3), path="a.png").run(context(tmp_path)).files
    assert [f.path.name for f in files] == ["a-0.png", "a-1.png", "a-2.png"]


def test_the_path_is_filled_in_from_params_and_index(tmp_path):
    ctx = context(tmp_path, values={"seed": 7, "prompt": "a/b"})
    files = SaveImage(image=gradient(batch=2), path="{prompt}/{seed}-{index}.png").run(ctx).files
    assert [f.path.relative_to(tmp_path).as_posix() for f in files] == ["out/a_b/7-0.png", "out/a_b/7-1.png"]


def test_the_digest_is_of_the_pixels_whatever_the_file_around_them(tmp_path):
    png, webp = (SaveImage(image=gradient(), path=p).run(context(tmp_path)).files[0] for p in ("a.png", "a.webp"))
    assert png.digest == webp.digest == pixel_digest(Pillow.open(png.path))
    assert png.digest != hashlib.sha256(png.path.read_bytes()).hexdigest()


def test_alpha_becomes_the_mask(tmp_path):
    alpha = np.zeros((4, 4, 4), np.uint8)
    alpha[:2, :, 3] = 255
    Pillow.fromarray(alpha).save(tmp_path / "a.png")
    _, mask = LoadImage(path="a.png").run(context(tmp_path))
    assert mask.values[0, :, 0].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a.gif", "E-NAME: no picture format is called '.gif'; end it in .png"),
        ("../a.png", "E-PATH"),
        ("{nope}.png", "E-TEMPLATE"),
    ],
)
def test_a_name_that_cannot_be_written(tmp_path, path, message):
    with pytest.raises(WeftError, match=message):
        SaveImage(image=gradient(), path=path).run(context(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_grid_takes_batches_and_single_pictures():
    sheet = ImageGrid(images=[gradient(batch=3), gradient()], columns=2, gap=0).run(Context())
    assert sheet.pixels.shape == (1, 12, 10, 3)


def test_a_stopwatch_says_the_seconds():
    ctx = Context(seconds_of=lambda name: {"value": 12.34}[name])
    assert Stopwatch(value=1, template="DDIM: {seconds} s").run(ctx) == "DDIM: 12.3 s"
