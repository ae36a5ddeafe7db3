"""Teaching a LoRA from a few pictures, and keeping it."""

from pathlib import Path
from typing import Literal, NamedTuple

from engine.context import Context
from engine.node import Input, Node, Seed
from engine.values import Saved
from nodes.compute import Looks
from nodes.learn_common import base_of, examples_of, identity_of, loop_config
from nodes.output import save_bytes
from nodes.sockets import VAE, Dataset, LoRAFile, Losses, Model, TextEncoder

FILE = "lora.safetensors"


class TrainedLoRA(NamedTuple):
    """A LoRA, and the loss of every step."""

    lora: LoRAFile
    losses: Losses


class TrainLoRA(Node):
    """Teach a model a style or a thing beside its weights: y = W x + (alpha / r) B A x, with A and B of rank r that
    minimise E w (o(x_t, t, c) - target)^2, while W stays (Hu et al. 2021).

    B begins at zero, so a new LoRA changes nothing. The trigger word goes before every caption, and calls what was
    learned later. Prior pictures show the kind in general, with captions without the trigger, and keep the model from
    forgetting it (Ruiz et al. 2023). For Stable Diffusion, SDXL, SD3 and Flux. What comes out goes to LoRALoad and to
    SaveLoRA. If it is stopped, the next run goes on from where it was, and ends on the same factors.
    """

    version = 1
    numeric = True
    model: Model
    text_encoder: TextEncoder
    vae: VAE
    dataset: Dataset
    rank: int = Input(8, ge=1, le=1024, about="r of A and B")
    alpha: float = Input(8.0, ge=0.001, le=4096, about="the change is multiplied by alpha / rank")
    targets: list[str] = Input(
        ["to_q", "to_k", "to_v", "to_out.0"], about="which layers of the denoiser, by the ends of their names"
    )
    train_text: bool = Input(False, about="the attention of the CLIP text encoders learns too")
    trigger: str = Input("", about="a word that is put before every caption")
    prior: Dataset | None = Input(None, about="pictures of the kind in general, not to be forgotten")
    prior_weight: float = Input(1.0, ge=0, le=100, about="how much these count")
    steps: int = Input(500, ge=1, le=10_000_000, about="updates of the factors")
    batch: int = Input(4, ge=1, le=65536, about="pictures in each")
    lr: float = Input(1e-3, ge=0, le=1, about="highest learning rate; it rises, then falls as half a cosine")
    warmup: int = Input(20, ge=0, le=1_000_000, about="steps of rising learning rate")
    accumulate: int = Input(1, ge=1, le=4096, about="batches whose gradients are added up for an update")
    caption_dropout: float = Input(0.0, ge=0, le=1, about="share of captions replaced by none")
    min_snr: float = Input(0.0, ge=0, le=100, about="gamma of min-SNR weighting (Hang et al. 2023); 0 for none")
    times: Literal["uniform", "logit_normal"] = Input("uniform", about="how levels are drawn; logit_normal for flows")
    ema: float = Input(0.98, ge=0, le=1, about="share of the averaged factors that stays at each step")
    precision: Literal["float32", "bfloat16"] = Input("float32", about="what to multiply in")
    checkpointing: bool = Input(False, about="compute activations twice and keep fewer: slower, in less memory")
    seed: int = Seed(0)

    def run(self, ctx: Context) -> TrainedLoRA:
        from dataclasses import replace

        from diffusion import training_lora
        from diffusion.recipes import lora_of
        from diffusion.store import STORE
        from diffusion.training_data import content_of

        config = training_lora.LoRATraining(
            loop_config(self, self.accumulate),
            self.rank,
            self.alpha,
            tuple(self.targets),
            self.train_text,
            self.batch,
            self.caption_dropout,
            self.min_snr,
            self.times,
            self.prior_weight,
            self.checkpointing,
        )
        called = [f"{self.trigger}, {caption}" if self.trigger else caption for caption in self.dataset.captions]
        dataset = replace(self.dataset, captions=tuple(called))
        identity = identity_of(self, dataset, config) | {"prior": content_of(self.prior) if self.prior else ""}
        with STORE.using():
            base = base_of(self, ctx)
            taught, losses = training_lora.train(
                base,
                examples_of(base, dataset, ctx),
                examples_of(base, self.prior, ctx) if self.prior else None,
                config,
                identity,
                ctx.scratch / "progress.safetensors",
                ctx.device,
                Looks(ctx).report,
            )
        about = {"base_model_digest": self.model.digest, "family": self.model.family, "trigger": self.trigger}
        training_lora.write(ctx.scratch / "model" / FILE, taught, config, about)
        return TrainedLoRA(lora_of(ctx.scratch / "model" / FILE), Losses(losses))


class SaveLoRA(Node):
    """Write a LoRA into the output folder: factors in peft's names, which diffusers' load_lora_weights and LoRALoad
    read, and beside rank and alpha the trigger word, the digest of the model it was made for, and the workflow."""

    version = 1
    effect = True
    lora: LoRAFile
    path: str = Input("lora.safetensors", about="file name in the output folder; {param} is filled in", template=True)

    def run(self, ctx: Context) -> Saved:
        import json

        from diffusion.checkpoint import with_metadata

        data = Path(self.lora.source).read_bytes()
        data = with_metadata(data, {"weft_workflow": json.dumps(ctx.document)})
        return Saved((save_bytes(ctx, self.path, data, mime="application/octet-stream"),))
