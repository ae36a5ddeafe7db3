"""A tiny checkpoint's folder as the one file that model sites would have of it: the same weights under older names."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

Tensors = Mapping[str, torch.Tensor]

LAYERS = 1
"""Of the tiny U-Nets' levels, and of the VAEs'."""


def write(folder: Path, path: Path, metadata: Mapping[str, str] | None = None, **more: torch.Tensor) -> Path:
    """Write the model of a folder as one file, and give back its path. more: further tensors to put in.

    Stable Diffusion 2.x, whose text begins its padding with "!", has its text encoder as OpenCLIP has it.
    """
    double = (folder / "text_encoder_2").is_dir()
    refiner = double and not (folder / "text_encoder").is_dir()
    found = dict(more)
    found |= _put("model.diffusion_model.", unet(_part(folder, "unet")))
    found |= _put("first_stage_model.", vae(_part(folder, "vae")))
    opened = not double and '"pad_token": "!"' in (folder / "tokenizer" / "tokenizer_config.json").read_text()
    if opened:
        text = open_clip(_with_prefix(_part(folder, "text_encoder")))
        width = text["ln_final.weight"].shape[0]
        found |= _put("cond_stage_model.model.", {**text, "text_projection": torch.eye(width)})
    elif not refiner:
        first = "conditioner.embedders.0.transformer." if double else "cond_stage_model.transformer."
        found |= _put(first, _with_prefix(_part(folder, "text_encoder")))
    if double:
        at = 0 if refiner else 1
        found |= _put(f"conditioner.embedders.{at}.model.", open_clip(_part(folder, "text_encoder_2")))
    save_file(found, path, dict(metadata or {}))
    return path


def unet(tensors: Tensors) -> dict[str, torch.Tensor]:
    """A U-Net: the blocks of all levels are counted through."""
    n = LAYERS + 1
    levels = 1 + max(int(m[1]) for m in (re.match(r"down_blocks\.(\d+)", name) for name in tensors) if m)
    attends = {int(m[1]) for m in (re.match(r"up_blocks\.(\d+)\.attentions", name) for name in tensors) if m}
    rules: list[tuple[str, str | Callable[[Any], str]]] = [
        (r"^time_embedding\.linear_1", "time_embed.0"),
        (r"^time_embedding\.linear_2", "time_embed.2"),
        (r"^add_embedding\.linear_1", "label_emb.0.0"),
        (r"^add_embedding\.linear_2", "label_emb.0.2"),
        (r"^conv_in", "input_blocks.0.0"),
        (r"^conv_norm_out", "out.0"),
        (r"^conv_out", "out.2"),
        (r"^mid_block\.resnets\.0", "middle_block.0"),
        (r"^mid_block\.attentions\.0", "middle_block.1"),
        (r"^mid_block\.resnets\.1", "middle_block.2"),
        (r"^down_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"input_blocks.{1 + int(m[1]) * n + int(m[2])}.0"),
        (r"^down_blocks\.(\d+)\.attentions\.(\d+)", lambda m: f"input_blocks.{1 + int(m[1]) * n + int(m[2])}.1"),
        (r"^down_blocks\.(\d+)\.downsamplers\.0\.conv", lambda m: f"input_blocks.{(int(m[1]) + 1) * n}.0.op"),
        (r"^up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"output_blocks.{int(m[1]) * n + int(m[2])}.0"),
        (r"^up_blocks\.(\d+)\.attentions\.(\d+)", lambda m: f"output_blocks.{int(m[1]) * n + int(m[2])}.1"),
        (r"^up_blocks\.(\d+)\.upsamplers\.0\.conv",
         lambda m: f"output_blocks.{int(m[1]) * n + LAYERS}.{2 if int(m[1]) in attends else 1}.conv"),
        (r"(put_blocks\.\d+\.0|middle_block\.[02])\.norm1", r"\1.in_layers.0"),
        (r"(put_blocks\.\d+\.0|middle_block\.[02])\.conv1", r"\1.in_layers.2"),
        (r"(put_blocks\.\d+\.0|middle_block\.[02])\.time_emb_proj", r"\1.emb_layers.1"),
        (r"(put_blocks\.\d+\.0|middle_block\.[02])\.norm2", r"\1.out_layers.0"),
        (r"(put_blocks\.\d+\.0|middle_block\.[02])\.conv2", r"\1.out_layers.3"),
        (r"\.conv_shortcut", ".skip_connection"),
    ]  # fmt: skip
    assert levels >= 2
    return {_renamed(name, rules): tensor for name, tensor in tensors.items()}


def vae(tensors: Tensors) -> dict[str, torch.Tensor]:
    """A VAE: attention by 1 x 1 convolutions, and the decoder's levels counted from the picture."""
    last = max(int(m[1]) for m in (re.match(r"decoder\.up_blocks\.(\d+)", name) for name in tensors) if m)
    rules: list[tuple[str, str | Callable[[Any], str]]] = [
        (r"down_blocks\.(\d+)\.resnets", r"down.\1.block"),
        (r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample"),
        (r"up_blocks\.(\d+)\.resnets", lambda m: f"up.{last - int(m[1])}.block"),
        (r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{last - int(m[1])}.upsample"),
        (r"mid_block\.resnets\.(\d+)", lambda m: f"mid.block_{int(m[1]) + 1}"),
        (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
        (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
        (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
        (r"conv_shortcut", "nin_shortcut"),
        (r"conv_norm_out", "norm_out"),
    ]
    found = {_renamed(name, rules): tensor for name, tensor in tensors.items()}
    return {n: t[:, :, None, None] if "attn_1." in n and t.ndim == 2 else t for n, t in found.items()}


def open_clip(tensors: Tensors) -> dict[str, torch.Tensor]:
    """A CLIP text encoder as OpenCLIP has it: queries, keys and values in one matrix, the projection transposed."""
    rules: list[tuple[str, str | Callable[[Any], str]]] = [
        (r"^text_model\.embeddings\.token_embedding\.weight", "token_embedding.weight"),
        (r"^text_model\.embeddings\.position_embedding\.weight", "positional_embedding"),
        (r"^text_model\.final_layer_norm", "ln_final"),
        (r"^text_model\.encoder\.layers\.", "transformer.resblocks."),
        (r"layer_norm1", "ln_1"),
        (r"layer_norm2", "ln_2"),
        (r"mlp\.fc1", "mlp.c_fc"),
        (r"mlp\.fc2", "mlp.c_proj"),
        (r"self_attn\.out_proj", "attn.out_proj"),
    ]
    found: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if name == "text_projection.weight":
            found["text_projection"] = tensor.T
        elif ".q_proj." in name:
            three = torch.cat([tensors[name.replace("q_proj", f"{one}_proj")] for one in "qkv"])
            at = _renamed(name.rpartition(".self_attn")[0], rules)
            found[f"{at}.attn.in_proj_{name.rpartition('.')[2]}"] = three
        elif not re.search(r"\.[kv]_proj\.", name):
            found[_renamed(name, rules)] = tensor
    return found


def _part(folder: Path, part: str) -> Tensors:
    (path,) = (folder / part).glob("*.safetensors")
    return load_file(path)


def _with_prefix(tensors: Tensors) -> Tensors:
    return {name if name.startswith("text_model.") else f"text_model.{name}": t for name, t in tensors.items()}


def _put(prefix: str, tensors: Tensors) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor.contiguous() for name, tensor in tensors.items()}


def _renamed(name: str, rules: list[tuple[str, str | Callable[[Any], str]]]) -> str:
    for pattern, new in rules:
        name = re.sub(pattern, new, name)
    return name
