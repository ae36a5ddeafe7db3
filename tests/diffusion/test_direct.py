"""Attention that goes straight to its processor: the same bits, and the same module to everything else."""

import inspect

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor

from diffusion.direct import DirectAttention, directed
from diffusion.patches import shared_copy


@pytest.fixture
def attention() -> Attention:
    torch.manual_seed(0)
    return Attention(16, cross_attention_dim=8, heads=2, dim_head=8).requires_grad_(False).eval()


def test_it_gives_the_same_bits_and_does_not_look_at_signatures(attention, monkeypatch) -> None:
    x, text, mask = torch.randn(2, 9, 16), torch.randn(2, 5, 8), torch.zeros(2, 1, 5)
    expected = [attention(x, text), attention(x, text, mask)]
    direct = directed(attention)
    monkeypatch.setattr(inspect, "signature", lambda *_: pytest.fail("a signature was looked at"))
    assert torch.equal(direct(x, text), expected[0])
    assert torch.equal(direct(x, encoder_hidden_states=text, attention_mask=mask), expected[1])


def test_a_processor_that_is_set_later_is_the_one_that_is_asked(attention) -> None:
    asked, real = [], AttnProcessor()
    directed(attention).set_processor(lambda attn, x, **more: asked.append(more) or real(attn, x, **more))
    x, text = torch.randn(2, 9, 16), torch.randn(2, 5, 8)
    assert attention(x, text, told=None).shape == (2, 9, 16)
    assert [sorted(more) for more in asked] == [["attention_mask", "encoder_hidden_states", "told"]]


def test_only_attention_itself_becomes_direct_and_stays_so_in_copies(attention) -> None:
    class Other(Attention):
        """A kind of its own."""

    names, other = list(attention.state_dict()), Other(16)
    both = directed(torch.nn.ModuleList([attention, other]))
    assert [type(one) for one in both] == [DirectAttention, Other]
    assert list(attention.state_dict()) == names
    assert type(shared_copy(both)[0]) is DirectAttention
