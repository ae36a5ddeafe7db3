"""Conditionings made of others in a graph: what they do to a picture, and what they leave alone."""

import checkpoints_control
import numpy as np
import pytest
import torch
from PIL import Image
from text_to_image import graph

from engine.api import load, run
from engine.cache import Cache
from engine.context import Settings
from engine.errors import WeftError
from engine.sweep import Sweep
from nodes import registry

SIZE = {"blank__width": 64, "blank__height": 48, "sampler__kind": "euler", "schedule__steps": 2}


@pytest.fixture
def drawn(checkpoint, run_nodes):
    """The latent that a graph with these changes ends on, for a kind of checkpoint."""

    def go(kind, **changes):
        nodes = graph(checkpoint(kind), "a fox", 5.0, **{**SIZE, **changes})
        return run_nodes(nodes, "denoise")["denoise"].samples

    return go


def text(words, **more):
    return {"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": words, **more}


def made(kind, **inputs):
    return {"type": kind, **inputs}


SAME = {
    "combined with itself": {"both": made("CombineCondition", first="@wanted", second="@wanted")},
    "combined with nothing": {
        "snow": text("snow"),
        "none": made("ConditionArea", conditioning="@snow", strength=0.0),
        "both": made("CombineCondition", first="@wanted", second="@none"),
    },
    "averaged with another at 1": {
        "snow": text("snow"),
        "both": made("AverageCondition", first="@wanted", second="@snow", strength=1.0),
    },
    "an area that is all": {
        "both": made("ConditionArea", conditioning="@wanted", width=64, height=48, strength=2.0),
    },
    "in two parts of the schedule": {
        "early": made("ConditionRange", conditioning="@wanted", end=0.5),
        "late": made("ConditionRange", conditioning="@wanted", start=0.5),
        "both": made("CombineCondition", first="@early", second="@late"),
    },
}


@pytest.mark.parametrize("case", SAME)
@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_what_changes_nothing(drawn, kind, case):
    assert torch.allclose(drawn(kind, **SAME[case], guide__positive="@both"), drawn(kind), atol=2e-4)


@pytest.mark.parametrize("node", [
    made("ConditionArea", conditioning="@snow", x=0.5, width=0.5, height=1.0, unit="fractions"),
    made("ConditionMask", conditioning="@snow", mask="@hole.mask"),
    made("ConditionMask", conditioning="@snow", mask="@hole.mask", crop=True),
], ids=["area", "mask", "crop"])  # fmt: skip
@pytest.mark.parametrize("side", ["positive", "negative"])
@pytest.mark.parametrize("kind", ["sd21", "sdxl"])
def test_one_step_changes_only_the_place_that_was_named(drawn, tmp_path, kind, side, node):
    alpha = np.full((48, 64, 4), 255, np.uint8)
    alpha[:, 32:, 3] = 0
    Image.fromarray(alpha).save(tmp_path / "hole.png")
    more = {
        "snow": text("snow " * 9),
        "no": text("grass"),
        "guide__negative": "@no",
        "hole": made("LoadImage", path="hole.png"),
        "place": node,
        "both": made("CombineCondition", first={"positive": "@wanted", "negative": "@no"}[side], second="@place"),
    }
    plain = drawn(kind, **{**more, "schedule__steps": 1})
    changed = drawn(kind, **{**more, "schedule__steps": 1, f"guide__{side}": "@both"})
    assert torch.allclose(changed[..., :4], plain[..., :4], atol=1e-5)
    assert not torch.allclose(changed[..., 5:], plain[..., 5:], atol=1e-2)


def test_a_window_of_sdxl_is_told_the_size_of_the_whole_picture(drawn):
    area = made("ConditionArea", conditioning="@wanted", x=32, width=32, height=48)
    told = {
        "sizes": made("SizeCondition", conditioning="@wanted", width=64, height=48),
        "area": {**area, "conditioning": "@sizes"},
    }
    own = drawn("sdxl", area=area, guide__positive="@area", guide__scale=1.0)
    assert torch.equal(own, drawn("sdxl", **told, guide__positive="@area", guide__scale=1.0))
    small = {**told, "sizes": {**told["sizes"], "width": 32}}
    assert not torch.allclose(own, drawn("sdxl", **small, guide__positive="@area", guide__scale=1.0), atol=1e-3)


