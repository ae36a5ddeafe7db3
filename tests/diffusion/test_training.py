"""Training: it learns, it is repeatable, and it goes on after an interruption as if nothing had happened."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion.checkpoint import read_config, recipes
from diffusion.dit import DiTConfig
from diffusion.loop import Decay, LoopConfig, ema_decay, learning_rate
from diffusion.networks import NetworkConfig, PixelNetwork, sizes_of
from diffusion.objective import Times, levels_of, noise
from diffusion.pixel import load_network
from diffusion.schedule import table
from diffusion.training import TrainingConfig, save_model, train
from diffusion.training_data import shuffled, training_table
from diffusion.types import PREDICTIONS, Dataset, ScheduleConfig
from diffusion.unet import UNetConfig

TINY = UNetConfig(widths=(8, 8), blocks=1, heads=2, groups=4, embedding=8, patch=1, classes=2)
DIT = DiTConfig(patch=2, width=16, depth=2, heads=2, embedding=8, classes=2)
NETWORKS = pytest.mark.parametrize("network", [TINY, DIT], ids=["unet", "dit"])
SHORT = TrainingConfig(steps=6, batch=8, warmup=2)


def two_classes() -> Dataset:
    dark, bright = np.zeros((8, 8, 8, 1), dtype=np.uint8), np.full((8, 8, 8, 1), 255, dtype=np.uint8)
    return Dataset(np.concatenate([dark, bright]), np.repeat([0, 1], 8), (), ("dark", "bright"), "two")


def weights(model: PixelNetwork) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("prediction", PREDICTIONS)
@NETWORKS
def test_the_loss_falls(network: NetworkConfig, prediction: str) -> None:
    kind = "flow" if prediction == "flow" else "cosine"
    config = replace(SHORT, prediction=prediction, schedule=ScheduleConfig(kind), steps=60, lr=5e-3)
    losses = train(two_classes(), network, config).losses
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("at", [1, 4])
@NETWORKS
def test_a_resumed_training_gives_the_same_weights_as_an_unbroken_one(
    tmp_path: Path, network: NetworkConfig, at: int, bfloat16: bool
) -> None:
    config, network = replace(SHORT, bfloat16=bfloat16), replace(network, dropout=0.2)
    unbroken = train(two_classes(), network, config)

    def stop(step: int, total: int, loss: float, model: PixelNetwork) -> None:
        if step == at:
            raise KeyboardInterrupt

    file = tmp_path / "progress.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(two_classes(), network, config, file, report=stop)
    torch.manual_seed(99)
    steps: list[int] = []
    resumed = train(two_classes(), network, config, file, report=lambda step, *_: steps.append(step))
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
        ({"network": replace(TINY, channels=3)}, "takes 3 channels, and the pictures have 1"),
        ({"network": replace(TINY, classes=3)}, "for 3 classes, and the data set has 2"),
        ({"network": replace(TINY, patch=8)}, "no multiple of the 16"),
        ({"network": replace(DIT, patch=3)}, "no multiple of the 3"),
        ({"dataset": Dataset(np.zeros((0, 8, 8, 1), np.uint8))}, "the data set is empty"),
    ],
)
def test_data_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    arguments = {"dataset": two_classes(), "network": TINY, "config": SHORT} | changes
    with pytest.raises(ValueError, match=message):
        train(**arguments)


@pytest.mark.parametrize(
    ("name", "value"), [("steps", 0), ("batch", 0), ("label_dropout", 1.5), ("ema", -1), ("lr", 0)]
)
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must"):
        TrainingConfig(**{name: value})


def test_unknown_times_are_refused() -> None:
    with pytest.raises(ValueError, match='unknown times "cosine"; known: uniform, logit_normal'):
        TrainingConfig(times="cosine")


def test_times_are_spread_evenly_or_as_the_logit_normal_is() -> None:
    torch.manual_seed(0)
    even, middle = (levels_of(times, 4000, 0, 1000) for times in ("uniform", "logit_normal"))
    for levels in (even, middle):
        assert (levels.min() >= 0, levels.max() < 1000) == (True, True)
    assert torch.histc(even.float(), 10, 0, 1000).tolist() == pytest.approx([400] * 10, abs=1)
    # P(t < 0.1) = P(z < log(0.1 / 0.9)) = 0.0140,   P(0.25 < t < 0.75) = P(|z| < log 3) = 0.7281
    assert float((middle < 100).float().mean()) == pytest.approx(0.0140, abs=1e-3)
    assert float(((middle >= 250) & (middle < 750)).float().mean()) == pytest.approx(0.7281, abs=1e-3)


@pytest.mark.parametrize("times", ["uniform", "logit_normal"])
def test_levels_may_be_of_a_part_of_the_table(times: Times) -> None:
    torch.manual_seed(0)
    x0, levels = torch.zeros(4000, 1, 1, 1), table(ScheduleConfig("linear"))
    t = noise(x0, levels, times, span=(0.25, 0.75)).t
    assert (t.min() >= 250, t.max() < 750, t.float().mean()) == (True, True, pytest.approx(500, abs=5))
    # what is narrower than a level is that level
    for span, only in (((0.5, 0.5), 500), ((0.9999, 1.0), 999)):
        assert set(noise(x0, levels, times, span=span).t.tolist()) == {only}


def test_a_flow_may_learn_at_levels_of_another_shift_than_it_draws_with() -> None:
    dynamic = ScheduleConfig("flow", base_shift=0.5, max_shift=1.15, mu=0.8)
    # a shift that follows the size is a matter of sampling
    assert training_table(dynamic) == ScheduleConfig("flow", max_shift=1.15)
    levels = table(training_table(replace(dynamic, shift=6.0), 3.0))
    # sigma' = 3 sigma / (1 + 2 sigma), at the middle of the table 3 / 4
    assert float(levels.sigma[499]) == pytest.approx(0.75)
    with pytest.raises(ValueError, match="learned linear: leave it out"):
        training_table(ScheduleConfig("linear"), 3.0)


@NETWORKS
def test_a_saved_model_is_read_back_whole(tmp_path: Path, network: NetworkConfig) -> None:
    data = two_classes()
    trained = train(data, network, SHORT)
    save_model(tmp_path, trained.model, data, SHORT, trained.losses)
    model, text_encoder, vae = recipes(tmp_path)
    assert (model.height, model.width, model.channels, model.multiple) == (8, 8, 1, 2)
    assert model.class_names == text_encoder.class_names == ("dark", "bright")
    assert (model.prediction, model.schedule, model.clip) == (SHORT.prediction, SHORT.schedule, True)
    assert vae.space == model.space == "pixel"
    assert sizes_of(read_config(tmp_path).network, read_config(tmp_path).sizes) == network
    loaded = weights(load_network(tmp_path))
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in weights(trained.model).items())
    assert read_config(tmp_path).training is not None
    assert asdict(SHORT).items() <= {**read_config(tmp_path).training, "schedule": asdict(SHORT.schedule)}.items()


@pytest.mark.parametrize(("decay", "half"), [("cosine", 0.5), ("linear", 0.5), ("constant", 1.0)])
def test_learning_rate_falls_as_it_is_said(decay: Decay, half: float) -> None:
    config = LoopConfig(steps=100, lr=2.0, warmup=1, decay=decay)
    assert learning_rate(config, 0) == 2.0
    assert learning_rate(config, 50) == pytest.approx(2.0 * half)


def test_an_unknown_decay_is_refused() -> None:
    with pytest.raises(ValueError, match='unknown decay "up"; known: cosine, linear, constant'):
        LoopConfig(steps=1, lr=1.0, decay="up")  # type: ignore[arg-type]


def test_the_first_part_of_a_caption_stays_first_when_the_others_are_shuffled() -> None:
    torch.manual_seed(0)
    found = {shuffled("inkwash, a, b, c") for _ in range(200)}
    assert len(found) == 6
    assert all(caption.startswith("inkwash, ") for caption in found)
    assert shuffled("a house") == "a house"
