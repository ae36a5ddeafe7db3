"""Ways of guiding: each against diffusers' own guider or pipeline, and plain guidance where it is set to do nothing."""

from unittest.mock import patch

import checkpoints_control
import diffusers
import pytest
import torch
from diffusers import guiders as theirs
from diffusers.guiders import frequency_decoupled_guidance
from parity import assert_same, pixels
from PIL import Image
from text_to_image import graph

from diffusion.guidance import Guidance, Outputs, Push
from diffusion.guiders import RULES, coarse, rule_of
from diffusion.recipes import Method
from diffusion.schedule import schedule
from diffusion.types import ScheduleConfig
from engine.errors import WeftError

# diffusers 0.42 turns tensors into arrays as numpy 2 would rather not see it
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]

STEPS = schedule(ScheduleConfig(), 4)


def rand(seed, *shape):
    return torch.randn(shape or (2, 4, 8, 8), generator=torch.Generator().manual_seed(seed))


def method(kind, **settings):
    return Method(kind, tuple(settings.items()))


# Rules, on the same outputs of a network over three steps

APG, MAMBO = theirs.AdaptiveProjectedGuidance, theirs.MagnitudeAwareGuidance
LINES = {
    "apg": (method("apg", eta=0.0, norm=0.0, momentum=0.0), APG,
            {"eta": 0.0, "adaptive_projected_guidance_rescale": 0}),
    "apg, half": (method("apg", eta=0.5, norm=7.0, momentum=0.0), APG,
                  {"eta": 0.5, "adaptive_projected_guidance_rescale": 7.0}),
    "apg, momentum": (method("apg", eta=0.0, norm=15.0, momentum=-0.5), APG,
                      {"eta": 0.0, "adaptive_projected_guidance_momentum": -0.5}),
    "apg, as it is": (method("apg", eta=1.0, norm=15.0, momentum=0.75), APG,
                      {"eta": 1.0, "adaptive_projected_guidance_momentum": 0.75}),
    "zero star": (method("zero", zero_steps=0), theirs.ClassifierFreeZeroStarGuidance, {"zero_init_steps": 0}),
    "zero star, two steps": (method("zero", zero_steps=2), theirs.ClassifierFreeZeroStarGuidance,
                             {"zero_init_steps": 2}),
    "tangential": (method("tangent"), theirs.TangentialClassifierFreeGuidance, {}),
    "magnitude-aware": (method("mambo", damping=8.0), MAMBO, {"alpha": 8.0}),
    "magnitude-aware, weakly": (method("mambo", damping=0.5), MAMBO, {"alpha": 0.5}),
}  # fmt: skip


@pytest.mark.parametrize("rescale", [0.0, 0.7])
@pytest.mark.parametrize("case", LINES)
def test_a_rule_is_that_of_diffusers_guider(case, rescale):
    ours, cls, settings = LINES[case]
    guider = cls(guidance_scale=5.0, guidance_rescale=rescale, **settings)
    outputs = {}

    def network(x, level, inputs):
        negative, positive = outputs[level]
        return torch.cat([negative, positive])

    inputs = {"labels": torch.zeros(2)}
    guidance = Guidance(network, "epsilon", inputs, dict(inputs), 5.0, rescale, rule=rule_of(ours, STEPS))
    for step, level in enumerate(STEPS.levels[:3]):
        # alike, as what a network says of two conditions is
        negative = rand(step)
        positive = negative + 0.2 * rand(10 + step)
        outputs[level] = negative, positive
        guider.set_state(step, 4, torch.tensor(level.t))
        guider.prepare_inputs({})
        # diffusers' MAMBO-G takes no tensors of four axes, and its rescaling makes NaN of zeros
        expected = guider.forward(positive.flatten(2), negative.flatten(2)).pred.view_as(positive).nan_to_num(0)
        assert torch.allclose(guidance.output(rand(99), level), expected, atol=1e-5)


