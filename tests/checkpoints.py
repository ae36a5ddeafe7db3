"""Tiny checkpoints with random weights in the real folder layouts, tokenizers too: nothing is downloaded."""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

TABLE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
SCHEDULERS: dict[str, tuple[type, dict[str, Any]]] = {
    "sd15": (PNDMScheduler, {"skip_prk_steps": True, "steps_offset": 1, "set_alpha_to_one": False}),
    "sd21": (DDIMScheduler, {"steps_offset": 1, "set_alpha_to_one": False, "clip_sample": False}),
    "sd15-inpaint": (DDIMScheduler, {"steps_offset": 1, "set_alpha_to_one": False, "clip_sample": False}),
    "lcm": (LCMScheduler, {}),
    "sdxl": (EulerDiscreteScheduler, {"steps_offset": 1, "timestep_spacing": "leading"}),
    "sdxl-inpaint": (EulerDiscreteScheduler, {"steps_offset": 1, "timestep_spacing": "leading"}),
    "sdxl-refiner": (EulerDiscreteScheduler, {"steps_offset": 1, "timestep_spacing": "leading"}),
    "sdxl-turbo": (EulerAncestralDiscreteScheduler, {"steps_offset": 1, "timestep_spacing": "trailing"}),
}
"""The scheduler of each as its checkpoint on the hub has it."""

EXTRA = {"sd15": {"clip_sample": False, "trained_betas": None}, "sdxl": {"clip_sample": False}}
"""What stands in scheduler_config.json though its class has no use for it: other schedulers made from it do."""

PIPELINES = {
    "lcm": "LatentConsistencyModelPipeline",
    "sd15-inpaint": "StableDiffusionInpaintPipeline",
    "sdxl-inpaint": "StableDiffusionXLInpaintPipeline",
    "sdxl-refiner": "StableDiffusionXLImg2ImgPipeline",
}
"""What model_index.json names, where it is not the plain pipeline."""

WIDTH = 16


def make(folder: Path, kind: str) -> Path:
    """Write a checkpoint of a kind in `SCHEDULERS` (sd21 predicts v), and give back its folder.

    Latents are an eighth of the picture as in the real ones; the U-Net's own size is 64 x 64 pixels.
    """
    torch.manual_seed(0)
    double = kind.startswith("sdxl")
    unet(kind).save_pretrained(folder / "unet")
    vae(kind).save_pretrained(folder / "vae")
    if kind != "sdxl-refiner":
        text_encoder(CLIPTextModel, 3).save_pretrained(folder / "text_encoder")
        tokenizer(folder / "tokenizer", "<|endoftext|>" if kind != "sd21" else "!")
    if double:
        text_encoder(CLIPTextModelWithProjection, 4).save_pretrained(folder / "text_encoder_2")
        tokenizer(folder / "tokenizer_2", "!")
    cls, more = SCHEDULERS[kind]
    with warnings.catch_warnings():
        # some make their table at once, with numpy's older ways
        warnings.simplefilter("ignore", DeprecationWarning)
        scheduler = cls(**TABLE, **more, **({"prediction_type": "v_prediction"} if kind == "sd21" else {}))
    scheduler.save_pretrained(folder / "scheduler")
    file = folder / "scheduler" / "scheduler_config.json"
    config = {**json.loads(file.read_text()), **EXTRA.get(kind.split("-")[0], {})}
    if kind == "sd15":
        del config["timestep_spacing"]
    file.write_text(json.dumps(config))
    index: dict[str, Any] = {
        "_class_name": PIPELINES.get(kind, "StableDiffusionXLPipeline" if double else "StableDiffusionPipeline"),
        "_diffusers_version": "0.35.0",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", cls.__name__],
    }
    if double:
        index |= {
            "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
            "tokenizer_2": ["transformers", "CLIPTokenizer"],
            "force_zeros_for_empty_prompt": kind != "sdxl-refiner",
        }
        if kind == "sdxl-refiner":
            index |= {"text_encoder": [None, None], "tokenizer": [None, None], "requires_aesthetics_score": True}
    else:
        index |= {
            "safety_checker": [None, None],
            "feature_extractor": [None, None],
            "requires_safety_checker": False,
        }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def unet(kind: str) -> UNet2DConditionModel:
    """A U-Net of two levels, with attention at the lower one."""
    more: dict[str, Any] = {"time_cond_proj_dim": 12} if kind == "lcm" else {}
    refiner = kind == "sdxl-refiner"
    if kind.startswith("sdxl"):
        more = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": WIDTH + (5 if refiner else 6) * 8,
            "transformer_layers_per_block": (1, 2),
            "use_linear_projection": True,
        }
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=9 if kind.endswith("inpaint") else 4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=2 * WIDTH if kind.startswith("sdxl") and not refiner else WIDTH,
        **more,
    )


def vae(kind: str) -> AutoencoderKL:
    """A VAE of four levels, so that latents are an eighth of the picture."""
    return AutoencoderKL(
        block_out_channels=(4, 4, 4, 4),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        sample_size=64,
        scaling_factor=0.13025 if kind.startswith("sdxl") else 0.18215,
    )


def text_encoder(cls: Any, layers: int) -> Any:
    """A CLIP text encoder; its last token is the one with the tokenizer's largest id, the end."""
    words = len(vocabulary())
    encoder = cls(
        CLIPTextConfig(
            vocab_size=words,
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=layers,
            num_attention_heads=2,
            max_position_embeddings=77,
            projection_dim=WIDTH,
            bos_token_id=words - 2,
            eos_token_id=words - 1,
            pad_token_id=words - 1,
        )
    )
    # a norm fresh from its class gives outputs of mean 0, which a1111's weighting divides by
    torch.nn.init.constant_(getattr(encoder, "text_model", encoder).final_layer_norm.bias, 0.1)
    return encoder


def vocabulary() -> dict[str, int]:
    """Letters, each also as the end of a word, and the two marks that CLIP puts around a text."""
    letters = [*"!abcdefghijklmnopqrstuvwxyz0123456789,.-'"]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return {word: i for i, word in enumerate(words)}


def tokenizer(folder: Path, pad: str) -> None:
    """Write a tokenizer that reads letter by letter."""
    CLIPTokenizer(vocab=vocabulary(), merges=[], pad_token=pad, model_max_length=77).save_pretrained(folder)