@pytest.mark.filterwarnings("ignore:`FluxPosEmbed` is deprecated:FutureWarning")
@pytest.mark.parametrize("kind", ["sdxl", "sd3", "flux-dev"])
def test_an_area_is_steered_by_its_part_of_a_control_picture(drawn, tmp_path, kind):
    checkpoints_control.make(tmp_path / "net", kind)
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "in.png")
    steer = made("ControlNetApply", model="@base.model", controlnet="@net", image="@image.image")
    more = {
        "net": made("LoadControlNet", source="net"),
        "image": made("LoadImage", path="in.png"),
        "steer": steer if kind == "sdxl" else {**steer, "vae": "@base.vae"},
        "no": text("snow"),
        "area": made("ConditionArea", conditioning="@wanted", width=64, height=48, strength=3.0),
        "both": made("CombineCondition", first="@wanted", second="@area"),
        "guide__model": "@steer",
        "guide__negative": "@no",
        "sampler__kind": "model",
    }
    plain, whole = drawn(kind, **more), drawn(kind, **{**more, "guide__positive": "@both"})
    part = drawn(kind, **{**more, "guide__positive": "@both", "area__width": 32})
    assert torch.allclose(whole, plain, atol=1e-3)
    assert not torch.allclose(part, plain, atol=1e-3)


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_a_long_prompt_is_guided_away_from_a_short_one(drawn, kind):
    long = {"wanted__text": "a fox in snow " * 20, "wanted__weighting": "comfy"}
    # cross-attention to the same tokens twice is attention to them once
    twice = {"wanted__text": "a fox BREAK a fox", "wanted__weighting": "a1111"}
    assert drawn(kind, **long).isfinite().all()
    assert torch.allclose(drawn(kind, **twice), drawn(kind), atol=2e-4)


def test_several_labels_and_one_are_combined(tiny_model, run_nodes):
    more = {
        "three": text("3"),
        "both": made("CombineCondition", first="@wanted", second="@three"),
        "guide__positive": "@both",
        "blank__batch": 4,
    }
    four = run_nodes(graph(tiny_model, "1, 7", **more), "denoise")["denoise"].samples
    sevens = run_nodes(graph(tiny_model, "7", **{**more, "blank__batch": 2, "noise__seed": 7}), "denoise")
    assert torch.allclose(four[2:], sevens["denoise"].samples, atol=1e-5)


def test_b8_variants_of_several_lengths_and_parts_equal_one_at_a_time(checkpoint, tmp_path):
    more = {"area": made("ConditionArea", conditioning="@wanted", width=32, height=32), "wanted__weighting": "a1111"}
    nodes = graph(checkpoint("sd15"), "a fox", 5.0, **SIZE, **more)
    nodes["save"] = {"type": "SaveImage", "image": "@decode", "path": "{variant}.png"}
    digests = {}
    for batch in (4, 1):
        for positive in ("@wanted", "@area"):
            nodes["guide"]["positive"] = positive
            workflow = load({"format": 1, "nodes": nodes}, registry=registry())
            sweep = Sweep({"wanted.text": ["a fox", "a fox " * 40, "snow"]})
            events = []
            out = tmp_path / f"{batch}{positive}"
            run(workflow, sweep=sweep, settings=Settings(out=out, batch=batch), cache=Cache(), on_event=events.append)
            assert not [e for e in events if type(e).__name__ == "Warned"]
            digests[batch, positive] = [np.asarray(Image.open(out / f"{i}.png")).astype(int) for i in range(3)]
    for positive in ("@wanted", "@area"):
        for one, other in zip(digests[4, positive], digests[1, positive], strict=True):
            assert abs(one - other).max() <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"area": made("ConditionArea", conditioning="@wanted", width=8)}, "a width needs a height"),
        ({"area": made("ConditionArea", conditioning="@wanted", width=32, height=None)}, "E-RANGE"),
        ({"area": made("ConditionArea", conditioning="@wanted", x=2.0, unit="fractions")}, "2 is no fraction"),
        ({"area": made("ConditionRange", conditioning="@wanted", start=0.7, end=0.2)}, "start 0.7 lies after end 0.2"),
        ({"area": made("ConditionArea", conditioning="@wanted", x=640, width=64, height=64)},
         "E-RUN denoise: the area (640.0, 0.0, 64.0, 64.0) (pixels) has no place in a picture of 64 x 48"),
    ],
)  # fmt: skip
def test_what_a_graph_asks_in_vain(drawn, changes, message):
    with pytest.raises(WeftError) as found:
        drawn("sd15", **changes, guide__positive="@area")
    assert message in " ".join(str(found.value).split())
