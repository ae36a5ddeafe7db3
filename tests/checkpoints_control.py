"""Tiny ControlNets with random weights, in the layouts of the real ones."""

from pathlib import Path
from typing import Any

import torch
from checkpoints import WIDTH
from checkpoints_dit import LONG
from diffusers import ControlNetModel, ControlNetUnionModel, FluxControlNetModel, SD3ControlNetModel


def make(folder: Path, kind: str) -> Path:
    """Write a ControlNet of a kind as `net` knows it, or "depth", what makes its pictures; give back its folder."""
    if kind == "depth":
        return estimator(folder)
    net(kind).save_pretrained(folder)
    return folder


def estimator(folder: Path) -> Path:
    """Write a tiny estimator of depth for transformers, and give back its folder."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    torch.manual_seed(0)
    stages = [f"stage{i}" for i in range(1, 5)]
    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=28, patch_size=14,
        out_features=stages, reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    made = DepthAnythingForDepthEstimation(
        DepthAnythingConfig(
            backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[8] * 4, fusion_hidden_size=8,
            head_hidden_size=4, patch_size=14,
        )
    )  # fmt: skip
    for weight in made.parameters():
        torch.nn.init.normal_(weight, 0, 0.2)
    made.head.conv3.bias.data.fill_(1.0)
    made.save_pretrained(folder)
    DPTImageProcessor(size={"height": 28, "width": 28}, ensure_multiple_of=14).save_pretrained(folder)
    return folder


def net(kind: str) -> Any:
    """A ControlNet that fits the tiny checkpoint of its kind; "-other" behind it gives one with other weights.

    sd15, sdxl, sd3 and flux are usual ones. Of Stable Diffusion, shuffle averages over the picture, and wide is for
    longer text embeddings; sdxl-union and flux-union see several kinds of pictures; sd35-8b and flux-pixels are made
    otherwise (see below). What is zero in a
    new net is random here, or it would do nothing.
    """
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
    more: dict[str, Any] = {
        "cross_attention_dim": 24 if kind == "wide" else WIDTH,
        "global_pool_conditions": kind == "shuffle",
    }
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
        num_mode=4 if kind.startswith("flux-union") else None,
        conditioning_embedding_channels=16 if pixels else None,
    )
