"""Networks made worse on purpose, against diffusers' own ways to do it."""

import math
from unittest.mock import patch

import diffusers
import pytest
import torch
from diffusers.hooks import HookRegistry, LayerSkipConfig
from diffusers.hooks.layer_skip import _apply_layer_skip_hook
from torchvision.transforms.functional import gaussian_blur

from diffusion.perturb import blocks_of, blurred_queries, gaussian, identity_attention, skipped, tokens_of


def rand(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def module(checkpoint):
    """The network of a tiny checkpoint, and what it is called with."""

    def go(kind):
        torch.manual_seed(1)
        folder = checkpoint(kind)
        if kind.startswith("sd3"):
            net = diffusers.SD3Transformer2DModel.from_pretrained(folder / "transformer")
            fed = {"hidden_states": rand(1, 2, 16, 8, 8), "encoder_hidden_states": rand(2, 2, 5, 32),
                   "pooled_projections": rand(3, 2, 32), "timestep": torch.tensor([500.0, 500.0])}  # fmt: skip
        elif kind.startswith("flux"):
            net = diffusers.FluxTransformer2DModel.from_pretrained(folder / "transformer")
            places = torch.stack(
                torch.meshgrid(torch.zeros(1), torch.arange(4.0), torch.arange(4.0), indexing="ij"), -1
            ).view(-1, 3)
            fed = {"hidden_states": rand(1, 2, 16, 64), "encoder_hidden_states": rand(2, 2, 5, 32),
                   "pooled_projections": rand(3, 2, 16), "timestep": torch.tensor([0.5, 0.5]),
                   "txt_ids": torch.zeros(5, 3), "img_ids": places}  # fmt: skip
        else:
            net = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet")
            fed = {"sample": rand(1, 2, 4, 8, 8), "encoder_hidden_states": rand(2, 2, 5, 16), "timestep": 500}
        net.eval()
        return net, lambda: net(**fed, return_dict=False)[0].detach()

    return go


PLACES = {
    "sd15": ("mid", "mid_block.attentions.0.transformer_blocks", 0),
    "sd21": ("down.1", "down_blocks.1.attentions.0.transformer_blocks", 0),
    "sd3": ("1", "transformer_blocks", 1),
    "sd35": ("0", "transformer_blocks", 0),
    "flux-schnell": ("0", "transformer_blocks", 0),
}


def hooked(net, call, path, index, **config):
    """What a network says with diffusers' own hook for skipping on one of its blocks."""
    _apply_layer_skip_hook(net, LayerSkipConfig([index], path, **config), name="test")
    said = call()
    HookRegistry.check_if_exists_or_initialize(net).remove_hook("test", recurse=True)
    return said


def identity(net, call, path, index):
    """Attention without scores, by diffusers' hook for U-Nets; with a mask, where the text is in one sequence."""
    if isinstance(net, diffusers.UNet2DConditionModel):
        return hooked(net, call, path, index, skip_attention=False, skip_attention_scores=True, skip_ff=False)
    flux = isinstance(net, diffusers.FluxTransformer2DModel)
    pictures = range(5, 21) if flux else range(16)
    mask = torch.tensor([[i in pictures and j in pictures and i != j for j in range(21)] for i in range(21)])
    plain = torch.nn.functional.scaled_dot_product_attention
    block = net.transformer_blocks[index]

    def masked(query, key, value, attn_mask=None, **more):
        whole = query.shape[2] == 21
        return plain(query, key, value, **more, attn_mask=~mask if whole else torch.eye(query.shape[2]).bool())

    def within(forward):
        def go(*args, **kwargs):
            with patch("torch.nn.functional.scaled_dot_product_attention", masked):
                return forward(*args, **kwargs)

        return go

    with patch.object(block, "forward", within(block.forward)):
        return call()


def without_block(net, call, path, index):
    """The network without the block; diffusers' hook does that for U-Nets and mixes up text and picture elsewhere."""
    if isinstance(net, diffusers.UNet2DConditionModel):
        return hooked(net, call, path, index)
    fewer = torch.nn.ModuleList(block for i, block in enumerate(net.transformer_blocks) if i != index)
    with patch.dict(net._modules, transformer_blocks=fewer):
        return call()


@pytest.mark.parametrize(("change", "reference"), [(identity_attention, identity), (skipped, without_block)])
@pytest.mark.parametrize("kind", PLACES)
def test_a_network_is_made_worse_as_diffusers_makes_it(module, kind, change, reference):
    layers, path, index = PLACES[kind]
    net, call = module(kind)
    plain = call()
    with change(blocks_of(net, layers), torch.Size((2, 4, 8, 8))):
        worse = call()
    assert torch.equal(call(), plain), "it is as it was afterwards"
    assert not torch.allclose(worse, plain, atol=1e-4)
    assert torch.allclose(worse, reference(net, call, path, index), atol=1e-5)


def test_blurred_queries_are_gaussian_and_in_the_end_their_mean(module):
    x = rand(1, 2, 3, 6, 9)
    for sigma in (0.4, 0.8):
        size = 2 * math.ceil(3 * sigma) + 1
        assert torch.allclose(gaussian(x, sigma), gaussian_blur(x, [size, size], [sigma, sigma]), atol=1e-5)
    assert torch.allclose(gaussian(x, math.inf), x.mean((2, 3), keepdim=True).expand_as(x))
    assert gaussian(x, 50.0).isfinite().all()

    net, call = module("sd15")
    plain = call()
    seen = []
    attention = net.mid_block.attentions[0].transformer_blocks[0].attn1
    with blurred_queries(math.inf)(blocks_of(net), torch.Size((2, 4, 8, 8))):
        hook = attention.to_q.register_forward_hook(lambda layer, args, out: seen.append(out))
        worse = call()
        hook.remove()
    assert torch.allclose(seen[0], seen[0].mean(1, keepdim=True).expand_as(seen[0]), atol=1e-6)
    assert not torch.equal(worse, plain)
    assert torch.equal(call(), plain)


@pytest.mark.parametrize(
    ("size", "tokens", "expected"),
    [((64, 64), 1024, (32, 32)), ((65, 40), 33 * 20, (33, 20)), ((10, 6), 3 * 2, (3, 2)), ((8, 8), 64, (8, 8))],
)
def test_tokens_are_rows_and_columns(size, tokens, expected):
    assert tokens_of(torch.Size((1, 4, *size)), tokens) == expected


def test_tokens_that_are_no_picture_are_refused():
    with pytest.raises(ValueError, match="100 tokens are no picture of 64 x 64"):
        tokens_of(torch.Size((1, 4, 64, 64)), 100)
