"""Models of the true architectures, from random weights to trained ones."""

from pathlib import Path
from typing import Literal, NamedTuple

from engine.context import Context
from engine.node import Input, Node, Seed
from nodes.learn_common import base_of, examples_of, identity_of, loop_config
from nodes.load import Checkpoint
from nodes.sockets import VAE, Dataset, Losses, Model, TextEncoder


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
    patches of 2 x 2, and a VAE whose latents have 16 channels. Its tokenizers know the words of the captions."""

    version = 1
    numeric = True
    dataset: Dataset
    size: int = Input(64, ge=16, le=1024, about="pixels a side")
    vae_widths: list[int] = Input([16, 32, 64], about="features at each level of the VAE; each but the last halves")
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
        sizes = blank.FluxSizes(vae, self.width, *blocks, (one, two), self.text_layers, self.tokens)
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
    steps: int = Input(2000, ge=1, le=10_000_000, about="updates of the weights")
    batch: int = Input(16, ge=1, le=65536, about="pictures in each")
    lr: float = Input(2e-3, ge=0, le=1, about="highest learning rate; it rises, then falls as half a cosine")
    warmup: int = Input(100, ge=0, le=1_000_000, about="steps of rising learning rate")
    kl: float = Input(1e-6, ge=0, le=1, about="beta, how much latents are pulled towards N(0, 1)")
    part: Literal["all", "decoder"] = Input("all", about="decoder: latents stay as they are")
    ema: float = Input(0.995, ge=0, le=1, about="share of the averaged weights that stays at each step")
    precision: Literal["float32", "bfloat16"] = Input("float32", about="what to multiply in")
    seed: int = Seed(0)

    def run(self, ctx: Context) -> TrainedVAE:
        from dataclasses import asdict

        from diffusion import derived, training_vae
        from diffusion.store import STORE

        config = training_vae.VAETraining(loop_config(self), self.batch, self.kl, self.part)
        source, folder = Path(self.vae.source), ctx.scratch
        vae, losses = training_vae.train(
            STORE.load(self.vae, ctx.device),
            self.dataset,
            config,
            {"source": self.vae.digest, **asdict(config)},
            folder / "progress.safetensors",
            ctx.device,
            lambda step, total, loss: ctx.progress(step, total, f"loss {loss:.4f}"),
        )
        derived.write(source, folder / "model", {"vae": vae})
        if self.part == "all":
            scaling, shift = training_vae.scale(vae, self.dataset)
            # SDXL's latents are not shifted
            told = {"scaling_factor": scaling} | ({"shift_factor": shift} if self.vae.space != "sdxl" else {})
            derived.set_config(folder / "model" / "vae", **told)
        return TrainedVAE(*derived.recipes(folder / "model"), Losses(losses))


class TrainedModel(NamedTuple):
    """A model that learned to draw what captions say, and the loss of every step."""

    model: Model
    text_encoder: TextEncoder
    vae: VAE
    losses: Losses


class TrainTextToImage(Node):
    """Teach a denoiser to draw what captions say: minimise E w (o(x_t, t, c) - target)^2 over t, pictures and noise,
    x_t = alpha x0 + sigma eps, x0 the latent of a picture and c what the text encoders make of its caption (Ho et al.
    2020; Rombach et al. 2022; Esser et al. 2024). The target is what the model predicts: eps, v or the flow.

    Give it the outputs of one model, new or trained; the same model comes out, its weights an exponential moving
    average. One caption in ten is left out, so that guidance has something to push away from. If it is stopped, the
    next run goes on from where it was, and ends on the same weights.
    """

    version = 1
    numeric = True
    model: Model
    text_encoder: TextEncoder
    vae: VAE
    dataset: Dataset
    steps: int = Input(2000, ge=1, le=10_000_000, about="updates of the weights")
    batch: int = Input(64, ge=1, le=65536, about="pictures in each")
    lr: float = Input(1e-3, ge=0, le=1, about="highest learning rate; it rises, then falls as half a cosine")
    warmup: int = Input(100, ge=0, le=1_000_000, about="steps of rising learning rate")
    accumulate: int = Input(1, ge=1, le=4096, about="batches whose gradients are added up for an update")
    train_text: bool = Input(True, about="the text encoders learn too; false for a model whose texts are good already")
    caption_dropout: float = Input(0.1, ge=0, le=1, about="share of captions replaced by none")
    min_snr: float = Input(0.0, ge=0, le=100, about="gamma of min-SNR weighting (Hang et al. 2023); 0 for none")
    times: Literal["uniform", "logit_normal"] = Input("uniform", about="how levels are drawn; logit_normal for flows")
    ema: float = Input(0.998, ge=0, le=1, about="share of the averaged weights that stays at each step")
    precision: Literal["float32", "bfloat16"] = Input("float32", about="what to multiply in")
    seed: int = Seed(0)

    def run(self, ctx: Context) -> TrainedModel:
        from diffusion import derived, training_text
        from diffusion.folder import NETWORKS
        from diffusion.store import STORE

        config = training_text.TextTraining(
            loop_config(self, self.accumulate),
            self.batch,
            self.caption_dropout,
            self.min_snr,
            self.times,
            self.train_text,
        )
        source, folder = Path(self.model.source), ctx.scratch
        with STORE.using():
            base = base_of(self, ctx)
            denoiser, encoders, losses = training_text.train(
                base,
                examples_of(base, self.dataset, ctx),
                config,
                identity_of(self, self.dataset, config),
                folder / "progress.safetensors",
                ctx.device,
                lambda step, total, loss: ctx.progress(step, total, f"loss {loss:.4f}"),
            )
        parts = {NETWORKS[self.model.family]: denoiser}
        if self.train_text:
            parts |= encoders.named_parts()
        derived.write(source, folder / "model", parts)
        return TrainedModel(*derived.recipes(folder / "model"), Losses(losses))
