"""ControlNets of SD3 and Flux: transformers with fewer blocks than the denoiser. See `diffusion.control`.

Residual k of n goes to several of the denoiser's N blocks: block i takes that with k = floor(i / (N / n)) in SD3, and
k = floor(i / ceil(N / n)) in Flux, or k = i mod n where a Flux net sees pixels. They are laid out over all blocks here,
so that nets of different depths add up.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

from diffusion.flux import packed
from diffusion.recipes import Control
from diffusion.steer import Fed

GUIDANCE = 3.5
"""What a net that takes the guidance scale is told beside a denoiser that takes none."""


def of_sd3(net: Any, denoiser: Any, control: Control, hint: torch.Tensor, fed: Fed) -> list[Any]:
    """Of SD3ControlNetModel: one for each block of the denoiser."""
    kind = next(net.parameters()).dtype
    x, pooled, config = fed["hidden_states"], fed["pooled_projections"], net.config
    # some nets have no embedding of places of their own, and see x as the denoiser embeds it
    embedded = x if net.pos_embed is not None else denoiser.pos_embed(x)
    (found,) = net(
        hidden_states=embedded.to(kind),
        controlnet_cond=hint.to(kind),
        timestep=fed["timestep"],
        encoder_hidden_states=None if config.joint_attention_dim is None else fed["encoder_hidden_states"].to(kind),
        pooled_projections=(torch.zeros_like(pooled) if config.force_zeros_for_pooled_projection else pooled).to(kind),
        return_dict=False,
    )
    blocks = len(denoiser.transformer_blocks)
    return [found[int(i / (blocks / len(found)))].to(x.dtype) for i in range(blocks)]


def into_sd3(denoiser: Any, residuals: list[Any]) -> dict[str, Any]:
    """Under the name of the denoiser's argument."""
    return {"block_controlnet_hidden_states": residuals}


def of_flux(net: Any, denoiser: Any, control: Control, hint: torch.Tensor, fed: Fed) -> list[Any]:
    """Of FluxControlNetModel: one for each double block of the denoiser, then one for each single block, or None."""
    kind = next(net.parameters()).dtype
    x, pixels = fed["hidden_states"], net.input_hint_block is not None
    batch, mode, guidance = x.shape[0], None, None
    if net.union:
        mode = torch.full((batch, 1), control.mode or 0, dtype=torch.long, device=x.device)
    if net.config.guidance_embeds:
        guidance = fed["guidance"]
        guidance = torch.full((batch,), GUIDANCE, device=x.device) if guidance is None else guidance
    double, single = net(
        **{**fed, "hidden_states": x.to(kind), "guidance": guidance},
        controlnet_cond=2 * hint.to(kind) - 1 if pixels else packed(hint.to(kind)),
        controlnet_mode=mode,
        return_dict=False,
    )
    spread = [_spread(double, len(denoiser.transformer_blocks), pixels),
              _spread(single, len(denoiser.single_transformer_blocks), False)]  # fmt: skip
    return [None if r is None else r.to(x.dtype) for part in spread for r in part]


def into_flux(denoiser: Any, residuals: list[Any]) -> dict[str, Any]:
    """Under the names of the denoiser's arguments."""
    n = len(denoiser.transformer_blocks)
    parts = {"controlnet_block_samples": residuals[:n], "controlnet_single_block_samples": residuals[n:]}
    return {name: part for name, part in parts.items() if part and part[0] is not None}


def _spread(found: Sequence[torch.Tensor] | None, blocks: int, around: bool) -> list[torch.Tensor | None]:
    """One residual for each of the denoiser's blocks, of n that a net gave; None where it gave none."""
    if not found:
        return [None] * blocks
    each = math.ceil(blocks / len(found))
    return [found[i % len(found) if around else i // each] for i in range(blocks)]
