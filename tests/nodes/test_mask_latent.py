"""MaskLatent: a mask on a latent that is there already."""

import numpy as np
import pytest
import torch

from diffusion.inpaint import masked
from diffusion.types import Latent, Mask


def latent(state="clean", count=1):
    return Latent(torch.ones(count, 4, 8, 8), "sd", state)


def test_the_mask_is_resized_to_the_latent():
    values = np.zeros((1, 64, 64), np.float32)
    values[:, :, 32:] = 1
    found = masked(latent(), Mask(values))
    assert found.mask is not None
    assert found.mask.shape == (1, 1, 8, 8)
    assert found.mask[0, 0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("given", "masks", "why"),
    [
        (latent("empty"), 1, "a mask keeps part of a clean latent; this one is empty: take one made of a picture"),
        (latent(count=2), 3, "there are 3 masks for 2 latents"),
    ],
)
def test_what_it_does_not_take(given, masks, why):
    with pytest.raises(ValueError, match=why):
        masked(given, Mask(np.zeros((masks, 64, 64), np.float32)))
