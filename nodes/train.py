"""Training a denoiser from scratch."""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from engine.context import Context
from engine.node import Input, Node, Seed
from nodes.compute import Looks
from nodes.learn_common import Average, Batch, Rate, Steps, Warmup
from nodes.sockets import VAE, Dataset, Image, Losses, Model, TextEncoder

if TYPE_CHECKING:
    from diffusion.networks import NetworkConfig, PixelNetwork
    from diffusion.training import TrainingConfig


class Trained(NamedTuple):
    """A trained model, what goes with it, and the loss of every step."""

    model: Model
    vae: VAE
    text_encoder: TextEncoder
    losses: Losses


class FromScratch(BaseModel):
    """The inputs that both trainings from nothing have."""

    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True)

    dataset: Dataset
    steps: int = Steps(1500)
    batch: int = Batch(128)
    lr: float = Rate(2e-3)
    warmup: int = Warmup(50)
    label_dropout: float = Input(0.1, ge=0, le=1, about="share of labels replaced by none")
    ema: float = Average(0.998)
    seed: int = Seed(0)

    def moves(self) -> dict[str, Any]:
        """All but the data, by the names that `diffusion.training.TrainingConfig` has for them."""
        return {name: getattr(self, name) for name in FromScratch.model_fields if name != "dataset"}


class TrainDDPM(FromScratch, Node):
    """Teach a U-Net to undo noise: minimise E |o(x_t, t, label) - target|^2 over t, pictures and noise.

    x_t = alpha x0 + sigma eps; the target is eps, x0 or v = alpha eps - sigma x0 (Ho et al. 2020, algorithm 1; Salimans
    & Ho 2022). One label in ten is dropped, so that the model learns to draw without a label too, which guidance needs.
    Samples are made with an exponential moving average of the weights. If it is stopped, the next run goes on from
    where it was, and ends on the same weights.
    """

    version = 1
    numeric = True
    prediction: Literal["epsilon", "sample", "v"] = Input("v", about="what the network learns to say")
    schedule: Literal["linear", "scaled_linear", "cosine"] = Input("cosine", about="the noise table")
    widths: list[int] = Input([48, 96], about="features at each level of the U-Net; each level halves the picture")
    blocks: int = Input(1, ge=1, le=16, about="residual blocks at each level")
    patch: int = Input(2, ge=1, le=16, about="side of the squares of pixels that become one place")
    attention: int = Input(1, ge=0, le=8, about="how many of the lowest levels have self-attention")
    dropout: float = Input(0.0, ge=0, le=0.9, about="share of features dropped while it learns")

    def run(self, ctx: Context) -> Trained:
        from diffusion.training import TrainingConfig
        from diffusion.types import ScheduleConfig
        from diffusion.unet import UNetConfig

        levels = len(self.widths)
        network = UNetConfig(
            channels=self.dataset.images.shape[-1],
            widths=tuple(self.widths),
            blocks=self.blocks,
            attention=tuple(level >= levels - self.attention for level in range(levels)),
            patch=self.patch,
            classes=len(self.dataset.class_names),
            dropout=self.dropout,
        )
        config = TrainingConfig(
            prediction=self.prediction,
            schedule=ScheduleConfig(self.schedule),
            **self.moves(),
        )
        return _learn(ctx, self.dataset, network, config)


class TrainDiT(FromScratch, Node):
    """Teach a transformer to flow from noise to pictures: minimise E |o(x_t, t, label) - (eps - x0)|^2.

    x_t = (1 - t) x0 + t eps, a straight line from the picture to the noise, and o is how fast to move along it (flow
    matching, Lipman et al. 2023). Every square of patch x patch pixels is a token; t and the label scale and shift what
    each block normalises, and gate what it adds, with gates that begin at zero (DiT, adaLN-Zero, Peebles & Xie 2023).
    One label in ten is dropped, samples are made with an exponential moving average of the weights, and a training that
    is stopped goes on from where it was, as for TrainDDPM.
    """

    version = 1
    numeric = True
    times: Literal["uniform", "logit_normal"] = Input(
        "logit_normal", about="which t it sees: all alike, or the middle more often (Esser et al. 2024)"
    )
    patch: int = Input(4, ge=1, le=64, about="side of the squares of pixels that become one token")
    width: int = Input(128, ge=4, le=8192, multiple_of=4, about="features of a token")
    depth: int = Input(5, ge=1, le=256, about="blocks")
    heads: int = Input(4, ge=1, le=256, about="parts into which attention splits the features")
    dropout: float = Input(0.0, ge=0, le=0.9, about="share of what a block adds that is dropped while it learns")

    def run(self, ctx: Context) -> Trained:
        from diffusion.dit import DiTConfig
        from diffusion.training import TrainingConfig
        from diffusion.types import ScheduleConfig

        network = DiTConfig(
            channels=self.dataset.images.shape[-1],
            patch=self.patch,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            classes=len(self.dataset.class_names),
            dropout=self.dropout,
        )
        config = TrainingConfig(
            prediction="flow",
            schedule=ScheduleConfig("flow"),
            times=self.times,
            **self.moves(),
        )
        return _learn(ctx, self.dataset, network, config)


def _learn(ctx: Context, dataset: Dataset, network: "NetworkConfig", config: "TrainingConfig") -> Trained:
    """Train, with a look at what was learned now and then, and give the recipes of what came of it."""
    from diffusion import checkpoint
    from diffusion.preview import preview
    from diffusion.training import save_model, train

    height, width = dataset.images.shape[1:3]
    looks = Looks(ctx, columns=5)

    def report(step: int, total: int, loss: float, average: "PixelNetwork") -> None:
        looks.report(step, total, loss, lambda: preview(average, config, height, width))

    folder = ctx.scratch
    done = train(dataset, network, config, folder / "progress.safetensors", device=ctx.device, report=report)
    save_model(folder / "model", done.model, dataset, config, done.losses)
    model, text_encoder, vae = checkpoint.recipes(folder / "model")
    return Trained(model, vae, text_encoder, Losses(done.losses))


class PlotLoss(Node):
    """The loss of every step of a training, and its running mean, as a picture."""

    version = 1
    losses: Losses
    title: str = Input("training loss", about="above the plot")

    def run(self, ctx: Context) -> Image:
        from diffusion.plots import plot_loss

        return plot_loss(self.losses.values, self.title)
