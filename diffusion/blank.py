"""Models of the true architectures with random weights, small enough to learn on a laptop, as folders in diffusers
layout: SDXL (Podell et al. 2023) and Flux (Black Forest Labs, 2024).

    SDXL    U-Net, two CLIPs, VAE of 4 channels     predicts v on SDXL's noise table, stretched to pure noise
    Flux    transformer, CLIP, T5, VAE of 16        predicts the flow, told no guidance scale

The tokenizers know the words of the captions (`diffusion.vocabulary`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import diffusers
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

from diffusion.folder import INDEX
from diffusion.loop import seeded
from diffusion.vocabulary import END, PAD, clip_tokenizer, t5_tokenizer

_library: Any = diffusers
"""Its classes have no types."""

HEAD = 32
"""Numbers in each head of attention."""
SIZE_NUMBERS = 16
"""Sines and cosines that each of SDXL's six size numbers becomes."""


@dataclass(frozen=True)
class VAESizes:
    """side: of the pictures, in pixels. widths: features at each level; each but the last halves the picture."""

    side: int = 64
    widths: tuple[int, ...] = (16, 32, 64)
    channels: int = 4

    @property
    def latent(self) -> int:
        """Side of the latents."""
        return self.side >> (len(self.widths) - 1)


@dataclass(frozen=True)
class SDXLSizes:
    """widths: of the U-Net, a level each; all but the first attend to the text. blocks: of each level.
    text: widths of the two CLIPs. text_layers: of both. tokens: that they read."""

    vae: VAESizes
    widths: tuple[int, ...] = (48, 96, 128)
    blocks: int = 1
    text: tuple[int, int] = (96, 128)
    text_layers: int = 3
    tokens: int = 24


@dataclass(frozen=True)
class FluxSizes:
    """width: of the transformer. double, single: its blocks with text and picture apart, and in one.
    text: widths of CLIP and T5. text_layers: of both. tokens: that they read. shift: of the levels, towards noise."""

    vae: VAESizes
    width: int = 128
    double: int = 2
    single: int = 6
    text: tuple[int, int] = (96, 128)
    text_layers: int = 3
    tokens: int = 24
    shift: float = 6.0


def sdxl(folder: Path, sizes: SDXLSizes, words: Sequence[str], seed: int = 0) -> None:
    """Write an SDXL of those sizes with random weights. ValueError for sizes that its parts cannot have."""
    _check((*sizes.widths, *sizes.text), sizes.vae)
    with torch.random.fork_rng(devices=[]):
        seeded(seed)
        ends = "Down", "Up"
        down, up = (
            (f"{end}Block2D", *(f"CrossAttn{end}Block2D" for _ in sizes.widths[1:])) for end in ends
        )  # the first level is too fine to attend
        _save(
            folder / "unet",
            _library.UNet2DConditionModel(
                sample_size=sizes.vae.latent,
                in_channels=sizes.vae.channels,
                out_channels=sizes.vae.channels,
                block_out_channels=sizes.widths,
                layers_per_block=sizes.blocks,
                norm_num_groups=_groups(sizes.widths),
                # diffusers calls the number of heads so
                attention_head_dim=tuple(width // HEAD or 1 for width in sizes.widths),
                down_block_types=down,
                up_block_types=up[::-1],
                cross_attention_dim=sum(sizes.text),
                use_linear_projection=True,
                addition_embed_type="text_time",
                addition_time_embed_dim=SIZE_NUMBERS,
                projection_class_embeddings_input_dim=sizes.text[1] + 6 * SIZE_NUMBERS,
            ),
        )
        _vae(folder / "vae", sizes.vae)
        kinds: dict[str, Any] = {"": (CLIPTextModel, END), "_2": (CLIPTextModelWithProjection, PAD)}
        for (end, (kind, pad)), width in zip(kinds.items(), sizes.text, strict=True):
            _clip(folder, end, kind, pad, width, sizes.text_layers, sizes.tokens, words)
    _library.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    ).save_pretrained(folder / "scheduler")
    _index(
        folder,
        "StableDiffusionXLPipeline",
        unet=("diffusers", "UNet2DConditionModel"),
        text_encoder=("transformers", "CLIPTextModel"),
        text_encoder_2=("transformers", "CLIPTextModelWithProjection"),
        tokenizer=("transformers", "CLIPTokenizer"),
        tokenizer_2=("transformers", "CLIPTokenizer"),
        scheduler=("diffusers", "DDIMScheduler"),
        force_zeros_for_empty_prompt=True,
    )


