"""What the training nodes share: inputs, how weights are moved, what is learned from, and what decides the result."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from diffusion.recipes import ModelRecipe, TextEncoderRecipe
from engine.context import Context
from engine.errors import Place, Problem
from engine.node import Input, Seed
from engine.values import Saved
from nodes.compute import Looks, fitting
from nodes.output import save_bytes
from nodes.patch import check_weights
from nodes.sockets import VAE, Dataset, Model, TextEncoder

if TYPE_CHECKING:
    from diffusion.loop import LoopConfig
    from diffusion.training_data import Base, Examples
    from diffusion.training_look import Run


Decay = Literal["cosine", "linear", "constant"]
Optimizer = Literal["adamw", "muon"]


def Steps(default: int) -> Any:
    """Declare how long to train."""
    return Input(default, ge=1, le=10_000_000, about="updates of the weights")


def Batch(default: int) -> Any:
    """Declare the pictures at a step."""
    return Input(default, ge=1, le=65536, about="pictures in each")


def Rate(default: float) -> Any:
    """Declare a learning rate."""
    return Input(default, ge=0, le=1, about="highest learning rate; it rises, then falls")


def Warmup(default: int) -> Any:
    """Declare how long the learning rate rises."""
    return Input(default, ge=0, le=1_000_000, about="steps of rising learning rate")


def Dropout(default: float) -> Any:
    """Declare how often a caption is left out."""
    return Input(default, ge=0, le=1, about="share of captions replaced by none")


def Average(default: float) -> Any:
    """Declare how slowly the averaged weights follow."""
    return Input(default, ge=0, le=1, about="share of the averaged weights that stays at each step")


def Precision() -> Any:
    """Declare what to multiply in."""
    return Input("float32", about="what to multiply in")


class FromModel(BaseModel):
    """The inputs of every training that begins with a model and learns from pictures with captions."""

    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True, protected_namespaces=())

    model: Model
    text_encoder: TextEncoder
    vae: VAE
    dataset: Dataset
    steps: int = Steps(2000)
    batch: int = Batch(4)
    lr: float = Rate(1e-3)
    warmup: int = Warmup(100)
    decay: Decay = Input("cosine", about="how the learning rate falls, if it does")
    optimizer: Optimizer = Input("adamw", about="what moves the weights; muon: quicker for transformers, in matrices")
    accumulate: int = Input(1, ge=1, le=4096, about="batches whose gradients are added up for an update")
    caption_dropout: float = Dropout(0.0)
    shuffle: bool = Input(
        False, about="what stands between the commas of a caption, all but the first, in another order each time"
    )
    min_snr: float = Input(0.0, ge=0, le=100, about="gamma of min-SNR weighting (Hang et al. 2023); 0 for none")
    noise_offset: float = Input(
        0.0, ge=0, le=1, about="deviation of what is added to the noise of whole channels, for dark and bright pictures"
    )
    times: Literal["uniform", "logit_normal"] = Input("uniform", about="how levels are drawn; logit_normal for flows")
    min_timestep: float = Input(0.0, ge=0, le=1, about="part of the table, from its clean end, where levels begin")
    max_timestep: float = Input(1.0, ge=0, le=1, about="and where they end; 1 is pure noise")
    shift: float | None = Input(
        None, ge=0.01, le=100, about="of a flow's levels, towards noise, while it learns; default: the model's"
    )
    ema: float = Average(0.99)
    precision: Literal["float32", "bfloat16"] = Precision()
    checkpointing: bool = Input(False, about="compute activations twice and keep fewer: slower, in less memory")
    validation_steps: int = Input(
        0,
        ge=0,
        le=10_000_000,
        about="steps from one set of validation pictures to the next, kept as an output; 0: none",
    )
    validation_prompts: list[str] = Input([], about="what they show; default: the first captions")
    seed: int = Seed(0)

    @classmethod
    def check(cls, literals: Mapping[str, Any]) -> Iterable[Problem]:
        """Refuse a part of the table that is empty."""
        low, high = literals.get("min_timestep", 0.0), literals.get("max_timestep", 1.0)
        if low >= high:
            hint = "give it less than max_timestep"
            yield Problem("E-RANGE", f"no level lies between {low:g} and {high:g}", hint, Place(input="min_timestep"))


def TextRate() -> Any:
    """Declare the learning rate of text encoders."""
    return Input(None, ge=0, le=1, about="highest learning rate of the text encoders; default: lr")


class Moves(Protocol):
    """A node that moves weights for a number of steps."""

    steps: int
    lr: float
    warmup: int
    ema: float
    precision: Any
    seed: int


def loop_config(node: Moves, **more: Any) -> "LoopConfig":
    """How a node's inputs say that the weights are moved. more: what not every such node says."""
    from diffusion.loop import LoopConfig

    return LoopConfig(
        node.steps,
        node.lr,
        node.warmup,
        ema=node.ema,
        seed=node.seed,
        bfloat16=node.precision == "bfloat16",
        **more,
    )


