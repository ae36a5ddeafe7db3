"""P11: LoRAs in every layout, one and several, give the pictures that diffusers' pipelines give."""

import adapters
import diffusers
import numpy as np
import parity
import pytest
import text_to_image
import torch

from engine.errors import WeftError

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept:DeprecationWarning",
        "ignore:Already found a `peft_config` attribute:UserWarning",
    ),
]
PIPELINES = {
    "sd15": diffusers.StableDiffusionPipeline,
    "sdxl": diffusers.StableDiffusionXLPipeline,
    "sd3": diffusers.StableDiffusion3Pipeline,
    "flux-dev": diffusers.FluxPipeline,
}
TEXTS = {"sd15": ("text_encoder",), "sdxl": ("text_encoder", "text_encoder_2")}
STEPS, SCALE = 3, 5.0


@pytest.fixture
def pipeline(checkpoint):
    """A function that loads diffusers' pipeline anew."""

    def load(kind):
        pipe = PIPELINES[kind].from_pretrained(checkpoint(kind), dtype=torch.float32, use_safetensors=True)
        pipe.set_progress_bar_config(disable=True)
        if kind in TEXTS:
            pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
        return pipe

    return load


@pytest.fixture
def ours(checkpoint, run_nodes):
    """A function that runs a graph of ours with LoRAs (inputs of LoRALoad), one behind the other."""

    def go(kind, *loras, **changes):
        return run_nodes(graph(checkpoint(kind), kind, loras, **changes), "decode")["decode"].pixels

    return go


def graph(folder, kind, loras, **changes):
    nodes = text_to_image.graph(folder, "a fox", SCALE, STEPS)
    if kind not in TEXTS:
        nodes["sampler"]["kind"] = "flow_euler"
        for node in ("blank", "schedule"):
            nodes[node] |= {"width": 64, "height": 64}
    before = "base"
    for i, inputs in enumerate(loras):
        links = {"model": f"@{before}.model", "text_encoder": f"@{before}.text_encoder"}
        nodes[f"lora{i}"] = {"type": "LoRALoad", **links, **inputs}
        before = f"lora{i}"
    nodes["wanted"]["text_encoder"] = f"@{before}.text_encoder"
    nodes["guide"]["model"] = f"@{before}.model"
    for name, value in changes.items():
        node, _, key = name.partition("__")
        nodes[node] = {**nodes.get(node, {}), key: value} if key else value
    return nodes


def drawn(pipe, kind, **call):
    size = {} if kind in TEXTS else {"width": 64, "height": 64}
    scale = 3.5 if kind == "flux-dev" else SCALE
    return parity.pixels(pipe, num_inference_steps=STEPS, guidance_scale=scale, **size, **call)


def lora_file(folder, pipe, kind, layout, pattern=adapters.ATTENTION, text=True, alpha=None, seed=0, rank=2):
    part = "unet" if kind in TEXTS else "transformer"
    parts = {part: adapters.factors(getattr(pipe, part), pattern, seed=seed, rank=rank)}
    for i, name in enumerate(TEXTS.get(kind, ())):
        if text:
            parts[name] = adapters.factors(getattr(pipe, name), adapters.TEXT, seed=seed + i + 1, rank=rank)
    return adapters.write(folder / f"{layout}-{seed}.safetensors", layout, parts, alpha)