def flux(folder: Path, sizes: FluxSizes, words: Sequence[str], seed: int = 0) -> None:
    """Write a Flux of those sizes with random weights. ValueError for sizes that its parts cannot have."""
    _check((sizes.width, *sizes.text), sizes.vae)
    with torch.random.fork_rng(devices=[]):
        seeded(seed)
        _save(
            folder / "transformer",
            _library.FluxTransformer2DModel(
                in_channels=4 * sizes.vae.channels,
                num_layers=sizes.double,
                num_single_layers=sizes.single,
                attention_head_dim=HEAD,
                num_attention_heads=sizes.width // HEAD,
                joint_attention_dim=sizes.text[1],
                pooled_projection_dim=sizes.text[0],
                guidance_embeds=False,
                axes_dims_rope=(4, 14, 14),
            ),
        )
        _vae(folder / "vae", sizes.vae, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.0)
        _clip(folder, "", CLIPTextModel, END, sizes.text[0], sizes.text_layers, sizes.tokens, words)
        known = t5_tokenizer(folder / "tokenizer_2", words, sizes.tokens)
        config = T5Config(
            vocab_size=known,
            d_model=sizes.text[1],
            d_kv=HEAD,
            d_ff=2 * sizes.text[1],
            num_layers=sizes.text_layers,
            num_heads=sizes.text[1] // HEAD,
            feed_forward_proj="gated-gelu",
        )
        t5 = T5EncoderModel(config)
        _look_near(t5)
        _save(folder / "text_encoder_2", t5)
    _library.FlowMatchEulerDiscreteScheduler(shift=sizes.shift).save_pretrained(folder / "scheduler")
    _index(
        folder,
        "FluxPipeline",
        transformer=("diffusers", "FluxTransformer2DModel"),
        text_encoder=("transformers", "CLIPTextModel"),
        text_encoder_2=("transformers", "T5EncoderModel"),
        tokenizer=("transformers", "CLIPTokenizer"),
        tokenizer_2=("transformers", "T5TokenizerFast"),
        scheduler=("diffusers", "FlowMatchEulerDiscreteScheduler"),
    )


_NEAR = ((-1,), (-2,), (1,), tuple(range(-15, 0)))
"""What heads look at in turn: the word before, the one before that, the next, and all that stand before."""
_NEAR_SCORE = 5.0
"""e^5 = 148 times as much as at any other, while q k is small."""


def _look_near(t5: T5EncoderModel) -> None:
    """Let T5's heads begin with a look at words nearby. softmax(q k + b_h[bucket(j - i)]): b is all that T5 knows of
    where a word j stands, seen from i, and from random numbers near 0 it was never learned (docs/pocket.md): to such a
    reader "a red circle above a blue square" and "a blue circle above a red square" are the same."""
    first: Any = t5.encoder.block[0]
    table: torch.Tensor = first.layer[0].SelfAttention.relative_attention_bias.weight  # (buckets, heads)
    ahead = len(table) // 2  # the first half of the buckets is for what stands before, by distance
    with torch.no_grad():
        table.zero_()
        for h, buckets in zip(range(table.shape[1]), cycle(_NEAR), strict=False):
            table[[ahead + b if b > 0 else -b for b in buckets], h] = _NEAR_SCORE


def _vae(folder: Path, sizes: VAESizes, **more: Any) -> None:
    levels = len(sizes.widths)
    vae = _library.AutoencoderKL(
        block_out_channels=sizes.widths,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        latent_channels=sizes.channels,
        layers_per_block=1,
        norm_num_groups=_groups(sizes.widths),
        sample_size=sizes.side,
        scaling_factor=1.0,
        force_upcast=False,
        **more,
    )
    _save(folder, vae)


def _clip(
    folder: Path, end: str, kind: Any, pad: str, width: int, layers: int, tokens: int, words: Sequence[str]
) -> None:
    known = clip_tokenizer(folder / f"tokenizer{end}", words, tokens, pad)
    config = CLIPTextConfig(
        vocab_size=known,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // HEAD,
        max_position_embeddings=tokens,
        projection_dim=width,
        bos_token_id=known - 2,
        eos_token_id=known - 1,
        pad_token_id=known - 1,
    )
    _save(folder / f"text_encoder{end}", kind(config))


def _index(folder: Path, pipeline: str, **parts: Any) -> None:
    index = {"_class_name": pipeline, "_diffusers_version": "0.42.0", "vae": ("diffusers", "AutoencoderKL"), **parts}
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n")


def _save(folder: Path, module: Any) -> None:
    module.save_pretrained(folder)


def _groups(widths: Sequence[int]) -> int:
    return next(n for n in (16, 8, 4, 2, 1) if all(width % n == 0 for width in widths))


def _check(widths: Sequence[int], vae: VAESizes) -> None:
    for width in widths:
        if width % HEAD and width not in widths[:1]:
            raise ValueError(f"widths that attend must be multiples of {HEAD}, got {width}")
    if vae.side % (2 << len(vae.widths)):
        raise ValueError(f"the side must be a multiple of {2 << len(vae.widths)} for these levels, got {vae.side}")
