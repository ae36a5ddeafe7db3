"""Whether weights fit their configuration, told from names and shapes alone. Importing this file imports no tensors.

A few tensors stand for a part: the first and the last of each level, and those that carry a size of config.json. What
a library finds out after minutes, and then fills with random numbers, is known before anything is loaded.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from diffusion.header import Tensor

Shape = tuple[int | None, ...]
"""None where config.json does not say."""


def check(where: str, part: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """ValueError that names the first three tensors which are missing or have another shape.

    where: how messages call the weights. part: unet, transformer, vae, or text_encoder with its number.
    """
    wanted = expected(part, config)
    if "embeddings.token_embedding.weight" in tensors:
        # transformers 5.6 and later write a CLIP text encoder without this prefix; both spellings are read
        wanted = {name.removeprefix("text_model."): shape for name, shape in wanted.items()}
    complain(where, compared(wanted, tensors))


def complain(where: str, problems: Sequence[str]) -> None:
    """ValueError with the first three problems, if there are any."""
    if problems:
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(f"{where}: weights that do not fit their configuration: {', '.join(problems[:3])}{more}")


def compared(wanted: Mapping[str, Shape], tensors: Mapping[str, Tensor]) -> list[str]:
    """What is wrong, tensor by tensor."""
    problems = []
    for name, shape in wanted.items():
        if name not in tensors:
            problems.append(f"{name} is missing")
            continue
        got = tensors[name].shape
        if len(got) != len(shape) or any(a is not None and a != b for a, b in zip(shape, got, strict=True)):
            problems.append(f"{name} is {_sides(got)}, expected {_sides(shape)}")
    return problems


def expected(part: str, config: Mapping[str, Any]) -> dict[str, Shape]:
    """Some tensors of a part by name, with their shapes; none for a part that is not known here."""
    try:
        if part == "unet":
            return _unet(config)
        if part == "vae":
            return _vae(config)
        if part.startswith("text_encoder"):
            return _t5(config) if "d_model" in config else _clip(config)
        return _transformer(config)
    except (KeyError, TypeError, IndexError, ValueError):
        return {}  # a configuration of another kind is told of by who reads it


def _unet(config: Mapping[str, Any]) -> dict[str, Shape]:
    widths, context = config["block_out_channels"], config.get("cross_attention_dim")
    first = {
        "conv_in.weight": (widths[0], config.get("in_channels", 4), 3, 3),
        "time_embedding.linear_1.weight": (4 * widths[0], widths[0]),
    }
    found: dict[str, Shape] = dict(first)
    for i, kind in enumerate(config["down_block_types"]):
        found[f"down_blocks.{i}.resnets.0.conv2.weight"] = (widths[i], widths[i], 3, 3)
        if kind == "CrossAttnDownBlock2D":
            at = f"down_blocks.{i}.attentions.0.transformer_blocks.0.attn2.to_k.weight"
            found[at] = (None, context if isinstance(context, int) else None)
    found["mid_block.resnets.1.conv2.weight"] = (widths[-1], widths[-1], 3, 3)
    found[f"up_blocks.{len(widths) - 1}.resnets.0.conv2.weight"] = (widths[0], widths[0], 3, 3)
    found["conv_out.weight"] = (config.get("out_channels", 4), widths[0], 3, 3)
    return found


def _vae(config: Mapping[str, Any]) -> dict[str, Shape]:
    widths, last = config["block_out_channels"], len(config["block_out_channels"]) - 1
    found: dict[str, Shape] = {"encoder.conv_in.weight": (widths[0], config.get("in_channels", 3), 3, 3)}
    found |= {f"encoder.down_blocks.{i}.resnets.0.conv2.weight": (w, w, 3, 3) for i, w in enumerate(widths)}
    found["decoder.conv_in.weight"] = (widths[-1], config.get("latent_channels", 4), 3, 3)
    found[f"decoder.up_blocks.{last}.resnets.0.conv2.weight"] = (widths[0], widths[0], 3, 3)
    found["decoder.conv_out.weight"] = (config.get("out_channels", 3), widths[0], 3, 3)
    return found


def _clip(config: Mapping[str, Any]) -> dict[str, Shape]:
    width, inner, last = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"] - 1
    return {
        "text_model.embeddings.token_embedding.weight": (config["vocab_size"], width),
        "text_model.encoder.layers.0.mlp.fc1.weight": (inner, width),
        f"text_model.encoder.layers.{last}.mlp.fc2.weight": (width, inner),
        "text_model.final_layer_norm.weight": (width,),
    }


def _t5(config: Mapping[str, Any]) -> dict[str, Shape]:
    width, last = config["d_model"], config["num_layers"] - 1
    return {
        "shared.weight": (config["vocab_size"], width),
        f"encoder.block.{last}.layer.0.SelfAttention.q.weight": (None, width),
        "encoder.final_layer_norm.weight": (width,),
    }


def _transformer(config: Mapping[str, Any]) -> dict[str, Shape]:
    width = config["num_attention_heads"] * config["attention_head_dim"]
    context = config["joint_attention_dim"]
    found: dict[str, Shape] = {
        "context_embedder.weight": (None, context),
        "transformer_blocks.0.attn.to_q.weight": (width, width),
        f"transformer_blocks.{config['num_layers'] - 1}.attn.to_q.weight": (width, width),
    }
    if singles := config.get("num_single_layers"):
        found[f"single_transformer_blocks.{singles - 1}.attn.to_q.weight"] = (width, width)
    return found


def _sides(shape: Sequence[int | None]) -> str:
    return " x ".join("?" if side is None else str(side) for side in shape) or "one number"
