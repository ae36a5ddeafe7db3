"""Four things that a network may put out, and how each gives the picture x0 and the noise eps.

With x = alpha x0 + sigma eps, knowing x and any one of these is knowing both:

    prediction   output o         x0                     eps
    epsilon      eps              (x - sigma o) / alpha  o
    sample       x0               o                      (x - alpha o) / sigma
    v            alpha eps        alpha x - sigma o      sigma x + alpha o
                 - sigma x0       (needs alpha^2 + sigma^2 = 1)
    flow         eps - x0         x - sigma o            x + alpha o
                                  (needs alpha + sigma = 1)

Ho et al. 2020 (epsilon); Salimans & Ho 2022 (v); Liu et al. 2022 (flow).
"""

import torch

from diffusion.types import PREDICTIONS, Level

Weight = float | torch.Tensor
"""alpha or sigma: one number, or (B, 1, 1, 1) with one for each item of a batch."""


def split(prediction: str, o: torch.Tensor, x: torch.Tensor, level: Level) -> tuple[torch.Tensor, torch.Tensor]:
    """(x0, eps) from a network's output o at x; all have the shape of x, such as (B, C, H, W).

    Raises ValueError for an unknown prediction, or where the output says nothing of x0: epsilon at alpha = 0.
    """
    alpha, sigma = level.alpha, level.sigma
    if prediction == "epsilon":
        if alpha == 0:
            raise ValueError(
                "an epsilon model cannot start from pure noise (alpha = 0): use a schedule without zero_snr"
            )
        return (x - sigma * o) / alpha, o
    if prediction == "sample":
        if sigma == 0:
            raise ValueError("a sample model says nothing of the noise at a level that has none (sigma = 0)")
        return o, (x - alpha * o) / sigma
    if prediction == "v":
        return alpha * x - sigma * o, sigma * x + alpha * o
    if prediction == "flow":
        return x - sigma * o, x + alpha * o
    raise ValueError(unknown(prediction))


def target(prediction: str, x0: torch.Tensor, eps: torch.Tensor, alpha: Weight, sigma: Weight) -> torch.Tensor:
    """What the network should put out for this x0 and eps: what training compares it with. Shape of x0.

    Raises ValueError for an unknown prediction.
    """
    if prediction == "epsilon":
        return eps
    if prediction == "sample":
        return x0
    if prediction == "v":
        return alpha * eps - sigma * x0
    if prediction == "flow":
        return eps - x0
    raise ValueError(unknown(prediction))


def unknown(prediction: str) -> str:
    """The message about a prediction that is none of the four."""
    return f'unknown prediction "{prediction}"; known: {", ".join(PREDICTIONS)}'
