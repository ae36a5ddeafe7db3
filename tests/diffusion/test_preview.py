"""The quick look at a training: the right pictures, the same each time, and no trace left in the training."""

import numpy as np
import pytest
import torch

from diffusion.dit import DiTConfig
from diffusion.preview import preview
from diffusion.training import TrainingConfig, train
from diffusion.types import Dataset, ScheduleConfig
from diffusion.unet import UNet, UNetConfig

SMALL = {"widths": (8, 8), "heads": 2, "groups": 4, "embedding": 8, "patch": 1}


@pytest.mark.parametrize(("classes", "channels", "count"), [(3, 1, 3), (0, 3, 4), (12, 1, 10)])
def test_one_picture_of_each_class(classes: int, channels: int, count: int) -> None:
    model = UNet(UNetConfig(**SMALL, classes=classes, channels=channels)).eval()
    image = preview(model, TrainingConfig(), 8, 6, steps=2)
    assert image.pixels.shape == (count, 8, 6, channels)
    assert np.array_equal(preview(model, TrainingConfig(), 8, 6, steps=2).pixels, image.pixels)


def test_looking_does_not_change_the_training() -> None:
    data = Dataset(np.random.default_rng(0).integers(0, 255, (8, 8, 8, 1), dtype=np.uint8))
    config, unet = TrainingConfig(steps=3, batch=4), UNetConfig(**SMALL)
    looked = train(data, unet, config, report=lambda i, n, loss, model: preview(model, config, 8, 8, 2) and None)
    plain = train(data, unet, config)
    assert looked.losses == plain.losses
    weights = plain.model.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in looked.model.state_dict().items())


@pytest.mark.parametrize("times", ["uniform", "logit_normal"])
def test_a_learned_flow_leads_from_noise_to_pictures_of_the_class(times: str) -> None:
    dark, bright = np.zeros((8, 8, 8, 1), np.uint8), np.full((8, 8, 8, 1), 255, np.uint8)
    data = Dataset(np.concatenate([dark, bright]), np.repeat([0, 1], 8), (), ("dark", "bright"))
    config = TrainingConfig("flow", ScheduleConfig("flow"), times, steps=150, batch=32, warmup=5, lr=1e-2, ema=0.9)
    dit = DiTConfig(patch=2, width=16, depth=2, heads=2, embedding=8, classes=2)
    first, second = preview(train(data, dit, config).model, config, 8, 8, steps=8).pixels
    assert first.mean() < 0.1
    assert second.mean() > 0.9