@pytest.mark.parametrize("low", [2.0, 5.0])
def test_frequency_decoupled_guidance_is_that_of_diffusers_on_our_pyramid(low):
    # diffusers takes its pyramid from kornia; here both go by ours, in which the low band keeps its size
    with (
        patch.object(frequency_decoupled_guidance, "_CAN_USE_KORNIA", True),
        patch.object(
            frequency_decoupled_guidance, "build_laplacian_pyramid_func", lambda x, n: [x - coarse(x), coarse(x)]
        ),
        patch.object(frequency_decoupled_guidance, "upsample_and_blur_func", lambda x: x),
    ):
        guider = theirs.FrequencyDecoupledGuidance(guidance_scales=[7.0, low])
        guider.set_state(0, 4, torch.tensor(0))
        expected = guider.forward(rand(1), rand(2)).pred
    rule = rule_of(method("bands", low_scale=low), STEPS).rule
    assert torch.allclose(rule(Outputs(rand(2), rand(1), 7.0, STEPS.levels[0])), expected, atol=1e-5)


def test_the_coarse_part_is_what_a_laplacian_pyramid_leaves():
    flat = torch.full((1, 3, 6, 10), 2.5)
    assert torch.allclose(coarse(flat), flat)
    ripple = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 1, 16, 16).contiguous()
    assert coarse(ripple).abs().max() < 0.2
    slope = torch.linspace(0, 1, 16).expand(1, 1, 16, 16)
    assert torch.allclose(coarse(slope)[..., 6:10], slope[..., 6:10], atol=1e-5)
    for size in ((1, 1), (2, 3), (5, 7)):
        assert coarse(rand(1, 1, 2, *size)).shape == (1, 2, *size)


def test_two_conditions_have_a_scale_each():
    o = Outputs(rand(1), rand(2), 5.0, STEPS.levels[0], rand(3))
    expected = rand(1) + 2.0 * (rand(3) - rand(1)) + 5.0 * (rand(2) - rand(3))
    assert torch.allclose(rule_of(method("dual", middle_scale=2.0), STEPS).rule(o), expected, atol=1e-5)


def test_only_what_is_perpendicular_is_pushed_away_from():
    o = Outputs(rand(1), rand(2), 5.0, STEPS.levels[0], rand(3))
    made = rule_of(method("perpneg", negative_scale=1.5), STEPS).rule(o)
    for i in range(2):
        p, n, empty = (v.double().flatten() for v in ((rand(2) - rand(3))[i], (rand(1) - rand(3))[i], rand(3)[i]))
        aside = n - (n @ p) / (p @ p) * p
        assert abs(float(aside @ p)) < 1e-9
        assert torch.allclose(made[i].double().flatten(), empty + 5.0 * (p - 1.5 * aside), atol=1e-4)


@pytest.mark.parametrize("kind", RULES)
def test_outputs_of_zeros_give_no_nan(kind):
    settings = {"eta": 0.5, "norm": 1.0, "momentum": 0.5, "zero_steps": 0, "damping": 0.0, "low_scale": 1.0,
                "middle_scale": 1.0, "negative_scale": 1.0}  # fmt: skip
    zeros = torch.zeros(2, 4, 8, 8)
    made = rule_of(method(kind, **settings), STEPS).rule(Outputs(zeros, zeros, 3.0, STEPS.levels[0], zeros))
    assert torch.equal(made, zeros)


PUSHES = {
    "perturbed attention": (theirs.PerturbedAttentionGuidance, "perturbed_guidance"),
    "skip layer": (theirs.SkipLayerGuidance, "skip_layer_guidance"),
    "smoothed energy": (theirs.SmoothedEnergyGuidance, "seg_guidance"),
}


@pytest.mark.parametrize("rescale", [0.0, 0.7])
@pytest.mark.parametrize("case", PUSHES)
def test_a_push_is_that_of_diffusers_guider(case, rescale):
    cls, name = PUSHES[case]
    own = {f"{name}_{key}": value for key, value in (("scale", 2.8), ("start", 0.0), ("stop", 1.0), ("layers", [0]))}
    guider = cls(guidance_scale=5.0, guidance_rescale=rescale, **own)
    guider.set_state(1, 4, torch.tensor(0))
    negative, positive, worse = rand(1), rand(2), rand(3)
    inputs = {"labels": torch.zeros(2)}
    guidance = Guidance(
        lambda x, level, inputs: torch.cat([negative, positive]), "epsilon", inputs, dict(inputs), 5.0, rescale,
        push=Push(lambda x, level, inputs: worse, 2.8),
    )  # fmt: skip
    expected = guider.forward(positive, negative, worse).pred
    assert torch.allclose(guidance.output(rand(9), STEPS.levels[1]), expected, atol=1e-5)


# Through a graph

