"""What a denoiser is taught with: noise a clean latent or picture, and compare what the network says with the target.

    t ~ uniform or logit-normal,  eps ~ N(0, 1),  x = alpha_t x0 + sigma_t eps
    loss = mean w_t (o(x, t) - target)^2,   the target being eps, x0, v or the flow (see parameterisation)

Ho et al. 2020, algorithm 1; Hang et al. 2023 (min-SNR); Esser et al. 2024 (logit-normal times for flows).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional as F

from diffusion.forward import noised
from diffusion.parameterisation import target
from diffusion.schedule import Table

Times = Literal["uniform", "logit_normal"]


@dataclass(frozen=True, eq=False)
class Noised:
    """A noised batch. x, x0, eps: (B, C, H, W). t: (B,). alpha, sigma: (B, 1, 1, 1)."""

    x: torch.Tensor
    t: torch.Tensor
    x0: torch.Tensor
    eps: torch.Tensor
    alpha: torch.Tensor
    sigma: torch.Tensor


def levels_of(times: Times, batch: int, first: int, last: int) -> torch.Tensor:
    """Which of the levels `first` to `last`, the latter not, each item of a batch is noised to, drawn from torch's
    default generator: int64 (B,).

    uniform       u ~ uniform, one in each B-th part, which makes the loss less noisy than independent draws
    logit_normal  log(u / (1 - u)) ~ N(0, 1): the middle of the table more often, where a flow is hard to guess
    """
    part = (torch.rand(1) + torch.arange(batch) / batch) % 1
    if times == "logit_normal":
        # z = inverse of the normal distribution at u,   u' = 1 / (1 + e^-z)
        part = torch.special.ndtri(part).sigmoid()
    return (first + part * (last - first)).long().clamp(max=last - 1)


def noise(
    x0: torch.Tensor,
    levels: Table,
    times: Times = "uniform",
    offset: float = 0.0,
    span: tuple[float, float] = (0.0, 1.0),
) -> Noised:
    """Put noise on x0 (B, C, H, W), each item at a level of its own, with torch's default generator.

    span: the part of the table that levels are of, from its clean end, 0, to its noisy end, 1.
    offset: deviation of a number that is added to the noise of a whole channel, so that a model learns to make pictures
    that are dark or bright as a whole.
    """
    device = x0.device
    count = len(levels.t)
    first = min(round(span[0] * count), count - 1)
    index = levels_of(times, len(x0), first, max(round(span[1] * count), first + 1))  # (B,)
    alpha, sigma = (v[index].to(device).view(-1, 1, 1, 1) for v in (levels.alpha, levels.sigma))
    # x = alpha x0 + sigma eps
    eps = torch.randn(x0.shape)
    if offset:
        eps = eps + offset * torch.randn(*x0.shape[:2], 1, 1)
    eps = eps.to(device)
    return Noised(noised(x0, eps, alpha, sigma), levels.t[index].to(device), x0, eps, alpha, sigma)


def loss(prediction: str, o: torch.Tensor, batch: Noised, min_snr: float = 0.0) -> torch.Tensor:
    """mean w (o - target)^2, a scalar. min_snr: gamma, 0 for w = 1. ValueError for an unknown prediction."""
    wanted = target(prediction, batch.x0, batch.eps, batch.alpha, batch.sigma)
    if not min_snr:
        return F.mse_loss(o.float(), wanted)
    w = WEIGHTS[prediction]((batch.alpha / batch.sigma) ** 2, min_snr)
    return (w * (o.float() - wanted) ** 2).mean()


WEIGHTS: dict[str, Callable[[torch.Tensor, float], torch.Tensor]] = {
    # min(SNR, gamma) on the error of x0, said as a weight on the error of what the network puts out
    "sample": lambda snr, gamma: snr.clamp(max=gamma),
    "epsilon": lambda snr, gamma: snr.clamp(max=gamma) / snr.clamp(min=1e-8),
    "v": lambda snr, gamma: snr.clamp(max=gamma) / (snr + 1),
    "flow": lambda snr, gamma: snr.clamp(max=gamma) / (snr.sqrt() + 1) ** 2,
}
"""w by prediction: eps errs by alpha / sigma of x0's error, v by 1 / sigma, the flow by 1 / sigma too."""
