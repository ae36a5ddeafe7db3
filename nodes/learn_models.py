"""Models of the true architectures, from random weights to trained ones."""

from typing import Literal, NamedTuple

from engine.context import Context
from engine.node import Input, Node, Seed
from nodes.learn_common import (
    Average,
    Batch,
    Dropout,
    FromModel,
    Precision,
    Rate,
    Steps,
    TextRate,
    Warmup,
    base_of,
    examples_of,
    loop_config,
    run_of,
    teaching,
    text_rate,
)
from nodes.load import Checkpoint
from nodes.sockets import VAE, Dataset, Image, Losses, Model, TextEncoder


class NewSDXL(Node):
    """An SDXL with random weights, as small as its sizes say (Podell et al. 2023): two CLIPs, a U-Net that is told the
    size of the picture, and a VAE whose latents have 4 channels. Its tokenizers know the words of the captions."""

    version = 1
    numeric = True
    dataset: Dataset
    size: int = Input(64, ge=16, le=1024, about="pixels a side")
    vae_widths: list[int] = Input([16, 32, 64], about="features at each level of the VAE; each but the last halves")
    widths: list[int] = Input([48, 96, 128], about="features at each level of the U-Net; all but the first attend")
    blocks: int = Input(1, ge=1, le=8, about="residual blocks at each level")
    text_widths: list[int] = Input([96, 128], about="of the two CLIPs")
    text_layers: int = Input(3, ge=2, le=32, about="of each; the last is read for the pooled output alone")
    tokens: int = Input(24, ge=4, le=77, about="of a text, with begin and end")
    words: str = Input("", about="further words that are to be one token each, such as the triggers of styles")
    seed: int = Seed(0)

    def run(self, ctx: Context) -> Checkpoint:
        from diffusion import blank, derived, vocabulary

        vae = blank.VAESizes(self.size, tuple(self.vae_widths))
        one, two = self.text_widths
        sizes = blank.SDXLSizes(vae, tuple(self.widths), self.blocks, (one, two), self.text_layers, self.tokens)
        blank.sdxl(ctx.scratch / "model", sizes, vocabulary.words_of((*self.dataset.captions, self.words)), self.seed)
        return Checkpoint(*derived.recipes(ctx.scratch / "model"))


class NewFlux(Node):
    """A Flux with random weights, as small as its sizes say (Black Forest Labs, 2024): CLIP, T5, a transformer over
    patches of 2 x 2, and a VAE whose latents have 16 channels. Its tokenizers know the words of the captions, and the
    heads of T5 begin with a look at the words nearby.

    Levels are sigma' = s sigma / (1 + (s - 1) sigma), s the shift (Esser et al. 2024): many numbers that say the same,
    as 16 channels do, hide a picture only at high levels, where it is decided what stands where."""

    version = 2
    numeric = True
    dataset: Dataset
    size: int = Input(64, ge=16, le=1024, about="pixels a side")
    vae_widths: list[int] = Input([16, 32, 64], about="features at each level of the VAE; each but the last halves")
    shift: float = Input(6.0, ge=0.01, le=100, about="s of the levels it learns and draws with; 1: evenly")
    width: int = Input(128, ge=32, le=4096, about="of the transformer, a multiple of 32")
    double_blocks: int = Input(2, ge=1, le=64, about="blocks in which text and picture have weights of their own")
    single_blocks: int = Input(6, ge=1, le=64, about="blocks in which they share them")
    text_widths: list[int] = Input([96, 128], about="of CLIP and T5")
    text_layers: int = Input(3, ge=1, le=32, about="of each")
    tokens: int = Input(24, ge=4, le=512, about="of a text, with its end")
    words: str = Input("", about="further words that are to be one token each, such as the triggers of styles")
    seed: int = Seed(0)

    def run(self, ctx: Context) -> Checkpoint:
        from diffusion import blank, derived, vocabulary

        vae = blank.VAESizes(self.size, tuple(self.vae_widths), 16)
        one, two = self.text_widths
        blocks = self.double_blocks, self.single_blocks
        sizes = blank.FluxSizes(vae, self.width, *blocks, (one, two), self.text_layers, self.tokens, self.shift)
        blank.flux(ctx.scratch / "model", sizes, vocabulary.words_of((*self.dataset.captions, self.words)), self.seed)
        return Checkpoint(*derived.recipes(ctx.scratch / "model"))


