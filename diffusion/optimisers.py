"""What moves the weights along their gradients g:

    AdamW   m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  w -= lr (m / sqrt(v) + decay w), m and v freed of their
            start at 0                                                         (Loshchilov & Hutter 2019)
    Muon    m = 0.95 m + 0.05 g,  U S V^T = 0.05 g + 0.95 m,  w -= lr (0.2 sqrt(longest side) U V^T + decay w)
                                                                               (Jordan et al. 2024; Liu et al. 2025)

Muon turns a whole matrix as far in every direction, and is for matrices only: the weights of linear layers. All else,
tables of words, convolutions, biases and norms, AdamW moves in either case. The factor keeps U V^T as long as a step of
AdamW is, so that one learning rate serves both.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import torch
from torch import nn

Kind = Literal["adamw", "muon"]

KINDS: tuple[Kind, ...] = get_args(Kind)

Part = tuple[Sequence[torch.Tensor], float]
"""Weights, and what the learning rate is multiplied with for them."""


class Optimisers:
    """One or two optimisers of torch as one. Groups have a "factor" to multiply the learning rate with."""

    def __init__(self, kind: Kind, model: nn.Module, parts: Sequence[Part], lr: float, weight_decay: float) -> None:
        layers = (module.weight for module in model.modules() if kind == "muon" and isinstance(module, nn.Linear))
        matrices = {id(weight) for weight in layers}

        def groups(of_matrices: bool) -> list[dict[str, Any]]:
            split = [([p for p in part if (id(p) in matrices) == of_matrices], factor) for part, factor in parts]
            return [{"params": params, "factor": factor} for params, factor in split if params]

        self._all: dict[str, torch.optim.Optimizer] = {}
        if rest := groups(of_matrices=False):
            self._all["adam"] = torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay)
        if found := groups(of_matrices=True):
            self._all["muon"] = torch.optim.Muon(
                found, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
            )

    @property
    def groups(self) -> Iterator[dict[str, Any]]:
        """What has a learning rate, "lr", of its own."""
        return (group for one in self._all.values() for group in one.param_groups)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for one in self._all.values():
            one.zero_grad()

    def step(self) -> None:
        """Move the weights."""
        for one in self._all.values():
            one.step()

    def state(self) -> dict[str, torch.Tensor]:
        """What they remember of earlier gradients, by name. A weight that no loss reaches has nothing."""
        return {
            f"{kind}.{i}.{name}": tensor
            for kind, one in self._all.items()
            for i, moments in one.state_dict()["state"].items()
            for name, tensor in moments.items()
        }

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Put back what `state` gave. ValueError or KeyError if it is of others."""
        for kind, one in self._all.items():
            whole = one.state_dict()
            whole["state"] = {}
            for name, tensor in state.items():
                of, i, moment = name.split(".")
                if of == kind:
                    whole["state"].setdefault(int(i), {})[moment] = tensor
            one.load_state_dict(whole)
