"""Attention of diffusers without what it does beside computing.

`Attention.forward` asks, at each call, `inspect.signature` which keywords its processor takes, to warn of others: 20 us
for each of the 140 attentions of SDXL at each step. weft gives them none that they do not take, so here the processor
is called at once. The arithmetic is the processor's, and the same.
"""

from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import nn


class DirectAttention(Attention):
    """An `Attention` that hands everything to its processor."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **cross_attention_kwargs: Any,
    ) -> torch.Tensor:
        """What the processor makes of hidden_states, (B, tokens, width) or (B, C, h, w)."""
        attend: Any = self.processor
        told = {"encoder_hidden_states": encoder_hidden_states, "attention_mask": attention_mask}
        found: torch.Tensor = attend(self, hidden_states, **told, **cross_attention_kwargs)
        return found


def directed(module: nn.Module) -> nn.Module:
    """The module itself, whose attentions are direct from now on; those of other kinds stay as they are."""
    for one in module.modules():
        if type(one) is Attention:
            one.__class__ = DirectAttention
    return module