class TrainedVAE(NamedTuple):
    """A model with a VAE that learned, and the loss of every step."""

    model: Model
    text_encoder: TextEncoder
    vae: VAE
    losses: Losses


class TrainVAE(Node):
    """Teach a VAE to put pictures into few numbers and to get them out again: minimise E (p' - p)^2 + |p' - p| / 10 +
    beta KL, p' = decoder(m + s eps) (Kingma & Welling 2014; Rombach et al. 2022).

    Give it the outputs of one model; the same model comes out, with that VAE, whose weights are an exponential moving
    average. Scaling and shift are measured, so that latents have mean 0 and deviation 1. A denoiser that knew the old
    latents has to learn the new ones, unless the decoder alone learns. If it is stopped, the next run goes on from
    where it was, and ends on the same weights.
    """

    version = 1
    numeric = True
    model: Model
    text_encoder: TextEncoder
    vae: VAE
    dataset: Dataset
    steps: int = Steps(2000)
    batch: int = Batch(16)
    lr: float = Rate(2e-3)
    warmup: int = Warmup(100)
    kl: float = Input(1e-6, ge=0, le=1, about="beta, how much latents are pulled towards N(0, 1)")
    part: Literal["all", "decoder"] = Input("all", about="decoder: latents stay as they are")
    ema: float = Average(0.995)
    precision: Literal["float32", "bfloat16"] = Precision()
    seed: int = Seed(0)

    def run(self, ctx: Context) -> TrainedVAE:
        from dataclasses import asdict

        from diffusion import derived, training_vae
        from diffusion.store import STORE

        config = training_vae.VAETraining(loop_config(self), self.batch, self.kl, self.part)
        folder = ctx.scratch
        vae, losses = training_vae.train(
            STORE.load(self.vae, ctx.device),
            self.dataset,
            config,
            {"source": self.vae.digest, **asdict(config)},
            folder / "progress.safetensors",
            ctx.device,
            lambda step, total, loss: ctx.progress(step, total, f"loss {loss:.4f}"),
        )
        derived.write(folder / "model", self.model, parts={"vae": vae})
        if self.part == "all":
            scaling, shift = training_vae.scale(vae, self.dataset)
            # SDXL's latents are not shifted
            told = {"scaling_factor": scaling} | ({"shift_factor": shift} if self.vae.space != "sdxl" else {})
            derived.set_config(folder / "model" / "vae", **told)
        return TrainedVAE(*derived.recipes(folder / "model"), Losses(losses))


class TrainedModel(NamedTuple):
    """A model that learned to draw what captions say, the loss of every step, and the validation pictures, time after
    time."""

    model: Model
    text_encoder: TextEncoder
    vae: VAE
    losses: Losses
    validation: Image


class TrainTextToImage(FromModel, Node):
    """Teach a denoiser to draw what captions say: minimise E w (o(x_t, t, c) - target)^2 over t, pictures and noise,
    x_t = alpha x0 + sigma eps, x0 the latent of a picture and c what the text encoders make of its caption (Ho et al.
    2020; Rombach et al. 2022; Esser et al. 2024). The target is what the model predicts: eps, v or the flow.

    Give it the outputs of one model, new or trained; the same model comes out, its weights an exponential moving
    average. One caption in ten is left out, so that guidance has something to push away from. If it is stopped, the
    next run goes on from where it was, and ends on the same weights.
    """

    version = 2
    numeric = True
    batch: int = Batch(64)
    caption_dropout: float = Dropout(0.1)
    ema: float = Average(0.998)
    train_text: bool = Input(True, about="the text encoders learn too; false for a model whose texts are good already")
    text_lr: float | None = TextRate()

    def run(self, ctx: Context) -> TrainedModel:
        from diffusion import derived, training_text
        from diffusion.folder import NETWORKS
        from diffusion.store import STORE

        config = training_text.TextTraining(
            **teaching(self), text=self.train_text, text_rate=text_rate(self, self.text_lr)
        )
        folder = ctx.scratch
        with STORE.using():
            base = base_of(self, ctx)
            denoiser, encoders, losses, kept = training_text.train(
                base, examples_of(base, self.dataset, ctx), config, run_of(self, ctx, self.dataset, config)
            )
        parts = {NETWORKS[self.model.family]: denoiser}
        if self.train_text:
            parts |= encoders.named_parts()
        derived.write(folder / "model", self.model, self.text_encoder, self.vae, parts)
        return TrainedModel(*derived.recipes(folder / "model"), Losses(losses), kept)
