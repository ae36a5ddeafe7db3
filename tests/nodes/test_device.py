"""What "auto" means on this machine and on others."""

import pytest

from engine.errors import WeftError
from nodes import device


@pytest.fixture
def machine(monkeypatch):
    """Pretend to have so many GPUs, or Apple's chips."""

    def pretend(gpus=0, apple=False):
        monkeypatch.setattr(device, "cuda_count", lambda: gpus)
        monkeypatch.setattr(device, "has_mps", lambda: apple)

    return pretend


@pytest.mark.parametrize(
    ("gpus", "apple", "asked", "found"),
    [
        (0, False, ("auto", "auto"), ("cpu", "float32")),
        (2, False, ("auto", "auto"), ("cuda", "bfloat16")),
        (0, True, ("auto", "auto"), ("mps", "float32")),
        (2, False, ("cuda:1", "float16"), ("cuda:1", "float16")),
        (1, False, ("cpu", "auto"), ("cpu", "float32")),
        (1, False, ("auto", "float32"), ("cuda", "float32")),
    ],
)
def test_auto_takes_the_best_there_is(machine, gpus, apple, asked, found):
    machine(gpus, apple)
    assert device.resolve(*asked) == found


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (
            ("cuda", "auto"),
            'E-CLI: --device "cuda" is not there: 0 CUDA devices found; take --device auto; weft doctor',
        ),
        (("cuda:x", "auto"), 'E-CLI: --device "cuda:x" is not a device; did you mean "cuda"?'),
        (("gpu", "auto"), 'E-CLI: --device "gpu" is not a device; did you mean "cpu"?'),
        (("mps", "auto"), "E-CLI: --device mps needs a Mac with Apple's chips; take --device auto"),
        (("cpu", "fp16"), 'E-CLI: --dtype "fp16" is not a dtype; known: auto, float32, bfloat16, float16'),
    ],
)
def test_a_device_that_is_not_there_is_named(machine, asked, text):
    machine()
    with pytest.raises(WeftError) as caught:
        device.resolve(*asked)
    assert str(caught.value).startswith(text)


def test_all_that_is_wrong_is_said_at_once(machine):
    machine()
    with pytest.raises(WeftError) as caught:
        device.resolve("cuda", "half")
    assert len(caught.value.problems) == 2


def test_counting_gpus_needs_no_driver():
    assert device.cuda_count() >= 0
