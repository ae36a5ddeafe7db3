"""Judging samples, and drawing curves."""

import warnings

import numpy as np
import pytest

from diffusion.datasets import digits
from diffusion.evaluate import HIDDEN, Judge, distance_of_features, distances, frechet_distance
from diffusion.plots import plot_loss, plot_schedules
from diffusion.schedule import table
from diffusion.types import Dataset, Image, ScheduleConfig


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(digits(8))


def test_frechet_distance_of_gaussians_is_the_formula() -> None:
    zero, unit = np.zeros(3), np.eye(3)
    assert frechet_distance(zero, unit, zero, unit) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(zero, unit, zero + 2, unit) == pytest.approx(12)
    # covariances that share their axes: sum of (s1 - s2)^2
    assert frechet_distance(zero, np.diag([1.0, 4, 9]), zero, np.diag([4.0, 4, 0])) == pytest.approx(1 + 9)
    draw = np.random.default_rng(0).standard_normal
    a, b = (m @ m.T for m in (draw((5, 5)), draw((5, 5))))
    root = np.sqrt(np.linalg.eigvals(a @ b).real).sum()
    assert frechet_distance(zero.repeat(2)[:5], a, zero.repeat(2)[:5], b) == pytest.approx(
        np.trace(a) + np.trace(b) - 2 * root
    )


def test_one_picture_has_no_distance() -> None:
    with pytest.raises(ValueError, match="two pictures on each side"):
        distance_of_features(np.zeros((1, 4)), np.zeros((5, 4)))


def test_a_judge_reads_real_digits_and_is_the_same_every_time(judge: Judge) -> None:
    test = digits(8, "test")
    assert (judge.classify(test.images) == test.labels).mean() > 0.97
    assert np.array_equal(judge.classify(test.images), judge.classify(test.images / np.float32(255)))
    assert judge.features(test.images).shape == (360, HIDDEN)
    assert np.array_equal(Judge(digits(8)).features(test.images), judge.features(test.images))


def test_real_pictures_are_near_and_others_are_far(judge: Judge) -> None:
    train, test = digits(8), digits(8, "test")
    real = distances(judge, train, test, Image(test.images / np.float32(255)))
    assert real.ratio == pytest.approx(1)
    noise = np.random.default_rng(0).random((200, 8, 8, 1), dtype=np.float32)
    far = distances(judge, train, test, Image(noise))
    assert far.count == 200
    assert far.ratio > 20
    one_class = test.images[test.labels == 3] / np.float32(255)
    assert distances(judge, train, test, Image(one_class)).ratio > 5


def test_what_cannot_be_judged_is_refused(judge: Judge) -> None:
    with pytest.raises(ValueError, match="at least two classes"):
        Judge(Dataset(np.zeros((3, 8, 8, 1), np.uint8)))
    with pytest.raises(ValueError, match=r"knows pictures of \(8, 8, 1\), and these are \(16, 16, 1\)"):
        judge.classify(np.zeros((2, 16, 16, 1), np.uint8))


def test_schedules_and_losses_become_pictures() -> None:
    kinds = {kind: table(ScheduleConfig(kind)) for kind in ("linear", "cosine", "flow")}
    kinds["zero SNR"] = table(ScheduleConfig(zero_snr=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures = [plot_schedules(kinds), plot_loss([1.0]), plot_loss(list(1 / np.arange(1, 300)))]
    for picture in pictures:
        batch, height, width, channels = picture.pixels.shape
        assert (batch, channels) == (1, 3)
        assert min(height, width) >= 300
        assert picture.pixels.dtype == np.float32
        assert len(np.unique(picture.pixels.reshape(-1, 3), axis=0)) > 20
    with pytest.raises(ValueError, match="no losses"):
        plot_loss([])
