"""What the training nodes share: how the weights are moved, what is learned from, and what decides the result."""

from typing import TYPE_CHECKING, Any, Protocol

from engine.context import Context
from nodes.sockets import VAE, Dataset, Model, TextEncoder

if TYPE_CHECKING:
    from diffusion.loop import LoopConfig
    from diffusion.training_data import Base, Examples


class Moves(Protocol):
    """A node that moves weights for a number of steps."""

    steps: int
    lr: float
    warmup: int
    ema: float
    precision: Any
    seed: int


class Begins(Protocol):
    """A node that begins with the three parts of a model."""

    model: Model
    text_encoder: TextEncoder
    vae: VAE


def loop_config(node: Moves, accumulate: int = 1) -> "LoopConfig":
    """How a node's inputs say that the weights are moved."""
    from diffusion.loop import LoopConfig

    return LoopConfig(
        node.steps,
        node.lr,
        node.warmup,
        ema=node.ema,
        seed=node.seed,
        accumulate=accumulate,
        bfloat16=node.precision == "bfloat16",
    )


def base_of(node: Begins, ctx: Context) -> "Base":
    """The loaded model that a node begins with; call it within `STORE.using`."""
    from diffusion.store import STORE, text_encoders
    from diffusion.training_data import Base

    encoders, vae = text_encoders(node.text_encoder, ctx.device), STORE.load(node.vae, ctx.device)
    return Base(STORE.load(node.model, ctx.device), encoders, vae, node.model, node.vae)


def examples_of(base: "Base", dataset: Dataset, ctx: Context) -> "Examples":
    """A data set as latents and tokens, telling how far it is."""
    from diffusion.training_data import examples

    return examples(base, dataset, lambda done, total: ctx.progress(done, total, "pictures to latents"))


def identity_of(node: Begins, dataset: Dataset, config: Any) -> dict[str, Any]:
    """What decides a training: its data, the model that it begins with, and its settings, a dataclass."""
    from dataclasses import asdict

    from diffusion.training_data import content_of

    digests = [node.model.digest, node.text_encoder.digest, node.vae.digest]
    return {"dataset": content_of(dataset), "from": digests, "training": asdict(config)}
