"""The configuration of a ControlNet for a U-Net, read from the shapes of its tensors, for files that come without one.

What shapes do not tell is as in every such net: groups of 32 channels, 8 heads where attention projects by convolutions
(Stable Diffusion 1.x), else heads of 64 channels. Importing this file imports no tensor library.
"""

import re
from collections.abc import Mapping
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]

HINT = "input_hint_block.0.weight"
"""A tensor that only nets in the layout of the first ControlNets have, there perhaps behind PREFIX."""
PREFIX = "control_model."


def is_original(shapes: Mapping[str, object]) -> bool:
    """Whether the names are those of the first ControlNets, and not of diffusers."""
    return HINT in shapes or PREFIX + HINT in shapes


def layers_of_original(shapes: Mapping[str, object]) -> int:
    """Layers in each block, in the layout of the first ControlNets: after input_blocks.0, before a halving."""
    found = [re.match(rf"(?:{PREFIX})?input_blocks\.(\d+)\.0\.op\.weight", name) for name in shapes]
    return min((int(match[1]) for match in found if match), default=3) - 1


def config_of(shapes: Shapes) -> dict[str, Any]:
    """The configuration of diffusers' ControlNetModel with tensors of these names and shapes. KeyError if there is none
    with these."""
    blocks = _count(shapes, r"down_blocks\.(\d+)\.")
    sides = tuple(shapes[f"down_blocks.{i}.resnets.0.conv1.weight"][0] for i in range(blocks))
    crossing = [f"down_blocks.{i}.attentions.0.norm.weight" in shapes for i in range(blocks)]
    depths = tuple(
        _count(shapes, rf"down_blocks\.{i}\.attentions\.0\.transformer_blocks\.(\d+)\.") or 1 for i in range(blocks)
    )
    middle = _count(shapes, r"mid_block\.attentions\.0\.transformer_blocks\.(\d+)\.")
    linear = len(shapes["mid_block.attentions.0.proj_in.weight"]) == 2
    steps = _count(shapes, r"controlnet_cond_embedding\.blocks\.(\d+)\.")
    config: dict[str, Any] = {
        "_class_name": "ControlNetModel",
        "in_channels": shapes["conv_in.weight"][1],
        "conditioning_channels": shapes["controlnet_cond_embedding.conv_in.weight"][1],
        "block_out_channels": sides,
        "layers_per_block": _count(shapes, r"down_blocks\.0\.resnets\.(\d+)\."),
        "down_block_types": tuple("CrossAttnDownBlock2D" if cross else "DownBlock2D" for cross in crossing),
        "transformer_layers_per_block": (*depths[:-1], middle),
        "cross_attention_dim": shapes["mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"][1],
        "attention_head_dim": tuple(side // 64 for side in sides) if linear else 8,
        "use_linear_projection": linear,
        "conditioning_embedding_out_channels": (
            shapes["controlnet_cond_embedding.conv_in.weight"][0],
            *(shapes[f"controlnet_cond_embedding.blocks.{i}.weight"][0] for i in range(1, steps, 2)),
        ),
    }
    if "add_embedding.linear_1.weight" in shapes:
        # the pooled text of 1280 numbers, and six sizes
        wide = shapes["add_embedding.linear_1.weight"][1]
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": (wide - 1280) // 6,
            "projection_class_embeddings_input_dim": wide,
        }
    return config


def _count(shapes: Shapes, pattern: str) -> int:
    """One more than the largest number that the pattern finds at the start of a name; 0 if it finds none."""
    found = (re.match(pattern, name) for name in shapes)
    return max((int(match[1]) + 1 for match in found if match), default=0)