CASES = {
    "sd15 peft": ("sd15", "peft", {}),
    "sd15 peft with alpha": ("sd15", "peft", {"alpha": 1}),
    "sd15 diffusers": ("sd15", "diffusers", {}),
    "sd15 diffusers, as at first": ("sd15", "diffusers-old", {"text": False}),
    "sd15 kohya": ("sd15", "kohya", {"alpha": 1}),
    "sd15 kohya, convolutions": ("sd15", "kohya", {"alpha": 1, "pattern": adapters.CONVOLUTIONS}),
    "sdxl peft": ("sdxl", "peft", {}),
    "sdxl kohya": ("sdxl", "kohya", {"alpha": 1}),
    "sdxl kohya, feed-forward": ("sdxl", "kohya", {"alpha": 1, "pattern": adapters.FEED_FORWARD}),
    "sd3 peft": ("sd3", "peft", {}),
    "flux peft": ("flux-dev", "peft", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_p11_lora_layouts(ours, pipeline, tmp_path, case):
    kind, layout, how = CASES[case]
    pipe = pipeline(kind)
    file = lora_file(tmp_path, pipe, kind, layout, **how)
    plain = drawn(pipe, kind)
    pipe.load_lora_weights(str(tmp_path), weight_name=file.name, adapter_name="one")
    pipe.set_adapters(["one"], [0.7])
    there = drawn(pipe, kind)
    assert np.abs(there - plain).max() > 1e-2, "a LoRA that changes nothing would prove nothing"
    parity.assert_same(ours(kind, {"source": str(file), "strength": 0.7}), there)


def test_p11_a_lora_for_flux_under_the_names_of_its_authors(ours, pipeline, tmp_path):
    pipe = pipeline("flux-dev")
    file = adapters.flux_kohya(tmp_path / "kohya.safetensors", pipe)
    plain = drawn(pipe, "flux-dev")
    pipe.load_lora_weights(str(tmp_path), weight_name=file.name, adapter_name="one")
    pipe.set_adapters(["one"], [0.7])
    there = drawn(pipe, "flux-dev")
    assert np.abs(there - plain).max() > 1e-2
    here = ours("flux-dev", {"source": str(file), "strength": 0.7})
    parity.assert_same(here, there)
    alone = ours("flux-dev", {"source": str(file), "strength": 0.7, "text_strength": 0.0})
    assert np.abs(alone - here).max() > 1e-4, "the text encoder's part counts"


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_p11_several_loras_at_different_strengths(ours, pipeline, tmp_path, kind):
    pipe = pipeline(kind)
    one = lora_file(tmp_path, pipe, kind, "peft", seed=0)
    two = lora_file(tmp_path, pipe, kind, "kohya", seed=10, rank=3, alpha=2, pattern=adapters.FEED_FORWARD)
    for name, file in (("one", one), ("two", two)):
        pipe.load_lora_weights(str(tmp_path), weight_name=file.name, adapter_name=name)
    pipe.set_adapters(["one", "two"], [0.8, -0.6])
    there = drawn(pipe, kind)
    first, second = {"source": str(one), "strength": 0.8}, {"source": str(two), "strength": -0.6}
    here = ours(kind, first, second)
    parity.assert_same(here, there)
    assert np.abs(here - ours(kind, second, first)).max() < 1e-5, "the order must not matter"


def test_p11_the_text_encoder_has_a_strength_of_its_own(ours, pipeline, tmp_path):
    pipe = pipeline("sdxl")
    file = lora_file(tmp_path, pipe, "sdxl", "peft")
    pipe.load_lora_weights(str(tmp_path), weight_name=file.name, adapter_name="one")
    pipe.set_adapters(["one"], [{"unet": 0.7, "text_encoder": 0.3, "text_encoder_2": 0.3}])
    lora = {"source": str(file), "strength": 0.7, "text_strength": 0.3}
    parity.assert_same(ours("sdxl", lora), drawn(pipe, "sdxl"))


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_p11_an_lcm_lora(ours, pipeline, tmp_path, kind):
    # LCM-LoRA: the model's own guidance, and the sampler and the timesteps of LCM
    pipe = pipeline(kind)
    file = lora_file(tmp_path, pipe, kind, "kohya", alpha=1, text=False)
    pipe.scheduler = diffusers.LCMScheduler.from_config(pipe.scheduler.config)
    pipe.load_lora_weights(str(tmp_path), weight_name=file.name)
    there = drawn(pipe, kind)
    changes = {"sampler__kind": "lcm", "schedule__sampler": "@sampler"}
    parity.assert_same(ours(kind, {"source": str(file)}, **changes), there)


def test_b8_a_sweep_over_strengths_is_one_batch(checkpoint, pipeline, tmp_path):
    from PIL import Image

    from engine.api import load, run
    from engine.cache import Cache
    from engine.context import Settings
    from engine.sweep import Sweep
    from nodes import registry

    file = lora_file(tmp_path, pipeline("sd15"), "sd15", "peft")
    nodes = graph(checkpoint("sd15"), "sd15", [{"source": str(file)}])
    nodes["save"] = {"type": "SaveImage", "image": "@decode", "path": "{variant}.png"}
    workflow = load({"format": 1, "nodes": nodes}, registry=registry())
    sweep = Sweep({"lora0.strength": [0.0, 0.5, 1.0], "noise.seed": [1, 2]})

    def pictures(batch):
        settings = Settings(out=tmp_path / str(batch), batch=batch)
        result = run(workflow, sweep=sweep, settings=settings, cache=Cache())
        return np.stack([np.asarray(Image.open(one.path)) for one in result.files]).astype(int), result.warnings

    (together, warnings), (alone, _) = pictures(6), pictures(1)
    assert np.abs(together - alone).max() <= 1
    assert len({picture.tobytes() for picture in alone}) == 6
    assert not [one for one in warnings if one.code == "W-BATCH"]


def test_strength_0_and_no_lora_are_the_same_to_the_bit(ours, pipeline, tmp_path):
    file = lora_file(tmp_path, pipeline("sd15"), "sd15", "peft")
    assert np.array_equal(ours("sd15", {"source": str(file), "strength": 0.0}), ours("sd15"))


def test_it_acts_on_its_part_of_the_schedule(ours, pipeline, tmp_path):
    file = lora_file(tmp_path, pipeline("sd15"), "sd15", "peft", text=False)
    lora = {"source": str(file)}
    whole, late = ours("sd15", lora), ours("sd15", {**lora, "start": 0.3})
    assert np.abs(whole - late).max() > 1e-3
    assert np.abs(late - ours("sd15")).max() > 1e-3


def test_a_lora_for_another_model_is_refused_before_weights_are_read(ours, pipeline, tmp_path):
    file = lora_file(tmp_path, pipeline("sdxl"), "sdxl", "kohya", alpha=1)
    with pytest.raises(WeftError) as found:
        ours("sd15", {"source": str(file)})
    assert [(one.code, one.place.node) for one in found.value.problems] == [("E-ARCH", "lora0")]
    assert "is a LoRA for SDXL, and this model is Stable Diffusion 1.x or 2.x" in str(found.value)


def test_layers_that_a_model_does_not_have_are_named(ours, pipeline, tmp_path):
    strange = {f"there.is.no.{i}": (torch.zeros(2, 16), torch.zeros(16, 2)) for i in range(5)}
    file = adapters.write(tmp_path / "x.safetensors", "peft", {"unet": strange})
    with pytest.raises(WeftError) as found:
        ours("sd15", {"source": str(file)})
    assert found.value.problems[0].code == "E-ARCH"
    assert "changes 5 layers that the unet of this model does not have: there.is.no.0, there.is.no.1," in str(
        found.value
    )
