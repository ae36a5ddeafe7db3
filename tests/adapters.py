"""Random LoRAs, textual inversions and IP-Adapters for the tiny checkpoints, in the layouts that people have."""

import json
import re
from pathlib import Path

import torch
from safetensors.torch import save_file

LORAS = {"lora-sdxl": 1, "lora-sdxl-other": 2}
"""LoRAs for the tiny checkpoint of SDXL, by the seed of their numbers."""

ATTENTION = r"\.(to_[qkv]|to_out\.0)$"
FEED_FORWARD = r"\.ff\.net\.(0\.proj|2)$"
CONVOLUTIONS = r"\.(conv1|conv2|conv_shortcut|proj_in|proj_out|time_emb_proj)$|(down|up)samplers\.0\.conv$"
TEXT = r"\.(q_proj|k_proj|v_proj|out_proj|fc1|fc2)$"


def make(file: Path, kind: str) -> Path:
    """Write one of `LORAS`, as kohya's scripts do."""
    import checkpoints

    layers = factors(checkpoints.unet("sdxl"), ATTENTION, seed=LORAS[kind], size=0.2)
    return write(file, "kohya", {"unet": layers}, alpha=1)


def factors(module, pattern, rank=2, size=0.5, seed=0):
    """(A, B) of each layer whose name matches: {path: (r, in[, k, k]), (out, r[, 1, 1])}."""
    own = torch.Generator().manual_seed(seed)
    found = {}
    for path, layer in module.named_modules():
        if not re.search(pattern, f".{path}") or not hasattr(layer, "weight"):
            continue
        out, into, *kernel = layer.weight.shape
        down = torch.randn(rank, into, *kernel, generator=own) * size
        up = torch.randn(out, rank, *([1] * len(kernel)), generator=own) * size
        found[path] = (down, up)
    assert found
    return found


def write(file: Path, layout: str, parts, alpha=None):
    """Write factors of {part: {path: (A, B)}} as "peft", "diffusers", "diffusers-old" or "kohya".

    alpha: a number, or one for each part.
    """
    alphas = alpha if isinstance(alpha, dict) else dict.fromkeys(parts, alpha)
    tensors, metadata = {}, {}
    for part, layers in parts.items():
        for path, (down, up) in layers.items():
            first, second = NAMES[layout](part, path)
            tensors[first], tensors[second] = down.contiguous(), up.contiguous()
            if layout == "kohya" and alphas[part] is not None:
                tensors[f"{first.split('.')[0]}.alpha"] = torch.tensor(float(alphas[part]))
        if layout == "peft" and alphas[part] is not None:
            rank = next(iter(layers.values()))[0].shape[0]
            config = {"r": rank, "lora_alpha": alphas[part], "target_modules": sorted(layers)}
            metadata |= {f"{part}.{name}": value for name, value in config.items()}
    if metadata:
        metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(metadata)}
    save_file(tensors, file, metadata or None)
    return file


def flux_kohya(file: Path, pipe, rank=2, alpha=1) -> Path:
    """Write a LoRA for a Flux pipeline under the names of kohya's scripts, which are those of Flux's authors.

    Queries, keys and values are one matrix there. `linear1` of single blocks is left out: diffusers cuts it at the
    widths of the real model.
    """
    width, wide = pipe.transformer.inner_dim, 4 * pipe.transformer.inner_dim
    shapes = {"single_blocks_0_linear2": (width, width + wide), "single_blocks_0_modulation_lin": (3 * width, width)}
    for side in ("img", "txt"):
        shapes |= {
            f"double_blocks_0_{side}_attn_qkv": (3 * width, width),
            f"double_blocks_0_{side}_attn_proj": (width, width),
            f"double_blocks_0_{side}_mlp_0": (wide, width),
            f"double_blocks_0_{side}_mlp_2": (width, wide),
            f"double_blocks_0_{side}_mod_lin": (6 * width, width),
        }
    own, tensors = torch.Generator().manual_seed(0), {}
    layers = {f"lora_unet_{name}": shape for name, shape in shapes.items()}
    for path, (down, up) in factors(pipe.text_encoder, TEXT, rank).items():
        name = _kohya("text_encoder", path)[0].split(".")[0]
        layers[name] = (up.shape[0], down.shape[1])
    for name, (out, into) in layers.items():
        tensors[f"{name}.lora_down.weight"] = torch.randn(rank, into, generator=own) * 0.5
        tensors[f"{name}.lora_up.weight"] = torch.randn(out, rank, generator=own) * 0.5
        tensors[f"{name}.alpha"] = torch.tensor(float(alpha))
    save_file(tensors, file)
    return file


