"""Tiny checkpoints of SD3 and Flux with random weights, in the folder layouts of the real ones, tokenizers too."""

import json
from pathlib import Path
from typing import Any

import torch
from checkpoints import WIDTH, text_encoder, tokenizer
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
)
from transformers import CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel, T5TokenizerFast

KINDS = ("sd3", "sd35", "sd3-without-t5", "flux-schnell", "flux-dev")
SHIFTS: dict[str, dict[str, Any]] = {
    "sd3": {"shift": 3.0},
    "flux-schnell": {"shift": 1.0, "base_shift": 0.5, "max_shift": 1.15, "use_dynamic_shifting": False},
    "flux-dev": {"shift": 3.0, "base_shift": 0.5, "max_shift": 1.15, "use_dynamic_shifting": True},
}
"""The scheduler of each as its checkpoint on the hub has it."""

SCALES = {"sd3": (1.5305, 0.0609), "flux": (0.3611, 0.1159)}
"""scaling_factor and shift_factor of their VAEs."""

LONG = 2 * WIDTH
"""Width of T5's embeddings: that of two CLIPs side by side."""


def make(folder: Path, kind: str) -> Path:
    """Write a checkpoint of one of `KINDS`, and give back its folder.

    Latents are an eighth of the picture as in the real ones, with 16 channels; SD3's own size is 64 x 64 pixels, and
    Flux's configuration says none.
    """
    torch.manual_seed(0)
    flux = kind.startswith("flux")
    (flux_transformer if flux else sd3_transformer)(kind).save_pretrained(folder / "transformer")
    vae(*SCALES["flux" if flux else "sd3"]).save_pretrained(folder / "vae")
    clips = [CLIPTextModel] if flux else [CLIPTextModelWithProjection] * 2
    index: dict[str, Any] = {
        "_class_name": "FluxPipeline" if flux else "StableDiffusion3Pipeline",
        "_diffusers_version": "0.30.0",
        "transformer": ["diffusers", "FluxTransformer2DModel" if flux else "SD3Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    }
    for i, cls in enumerate(clips):
        end = f"_{i + 1}" if i else ""
        text_encoder(cls, 3 + i).save_pretrained(folder / f"text_encoder{end}")
        tokenizer(folder / f"tokenizer{end}", "!" if i else "<|endoftext|>")
        index |= {
            f"text_encoder{end}": ["transformers", cls.__name__],
            f"tokenizer{end}": ["transformers", "CLIPTokenizer"],
        }
    end = f"_{len(clips) + 1}"
    if kind == "sd3-without-t5":
        index |= {f"text_encoder{end}": [None, None], f"tokenizer{end}": [None, None]}
    else:
        t5(folder / f"text_encoder{end}", folder / f"tokenizer{end}")
        index |= {
            f"text_encoder{end}": ["transformers", "T5EncoderModel"],
            f"tokenizer{end}": ["transformers", "T5TokenizerFast"],
        }
    FlowMatchEulerDiscreteScheduler(**SHIFTS[kind if flux else "sd3"]).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def sd3_transformer(kind: str) -> SD3Transformer2DModel:
    """A transformer of two blocks; that of 3.5 has a second attention in the first, and normalises queries and keys."""
    return SD3Transformer2DModel(
        sample_size=8,
        in_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=LONG,
        caption_projection_dim=16,
        pooled_projection_dim=2 * WIDTH,
        pos_embed_max_size=16,
        **({"dual_attention_layers": (0,), "qk_norm": "rms_norm"} if kind == "sd35" else {}),
    )


def flux_transformer(kind: str) -> FluxTransformer2DModel:
    """A transformer of one block of each sort; dev's takes the guidance scale."""
    return FluxTransformer2DModel(
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=LONG,
        pooled_projection_dim=WIDTH,
        guidance_embeds=kind == "flux-dev",
        axes_dims_rope=(2, 2, 4),
    )


def vae(scaling: float, shift: float) -> AutoencoderKL:
    """A VAE of four levels, so that latents are an eighth of the picture."""
    return AutoencoderKL(
        block_out_channels=(4, 4, 4, 4),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=16,
        layers_per_block=1,
        norm_num_groups=2,
        sample_size=64,
        scaling_factor=scaling,
        shift_factor=shift,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def t5(encoder: Path, words: Path) -> None:
    """Write a T5 encoder of two layers, and a tokenizer that reads letter by letter."""
    letters = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    letters += [(letter, -3.0) for letter in "abcdefghijklmnopqrstuvwxyz0123456789,.-'():"]
    T5TokenizerFast(vocab=letters, extra_ids=0, model_max_length=512).save_pretrained(words)
    config = T5Config(
        vocab_size=len(letters),
        d_model=LONG,
        d_kv=8,
        d_ff=2 * LONG,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )
    T5EncoderModel(config).save_pretrained(encoder)
