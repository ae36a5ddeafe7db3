"""Teaching a ControlNet, from a model and pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from diffusion.control_loading import unlike
from diffusion.recipes import ControlNetRecipe, ModelRecipe
from engine.context import Context
from engine.errors import Place, Problem, error
from engine.node import Input, Node
from nodes.control import check_fit
from nodes.detect import ControlImage, Kind, detector_files
from nodes.learn_common import Batch, Dropout, FromModel, Rate, base_of, examples_of, run_of, teaching
from nodes.sockets import ControlNet, Dataset, Image, Losses

if TYPE_CHECKING:
    import numpy as np


class TrainedControlNet(NamedTuple):
    """A ControlNet, the loss of every step, and the validation pictures, time after time."""

    controlnet: ControlNet
    losses: Losses
    validation: Image


class TrainControlNet(FromModel, Node):
    """Teach a ControlNet to follow edges, depth or the like: minimise E w (o(x_t, t, c, r) - target)^2, r = net(x_t, t,
    c, hint), where the hint is what ControlImage finds in the picture that is noised (Zhang et al. 2023).

    It goes on from a ControlNet that is given, or begins with a new one, a copy of the first half of the U-Net, joined
    to it by convolutions that begin at zero. Half of the captions are left out, so that it learns to read the hint
    rather than the caption. The U-Net, the text encoders and the VAE stay as they are. For Stable Diffusion and SDXL.
    What comes out goes to ControlNetApply and SaveModel. If it is stopped, the next run goes on from where it was, and
    ends on the same weights.
    """

    version = 1
    numeric = True
    batch: int = Batch(16)
    lr: float = Rate(5e-4)
    caption_dropout: float = Dropout(0.5)
    controlnet: ControlNet | None = Input(None, about="one to go on from; default: a new one")
    kind: Kind = Input("canny", about="what ControlImage finds in each picture")
    detector: str | None = Input(
        None, about="where ControlImage needs a network: its folder, or an id in the hub's cache", files=detector_files,
        beside=("kind",),
    )  # fmt: skip
    low: float = Input(100, ge=0, le=2040, about="canny: an edge that touches a strong one")
    high: float = Input(200, ge=0, le=2040, about="canny: a strong edge")

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """What the net will be for. E-ARCH for a model of which none can be made, and a net that does not fit it."""
        model = known.get("model")
        if not isinstance(model, ModelRecipe):
            return {}
        if why := unlike(model):
            raise error(Problem("E-ARCH", why, "take a model of Stable Diffusion or SDXL", Place(input="model")))
        if isinstance(net := known.get("controlnet"), ControlNetRecipe):
            _check_begun(net, model)
        return {"controlnet": ControlNetRecipe(model.family, "")}

    def run(self, ctx: Context) -> TrainedControlNet:
        from dataclasses import replace

        import torch

        from diffusion import training_control
        from diffusion.store import STORE
        from diffusion.training_step import Teaching

        if self.controlnet is not None:
            _check_begun(self.controlnet, self.model)
        config = Teaching(**teaching(self))
        looked_for = {"kind": self.kind, "model": self.detector, "low": self.low, "high": self.high}
        with STORE.using():
            base = base_of(self, ctx)
            data = [
                replace(one, hints=torch.from_numpy(_hints(part, ctx, looked_for)))
                for one, part in zip(examples_of(base, self.dataset, ctx), self.dataset.parts, strict=True)
            ]
            begun = STORE.load(replace(self.controlnet, dtype="float32"), ctx.device) if self.controlnet else None
            more = {"hint": looked_for, "begun": self.controlnet.digest if self.controlnet else ""}
            net, losses, kept = training_control.train(
                base, data, config, run_of(self, ctx, self.dataset, config, **more), begun
            )
        return TrainedControlNet(training_control.save(net, ctx.scratch / "model"), Losses(losses), kept)


def _check_begun(net: ControlNetRecipe, model: ModelRecipe) -> None:
    """E-ARCH for a net to go on from that is for another family, or that knows several kinds of pictures."""
    if net.modes:
        what, hint = "a ControlNet for several kinds of pictures is not taught here", "take one for a single kind"
        raise error(Problem("E-ARCH", what, hint, Place(input="controlnet")))
    check_fit(net, model, ..., None, guess=False)


def _hints(dataset: Dataset, ctx: Context, looked_for: Mapping[str, Any]) -> "np.ndarray":
    """What ControlImage finds in pictures of one shape: uint8 (N, H, W, 3)."""
    import numpy as np

    from diffusion.training_data import batches

    found: list[np.ndarray] = []
    for few in batches(dataset.images):
        ctx.progress(sum(map(len, found)), len(dataset), f"looking for {looked_for['kind']}")
        hints = ControlImage(image=Image(few.astype(np.float32) / 255), **looked_for).run(ctx).pixels
        found.append((hints * 255).round().astype(np.uint8))
    return np.concatenate(found)
