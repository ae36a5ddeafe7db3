"""The forward process: putting noise on data, q(x_t | x_0) = N(alpha x0, sigma^2) (Ho et al. 2020, equation 4)."""

from collections.abc import Sequence

import torch

from diffusion.parameterisation import Weight
from diffusion.schedule import Table


def noised(x0: torch.Tensor, eps: torch.Tensor, alpha: Weight, sigma: Weight) -> torch.Tensor:
    """Data x0 mixed with noise eps, both (B, C, H, W)."""
    # x = alpha x0 + sigma eps
    return alpha * x0 + sigma * eps


def noised_at(x0: torch.Tensor, eps: torch.Tensor, table: Table, timesteps: Sequence[int]) -> torch.Tensor:
    """One picture x0 (C, H, W) at n timesteps of a table, all with the same eps (C, H, W): (n, C, H, W).

    Raises ValueError for a timestep that is not in the table.
    """
    last = len(table.t) - 1
    for t in timesteps:
        if not 0 <= t <= last:
            raise ValueError(f"timestep {t} is not in 0 … {last}")
    at = torch.tensor(list(timesteps))
    alpha = table.alpha[at].view(-1, 1, 1, 1)
    sigma = table.sigma[at].view(-1, 1, 1, 1)
    return noised(x0[None], eps[None], alpha, sigma)
