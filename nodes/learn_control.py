"""Teaching a ControlNet, from a model and pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from diffusion.control_loading import unlike
from diffusion.recipes import ControlNetRecipe, ModelRecipe
from engine.context import Context
from engine.errors import Place, Problem, error
from engine.node import Input, Node, Seed
from nodes.compute import Looks
from nodes.detect import ControlImage, Kind, detector_files
from nodes.learn_common import base_of, examples_of, identity_of, loop_config
from nodes.sockets import VAE, ControlNet, Dataset, Image, Losses, Model, TextEncoder

DETECTED = 64
"""Pictures in which something is looked for at a time."""


class TrainedControlNet(NamedTuple):
    """A ControlNet, and the loss of every step."""

    controlnet: ControlNet
    losses: Losses


class TrainControlNet(Node):
    """Teach a ControlNet to follow edges, depth or the like: minimise E w (o(x_t, t, c, r) - target)^2, r = net(x_t, t,
    c, hint), where the hint is what ControlImage finds in the picture that is noised (Zhang et al. 2023).

    The net begins as a copy of the first half of the U-Net, joined to it by convolutions that begin at zero. Half of
    the captions are left out, so that it learns to read the hint rather than the caption. The U-Net, the text encoders
    and the VAE stay as they are. For Stable Diffusion and SDXL. What comes out goes to ControlNetApply and SaveModel.
    If it is stopped, the next run goes on from where it was, and ends on the same weights.
    """

    version = 1
    numeric = True
    model: Model
    text_encoder: TextEncoder
    vae: VAE
    dataset: Dataset
    kind: Kind = Input("canny", about="what ControlImage finds in each picture")
    detector: str | None = Input(
        None, about="where ControlImage needs a network: its folder, or an id in the hub's cache", files=detector_files,
        beside=("kind",),
    )  # fmt: skip
    low: float = Input(100, ge=0, le=2040, about="canny: an edge that touches a strong one")
    high: float = Input(200, ge=0, le=2040, about="canny: a strong edge")
    steps: int = Input(2000, ge=1, le=10_000_000, about="updates of the weights")
    batch: int = Input(16, ge=1, le=65536, about="pictures in each")
    lr: float = Input(5e-4, ge=0, le=1, about="highest learning rate; it rises, then falls as half a cosine")
    warmup: int = Input(100, ge=0, le=1_000_000, about="steps of rising learning rate")
    accumulate: int = Input(1, ge=1, le=4096, about="batches whose gradients are added up for an update")
    caption_dropout: float = Input(0.5, ge=0, le=1, about="share of captions replaced by none")
    min_snr: float = Input(0.0, ge=0, le=100, about="gamma of min-SNR weighting (Hang et al. 2023); 0 for none")
    times: Literal["uniform", "logit_normal"] = Input("uniform", about="how levels are drawn")
    ema: float = Input(0.99, ge=0, le=1, about="share of the averaged weights that stays at each step")
    precision: Literal["float32", "bfloat16"] = Input("float32", about="what to multiply in")
    seed: int = Seed(0)

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """What the net will be for. E-ARCH for a model of which none can be made."""
        model = known.get("model")
        if not isinstance(model, ModelRecipe):
            return {}
        if why := unlike(model):
            raise error(Problem("E-ARCH", why, "take a model of Stable Diffusion or SDXL", Place(input="model")))
        return {"controlnet": ControlNetRecipe(model.family, "")}

    def run(self, ctx: Context) -> TrainedControlNet:
        import numpy as np

        from diffusion import training_control
        from diffusion.store import STORE

        config = training_control.ControlTraining(
            loop_config(self, self.accumulate), self.batch, self.caption_dropout, self.min_snr, self.times
        )
        with STORE.using():
            base = base_of(self, ctx)
            data = examples_of(base, self.dataset, ctx)
            looked_for = {"kind": self.kind, "model": self.detector, "low": self.low, "high": self.high}
            found, count = [], len(self.dataset)
            for start in range(0, count, DETECTED):
                ctx.progress(start, count, f"looking for {self.kind}")
                pictures = Image(self.dataset.images[start : start + DETECTED].astype(np.float32) / 255)
                hints = ControlImage(image=pictures, **looked_for).run(ctx).pixels
                found.append((hints * 255).round().astype(np.uint8))
            net, losses = training_control.train(
                base,
                data,
                np.concatenate(found),
                config,
                {**identity_of(self, self.dataset, config), "hint": looked_for},
                ctx.scratch / "progress.safetensors",
                ctx.device,
                Looks(ctx).report,
            )
        return TrainedControlNet(training_control.save(net, ctx.scratch / "model"), Losses(losses))
