"""The one law that goes from a noise level to a cleaner one.

At level (alpha, sigma) a model has split x into x0 and eps. At the next level (alpha', sigma') the same picture should
hold noise of deviation sigma'. That noise may be the old eps, or fresh, or some of both: n of it is fresh (z), and
sqrt(sigma'^2 - n^2) is old, so that the variances add up to sigma'^2.

    n  = eta sigma' sqrt(1 - (sigma' alpha / (alpha' sigma))^2)
    x' = alpha' x0 + sqrt(sigma'^2 - n^2) eps + n z

    eta = 0                    DDIM (Song et al. 2020); written in x / alpha it is Euler's step down the
                               probability-flow ODE (Karras et al. 2022), and with alpha = 1 - sigma it is
                               flow Euler, x' = x + (sigma' - sigma)(eps - x0)
    eta = 1                    DDPM's posterior q(x' | x, x0) (Ho et al. 2020), and Euler ancestral
    0 < eta < 1                between the two
"""

import math

import torch

from diffusion.types import Level


def fresh_noise(here: Level, there: Level, eta: float) -> float:
    """n, the deviation of the noise that the step from here to there draws anew. 0 where eta or sigma' is 0."""
    if eta == 0 or there.sigma == 0:
        return 0.0
    # how much of the old noise's ratio to the signal is left: 1 if nothing changes, 0 from pure noise
    left = (there.sigma * here.alpha) / (there.alpha * here.sigma)
    # n = eta sigma' sqrt(1 - left^2)
    return eta * there.sigma * math.sqrt(max(0.0, 1 - left**2))


def step(
    x0: torch.Tensor, eps: torch.Tensor, here: Level, there: Level, eta: float = 0.0, z: torch.Tensor | None = None
) -> torch.Tensor:
    """x' at the level there, from x0 and eps at the level here; all (B, C, H, W).

    z: fresh standard normal noise, needed exactly where `fresh_noise` is above 0.
    """
    n = fresh_noise(here, there, eta)
    if n == 0:
        return there.alpha * x0 + there.sigma * eps if there.sigma else there.alpha * x0
    assert z is not None
    # x' = alpha' x0 + sqrt(sigma'^2 - n^2) eps + n z
    return there.alpha * x0 + math.sqrt(max(0.0, there.sigma**2 - n**2)) * eps + n * z
