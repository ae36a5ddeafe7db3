"""Steered by ControlNets, graphs give the pictures that diffusers' pipelines give; see `parity.assert_same`."""

from functools import cache

import diffusers
import numpy as np
import pytest
import text_to_image
import torch
from parity import assert_same, pixels
from PIL import Image

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept:DeprecationWarning", "ignore:`FluxPosEmbed`:FutureWarning"
    ),
]

SEED, STEPS, TOKENS = 5, 4, 48
SIDE = 64
SD, SDXL = diffusers.StableDiffusionControlNetPipeline, diffusers.StableDiffusionXLControlNetPipeline
UNION = diffusers.StableDiffusionXLControlNetUnionPipeline
SD3, FLUX = diffusers.StableDiffusion3ControlNetPipeline, diffusers.FluxControlNetPipeline
CLASSES = {
    "sd15": diffusers.ControlNetModel,
    "sd3": diffusers.SD3ControlNetModel,
    "flux": diffusers.FluxControlNetModel,
    "union": diffusers.ControlNetUnionModel,
}


def picture(i, side=SIDE):
    """Random pixels: what a net makes of one picture cannot be taken for what it makes of another."""
    return Image.fromarray(np.random.default_rng(i).integers(0, 255, (side, side, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def reference(checkpoint):
    """A function that runs diffusers' pipeline with nets: pixels (B, H, W, 3) in 0 … 1."""

    @cache
    def loaded(cls, kind, nets):
        family = "union" if "union" in nets[0] and "flux" not in nets[0] else kind.partition("-")[0][:4]
        family = {"sd21": "sd15", "sdxl": "sd15", "lcm": "sd15", "sd35": "sd3"}.get(family, family)
        found = [CLASSES[family].from_pretrained(checkpoint(f"control-{net}")) for net in nets]
        found = found[0] if len(found) == 1 else found
        if cls is FLUX and len(nets) > 1:
            found = diffusers.FluxMultiControlNetModel(found)
        pipe = cls.from_pretrained(checkpoint(kind), controlnet=found, dtype=torch.float32)
        if kind in ("sd15", "sd21", "sdxl", "sd15-inpaint"):
            pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def go(cls, kind, nets, **call):
        call = {"num_inference_steps": STEPS, "guidance_scale": 7.5, **call}
        return pixels(loaded(cls, kind, nets), seed=SEED, **call)

    go.pipeline = loaded
    return go


@pytest.fixture
def ours(checkpoint, run_nodes, tmp_path):
    """A function that runs a graph of ours: pixels (B, H, W, 3) in 0 … 1.

    nets: for each ControlNet its kind and the inputs of ControlNetApply; picture i is for net i, or that given.
    beside: other pictures by the names of their files.
    """

    def go(kind, nets, given=None, beside=(), **changes):
        steered, model = {}, "@base.model"
        for name in beside:
            beside[name].save(tmp_path / name)
        for i, (net, inputs) in enumerate(nets):
            (given or {}).get(i, picture(i)).save(tmp_path / f"{i}.png")
            steered |= {
                f"picture_{i}": {"type": "LoadImage", "path": f"{i}.png"},
                f"net_{i}": {"type": "LoadControlNet", "source": str(checkpoint(f"control-{net}"))},
                f"steered_{i}": {
                    "type": "ControlNetApply",
                    "model": model,
                    "controlnet": f"@net_{i}",
                    "image": f"@picture_{i}.image",
                    **inputs,
                },
            }
            model = f"@steered_{i}"
        nodes = text_to_image.graph(
            checkpoint(kind), "a fox", 7.5, STEPS, SEED, **{**steered, "guide__model": model, **changes}
        )
        return run_nodes(nodes, "decode")["decode"].pixels

    return go


def encode(text):
    return {"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": text}


# the inputs of each ControlNetApply, other changes to the graph, and how diffusers is called
CASES = {
    "one": ([{}], {}, {}),
    "strength": ([{"strength": 0.6}], {}, {"controlnet_conditioning_scale": 0.6}),
    "start and end": ([{"start": 0.25, "end": 0.75}], {},
                      {"control_guidance_start": 0.25, "control_guidance_end": 0.75}),
    "a start between steps": ([{"start": 0.3}], {}, {"control_guidance_start": 0.3}),
    "two": ([{"strength": 0.8}, {"strength": 0.5, "end": 0.5}], {},
            {"controlnet_conditioning_scale": [0.8, 0.5], "control_guidance_start": [0.0, 0.0],
             "control_guidance_end": [1.0, 0.5]}),
    "batch of 2": ([{}], {"blank__batch": 2}, {"batch": 2}),
    "guidance 1": ([{}], {"guide__scale": 1.0}, {"guidance_scale": 1.0}),
    "negative": ([{}], {"no": encode("grass"), "guide__negative": "@no"}, {"negative_prompt": "grass"}),
    "guess": ([{"guess": True}], {}, {"guess_mode": True}),
    "guess without guidance": ([{"guess": True, "strength": 0.7}], {"guide__scale": 1.0},
                               {"guess_mode": True, "guidance_scale": 1.0, "controlnet_conditioning_scale": 0.7}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("cls", "kind"), [(SD, "sd15"), (SDXL, "sdxl")], ids=["sd15", "sdxl"])
def test_p10_nets_of_u_nets(ours, reference, cls, kind, case):
    applied, changes, call = CASES[case]
    net = "sdxl" if kind == "sdxl" else "sd15"
    nets = [net, f"{net}-other"][: len(applied)]
    pictures = [picture(i) for i in range(len(nets))]
    call = {"image": pictures if len(nets) > 1 else pictures[0], **call}
    here = ours(kind, list(zip(nets, applied, strict=True)), **changes)
    assert_same(here, reference(cls, kind, tuple(nets), **call))


def test_p10_what_a_net_adds_is_seen(ours):
    plain, one = ours("sd15", []), ours("sd15", [("sd15", {})])
    assert np.abs(plain - one).max() > 1e-2
    assert np.abs(plain - ours("sd15", [("sd15", {"strength": 0.0})])).max() == 0
    assert np.abs(one - ours("sd15", [("sd15", {})], {0: picture(3)})).max() > 1e-2
    assert np.abs(one - ours("sd15", [("sd15", {"end": 0.5})])).max() > 1e-2
    assert np.abs(one - ours("sd15", [("sd15", {"guess": True})])).max() > 1e-2


def test_p10_a_picture_of_another_size_is_resized(ours, reference):
    large = Image.fromarray(np.asarray(picture(7, 25).resize((100, 120))))
    here = ours("sd15", [("sd15", {})], {0: large})
    assert_same(here, reference(SD, "sd15", ("sd15",), image=large, width=SIDE, height=SIDE))
    assert np.abs(here - ours("sd15", [("sd15", {})])).max() > 1e-2


def test_p10_a_net_that_averages_over_the_picture_acts_on_the_positive_alone(ours, reference):
    here = ours("sd15", [("shuffle", {})])
    assert_same(here, reference(SD, "sd15", ("shuffle",), image=picture(0)))


def test_p10_v_prediction(ours, reference):
    assert_same(ours("sd21", [("sd15", {"strength": 0.7})]),
                reference(SD, "sd21", ("sd15",), image=picture(0), controlnet_conditioning_scale=0.7))  # fmt: skip


def test_p10_a_union_net_is_told_the_kind_of_picture(ours, reference):
    one, other = (ours("sdxl", [("sdxl-union", {"mode": mode})]) for mode in (1, 4))
    call = {"control_image": [picture(0)], "control_mode": [4]}
    assert_same(other, reference(UNION, "sdxl", ("sdxl-union",), **call))
    assert np.abs(one - other).max() > 1e-4


FLOWS = {
    "SD3": (SD3, "sd3", ["sd3"], [{}], {}),
    "SD3, strength, start and end": (
        SD3, "sd3", ["sd3"], [{"strength": 0.6, "start": 0.25, "end": 0.75}],
        {"controlnet_conditioning_scale": 0.6, "control_guidance_start": 0.25, "control_guidance_end": 0.75},
    ),
    "SD3, two": (SD3, "sd3", ["sd3", "sd3-other"], [{}, {"strength": 0.5}],
                 {"controlnet_conditioning_scale": [1.0, 0.5]}),
    "SD3.5, a net that borrows the denoiser's embedding": (SD3, "sd35", ["sd35-8b"], [{}], {}),
    "Flux dev, a net that takes guidance": (FLUX, "flux-dev", ["flux"], [{}], {}),
    "Flux schnell, a union net": (FLUX, "flux-schnell", ["flux-union"], [{"mode": 2}], {"control_mode": 2}),
    "Flux schnell, a net that sees pixels": (FLUX, "flux-schnell", ["flux-pixels"], [{"strength": 0.7}],
                                             {"controlnet_conditioning_scale": 0.7}),
    "Flux schnell, two": (
        FLUX, "flux-schnell", ["flux-union", "flux-union-other"], [{"mode": 0}, {"mode": 3, "end": 0.5}],
        {"control_mode": [0, 3], "controlnet_conditioning_scale": [1.0, 1.0], "control_guidance_start": [0.0, 0.0],
         "control_guidance_end": [1.0, 0.5]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FLOWS)
def test_p10_nets_of_transformers(ours, reference, case):
    cls, kind, nets, applied, call = FLOWS[case]
    pictures = [picture(i) for i in range(len(nets))]
    call = {"control_image": pictures if len(nets) > 1 else pictures[0], "max_sequence_length": TOKENS, **call}
    call |= {"width": SIDE, "height": SIDE}
    sized = {f"{node}__{side}": SIDE for node in ("blank", "schedule") for side in ("width", "height")}
    changes = {"sampler__kind": "model", "wanted__max_tokens": TOKENS, **sized}
    if cls is FLUX:
        call["guidance_scale"] = 3.5
    here = ours(kind, [(net, {"vae": "@base.vae", **inputs}) for net, inputs in zip(nets, applied, strict=True)],
                **changes)  # fmt: skip
    assert_same(here, reference(cls, kind, tuple(nets), **call))
    assert np.abs(here - ours(kind, [], **changes)).max() > 1e-2
    assert (
        np.abs(
            here
            - ours(
                kind,
                [(net, {"vae": "@base.vae", **inputs}) for net, inputs in zip(nets, applied, strict=True)],
                {0: picture(9)},
                **changes,
            )
        ).max()
        > 1e-3
    )


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_p10_image_to_image(ours, reference, kind):
    changes = {
        "coded": {"type": "VAEEncode", "vae": "@base.vae", "image": "@picture_1.image"},
        "late": {"type": "CutSchedule", "schedule": "@schedule", "start": 0.5},
        "picture_1": {"type": "LoadImage", "path": "1.png"},
        "denoise__latent": "@coded",
        "denoise__schedule": "@late",
    }
    call = {"image": picture(1), "control_image": picture(0), "strength": 0.5,
            "controlnet_conditioning_scale": 1.0}  # fmt: skip
    cls = {
        "sd15": diffusers.StableDiffusionControlNetImg2ImgPipeline,
        "sdxl": diffusers.StableDiffusionXLControlNetImg2ImgPipeline,
    }[kind]
    there = reference(cls, kind, (kind,), **call)
    assert_same(ours(kind, [(kind, {})], beside={"1.png": picture(1)}, **changes), there)


def test_p10_with_lcm(ours, reference):
    told = {"type": "FluxGuidance", "conditioning": "@wanted", "scale": 3.0}
    changes = {"told": told, "guide__positive": "@told", "guide__scale": 1.0, "sampler__kind": "model"}
    there = reference(SD, "lcm", ("sd15",), image=picture(0), guidance_scale=3.0)
    assert_same(ours("lcm", [("sd15", {})], **changes), there)


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_p10_p11_with_a_lora(ours, reference, checkpoint, strength):
    lora = {
        "type": "LoRALoad", "model": "@base.model", "text_encoder": "@base.text_encoder",
        "source": str(checkpoint("lora-sdxl")), "strength": strength,
    }  # fmt: skip
    before = {"steered_0__model": "@lora.model", "wanted__text_encoder": "@lora.text_encoder"}
    here = ours("sdxl", [("sdxl", {"strength": 0.8})], lora=lora, **before)
    call = {"image": picture(0), "controlnet_conditioning_scale": 0.8}
    plain = reference(SDXL, "sdxl", ("sdxl",), **call)
    pipe = reference.pipeline(SDXL, "sdxl", ("sdxl",))
    pipe.load_lora_weights(checkpoint("lora-sdxl"), adapter_name="one")
    pipe.set_adapters("one", strength)
    try:
        there = reference(SDXL, "sdxl", ("sdxl",), **call)
    finally:
        pipe.unload_lora_weights()
    assert_same(here, there)
    assert np.abs(here - plain).max() > 1e-2


@pytest.mark.parametrize("kind", ["sd15", "sd15-inpaint"])
def test_p10_inpainting(ours, reference, kind):
    hole = np.zeros((SIDE, SIDE), np.uint8)
    hole[10:40, 8:50] = 255
    changes = {
        "picture_1": {"type": "LoadImage", "path": "1.png"},
        "blank": {"type": "InpaintLatent", "vae": "@base.vae", "image": "@picture_1.image", "mask": "@picture_1.mask"},
    }
    covered = Image.fromarray(np.dstack([np.asarray(picture(1)), 255 - hole]))
    call = {"image": picture(1), "mask_image": Image.fromarray(hole), "control_image": picture(0), "strength": 1.0}
    call |= {"width": SIDE, "height": SIDE, "controlnet_conditioning_scale": 1.0}
    there = reference(diffusers.StableDiffusionControlNetInpaintPipeline, kind, ("sd15",), **call)
    here = ours(kind, [("sd15", {})], beside={"1.png": covered}, **changes)
    assert_same(here, there)
