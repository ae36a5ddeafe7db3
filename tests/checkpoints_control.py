"""Tiny ControlNets with random weights, in the layouts of the real ones."""

from pathlib import Path
from typing import Any

import torch
from checkpoints import WIDTH
from checkpoints_dit import LONG
from diffusers import ControlNetModel, ControlNetUnionModel, FluxControlNetModel, SD3ControlNetModel

KINDS = (
    "sd15",
    "sd15-other",
    "sdxl",
    "sdxl-other",
    "sdxl-union",
    "sd3",
    "sd35-8b",
    "flux",
    "flux-union",
    "flux-pixels",
    "shuffle",
)


def make(folder: Path, kind: str) -> Path:
    """Write a ControlNet of one of `KINDS`, and give back its folder."""
    net(kind).save_pretrained(folder)
    return folder


def net(kind: str) -> Any:
    """A ControlNet that fits the tiny checkpoint of its kind. What is zero in a new one is random, or it would do
    nothing."""
    torch.manual_seed(sum(map(ord, kind)))
    made = _of_flux(kind) if kind.startswith("flux") else _of_sd3(kind) if kind.startswith("sd3") else _of_unet(kind)
    for parameter in made.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    for name in ("controlnet_cond_embedding", "input_hint_block"):
        # eight small convolutions in a row leave next to nothing of a picture
        for parameter in getattr(getattr(made, name, None), "parameters", list)():
            parameter.data *= 3
    return made


def _of_unet(kind: str) -> Any:
    more: dict[str, Any] = {"cross_attention_dim": WIDTH, "global_pool_conditions": kind == "shuffle"}
    if kind.startswith("sdxl"):
        more = {
            "cross_attention_dim": 2 * WIDTH,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": WIDTH + 6 * 8,
            "transformer_layers_per_block": (1, 2),
            "use_linear_projection": True,
        }
    cls = ControlNetUnionModel if kind == "sdxl-union" else ControlNetModel
    if kind == "sdxl-union":
        # its attention over kinds of pictures has heads of 64 channels
        more |= {"num_control_type": 6, "num_trans_channel": 8, "num_trans_head": 2, "num_proj_channel": 8}
    return cls(
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        conditioning_embedding_out_channels=(4, 4, 8, 8),
        **more,
    )


def _of_sd3(kind: str) -> SD3ControlNetModel:
    """InstantX's are told no pooled text; those of SD3.5 see x as the denoiser embeds it, and no text."""
    big = kind == "sd35-8b"
    return SD3ControlNetModel(
        sample_size=8,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=None if big else LONG,
        caption_projection_dim=16,
        pooled_projection_dim=2 * WIDTH,
        pos_embed_max_size=16,
        pos_embed_type=None if big else "sincos",
        use_pos_embed=not big,
        force_zeros_for_pooled_projection=not big,
    )


def _of_flux(kind: str) -> FluxControlNetModel:
    """Of union nets there are several pictures in one; some see pixels and not a latent."""
    pixels = kind == "flux-pixels"
    return FluxControlNetModel(
        patch_size=2 if pixels else 1,
        num_layers=1,
        num_single_layers=0 if pixels else 1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=LONG,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=(2, 2, 4),
        guidance_embeds=kind == "flux",
        num_mode=4 if kind == "flux-union" else None,
        conditioning_embedding_channels=16 if pixels else None,
    )
