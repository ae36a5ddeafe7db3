"""Data sets, training, the forward process and evaluation as nodes."""

import gzip
import json
import struct

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from engine.cache import Cache
from engine.context import CancelToken, Context, Settings
from engine.errors import Cancelled, WeftError
from nodes.data import DatasetImage, Digits
from nodes.evaluate import Classify, FrechetDistance
from nodes.learn import ForwardProcess, PlotSchedule
from nodes.load import LoadCheckpoint
from nodes.sockets import Image
from nodes.train import PlotLoss, TrainDDPM, TrainDiT

TINY = {"widths": [16, 32], "batch": 4, "seed": 0}
TINY_DIT = {"width": 16, "depth": 2, "batch": 4, "seed": 0}
BOTH = pytest.mark.parametrize(("teach", "sizes"), [(TrainDDPM, TINY), (TrainDiT, TINY_DIT)], ids=["ddpm", "dit"])


@pytest.fixture(scope="module")
def digits():
    return {part: Digits(size=16, part=part).run(None) for part in ("train", "test")}


def test_a_saved_model_is_loaded_as_it_was(tiny_model):
    checkpoint = LoadCheckpoint(source=str(tiny_model)).run(Context())
    assert (checkpoint.model.width, checkpoint.model.class_names) == (16, tuple("0123456789"))
    log = json.loads((tiny_model / "log.json").read_text())
    assert [step for step, _ in log["loss"]] == [1, 2]


@BOTH
def test_training_goes_on_where_it_was_stopped(digits, tmp_path, teach, sizes):
    def train(folder, stop_at=None):
        folder.mkdir(exist_ok=True)
        token = CancelToken()

        def emit(event):
            if getattr(event, "step", 0) == stop_at:
                token.cancel()

        ctx = Context(scratch_of=lambda: folder, emit=emit, token=token)
        return teach(dataset=digits["test"], steps=4, **sizes).run(ctx)

    whole = train(tmp_path / "whole")
    with pytest.raises(Cancelled):
        train(tmp_path / "parts", stop_at=2)
    resumed = train(tmp_path / "parts")
    assert resumed.losses == whole.losses
    assert resumed.model.digest == whole.model.digest


@BOTH
def test_a_trained_model_is_a_cached_result(run_nodes, tmp_path, teach, sizes):
    nodes = {
        "digits": {"type": "Digits", "size": 16, "part": "test"},
        "train": {"type": teach.__name__, "dataset": "@digits", "steps": 2, **sizes},
        "labels": {"type": "TextEncode", "text_encoder": "@train.text_encoder", "text": "3"},
        "guide": {"type": "CFG", "model": "@train.model", "positive": "@labels"},
        "schedule": {"type": "NoiseSchedule", "model": "@train.model", "steps": 2},
        "sampler": {"type": "Sampler"},
        "noise": {"type": "Noise", "seed": "$seed"},
        "blank": {"type": "EmptyLatent", "model": "@train.model"},
        "denoise": {"type": "UNetDenoise", "guider": "@guide", "schedule": "@schedule", "sampler": "@sampler",
                    "noise": "@noise", "latent": "@blank"},
    }  # fmt: skip
    first = run_nodes(nodes, "denoise", "train", cache=Cache(tmp_path / "cache"), seed=1)
    again = run_nodes(nodes, "denoise", "train", cache=Cache(tmp_path / "cache"), seed=2)
    assert first["train"]["model"].digest == again["train"]["model"].digest
    assert first["train"]["losses"] == again["train"]["losses"]
    assert not torch.equal(first["denoise"].samples, again["denoise"].samples)
    assert not list((tmp_path / "cache" / "scratch").glob("*"))


def test_the_forward_process_begins_with_the_picture_and_ends_in_noise(digits):
    one = DatasetImage(dataset=digits["test"], index=3).run(None)
    noised = ForwardProcess(image=one, timesteps=[0, 500, 999], seed=1).run(None).pixels
    distance = [float(np.abs(step - one.pixels[0]).mean()) for step in noised]
    assert noised.shape == (3, 16, 16, 1)
    assert distance[0] < 0.02 < distance[1] < distance[2]


def test_the_forward_process_uses_one_noise_for_all(digits):
    one = DatasetImage(dataset=digits["test"]).run(None)
    a, b = (ForwardProcess(image=one, timesteps=[t, 999], seed=1).run(None).pixels[1] for t in (0, 500))
    assert np.array_equal(a, b)


def test_plots_are_pictures_with_ink():
    for image in (PlotSchedule().run(None), PlotLoss(losses=_losses()).run(None)):
        assert image.pixels.shape[-1] == 3
        assert image.pixels.min() < 0.5 < image.pixels.mean()


def _losses():
    from nodes.sockets import Losses

    return Losses(tuple(1 / (i + 1) for i in range(100)))


def test_real_digits_are_read_right_and_are_as_far_as_real_digits(digits):
    test = digits["test"]
    order = np.concatenate([np.flatnonzero(test.labels == label)[:16] for label in range(10)])
    real = Image(test.images[order].astype(np.float32) / 255)
    found = Classify(image=real, dataset=digits["train"], labels="0 1 2 3 4 5 6 7 8 9").run(None)
    assert found.accuracy > 0.97
    assert found.report.startswith(f"{round(found.accuracy * 160)} of 160 samples")
    everything = Image(test.images.astype(np.float32) / 255)
    distance = FrechetDistance(image=everything, train=digits["train"], test=test).run(None)
    assert distance.ratio == pytest.approx(1, abs=1e-6)