def _peft(part, path):
    return f"{part}.{path}.lora_A.weight", f"{part}.{path}.lora_B.weight"


def _diffusers(part, path):
    middle = "lora_linear_layer" if part.startswith("text_encoder") else "lora"
    return f"{part}.{path}.{middle}.down.weight", f"{part}.{path}.{middle}.up.weight"


def _diffusers_old(part, path):
    """As diffusers wrote the attention of U-Nets at first."""
    found = re.fullmatch(r"(.*\.attn[12])\.(to_[qkv]|to_out)(\.0)?", path)
    assert found
    name = f"{part}.{found[1]}.processor.{found[2]}_lora"
    return f"{name}.down.weight", f"{name}.up.weight"


def _kohya(part, path):
    prefix = {"unet": "lora_unet", "transformer": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}
    if part.startswith("text_encoder") and not path.startswith("text_model."):
        path = f"text_model.{path}"
    name = f"{prefix[part]}_{path.replace('.', '_')}"
    return f"{name}.lora_down.weight", f"{name}.lora_up.weight"


NAMES = {"peft": _peft, "diffusers": _diffusers, "diffusers-old": _diffusers_old, "kohya": _kohya}


def image_encoder(folder: Path) -> Path:
    """A tiny CLIP vision model with its projection."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(3)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    config = CLIPVisionConfig(**sizes, image_size=32, patch_size=16, projection_dim=12)
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


def ip_adapter(file: Path, unet, kind="plain", seed=0) -> Path:
    """Write an IP-Adapter: "plain", which sees 12 numbers of a picture, or "plus", which sees 16 of each patch."""
    own = torch.Generator().manual_seed(seed)

    def random(*shape, size=0.3):
        return torch.randn(*shape, generator=own) * size

    width = unet.config.cross_attention_dim
    if kind == "plain":
        parts = {"proj.weight": random(4 * width, 12), "proj.bias": random(4 * width), **_norm("norm", width)}
    else:
        parts = {
            "latents": random(1, 4, 16),
            "proj_in.weight": random(16, 16),
            "proj_in.bias": random(16),
            "proj_out.weight": random(width, 16),
            "proj_out.bias": random(width),
            **_norm("norm_out", width),
        }
        for i in range(4):
            parts |= {
                **_norm(f"layers.{i}.0.norm1", 16),
                **_norm(f"layers.{i}.0.norm2", 16),
                f"layers.{i}.0.to_q.weight": random(64, 16),
                f"layers.{i}.0.to_kv.weight": random(128, 16),
                f"layers.{i}.0.to_out.weight": random(16, 64),
                **_norm(f"layers.{i}.1.0", 16),
                f"layers.{i}.1.1.weight": random(64, 16),
                f"layers.{i}.1.3.weight": random(16, 64),
            }
    tensors = {f"image_proj.{name}": tensor for name, tensor in parts.items()}
    places = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    for i, name in enumerate(places):
        hidden = unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape[0]
        tensors[f"ip_adapter.{2 * i + 1}.to_k_ip.weight"] = random(hidden, width)
        tensors[f"ip_adapter.{2 * i + 1}.to_v_ip.weight"] = random(hidden, width, size=1.0)
    save_file(tensors, file)
    return file


def _norm(name, width):
    return {f"{name}.weight": torch.ones(width), f"{name}.bias": torch.zeros(width)}
