"""The transformer: tokens, gates that begin at zero, what it is told, and a flow that it learns."""

import pytest
import torch

from diffusion.checkpoint import MULTIPLES
from diffusion.dit import Block, DiT, DiTConfig, SelfAttention, modulate, patchify, places, unpatchify
from diffusion.networks import SIZES, build, kind_of_network
from diffusion.unet import UNetConfig

SMALL = {"patch": 2, "width": 16, "depth": 2, "heads": 2, "embedding": 8}


def woken(dit: DiT) -> DiT:
    """The network with every zero weight made a little random, so that all of it takes part."""
    torch.manual_seed(0)
    for parameter in dit.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return dit.eval().requires_grad_(False)


@pytest.mark.parametrize(("channels", "patch", "height", "width"), [(1, 1, 3, 5), (1, 2, 4, 6), (3, 4, 16, 8)])
def test_tokens_and_pictures_are_the_same_thing(channels: int, patch: int, height: int, width: int) -> None:
    x = torch.randn(2, channels, height, width)
    tokens = patchify(x, patch)
    assert tokens.shape == (2, height // patch * (width // patch), channels * patch**2)
    assert torch.equal(unpatchify(tokens, patch, height, width), x)


def test_a_token_is_a_square_of_pixels_row_after_row() -> None:
    x = torch.arange(24.0).view(1, 1, 4, 6)
    assert patchify(x, 2)[0].tolist() == [
        [0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11], [12, 13, 18, 19], [14, 15, 20, 21], [16, 17, 22, 23],
    ]  # fmt: skip


def test_a_new_network_predicts_nothing_and_a_new_block_changes_nothing() -> None:
    torch.manual_seed(0)
    x, t, labels = torch.randn(3, 1, 8, 8), torch.tensor([0.0, 500.0, 1000.0]), torch.arange(3)
    assert not DiT(DiTConfig(**SMALL, classes=3))(x, t, labels).any()
    h, c = torch.randn(3, 16, 16), torch.randn(3, 16)
    assert torch.equal(Block(DiTConfig(**SMALL))(h, c), h)


def test_a_new_network_still_has_a_gradient_to_begin_with() -> None:
    torch.manual_seed(0)
    dit = DiT(DiTConfig(**SMALL))
    (dit(torch.randn(2, 1, 8, 8), torch.rand(2)) - 1).square().mean().backward()
    assert dit.head.bias.grad.any()
    assert dit.head.weight.grad.any()


@pytest.mark.parametrize(
    ("changes", "shape"),
    [({}, (2, 1, 8, 8)), ({"channels": 3, "patch": 4}, (1, 3, 16, 8)), ({"patch": 1, "depth": 0}, (2, 1, 5, 7))],
)
def test_output_has_the_shape_of_the_input(changes: dict[str, int], shape: tuple[int, ...]) -> None:
    dit = woken(DiT(DiTConfig(**SMALL | changes)))
    assert dit(torch.randn(shape), torch.zeros(shape[0])).shape == shape


def test_every_weight_takes_part() -> None:
    dit = woken(DiT(DiTConfig(**SMALL, classes=3))).requires_grad_(True)
    dit(torch.randn(4, 1, 8, 8), torch.rand(4) * 1000, torch.arange(4)).square().sum().backward()
    assert [name for name, p in dit.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_time_label_and_place_each_change_the_output() -> None:
    dit = woken(DiT(DiTConfig(**SMALL, classes=3)))
    x, t, label = torch.randn(1, 1, 8, 8), torch.tensor([10.0]), torch.tensor([1])
    base = dit(x, t, label)
    assert not torch.allclose(dit(x, t + 1, label), base)
    assert not torch.allclose(dit(x, t, label + 1), base)
    assert torch.equal(dit(x, t), dit(x, t, torch.tensor([3])))
    # without places, tokens in another order would come out the same in that order
    turned = dit(x.roll(4, dims=3), t, label).roll(-4, dims=3)
    assert not torch.allclose(turned, base, atol=1e-4)


def test_items_of_a_batch_do_not_touch_each_other() -> None:
    dit = woken(DiT(DiTConfig(**SMALL)))
    x, t = torch.randn(3, 1, 8, 8), torch.tensor([0.0, 500.0, 999.0])
    singly = torch.cat([dit(x[i : i + 1], t[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(dit(x, t), singly)


def test_attention_and_the_norm_are_the_formulas() -> None:
    torch.manual_seed(0)
    attention, h = SelfAttention(4, 1).requires_grad_(False), torch.randn(1, 6, 4)
    query, key, value = attention.query_key_value(h).chunk(3, 2)
    # softmax(Q K^T / sqrt(d)) V
    gathered = (query @ key.transpose(1, 2) / 2).softmax(-1) @ value
    torch.testing.assert_close(attention(h), attention.out(gathered))
    shift, scale = torch.randn(2, 1, 1, 4)
    normal = (h - h.mean(2, keepdim=True)) / h.std(2, correction=0, keepdim=True)
    torch.testing.assert_close(modulate(h, shift, scale), normal * (1 + scale) + shift, rtol=1e-4, atol=1e-4)


def test_places_tell_every_token_apart() -> None:
    waves = places(8, 8, 32)
    assert waves.shape == (64, 32)
    assert float((torch.cdist(waves, waves) + 9 * torch.eye(64)).min()) > 0.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 18}, "width 18 must be a multiple of heads 2, and of 4 for the places"),
        ({"heads": 3}, "width 16 must be a multiple of heads 3"),
        ({"embedding": 7}, "embedding must be even"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiTConfig(**SMALL | changes)


def test_kinds_of_networks_are_told_apart_and_need_the_same_multiples() -> None:
    assert list(SIZES) == list(MULTIPLES)
    for kind, config in {
        "unet": UNetConfig(widths=(8, 8, 8), attention=(False,) * 3),
        "dit": DiTConfig(patch=4),
    }.items():
        assert kind_of_network(config) == kind
        assert MULTIPLES[kind](vars(config)) == config.multiple
        assert build(config).config == config
