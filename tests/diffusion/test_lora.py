"""LoRAs: the mathematics, what fits, unloading, and what the store keeps."""

import adapters
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from diffusion import lora, patches
from diffusion.patch_check import MisfitError
from diffusion.recipes import ModelRecipe, Patch, TextEncoderRecipe, without_strengths
from diffusion.store import Store


def factors(layer, rank=3, alpha=1.5, seed=0):
    ((down, up),) = adapters.factors(nn.ModuleDict({"layer": layer}), "layer", rank, seed=seed).values()
    return lora.Factors(down, up, alpha / rank)


def adapted(layer, *added, strengths):
    root = nn.ModuleDict({"layer": layer})
    shared = lora.Strengths(strengths)
    for i, one in enumerate(added):
        lora.install(root, lora.Lora({"unet": {"layer": one}}, "a.safetensors"), "unet", shared, i)
    return root["layer"]


LAYERS = {
    "linear": (nn.Linear(6, 5), (4, 7, 6)),
    "convolution": (nn.Conv2d(4, 6, 3, padding=1), (4, 4, 8, 8)),
    "convolution with stride": (nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), (4, 4, 8, 8)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_it_is_the_layer_with_its_weights_changed(kind):
    layer, shape = LAYERS[kind]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    one, two = factors(layer, 3, seed=1), factors(layer, 2, seed=2)
    y = adapted(layer, one, two, strengths=[0.7, -0.4])(x)
    # W' = W + s (alpha / r) B A, merged by hand
    merged = type(layer).__new__(type(layer))
    merged.__dict__ = {**layer.__dict__, "_parameters": dict(layer._parameters)}
    weight = layer.weight.detach().clone()
    for s, f in ((0.7, one), (-0.4, two)):
        change = f.up.flatten(1) @ f.down.flatten(1)
        weight += s * f.scale * change.view_as(weight)
    merged._parameters["weight"] = nn.Parameter(weight)
    torch.testing.assert_close(y, merged(x), atol=1e-4, rtol=1e-4)
    assert (y - layer(x)).abs().max() > 0.1


@pytest.mark.parametrize("kind", LAYERS)
def test_strength_0_is_the_plain_layer_to_the_bit(kind):
    layer, shape = LAYERS[kind]
    x = torch.randn(shape)
    assert torch.equal(adapted(layer, factors(layer), strengths=[0.0])(x), layer(x))


@pytest.mark.parametrize("kind", LAYERS)
def test_each_item_of_a_batch_may_have_a_strength_of_its_own(kind):
    layer, shape = LAYERS[kind]
    x, one = torch.randn(shape), factors(layer)
    strengths = [0.0, 0.5, 1.0, -2.0]
    together = adapted(layer, one, strengths=[torch.tensor(strengths)])(x)
    for i, s in enumerate(strengths):
        torch.testing.assert_close(together[i : i + 1], adapted(layer, one, strengths=[s])(x[i : i + 1]))


def test_what_does_not_fit_names_the_first_three():
    root = nn.ModuleDict({"a": nn.Linear(4, 4), "norm": nn.LayerNorm(4)})
    named = {name: factors(nn.Linear(4, 4)) for name in ("a", "b", "c.d", "e", "norm")} | {
        "a": factors(nn.Linear(5, 4))
    }
    what = lora.Lora({"unet": named}, "x.safetensors", "SDXL")
    with pytest.raises(MisfitError) as why:
        lora.install(root, what, "unet", lora.Strengths([1.0]), 0)
    assert str(why.value) == (
        "x.safetensors, which was made for SDXL, changes 5 layers that the unet of this model does not have: "
        "a, b, c.d, …"
    )
    assert isinstance(root["a"], nn.Linear)


KINDS = {
    "DoRA": "lora_unet_a.dora_scale",
    "DoRA of peft": "unet.a.lora_magnitude_vector",
    "LoHa": "lora_unet_a.hada_w1_a",
    "LoKr": "lora_unet_a.lokr_w1",
    "LoCon with a core": "lora_unet_a.lora_mid.weight",
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_kinds_of_low_rank_changes_are_refused_by_name(kind, tmp_path):
    from diffusion.patch_check import check_lora

    tensors = {"lora_unet_a.lora_down.weight": torch.zeros(2, 4), "lora_unet_a.lora_up.weight": torch.zeros(4, 2)}
    save_file({**tensors, KINDS[kind]: torch.zeros(4, 1)}, tmp_path / "x.safetensors")
    with pytest.raises(MisfitError, match=f"is a {kind.removesuffix(' of peft')}, and weft computes plain LoRAs"):
        check_lora(tmp_path / "x.safetensors", ModelRecipe("sd", str(tmp_path)))


@pytest.fixture(scope="module")
def unet_lora(checkpoint, tmp_path_factory):
    """The recipe of a tiny U-Net, and a LoRA for it as a patch."""
    from diffusers import UNet2DConditionModel

    from diffusion import folder

    model = folder.recipes(checkpoint("sd15"))[0]
    unet = UNet2DConditionModel.from_pretrained(checkpoint("sd15") / "unet")
    file = tmp_path_factory.mktemp("loras") / "one.safetensors"
    adapters.write(file, "kohya", {"unet": adapters.factors(unet, adapters.CONVOLUTIONS)}, alpha=1)
    return model, Patch("lora", str(file), "digest")


def with_patches(recipe, *patches):
    from dataclasses import replace

    return replace(recipe, patches=patches)


def output(unet, seed=0):
    own = torch.Generator().manual_seed(seed)
    x, c = torch.randn(2, 4, 8, 8, generator=own), torch.randn(2, 77, 16, generator=own)
    with torch.no_grad():
        return unet(x, torch.tensor(500), c).sample


def test_the_plain_model_stays_as_it_was(unet_lora):
    recipe, patch = unet_lora
    store = Store()
    plain = store.load(recipe, "cpu")
    before = output(plain)
    patched = store.load(with_patches(recipe, patch), "cpu")
    assert (output(patched) - before).abs().max() > 1e-2
    assert torch.equal(output(store.load(recipe, "cpu")), before)
    assert store.load(recipe, "cpu") is plain


def test_a_patched_model_shares_the_weights_and_they_are_counted_once(unet_lora):
    recipe, patch = unet_lora
    store = Store()
    plain = store.load(recipe, "cpu")
    alone = store.bytes
    patched = store.load(with_patches(recipe, patch), "cpu")
    own = {id(p) for p in plain.parameters()}
    assert {id(p) for p in patched.parameters()} == own
    added = sum(tensor.nbytes for one in patched.modules() if isinstance(one, lora.Factors) for tensor in one.buffers())
    assert added > 0
    assert store.bytes == alone + added


def test_strengths_predictions_and_sizes_need_no_other_module(unet_lora):
    from dataclasses import replace

    recipe, patch = unet_lora
    store = Store()
    plain = store.load(recipe, "cpu")
    assert store.load(replace(recipe, prediction="v", height=1024, zero_negative=True), "cpu") is plain
    weak, strong = (with_patches(recipe, replace(patch, settings=(("strength", s),))) for s in (0.1, 0.9))
    assert store.load(weak, "cpu") is store.load(strong, "cpu")
    assert weak != strong
    assert without_strengths(weak) == without_strengths(strong)
    assert store.load(with_patches(recipe, patch, patch), "cpu") is not store.load(weak, "cpu")


def test_a_text_encoder_knows_its_strength(checkpoint, tmp_path):
    from transformers import CLIPTextModel

    from diffusion import folder
    from diffusion.family import family_of
    from diffusion.types import Prompt

    recipe = folder.recipes(checkpoint("sd15"))[1]
    assert isinstance(recipe, TextEncoderRecipe)
    encoder = CLIPTextModel.from_pretrained(checkpoint("sd15") / "text_encoder")
    file = tmp_path / "one.safetensors"
    adapters.write(file, "diffusers", {"text_encoder": adapters.factors(encoder, adapters.TEXT)})
    store = Store()

    def embeds(*patches):
        one = with_patches(recipe, *patches)
        conditioning = family_of(one).encode_text(store.load(one, "cpu"), one, Prompt("a fox"))
        return conditioning.tensors["prompt_embeds"]

    none, weak, strong = (embeds(Patch("lora", str(file), "", (("strength", s),))) for s in (0.0, 0.5, 1.0))
    assert torch.equal(none, embeds())
    assert (weak - none).abs().max() > 1e-2
    assert (strong - weak).abs().max() > 1e-2


def test_the_store_lets_the_least_recently_used_go(unet_lora):
    recipe, patch = unet_lora
    store = Store(budget=1)
    patched = store.load(with_patches(recipe, patch), "cpu")
    assert len(store) == 3
    assert store.load(with_patches(recipe, patch), "cpu") is patched
    store.load(recipe, "cpu")
    assert len(store) == 1


def test_a_copy_of_the_structure_has_the_parameters_of_the_plain_one():
    plain = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    copied = patches.shared_copy(plain)
    assert copied is not plain
    assert copied[0] is not plain[0]
    assert [id(p) for p in copied.parameters()] == [id(p) for p in plain.parameters()]
    assert [id(b) for b in copied.buffers()] == [id(b) for b in plain.buffers()]
