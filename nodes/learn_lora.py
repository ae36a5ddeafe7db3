"""Teaching a LoRA from a few pictures, and keeping it."""

from pathlib import Path
from typing import NamedTuple

from engine.context import Context
from engine.node import Input, Node
from engine.values import Saved
from nodes.learn_common import (
    Average,
    Batch,
    FromModel,
    Steps,
    TextRate,
    Warmup,
    base_of,
    examples_of,
    run_of,
    save_adapter,
    teaching,
    text_rate,
)
from nodes.sockets import Dataset, Image, LoRAFile, Losses

FILE = "lora.safetensors"


class TrainedLoRA(NamedTuple):
    """A LoRA, the loss of every step, and the validation pictures, time after time."""

    lora: LoRAFile
    losses: Losses
    validation: Image


class TrainLoRA(FromModel, Node):
    """Teach a model a style or a thing beside its weights: y = W x + (alpha / r) B A x, with A and B of rank r that
    minimise E w (o(x_t, t, c) - target)^2, while W stays (Hu et al. 2021).

    B begins at zero, so a new LoRA changes nothing. The trigger word goes before every caption, and calls what was
    learned later; of a caption that is left out, it is what stays. Prior pictures show the kind in general, with all
    their captions and without the trigger, and keep the model from forgetting it (Ruiz et al. 2023). For Stable
    Diffusion, SDXL, SD3 and Flux. What comes out goes to LoRALoad and SaveLoRA. If it is stopped, the next run goes on
    from where it was, and ends on the same factors.
    """

    version = 1
    numeric = True
    steps: int = Steps(500)
    batch: int = Batch(4)
    warmup: int = Warmup(20)
    ema: float = Average(0.98)
    rank: int = Input(8, ge=1, le=1024, about="r of A and B")
    alpha: float = Input(8.0, ge=0.001, le=4096, about="the change is multiplied by alpha / rank")
    targets: list[str] = Input(
        ["to_q", "to_k", "to_v", "to_out.0"], about="which layers of the denoiser, by the ends of their names"
    )
    train_text: bool = Input(False, about="the attention of the CLIP text encoders learns too")
    text_lr: float | None = TextRate()
    trigger: str = Input("", about="a word that is put before every caption")
    prior: Dataset | None = Input(None, about="pictures of the kind in general, not to be forgotten")
    prior_weight: float = Input(1.0, ge=0, le=100, about="how much these count")

    def run(self, ctx: Context) -> TrainedLoRA:
        from diffusion import training_lora
        from diffusion.recipes import lora_of
        from diffusion.store import STORE
        from diffusion.training_data import called, content_of

        config = training_lora.LoRATraining(
            **teaching(self),
            rank=self.rank,
            alpha=self.alpha,
            targets=tuple(self.targets),
            text=self.train_text,
            text_rate=text_rate(self, self.text_lr),
            prior_weight=self.prior_weight,
        )
        dataset = called(self.dataset, self.trigger)
        with STORE.using():
            base = base_of(self, ctx)
            taught, losses, kept = training_lora.train(
                base,
                examples_of(base, dataset, ctx, self.trigger),
                examples_of(base, self.prior, ctx) if self.prior else (),
                config,
                run_of(self, ctx, dataset, config, prior=content_of(self.prior) if self.prior else ""),
            )
        about = {"base_model_digest": self.model.digest, "family": self.model.family, "trigger": self.trigger}
        training_lora.write(ctx.scratch / "model" / FILE, taught, config, about)
        return TrainedLoRA(lora_of(ctx.scratch / "model" / FILE), Losses(losses), kept)


class SaveLoRA(Node):
    """Write a LoRA into the output folder: factors in peft's names, which diffusers' load_lora_weights and LoRALoad
    read, and beside rank and alpha the trigger word, the digest of the model it was made for, and the workflow."""

    version = 1
    effect = True
    lora: LoRAFile
    path: str = Input("lora.safetensors", about="file name in the output folder; {param} is filled in", template=True)
    strength: float = Input(1.0, ge=0.001, le=10, about="how much of what was learned the file's strength 1 is to be")

    def run(self, ctx: Context) -> Saved:
        from diffusion.training_lora import scaled

        data = Path(self.lora.source).read_bytes()
        return save_adapter(ctx, data if self.strength == 1 else scaled(data, self.strength), self.path)