def test_noise_is_read_wrong_and_is_far(digits):
    noise = Image(np.random.default_rng(0).random((160, 16, 16, 1), np.float32))
    found = Classify(image=noise, dataset=digits["train"], labels="0 1 2 3 4 5 6 7 8 9").run(None)
    distance = FrechetDistance(image=noise, train=digits["train"], test=digits["test"]).run(None)
    assert found.accuracy < 0.3
    assert distance.ratio > 10


def test_pictures_must_share_out_among_the_labels(digits):
    with pytest.raises(ValueError, match="5 pictures cannot be shared by 2 labels; make batch a multiple"):
        Classify(image=Image(np.zeros((5, 16, 16, 1), np.float32)), dataset=digits["train"], labels="0 1").run(None)


def test_a_picture_past_the_end_of_a_data_set(digits):
    with pytest.raises(ValueError, match="digits 16 test has 360 pictures, not 361; make index smaller"):
        DatasetImage(dataset=digits["test"], index=360).run(None)


def test_mnist_is_read_from_its_own_files(tmp_path, run_nodes):
    folder = tmp_path / "mnist"
    folder.mkdir()
    images = np.arange(3 * 28 * 28, dtype=np.uint32).astype(np.uint8)
    packed = gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 3, 28, 28) + images.tobytes())
    (folder / "train-images-idx3-ubyte.gz").write_bytes(packed)
    (folder / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + struct.pack(">I", 3) + bytes([5, 0, 4]))
    data = run_nodes({"mnist": {"type": "Mnist", "folder": "mnist"}}, "mnist")["mnist"]
    assert data.images.shape == (3, 32, 32, 1)
    assert np.array_equal(data.images[:, 2:30, 2:30, 0], images.reshape(3, 28, 28))
    assert data.labels.tolist() == [5, 0, 4]


def test_a_folder_with_class_folders_and_one_with_captions(tmp_path, run_nodes):
    for name, colour in (("cats/a.png", "red"), ("dogs/b.png", "blue"), ("flat/x.png", "lime")):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        Pillow.new("RGB", (20, 10), colour).save(tmp_path / "data" / name)
    (tmp_path / "data" / "flat").rename(tmp_path / "flat")
    (tmp_path / "flat" / "x.txt").write_text("a green field\n")
    nodes = {
        "classes": {"type": "ImageFolder", "folder": "data", "size": 8},
        "captions": {"type": "ImageFolder", "folder": "flat", "size": 8},
    }
    values = run_nodes(nodes, "classes", "captions")
    assert (values["classes"].class_names, values["classes"].labels.tolist()) == (("cats", "dogs"), [0, 1])
    assert values["captions"].captions == ("a green field",)


@pytest.mark.parametrize(
    ("folder", "message"), [("nowhere", "E-NOTFOUND"), ("../x", "E-PATH"), ("https://x.org/mnist", "E-URL")]
)
def test_a_folder_that_may_not_be_read(run_nodes, folder, message):
    with pytest.raises(WeftError, match=message):
        run_nodes({"mnist": {"type": "Mnist", "folder": folder}}, "mnist")


@pytest.mark.parametrize(
    ("source", "message", "code"),
    [("model.ckpt", "E-PICKLE", 5), ("ddpm-digit", "E-NOTFOUND", 3), ("empty", "E-NOTFOUND", 3)],
)
def test_a_model_that_cannot_be_loaded(tmp_path, run_nodes, source, message, code):
    (tmp_path / "model.ckpt").write_bytes(b"\x80\x04.")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeftError, match=message) as found:
        run_nodes({"base": {"type": "LoadCheckpoint", "source": source}}, "base")
    assert found.value.exit_code == code


def test_a_damaged_model_says_which_file(tiny_model, tmp_path, run_nodes):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text((tiny_model / "config.json").read_text())
    (broken / "model.safetensors").write_bytes((tiny_model / "model.safetensors").read_bytes()[:-10])
    nodes = {
        "base": {"type": "LoadCheckpoint", "source": "broken"},
        "guide": {"type": "CFG", "model": "@base.model", "scale": 1.0},
        "schedule": {"type": "NoiseSchedule", "model": "@base.model", "steps": 2},
        "sampler": {"type": "Sampler"},
        "noise": {"type": "Noise", "seed": 1},
        "blank": {"type": "EmptyLatent", "model": "@base.model"},
        "denoise": {"type": "UNetDenoise", "guider": "@guide", "schedule": "@schedule", "sampler": "@sampler",
                    "noise": "@noise", "latent": "@blank"},
    }  # fmt: skip
    with pytest.raises(WeftError, match=r"E-RUN denoise: .*model\.safetensors: damaged") as found:
        run_nodes(nodes, "denoise")
    assert found.value.exit_code == 1


@BOTH
def test_a_training_shows_what_it_has_learned(digits, tmp_path, monkeypatch, teach, sizes):
    import io

    monkeypatch.setattr("nodes.compute.LOOK_EVERY", 0.0)
    seen = []
    ctx = Context(settings=Settings(previews_per_second=1000), scratch_of=lambda: tmp_path, emit=seen.append)
    teach(dataset=digits["test"], steps=2, **sizes).run(ctx)
    assert [(event.step, event.total, event.message[:5]) for event in seen] == [(1, 2, "loss "), (2, 2, "loss ")]
    picture = Pillow.open(io.BytesIO(seen[-1].preview))
    assert picture.size == (86, 35)