def teaching(node: FromModel) -> dict[str, Any]:
    """How a node's inputs say that a denoiser is taught: the fields of `diffusion.training_step.Teaching`."""
    names = ("batch", "caption_dropout", "min_snr", "times", "shift", "noise_offset", "checkpointing", "shuffle")
    loop = loop_config(node, accumulate=node.accumulate, decay=node.decay, optimizer=node.optimizer)
    span = node.min_timestep, node.max_timestep
    return {"loop": loop, "span": span, **{name: getattr(node, name) for name in names}}


def text_rate(node: FromModel, rate: float | None) -> float:
    """What the learning rate is multiplied with for the text encoders; rate: theirs, where it is another."""
    return 1.0 if rate is None else rate / node.lr


def base_of(node: FromModel, ctx: Context) -> "Base":
    """The loaded model that a node begins with, LoRAs on it as part of its weights; call it within `STORE.using`.
    E-ARCH for what cannot be part of them."""
    from diffusion import derived
    from diffusion.store import STORE, pick_device, pick_dtype, text_encoders
    from diffusion.training_data import Base

    def merged(recipe: ModelRecipe | TextEncoderRecipe, name: str) -> Any:
        check_weights(**{name: recipe})
        with fitting():
            return derived.fresh(recipe).to(place, pick_dtype(recipe.dtype, place))

    texts, place = node.text_encoder, pick_device(ctx.device)
    # a word of its own is no change of weights, and may stay beside text encoders
    changed = any(patch.kind == "lora" for patch in texts.patches)
    encoders = merged(texts, "text_encoder") if changed else text_encoders(texts, ctx.device)
    changed = bool(node.model.patches or node.model.controls)
    denoiser = merged(node.model, "model") if changed else STORE.load(node.model, ctx.device)
    return Base(denoiser, encoders, STORE.load(node.vae, ctx.device), node.model, node.vae)


def telling(ctx: Context) -> Callable[[int, int], None]:
    """Tells how many pictures have become latents."""
    return lambda done, total: ctx.progress(done, total, "pictures to latents")


def examples_of(base: "Base", dataset: Dataset, ctx: Context, none: str = "") -> "tuple[Examples, ...]":
    """A data set as latents and tokens, telling how far it is. none: what stands for a caption that is left out."""
    from diffusion.training_data import examples

    return examples(base, dataset, telling(ctx), none)


def run_of(node: FromModel, ctx: Context, dataset: Dataset, config: Any, **more: Any) -> "Run":
    """Where a training keeps its state, whom it tells, and what decides it: its data, the model that it begins with,
    its settings, a dataclass, and more."""
    from dataclasses import asdict

    from diffusion.training_data import content_of
    from diffusion.training_look import Run, Validation

    digests = [node.model.digest, node.text_encoder.digest, node.vae.digest]
    return Run(
        {"dataset": content_of(dataset), "from": digests, "training": asdict(config), **more},
        ctx.scratch / "progress.safetensors",
        ctx.device,
        Looks(ctx).report,
        Validation(tuple(node.validation_prompts), node.validation_steps, ctx.scratch / "validation"),
    )


def save_adapter(ctx: Context, data: bytes, path: str) -> Saved:
    """Write a safetensors file that was taught into the output folder, with the workflow in its metadata."""
    from diffusion.checkpoint import with_metadata

    data = with_metadata(data, {"weft_workflow": json.dumps(ctx.document)})
    return Saved((save_bytes(ctx, path, data, mime="application/octet-stream"),))
