"""What the mathematics is tested with: a world whose best denoiser is known exactly, and one thread."""

import pytest
import torch

from diffusion.types import Latent, Level


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Gaussian:
    """The best denoiser there is for data N(mean, deviation^2): E[x0 | x] in closed form."""

    def __init__(self, mean: float = 0.7, deviation: float = 0.5) -> None:
        self.mean, self.deviation = mean, deviation

    def __call__(self, x: torch.Tensor, level: Level) -> tuple[torch.Tensor, torch.Tensor]:
        # E[x0 | x] = mean + alpha s^2 (x - alpha mean) / (alpha^2 s^2 + sigma^2)
        s2 = self.deviation**2
        gain = level.alpha * s2 / (level.alpha**2 * s2 + level.sigma**2)
        x0 = self.mean + gain * (x - level.alpha * self.mean)
        return x0, (x - level.alpha * x0) / level.sigma


class Oracle:
    """A denoiser that knows the true x0."""

    def __init__(self, x0: torch.Tensor) -> None:
        self.x0 = x0

    def __call__(self, x: torch.Tensor, level: Level) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x0, (x - level.alpha * self.x0) / level.sigma


@pytest.fixture
def gaussian() -> Gaussian:
    return Gaussian()


@pytest.fixture
def oracle() -> type[Oracle]:
    return Oracle


@pytest.fixture
def empty() -> Latent:
    return Latent(torch.zeros(4, 1, 8, 8), "pixel", "empty")
