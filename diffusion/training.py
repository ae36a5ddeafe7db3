"""How the network learns: noise a picture, let it guess, correct it; thousands of times (Ho et al. 2020, algorithm 1).

What is drawn and compared is in `diffusion.objective`. On a flow table, where alpha = 1 - t and sigma = t, with
eps - x0 for a target, this is flow matching (Lipman et al. 2023). The loop itself is in `diffusion.loop`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors.torch import save

from diffusion.checkpoint import WEIGHTS, PixelConfig, write_atomically, write_config
from diffusion.loop import LoopConfig, loop, mixed_precision, seeded
from diffusion.networks import NetworkConfig, PixelNetwork, build, kind_of_network
from diffusion.objective import Times, loss, noise
from diffusion.schedule import Table, table
from diffusion.types import Dataset, Prediction, ScheduleConfig


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the weights. The defaults are those of the shipped digits model."""

    prediction: Prediction = "v"
    """What the network puts out."""
    schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig("cosine"))
    """The noise table it learns."""
    times: Times = "uniform"
    """Which levels of the table it sees: all alike, or the middle more often (`objective.levels_of`)."""
    steps: int = 1500
    """Updates of the weights."""
    batch: int = 128
    """Pictures in each."""
    lr: float = 2e-3
    """The highest learning rate; it rises to that over `warmup` steps, then falls to 0 as half a cosine."""
    warmup: int = 50
    """Steps of rising learning rate."""
    weight_decay: float = 0.01
    """Pull of the weights towards 0 (AdamW)."""
    clip_norm: float = 1.0
    """Longest gradient; a longer one is shortened to it."""
    label_dropout: float = 0.1
    """Share of labels replaced by "no class", so that guidance has something to push away from."""
    ema: float = 0.998
    """Share of the averaged weights that stays at each step, once warm; samples are made with the average."""
    seed: int = 0
    """Decides the first weights, the order of the pictures and the noise."""
    bfloat16: bool = False
    """Multiply in bfloat16 where that is safe. Quicker only where the processor has instructions for it."""

    def __post_init__(self) -> None:
        for name, low, high in (("batch", 1, 65536), ("label_dropout", 0, 1)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must lie in {low} … {high}, got {value:g}")
        if self.times not in get_args(Times):
            raise ValueError(f'unknown times "{self.times}"; known: {", ".join(get_args(Times))}')
        self.loop()

    @property
    def sampler(self) -> str:
        """What is best used to sample what was trained so."""
        return "flow_euler" if self.schedule.kind == "flow" else "ddim"

    def loop(self) -> LoopConfig:
        """The part that `diffusion.loop` goes by. Raises ValueError for what is out of range."""
        return LoopConfig(
            self.steps, self.lr, self.warmup, self.weight_decay, self.clip_norm, self.ema, self.seed,
            bfloat16=self.bfloat16,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, its averaged weights in `model`, and the loss of every step."""

    model: PixelNetwork
    losses: tuple[float, ...]


Report = Callable[[int, int, float, PixelNetwork], None]
"""Told after each step: steps done, steps in all, loss, and the network with averaged weights. It may raise to stop."""


def train(
    dataset: Dataset,
    network: NetworkConfig,
    config: TrainingConfig,
    progress: Path | None = None,
    save_every: int = 100,
    device: str = "cpu",
    report: Report | None = None,
) -> Trained:
    """Train a network on a data set.

    progress: a file that keeps the state, written every `save_every` steps and when `report` stops the run; where it
    is there already, the training goes on from it.
    device: where to train; on a CPU the result depends on nothing but the arguments and the version of torch.
    Raises ValueError if the network does not fit the data, or the file is damaged or of another training.
    """
    _check(dataset, network)
    images, labels = _tensors(dataset, network, device)
    levels = table(config.schedule)
    with torch.random.fork_rng(devices=[]):
        seeded(config.seed)
        model = build(network).to(device).to(memory_format=torch.channels_last)
        average = build(network).to(device).to(memory_format=torch.channels_last).requires_grad_(False).eval()
        average.load_state_dict(model.state_dict())

        def loss_of(step: int) -> torch.Tensor:
            return _loss(model, images, labels, levels, config)

        def told(step: int, total: int, loss: float) -> None:
            if report is not None:
                report(step, total, loss, average)

        identity = _identity(dataset, network, config)
        losses = loop(model, average, config.loop(), loss_of, identity, progress, save_every, told)
    return Trained(average, losses)


def save_model(
    folder: Path, trained: PixelNetwork, dataset: Dataset, config: TrainingConfig, losses: tuple[float, ...]
) -> None:
    """Write a model folder (see `diffusion.checkpoint`): averaged weights in float32, and how they were made."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in trained.state_dict().items()}
    write_atomically(folder / WEIGHTS, save(weights))
    last = losses[-100:]
    training = {
        **asdict(config),
        "dataset": dataset.name,
        "images": len(dataset),
        "loss": sum(last) / max(len(last), 1),
    }
    height, width = dataset.images.shape[1:3]
    write_config(
        folder,
        PixelConfig(
            network=kind_of_network(trained.config),
            sizes=asdict(trained.config),
            height=height,
            width=width,
            prediction=config.prediction,
            schedule=config.schedule,
            class_names=dataset.class_names if trained.config.classes else (),
            sampler=config.sampler,
            training=training,
        ),
    )


def _loss(
    model: PixelNetwork, images: torch.Tensor, labels: torch.Tensor | None, levels: Table, config: TrainingConfig
) -> torch.Tensor:
    batch, device = config.batch, images.device
    chosen = torch.randint(len(images), (batch,))
    x0 = images[chosen.to(device)]  # (B, C, H, W)
    label = None
    if labels is not None:
        dropped = torch.rand(batch) < config.label_dropout
        label = torch.where(dropped.to(device), model.config.classes, labels[chosen.to(device)])  # (B,)

    drawn = noise(x0, levels, config.times)
    with mixed_precision(device.type, config.bfloat16):
        o = model(drawn.x.contiguous(memory_format=torch.channels_last), drawn.t, label)
    return loss(config.prediction, o, drawn)


def _tensors(dataset: Dataset, network: NetworkConfig, device: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    # p in 0 … 255 to x0 = p / 127.5 - 1 in -1 … 1
    images = torch.tensor(dataset.images).permute(0, 3, 1, 2).float() / 127.5 - 1  # (N, C, H, W)
    labels = torch.tensor(dataset.labels).to(device) if network.classes and dataset.labels is not None else None
    return images.to(device), labels


def _identity(dataset: Dataset, network: NetworkConfig, config: TrainingConfig) -> dict[str, Any]:
    content = hashlib.sha256(dataset.images.tobytes())
    content.update(b"" if dataset.labels is None else dataset.labels.tobytes())
    return {"dataset": content.hexdigest(), kind_of_network(network): asdict(network), "training": asdict(config)}


def _check(dataset: Dataset, network: NetworkConfig) -> None:
    count, height, width, channels = dataset.alike.images.shape
    if not count:
        raise ValueError("the data set is empty")
    if channels != network.channels:
        raise ValueError(f"the network takes {network.channels} channels, and the pictures have {channels}")
    if height % network.multiple or width % network.multiple:
        raise ValueError(
            f"pictures of {height} x {width} are no multiple of the {network.multiple} that the network needs"
        )
    if network.classes and (dataset.labels is None or network.classes != len(dataset.class_names)):
        has = "none" if dataset.labels is None else str(len(dataset.class_names))
        raise ValueError(f"the network is for {network.classes} classes, and the data set has {has}")
