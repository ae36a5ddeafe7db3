"""The weighted mean of two models of one make, weight by weight:

    w = (1 - s) w_a + s w_b

Runs that began with the same weights end in one valley of the loss, and their mean often draws better than either
(model soups, Wortsman et al. 2022; checkpoint merging, as it is called where models are shared).
"""

import torch
from torch import nn

from diffusion.patch_check import MisfitError


@torch.no_grad()
def merge(one: nn.Module, other: nn.Module, share: float) -> nn.Module:
    """`one` itself, whose weights w_a are moved to (1 - share) w_a + share w_b, those of `other` being w_b; reckoned in
    float32, and rounded to the dtype of w_a. Numbers that are no fractions, such as positions, stay as they are.

    MisfitError if the two do not have the same weights of the same shapes.
    """
    a, b = one.state_dict(), other.state_dict()
    if lacking := sorted(a.keys() ^ b.keys()):
        where = "second" if lacking[0] in a else "first"
        raise MisfitError(f"the models are of different makes: the {where} has no {lacking[0]}, of {len(lacking)} such")
    for name, weight in a.items():
        if weight.shape != b[name].shape:
            sizes = " and ".join("x".join(map(str, w[name].shape)) for w in (a, b))
            raise MisfitError(f"the models are of different sizes: {name} is {sizes}")
    # each weight once, where two layers share it, as T5's do
    for name, weight in (*one.named_parameters(), *one.named_buffers()):
        if name in b and weight.is_floating_point():
            weight.copy_(weight.float().lerp(b[name].float(), share))
    return one
