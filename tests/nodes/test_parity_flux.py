"""Flux, schnell and dev, gives the pictures that diffusers' pipelines give; see `parity.assert_same`."""

from functools import cache

import diffusers
import numpy as np
import pytest
import text_to_image
import torch
from parity import assert_same, pixels
from PIL import Image

from engine.errors import WeftError

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]

KINDS = ["flux-schnell", "flux-dev"]
SEED, STEPS, TOKENS = 5, 4, 48
TASKS = (diffusers.FluxPipeline, diffusers.FluxImg2ImgPipeline)


@pytest.fixture(scope="module")
def reference(checkpoint):
    """A function that runs diffusers' pipeline: pixels (B, H, W, 3) in 0 … 1."""

    @cache
    def loaded(kind, task):
        pipe = TASKS[task].from_pretrained(checkpoint(kind), dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        return pipe, pipe.scheduler.config

    def go(kind, task=0, scheduler=diffusers.FlowMatchEulerDiscreteScheduler, settings=None, **call):
        pipe, config = loaded(kind, task)
        pipe.scheduler = scheduler.from_config(config, **settings or {})
        sizes = {"width": 64, "height": 64, "max_sequence_length": TOKENS}
        return pixels(pipe, seed=SEED, **{"num_inference_steps": STEPS, **sizes, **call})

    return go


@pytest.fixture
def ours(checkpoint, run_nodes):
    """A function that runs a graph of ours: pixels (B, H, W, 3) in 0 … 1."""

    def go(kind, width=64, height=64, **changes):
        sizes = {f"{node}__{side}": n for node in ("blank", "schedule") for side, n in
                 (("width", width), ("height", height))}  # fmt: skip
        changes = {"sampler__kind": "model", "wanted__max_tokens": TOKENS, **sizes, **changes}
        # no negative is given, so the scale of CFG does nothing
        nodes = text_to_image.graph(checkpoint(kind), "a fox", 7.5, STEPS, SEED, **changes)
        return run_nodes(nodes, "decode")["decode"].pixels

    return go


@pytest.fixture
def capture_warnings(monkeypatch):
    """The warnings of all runs, as they come."""
    from engine import api

    found = []
    run = api.run

    def listening(*args, **kwargs):
        result = run(*args, **kwargs)
        found.extend(result.warnings)
        return result

    monkeypatch.setattr(api, "run", listening)
    return found


def encode(text, **more):
    return {"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": text, "max_tokens": TOKENS, **more}


def told(scale):
    node = {"type": "FluxGuidance", "conditioning": "@wanted", "scale": scale}
    return {"told": node, "guide__positive": "@told"}


CALLS = {
    "as it comes": ({}, {}),
    "guidance told": (told(7.5), {"guidance_scale": 7.5}),
    "guidance 0 told": (told(0.0), {"guidance_scale": 0.0}),
    "guidance 1 told": (told(1.0), {"guidance_scale": 1.0}),
    "true guidance": ({"no": encode("grass"), "guide__negative": "@no", "guide__scale": 4.0, **told(2.0)},
                      {"negative_prompt": "grass", "true_cfg_scale": 4.0, "guidance_scale": 2.0}),
    "true guidance 1": ({"no": encode("grass"), "guide__negative": "@no", "guide__scale": 1.0},
                        {"negative_prompt": "grass", "true_cfg_scale": 1.0}),
    "batch of 3": ({"blank__batch": 3}, {"batch": 3}),
    "batch of 3, true guidance": ({"blank__batch": 3, "no": encode("grass"), "guide__negative": "@no"},
                                  {"batch": 3, "negative_prompt": "grass", "true_cfg_scale": 7.5}),
    "odd sizes": ({"width": 80, "height": 48}, {"width": 80, "height": 48}),
    "one step": ({"schedule__steps": 1}, {"num_inference_steps": 1}),
    "seven steps": ({"schedule__steps": 7}, {"num_inference_steps": 7}),
    "two prompts": ({"wanted__text_2": "grass"}, {"prompt_2": "grass"}),
    "512 tokens": ({"wanted__max_tokens": None}, {"max_sequence_length": 512}),
    "karras": ({"schedule__spacing": "karras"}, {"settings": {"use_karras_sigmas": True}}),
    "exponential": ({"schedule__spacing": "exponential"}, {"settings": {"use_exponential_sigmas": True}}),
    "beta": ({"schedule__spacing": "beta"}, {"settings": {"use_beta_sigmas": True}}),
    "another shift": ({"schedule__shift": 2.0}, {"settings": {"shift": 2.0, "use_dynamic_shifting": False}}),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLS)
@pytest.mark.parametrize("kind", KINDS)
def test_p8_p9_what_a_call_may_ask_for(ours, reference, kind, case):
    changes, call = CALLS[case]
    assert_same(ours(kind, **changes), reference(kind, **call))


@pytest.mark.parametrize(
    ("kind", "cls"), [("dpmpp_2m", diffusers.DPMSolverMultistepScheduler), ("unipc", diffusers.UniPCMultistepScheduler)]
)
def test_p9_solvers_on_levels_of_their_own(ours, reference, kind, cls):
    # schnell has no such case: the pipeline hands these a mu, which they take only where the shift follows the size
    settings = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    here = ours("flux-dev", sampler__kind=kind, schedule__sampler="@sampler")
    assert_same(here, reference("flux-dev", scheduler=cls, settings=settings))


@pytest.mark.parametrize("start", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_p8_p9_image_to_image(ours, reference, kind, start, tmp_path):
    given = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(given).save(tmp_path / "in.png")
    picture = {
        "open": {"type": "LoadImage", "path": "in.png"},
        "coded": {"type": "VAEEncode", "vae": "@base.vae", "image": "@open.image"},
        "late": {"type": "CutSchedule", "schedule": "@schedule", "start": start},
        "denoise__schedule": "@late",
        "denoise__latent": "@coded",
    }
    # their t_start is int(n - n strength), so 0.6 of 4 steps begins after the first, as 0.75 does
    strength = {0.0: 1.0, 0.25: 0.6, 0.5: 0.5}[start]
    call = {"image": Image.fromarray(given), "strength": strength, "width": 64, "height": 48, "guidance_scale": 3.5}
    there = reference(kind, 1, **call)
    assert_same(ours(kind, 64, 48, **picture), there)


def test_p9_dev_listens_to_the_scale_and_schnell_does_not(ours):
    assert np.abs(ours("flux-dev", **told(9.0)) - ours("flux-dev")).max() > 1e-3
    assert np.array_equal(ours("flux-schnell", **told(9.0)), ours("flux-schnell"))


def test_p9_the_shift_follows_the_size_that_the_schedule_is_told(capture_warnings, ours):
    small = ours("flux-dev")
    assert capture_warnings == []
    large = ours("flux-dev", schedule__width=1024, schedule__height=1024)
    assert np.abs(large - small).max() > 1e-3
    assert [str(problem) for problem in capture_warnings] == [
        "W-SIZE denoise.schedule: made for pictures of another size than 64 x 64, which its shift follows; "
        "give NoiseSchedule this width and height"
    ]


@pytest.fixture
def calls(monkeypatch):
    """The batch size of each call of the network, as they come."""
    found = []
    forward = diffusers.FluxTransformer2DModel.forward

    def counted(self, hidden_states, *args, **kwargs):
        found.append(hidden_states.shape[0])
        return forward(self, hidden_states, *args, **kwargs)

    monkeypatch.setattr(diffusers.FluxTransformer2DModel, "forward", counted)
    return found


def test_without_a_negative_the_network_runs_once(ours, calls):
    ours("flux-dev")
    assert calls == [1] * STEPS
    calls.clear()
    ours("flux-dev", no=encode("grass"), guide__negative="@no")
    assert calls == [2] * STEPS


def test_a_sweep_of_prompts_and_of_scales_that_are_told_is_one_batch(checkpoint, calls, tmp_path):
    from engine.api import load, run
    from engine.cache import Cache
    from engine.context import Settings
    from engine.sweep import Sweep
    from nodes import registry

    sizes = {"blank__width": 64, "blank__height": 64, "schedule__width": 64, "schedule__height": 64}
    changes = {**told(1.0), **sizes, "sampler__kind": "model"}
    nodes = text_to_image.graph(checkpoint("flux-dev"), "a fox", 1.0, STEPS, SEED, **changes)
    nodes["save"] = {"type": "SaveImage", "image": "@decode", "path": "{variant}.png"}
    workflow = load({"format": 1, "nodes": nodes}, registry=registry())
    sweep = Sweep({"told.scale": [1.0, 9.0], "wanted.text": ["a fox", "grass"]})

    def pictures(batch):
        result = run(workflow, sweep=sweep, settings=Settings(out=tmp_path / str(batch), batch=batch), cache=Cache())
        return np.stack([np.asarray(Image.open(file.path)) for file in result.files]).astype(int)

    together = pictures(4)
    # the first is played through for one variant, to see how many there is room for
    assert calls == [1, *[4] * STEPS]
    alone = pictures(1)
    assert np.abs(together - alone).max() <= 1
    assert len({picture.tobytes() for picture in alone}) == 4


def test_without_a_positive_it_draws_an_empty_text(ours):
    empty = {"no": {**encode(""), "max_tokens": 512}, "guide__positive": "@no", "guide__scale": 1.0}
    assert np.array_equal(ours("flux-dev", **empty), ours("flux-dev", guide__positive=None))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 72}, "width must be a multiple of 16, got 72"),
        ({"wanted__text_3": "x"}, "this model has two text encoders: text_3 is for SD3"),
        ({"wanted__clip_skip": 1}, "clip_skip"),
        ({"other": "sd3"}, "the latent is in the space sd3, and the model works in flux"),
    ],
)
def test_what_does_not_fit_says_why(ours, checkpoint, changes, message):
    if "other" in changes:
        other = {"type": "LoadCheckpoint", "source": str(checkpoint(changes["other"]))}
        changes = {"other": other, "blank__model": "@other.model"}
    with pytest.raises(WeftError) as found:
        ours("flux-dev", **changes)
    assert message in " ".join(str(found.value).split())


@pytest.mark.parametrize(
    ("kind", "words", "cut"),
    [
        ("flux-dev", 30, 0),  # 90 letters: more than CLIP reads, and T5 reads them all
        ("flux-dev", 300, 300 * 4 - 511),
        ("sd3", 30, 0),
        ("sd3", 300, 300 * 4 - 255),
        ("sd3-without-t5", 30, 90 - 75),
    ],
)
def test_b53_what_no_encoder_reads_is_told_of(checkpoint, kind, words, cut):
    from engine.context import Context
    from engine.events import Warned
    from nodes.load import LoadCheckpoint
    from nodes.text import TextEncode

    said = []
    ctx = Context(node="wanted", emit=said.append)
    encoder = LoadCheckpoint(source=str(checkpoint(kind))).run(ctx).text_encoder
    TextEncode(text_encoder=encoder, text="fox " * words).run(ctx)
    warnings = [str(event.problem) for event in said if isinstance(event, Warned)]
    if cut:
        assert f"{cut} of " in warnings[0]
    else:
        assert warnings == []
