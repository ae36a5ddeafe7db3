"""Comparing pictures of ours with those of diffusers' pipelines."""

from unittest.mock import patch

import numpy as np
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

from diffusion.store import aligned


def assert_same(here, there):
    """Equal up to rounding: at most 1e-4 apart on a scale of 0 … 1, and 5e-6 on average. (B, H, W, 3) both."""
    assert here.shape == there.shape
    assert there.std() > 0.01, "a picture of one colour would prove nothing"
    difference = np.abs(here - there)
    assert difference.max() <= 1e-4
    assert difference.mean() <= 5e-6


def pixels(pipe, prompt="a fox", *, seed=5, batch=1, **call):
    """What a pipeline draws, (B, H, W, 3) in 0 … 1. Picture i has the seed seed + i; a picture given to it is coded to
    the mean, as ours is, and not to a sample."""
    settle(pipe)
    seeds = [torch.Generator().manual_seed(seed + i) for i in range(batch)]
    with patch.object(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode()):
        return pipe(prompt, generator=seeds, num_images_per_prompt=batch, output_type="np", **call).images


def settle(pipe):
    """Move a pipeline's weights to addresses like those of ours: elsewhere kernels round otherwise."""
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            aligned(part)
