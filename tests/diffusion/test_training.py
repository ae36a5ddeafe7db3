"""Training: it learns, it is repeatable, and it goes on after an interruption as if nothing had happened."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion.checkpoint import read_config, recipes
from diffusion.loop import ema_decay, learning_rate
from diffusion.pixel import load_unet
from diffusion.training import TrainingConfig, save_model, train
from diffusion.types import PREDICTIONS, Dataset, ScheduleConfig
from diffusion.unet import UNet, UNetConfig

TINY = UNetConfig(widths=(8, 8), blocks=1, heads=2, groups=4, embedding=8, patch=1, classes=2)
SHORT = TrainingConfig(steps=6, batch=8, warmup=2)


def two_classes() -> Dataset:
    dark, bright = np.zeros((8, 8, 8, 1), dtype=np.uint8), np.full((8, 8, 8, 1), 255, dtype=np.uint8)
    return Dataset(np.concatenate([dark, bright]), np.repeat([0, 1], 8), (), ("dark", "bright"), "two")


def weights(model: UNet) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_loss_falls(prediction: str) -> None:
    kind = "flow" if prediction == "flow" else "cosine"
    config = replace(SHORT, prediction=prediction, schedule=ScheduleConfig(kind), steps=60, lr=5e-3)
    losses = train(two_classes(), TINY, config).losses
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("at", [1, 4])
def test_a_resumed_training_gives_the_same_weights_as_an_unbroken_one(tmp_path: Path, at: int, bfloat16: bool) -> None:
    config, unet = replace(SHORT, bfloat16=bfloat16), replace(TINY, dropout=0.2)
    unbroken = train(two_classes(), unet, config)

    def stop(step: int, total: int, loss: float, model: UNet) -> None:
        if step == at:
            raise KeyboardInterrupt

    file = tmp_path / "progress.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(two_classes(), unet, config, file, report=stop)
    torch.manual_seed(99)
    steps: list[int] = []
    resumed = train(two_classes(), unet, config, file, report=lambda step, *_: steps.append(step))
    assert steps == list(range(at + 1, 7))
    assert resumed.losses == unbroken.losses
    expected = weights(unbroken.model)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(resumed.model).items())
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_an_interrupt_within_a_step_goes_on_from_the_last_regular_save(tmp_path: Path, monkeypatch) -> None:
    unbroken = train(two_classes(), TINY, SHORT)
    calls = []
    normal = torch.nn.utils.clip_grad_norm_

    def interrupted(*args: object, **options: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return normal(*args, **options)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", interrupted)
    file = tmp_path / "progress.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(two_classes(), TINY, SHORT, file, save_every=2)
    steps: list[int] = []
    resumed = train(two_classes(), TINY, SHORT, file, report=lambda step, *_: steps.append(step))
    assert steps == [3, 4, 5, 6]
    assert resumed.losses == unbroken.losses


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "progress.safetensors"
    first = train(two_classes(), TINY, SHORT, file)
    again = train(two_classes(), TINY, SHORT, file, report=lambda *_: pytest.fail("trained again"))
    assert again.losses == first.losses


def test_the_seed_decides_and_the_surroundings_do_not() -> None:
    torch.manual_seed(1)
    first = train(two_classes(), TINY, SHORT).losses
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    assert train(two_classes(), TINY, SHORT).losses == first
    assert torch.equal(torch.random.get_rng_state(), before)
    assert train(two_classes(), TINY, replace(SHORT, seed=1)).losses != first


@pytest.mark.parametrize(
    "spoil",
    [lambda d: d[: len(d) // 2], lambda d: b"", lambda d: b"\xff" * 8 + d[8:]],
    ids=["cut", "empty", "garbled"],
)
def test_a_damaged_checkpoint_is_named(tmp_path: Path, spoil) -> None:
    file = tmp_path / "progress.safetensors"
    train(two_classes(), TINY, SHORT, file)
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(ValueError, match=r"progress\.safetensors: cannot go on from it: .*delete it"):
        train(two_classes(), TINY, SHORT, file)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "progress.safetensors"
    train(two_classes(), TINY, SHORT, file)
    with pytest.raises(ValueError, match="belongs to another training"):
        train(two_classes(), TINY, replace(SHORT, lr=1e-4), file)


def test_average_is_quick_at_first_and_learning_rate_rises_then_falls() -> None:
    assert ema_decay(0.999, 0) == pytest.approx(0.1)
    assert ema_decay(0.999, 10**6) == 0.999
    config = TrainingConfig(steps=100, warmup=10, lr=1.0)
    rates = [learning_rate(config.loop(), step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1, rel=0.01)
    assert max(rates) == max(rates[9:12])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unet": replace(TINY, channels=3)}, "takes 3 channels, and the pictures have 1"),
        ({"unet": replace(TINY, classes=3)}, "for 3 classes, and the data set has 2"),
        ({"unet": replace(TINY, patch=8)}, "no multiple of the 16"),
        ({"dataset": Dataset(np.zeros((0, 8, 8, 1), np.uint8))}, "the data set is empty"),
    ],
)
def test_data_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    arguments = {"dataset": two_classes(), "unet": TINY, "config": SHORT} | changes
    with pytest.raises(ValueError, match=message):
        train(**arguments)


@pytest.mark.parametrize(
    ("name", "value"), [("steps", 0), ("batch", 0), ("label_dropout", 1.5), ("ema", -1), ("lr", 0)]
)
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must"):
        TrainingConfig(**{name: value})


def test_a_saved_model_is_read_back_whole(tmp_path: Path) -> None:
    data = two_classes()
    trained = train(data, TINY, SHORT)
    save_model(tmp_path, trained.model, data, SHORT, trained.losses)
    model, text_encoder, vae = recipes(tmp_path)
    assert (model.height, model.width, model.channels, model.multiple) == (8, 8, 1, 2)
    assert model.class_names == text_encoder.class_names == ("dark", "bright")
    assert (model.prediction, model.schedule, model.clip) == (SHORT.prediction, SHORT.schedule, True)
    assert vae.space == model.space == "pixel"
    assert (
        UNetConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in read_config(tmp_path).unet.items()}) == TINY
    )
    loaded = weights(load_unet(tmp_path))
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in weights(trained.model).items())
    assert read_config(tmp_path).training is not None
    assert asdict(SHORT).items() <= {**read_config(tmp_path).training, "schedule": asdict(SHORT.schedule)}.items()
