"""The network: shapes, what it is told, and what it refuses."""

import pytest
import torch

from diffusion.unet import Attention, UNet, UNetConfig, time_embedding

SMALL = {"widths": (8, 16), "blocks": 1, "heads": 2, "groups": 4, "embedding": 8, "patch": 1}


def woken(unet: UNet) -> UNet:
    """The network with every zero weight made a little random, so that all of it takes part."""
    torch.manual_seed(0)
    for parameter in unet.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return unet.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({}, (2, 1, 8, 8)),
        ({"channels": 3, "patch": 2}, (1, 3, 16, 8)),
        ({"widths": (8,), "attention": (True,)}, (2, 1, 5, 7)),
        ({"widths": (8, 8, 16), "attention": (False, True, True), "blocks": 2}, (2, 1, 12, 8)),
    ],
)
def test_output_has_the_shape_of_the_input(changes: dict[str, object], shape: tuple[int, ...]) -> None:
    unet = woken(UNet(UNetConfig(**SMALL | changes)))
    assert unet(torch.randn(shape), torch.zeros(shape[0])).shape == shape


def test_every_weight_takes_part() -> None:
    config = UNetConfig(**SMALL, classes=3, context=4)
    unet = woken(UNet(config)).requires_grad_(True)
    labels, context = torch.arange(4), torch.randn(4, 5, 4)
    unet(torch.randn(4, 1, 8, 8), torch.rand(4) * 1000, labels, context).square().sum().backward()
    assert [name for name, p in unet.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_it_starts_by_predicting_nothing() -> None:
    assert not UNet(UNetConfig(**SMALL))(torch.randn(1, 1, 8, 8), torch.zeros(1)).any()


def test_time_label_and_context_each_change_the_output() -> None:
    unet = woken(UNet(UNetConfig(**SMALL, classes=3, context=4)))
    x, t, label, context = torch.randn(1, 1, 8, 8), torch.tensor([10.0]), torch.tensor([1]), torch.randn(1, 5, 4)
    base = unet(x, t, label, context)
    for other in ((x, t + 1, label, context), (x, t, label + 1, context), (x, t, label, -context)):
        assert not torch.allclose(unet(*other), base)
    assert torch.equal(unet(x, t, None, context), unet(x, t, torch.tensor([3]), context))
    with pytest.raises(ValueError, match="reads condition tokens"):
        unet(x, t, label)


def test_items_of_a_batch_do_not_touch_each_other() -> None:
    unet = woken(UNet(UNetConfig(**SMALL)))
    x, t = torch.randn(3, 1, 8, 8), torch.tensor([0.0, 500.0, 999.0])
    singly = torch.cat([unet(x[i : i + 1], t[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(unet(x, t), singly)


def test_attention_is_the_formula() -> None:
    torch.manual_seed(0)
    block = Attention(4, 1, 2).requires_grad_(False)
    torch.nn.init.normal_(block.out.weight)
    x = torch.randn(1, 4, 2, 3)
    places = block.norm(x).flatten(2).transpose(1, 2)
    query, (key, value) = block.query(places), block.key_value(places).chunk(2, 2)
    # softmax(Q K^T / sqrt(d)) V
    gathered = (query @ key.transpose(1, 2) / 2).softmax(-1) @ value
    torch.testing.assert_close(block(x), x + block.out(gathered).transpose(1, 2).reshape(x.shape))


def test_time_embedding_tells_every_timestep_apart() -> None:
    waves = time_embedding(torch.arange(1000), 32)
    assert waves.shape == (1000, 32)
    apart = torch.cdist(waves, waves) + 9 * torch.eye(1000)
    assert float(apart.min()) > 0.5
    assert torch.equal(waves[0], torch.tensor([1.0] * 16 + [0.0] * 16))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention": (True,)}, "attention has 1 entries for 2 widths"),
        ({"widths": (8, 18)}, "width 18 must be a multiple of groups 4 and heads 2"),
        ({"embedding": 7}, "embedding must be even"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UNetConfig(**SMALL | changes)