SIZE = {"blank__width": 64, "blank__height": 64, "schedule__steps": 3, "sampler__kind": "model"}


@pytest.fixture
def drawn(checkpoint, run_nodes):
    """The latent that a graph with another guider ends on."""

    def go(kind, guider="CFG", scale=5.0, source=None, **inputs):
        nodes = graph(source or checkpoint(kind), "7" if source else "a fox", scale, **({} if source else SIZE))
        nodes["snow"] = {"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": "3" if source else "snow"}
        nodes["grass"] = {**nodes["snow"], "text": "1" if source else "grass"}
        nodes["guide"] |= {"type": guider, **inputs}
        return run_nodes(nodes, "denoise")["denoise"].samples

    return go


NEUTRAL = {
    "AdaptiveProjectedGuider": {"eta": 1.0, "norm": 0.0, "momentum": 0.0},
    "MagnitudeAwareGuider": {"damping": 0.0},
    "FrequencyDecoupledGuider": {"low_scale": 5.0},
    "DualGuider": {"middle_scale": 5.0, "middle": "@snow"},
    "PerpNegGuider": {"negative_scale": 0.0},
    "PerturbedAttentionGuider": {"strength": 0.0},
    "SkipLayerGuider": {"strength": 0.0},
    "SmoothedEnergyGuider": {"strength": 0.0},
}
ROUNDED = ("DualGuider", "PerpNegGuider")
"""Those that come to the same by another sum, or in a larger batch."""


@pytest.mark.parametrize("guider", NEUTRAL)
@pytest.mark.parametrize("kind", ["sd15", "sd3"])
def test_set_to_do_nothing_each_is_classifier_free_guidance(drawn, kind, guider):
    plain, same = drawn(kind), drawn(kind, guider, **NEUTRAL[guider])
    assert torch.allclose(same, plain, atol=1e-3) if guider in ROUNDED else torch.equal(same, plain)


ACTIVE = {
    **{name: {} for name in NEUTRAL},
    "DualGuider": {"middle": "@grass"},
    "FrequencyDecoupledGuider": {"low_scale": 2.0},
    "SkipLayerGuider": {"push_start": 0.0, "push_stop": 1.0},
    "SmoothedEnergyGuider": {"blur": 1.0},
    "TangentialGuider": {},
    "ZeroStarGuider": {},
}


@pytest.mark.parametrize("guider", ACTIVE)
@pytest.mark.parametrize("kind", ["sdxl", "sd35", "flux-dev"])
def test_each_does_something_to_every_family(drawn, kind, guider):
    inputs = {"negative": "@snow", **ACTIVE[guider]}
    changed, plain = drawn(kind, guider, **inputs), drawn(kind, negative="@snow")
    assert changed.isfinite().all()
    assert not torch.allclose(changed, plain, atol=1e-4)


def test_autoguidance_leads_away_from_a_worse_model(checkpoint, drawn, run_nodes, tmp_path):
    one = drawn("sd15", scale=1.0)
    assert torch.equal(drawn("sd15", "AutoGuider", scale=1.0, worse="@base.model"), one)
    assert torch.allclose(drawn("sd15", "AutoGuider", scale=3.0, worse="@base.model"), one, atol=1e-5)


def test_autoguidance_is_the_line_through_both_models(tmp_path, tiny_model, run_nodes):
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_model, tmp_path / "worse")
    weights = load_file(tmp_path / "worse" / "model.safetensors")
    save_file({name: 0.9 * tensor for name, tensor in weights.items()}, tmp_path / "worse" / "model.safetensors")
    more = {"other": {"type": "LoadCheckpoint", "source": str(tmp_path / "worse")}, "schedule__steps": 1}

    def step(**changes):
        return run_nodes(graph(tiny_model, scale=1.0, **{**more, **changes}), "denoise")["denoise"].samples

    better, worse = step(), step(guide__model="@other.model")
    led = step(guide__type="AutoGuider", guide__worse="@other.model", guide__scale=1.5)
    assert torch.allclose(led, worse + 1.5 * (better - worse), atol=1e-4)
    assert not torch.allclose(led, better, atol=1e-3)


@pytest.mark.parametrize("guider", ["AdaptiveProjectedGuider", "ZeroStarGuider", "FrequencyDecoupledGuider"])
def test_rules_serve_models_of_pixels_too(tiny_model, drawn, guider):
    changed = drawn("", guider, source=tiny_model, **ACTIVE[guider])
    assert changed.isfinite().all()
    assert not torch.allclose(changed, drawn("", source=tiny_model), atol=1e-4)


