"""ControlImage: each kind without a network, tiny networks of each sort, and what is said where one is missing."""

import json
import os
import pickle
import warnings
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from engine.api import load
from engine.compile import check
from engine.context import Context, Settings
from engine.document import from_value
from engine.errors import WeftError
from engine.inputs import check_files
from nodes import registry
from nodes.detect import MODELS, NETWORKS, ControlImage, Kind
from nodes.sockets import Image

OFFLINE = [kind for kind in get_args(Kind) if kind not in (*MODELS, *NETWORKS)]


def scene(width: int = 70, height: int = 50, batch: int = 1) -> Image:
    """A dark disc on a light ramp of three colours."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ground = np.stack([0.5 + x / width / 2, 0.9 - y / height / 4, np.full_like(x, 0.8)], -1)
    disc = np.hypot(x - width / 2, y - height / 2) < height / 4
    ground[disc] = (0.1, 0.2, 0.3)
    return Image(np.repeat(ground[None], batch, 0))


def run(image: Image, folder: Path = Path(), **inputs: object) -> np.ndarray:
    return ControlImage(image=image, **inputs).run(Context(settings=Settings(folder=folder))).pixels


@pytest.mark.parametrize("kind", OFFLINE)
@pytest.mark.parametrize("size", [(70, 50), (1, 1)])
def test_each_kind_keeps_the_size_and_is_the_same_each_time(kind, size):
    image = scene(*size, batch=2)
    found = run(image, kind=kind)
    assert (found.shape, found.dtype) == ((2, size[1], size[0], 3), np.float32)
    assert 0 <= found.min() <= found.max() <= 1
    assert np.array_equal(run(image, kind=kind), found)
    assert np.array_equal(found[0], found[1]) or kind == "shuffle"
    if size != (1, 1):
        assert found.std() > 0.01


@pytest.fixture(scope="module")
def aux():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import controlnet_aux
    return controlnet_aux


@pytest.mark.parametrize(
    ("kind", "detector", "given", "settings"),
    [
        ("canny", "CannyDetector", {}, {}),
        ("canny", "CannyDetector", {"low": 20.0, "high": 40.0}, {"low_threshold": 20, "high_threshold": 40}),
        ("lineart", "LineartStandardDetector", {}, {}),
        ("lineart", "LineartStandardDetector", {"sigma": 3.0}, {"guassian_sigma": 3.0}),
    ],
)
def test_edges_and_lines_equal_those_of_controlnet_aux(aux, kind, detector, given, settings):
    """At a size that it leaves as it is: multiples of 64."""
    image = scene(192, 128)
    picture = (image.pixels[0] * 255).round().astype(np.uint8)
    how = {"detect_resolution": 128} | ({"image_resolution": 128} if kind == "canny" else {})
    theirs = getattr(aux, detector)()(picture, **how, **settings, output_type="np")
    assert np.array_equal((run(image, kind=kind, **given)[0] * 255).round().astype(np.uint8), theirs)


def test_canny_finds_the_edge_of_the_disc_and_its_thresholds_count():
    edges = run(scene(), kind="canny")[0, ..., 0]
    y, x = np.nonzero(edges)
    assert len(x) > 30
    assert np.abs(np.hypot(x - 35, y - 25) - 12.5).max() < 2.5
    assert not run(scene(), kind="canny", low=2040.0, high=2040.0).any()


def test_scribble_and_lineart_are_white_where_the_picture_is_darker_than_around():
    for kind in ("scribble", "lineart"):
        lines = run(scene(), kind=kind)[0, ..., 0]
        assert lines[25, 24:27].max() > 0.4, kind
        assert lines[5, 5] == 0, kind
    assert run(scene(), kind="scribble", threshold=255.0).sum() < run(scene(), kind="scribble").sum()


def test_shuffle_draws_by_its_seed_and_place_in_the_batch():
    image = scene(batch=2)
    first = run(image, kind="shuffle", seed=5, size=32)
    assert np.array_equal(first, run(image, kind="shuffle", seed=5, size=32))
    assert not np.array_equal(first, run(image, kind="shuffle", seed=6, size=32))
    assert np.array_equal(first[1], run(scene(), kind="shuffle", seed=6, size=32)[0])
    state = np.random.get_state()[1].copy()
    run(image, kind="shuffle", seed=5)
    assert np.array_equal(np.random.get_state()[1], state)


def test_the_plain_kinds():
    image = scene()
    picture = (image.pixels * 255).round() / 255
    grey = picture @ np.array([0.299, 0.587, 0.114])
    assert run(image, kind="luminance")[..., 0] == pytest.approx(grey, abs=1 / 255)
    assert run(image, kind="invert") == pytest.approx(1 - picture, abs=1e-6)
    binary = run(image, kind="binary")[0, ..., 0]
    assert (set(np.unique(binary)), binary[25, 35], binary[2, 2]) == ({0, 1}, 0, 1)
    assert not run(image, kind="binary", threshold=255.0).any()
    mosaic = run(scene(64, 64), kind="colour", size=32)[0]
    assert len(np.unique(mosaic.reshape(-1, 3), axis=0)) == 4
    for kind in ("tile", "blur"):
        assert run(image, kind=kind).std() < picture.std()
        assert run(image, kind=kind).mean() == pytest.approx(picture.mean(), abs=0.02)


def test_a_grey_picture_and_another_resolution():
    grey = Image(scene().pixels[..., :1])
    assert run(grey, kind="canny").shape == (1, 50, 70, 3)
    coarse = run(scene(), kind="canny", resolution=25)
    assert coarse.shape == (1, 50, 70, 3)
    assert not np.array_equal(coarse, run(scene(), kind="canny"))


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> Path:
    """A folder with tiny transformers models, and random weights for one detector of controlnet-aux."""
    from transformers import (
        DepthAnythingConfig,
        DepthAnythingForDepthEstimation,
        Dinov2Config,
        DPTImageProcessor,
        SegformerConfig,
        SegformerForSemanticSegmentation,
        SegformerImageProcessor,
    )

    folder = tmp_path_factory.mktemp("networks")
    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=28, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        head_hidden_size=4, patch_size=14,
    )  # fmt: skip
    relative = DepthAnythingForDepthEstimation(config)
    for weight in relative.parameters():
        torch.nn.init.normal_(weight, 0, 0.2)
    relative.head.conv3.bias.data.fill_(1.0)
    relative.save_pretrained(folder / "depth")
    config.depth_estimation_type, config.max_depth = "metric", 20
    metric = DepthAnythingForDepthEstimation(config)
    metric.load_state_dict(relative.state_dict())
    metric.save_pretrained(folder / "metric")
    segments = SegformerConfig(
        hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 1, 1], decoder_hidden_size=8,
        num_labels=150,
    )  # fmt: skip
    SegformerForSemanticSegmentation(segments).save_pretrained(folder / "segment")
    size = {"height": 28, "width": 28}
    for name in ("depth", "metric"):
        DPTImageProcessor(size=size, ensure_multiple_of=14).save_pretrained(folder / name)
    SegformerImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder / "segment")
    return folder


def test_depth_is_that_of_transformers_stretched_to_black_and_white(networks):
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    image = scene(batch=2)
    found = run(image, networks, kind="depth", model="depth")
    assert found.shape == (2, 50, 70, 3)
    assert (found.min(), found.max()) == (0, 1)
    model = AutoModelForDepthEstimation.from_pretrained(networks / "depth").eval()
    processor = AutoImageProcessor.from_pretrained(networks / "depth")
    picture = (image.pixels[0] * 255).round().astype(np.uint8)
    with torch.no_grad():
        seen = model(**processor(images=picture, return_tensors="pt"))
    (one,) = processor.post_process_depth_estimation(seen, target_sizes=[(50, 70)])
    d = one["predicted_depth"].numpy()
    assert found[0, ..., 0] == pytest.approx((d - d.min()) / (d.max() - d.min()), abs=1 / 255)


def test_metres_are_turned_around_so_that_near_is_white(networks):
    near = run(scene(), networks, kind="depth", model="depth")[0, ..., 0].ravel()
    metres = run(scene(), networks, kind="depth", model="metric")[0, ..., 0].ravel()
    assert np.corrcoef(near, metres)[0, 1] < 0


def test_segments_are_in_the_colours_of_ade20k(networks, aux):
    found = run(scene(), networks, kind="segment", model="segment")
    palette = {tuple(colour) for colour in aux.util.ade_palette()}
    colours = {tuple(c) for c in (found * 255).round().astype(int).reshape(-1, 3).tolist()}
    assert found.shape == (1, 50, 70, 3)
    assert colours <= palette


@pytest.fixture(scope="module")
def annotators(tmp_path_factory, aux) -> Path:
    from controlnet_aux.lineart import Generator

    folder = tmp_path_factory.mktemp("annotators")
    torch.manual_seed(0)
    for name in NETWORKS["lineart_realistic"][1]:
        torch.save(Generator(3, 1, 3).state_dict(), folder / name)
    return folder


def test_a_detector_of_controlnet_aux_sees_the_picture_at_its_own_size(annotators, aux):
    from controlnet_aux import LineartDetector

    image = scene()
    found = run(image, annotators, kind="lineart_realistic", model=".")
    assert found.shape == (1, 50, 70, 3)
    wide = np.pad((image.pixels[0] * 255).round().astype(np.uint8), ((0, 14), (0, 58), (0, 0)), mode="edge")
    detector = LineartDetector.from_pretrained(str(annotators))
    theirs = detector(wide, detect_resolution=64, image_resolution=64, output_type="np")[:50, :70]
    assert np.array_equal((found[0] * 255).round().astype(np.uint8), theirs)
    assert theirs.std() > 1


class Evil:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


@pytest.mark.parametrize("way", ["pickle", "torch"])
def test_weights_that_would_run_code_are_refused(annotators, tmp_path, monkeypatch, way):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    for name in NETWORKS["lineart_realistic"][1]:
        (tmp_path / name).write_bytes((annotators / name).read_bytes())
    bad = tmp_path / "sk_model2.pth"
    bad.write_bytes(pickle.dumps(Evil())) if way == "pickle" else torch.save({"a": Evil()}, bad)
    with pytest.raises(WeftError, match=r"E-PICKLE: sk_model2\.pth holds something other than tensors") as found:
        run(scene(), tmp_path, kind="lineart_realistic", model=".")
    assert found.value.exit_code == 5
    assert not (tmp_path / "ran").exists()


def test_damaged_weights_are_told(annotators, tmp_path):
    for name in NETWORKS["lineart_realistic"][1]:
        (tmp_path / name).write_bytes((annotators / name).read_bytes()[:-2000])
    with pytest.raises(WeftError, match=r"E-MODEL: sk_model\.pth is damaged"):
        run(scene(), tmp_path, kind="lineart_realistic", model=".")


@pytest.mark.parametrize("kind", [*MODELS, *NETWORKS])
def test_weft_check_says_what_a_kind_needs_and_how_to_get_it(kind):
    nodes = {
        "in": {"type": "LoadImage", "path": "a.png"},
        "hint": {"type": "ControlImage", "image": "@in.image", "kind": kind},
        "out": {"type": "SaveImage", "image": "@hint"},
    }
    _, problems = check(from_value({"format": 1, "nodes": nodes}), registry())
    (problem,) = problems
    assert (problem.code, problem.exit_code, problem.place.input) == ("E-NOTFOUND", 3, "kind")
    assert problem.what == f"{kind} needs a model"
    names = [MODELS[kind]] if kind in MODELS else ["lllyasviel/Annotators", *NETWORKS[kind][1]]
    get = f"weft models pull {names[0]}, and give" if kind in MODELS else f"hf download {' '.join(names)} --local-dir "
    assert problem.hint.startswith(f"get it with {get}")


@pytest.mark.parametrize(
    ("kind", "model", "what"),
    [
        ("depth", "nowhere", 'no model "nowhere" here or in the hub'),
        ("depth", "owner/depth", "weft models pull owner/depth"),
        ("depth", "empty", '"empty" holds no .safetensors; get it with weft models pull depth-anything/'),
        ("openpose", "empty", '"empty" has no body_pose_model.pth or hand_pose_model.pth or facenet.pth; get it with'),
    ],
)
def test_weft_check_looks_for_the_files(tmp_path, kind, model, what):
    (tmp_path / "empty").mkdir()
    nodes = {
        "in": {"type": "Digits"},
        "one": {"type": "DatasetImage", "dataset": "@in"},
        "hint": {"type": "ControlImage", "image": "@one", "kind": kind, "model": model},
        "out": {"type": "SaveImage", "image": "@hint"},
    }
    (tmp_path / "flow.json").write_text(json.dumps({"format": 1, "nodes": nodes}))
    (problem,) = check_files(load(tmp_path / "flow.json", registry=registry()))
    assert (problem.code, problem.exit_code, problem.place.input) == ("E-NOTFOUND", 3, "model")
    assert what in str(problem)


def test_a_model_that_is_of_another_sort_is_told(networks):
    with pytest.raises(WeftError, match=r"E-MODEL.*no model for this, or damaged"):
        run(scene(), networks, kind="depth", model="segment")