PAG = {
    "sd15": (diffusers.StableDiffusionPAGPipeline, "mid", ""),
    "sdxl": (diffusers.StableDiffusionXLPAGPipeline, "down_blocks.1", "down.1"),
    "sd3": (diffusers.StableDiffusion3PAGPipeline, "blocks.0", "0"),
}


@pytest.mark.parametrize("scale", [7.5, 1.0])
@pytest.mark.parametrize("kind", PAG)
def test_p1_p3_p7_perturbed_attention_draws_what_the_pipeline_draws(checkpoint, run_nodes, kind, scale):
    cls, theirs, ours = PAG[kind]
    pipe = cls.from_pretrained(checkpoint(kind), dtype=torch.float32, pag_applied_layers=[theirs])
    pipe.set_progress_bar_config(disable=True)
    guide = {"type": "PerturbedAttentionGuider", "model": "@base.model", "positive": "@wanted", "layers": ours}
    more = {"sampler__kind": "flow_euler"}
    if kind != "sd3":
        pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
        more = {}
    nodes = graph(checkpoint(kind), "a fox", guide={**guide, "scale": scale}, **more)
    there = pixels(pipe, pag_scale=3.0, guidance_scale=scale, num_inference_steps=4, width=64, height=64)
    assert_same(run_nodes(nodes, "decode")["decode"].pixels, there)


def test_p7_skip_layer_guidance_draws_what_the_pipeline_draws(checkpoint, run_nodes):
    pipe = diffusers.StableDiffusion3Pipeline.from_pretrained(checkpoint("sd35"), dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    skip = {"skip_guidance_layers": [0], "skip_layer_guidance_start": 0.0, "skip_layer_guidance_stop": 0.8}
    guide = {"type": "SkipLayerGuider", "model": "@base.model", "positive": "@wanted", "scale": 7.0, "layers": "0"}
    # the pipeline leaves the first step out, and goes by where a step begins
    when = {"push_start": 0.25, "push_stop": 1.0}
    nodes = graph(checkpoint("sd35"), "a fox", guide={**guide, **when}, sampler__kind="flow_euler")
    there = pixels(pipe, guidance_scale=7.0, num_inference_steps=4, width=64, height=64, **skip)
    assert_same(run_nodes(nodes, "decode")["decode"].pixels, there)


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        ("pixel", {"type": "PerturbedAttentionGuider"}, "this model has no transformer blocks"),
        ("sd15", {"type": "SkipLayerGuider", "layers": "7"}, 'no transformer blocks in "7"; its layers: mid, down.0'),
        ("sd15", {"type": "SkipLayerGuider", "layers": "mid, up.9"}, 'no transformer blocks in "up.9"'),
        ("sd3", {"type": "SmoothedEnergyGuider", "layers": "2"}, 'no transformer blocks in "2"; its layers: 0 … 1'),
        ("sd15", {"type": "AutoGuider", "worse": "@other.model"}, "the worse model's family is sdxl"),
        ("sd15", {"type": "AutoGuider", "worse": "@steered"}, "takes no LoRA, IP-Adapter or ControlNet of its own"),
        ("sd15", {"type": "DualGuider"}, "E-MISSING"),
    ],
)  # fmt: skip
def test_what_a_model_cannot_be_guided_by(checkpoint, tiny_model, run_nodes, tmp_path, kind, inputs, message):
    pixel = kind == "pixel"
    nodes = graph(tiny_model if pixel else checkpoint(kind), "7" if pixel else "a fox")
    nodes["other"] = {"type": "LoadCheckpoint", "source": str(checkpoint("sdxl"))}
    nodes["net"] = {"type": "LoadControlNet", "source": str(checkpoints_control.make(tmp_path / "net", "sd15"))}
    nodes["grey"] = {"type": "LoadImage", "path": "grey.png"}
    Image.new("RGB", (64, 64), "grey").save(tmp_path / "grey.png")
    nodes["steered"] = {"type": "ControlNetApply", "model": "@base.model", "controlnet": "@net", "image": "@grey.image"}
    nodes["guide"] |= inputs
    with pytest.raises(WeftError) as found:
        run_nodes(nodes, "denoise")
    assert message in " ".join(str(found.value).split())
