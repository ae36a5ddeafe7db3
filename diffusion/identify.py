"""What a weights file is, told from the names and shapes of its tensors alone. Importing this file imports no tensor
library.

People keep checkpoints, LoRAs, ControlNets and VAEs side by side, all of them ending in .safetensors. A node that is
given one it cannot use says what it got, of which family, and which node loads it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from diffusion.header import Header, read

What = Literal[
    "checkpoint",
    "denoiser",
    "lora",
    "controlnet",
    "vae",
    "text encoder",
    "embedding",
    "ip-adapter",
    "upscaler",
    "unknown",
]

NAMES = {
    "pixel": "a pixel-space model of weft",
    "sd": "Stable Diffusion 1.x or 2.x",
    "sdxl": "SDXL",
    "sdxl-refiner": "the SDXL refiner",
    "sd3": "SD3",
    "flux": "Flux",
}
"""What people call the families."""


def called(family: str) -> str:
    """What people call a family."""
    return NAMES.get(family, family)


KINDS: dict[str, tuple[str, str]] = {
    "checkpoint": ("a checkpoint", "LoadCheckpoint"),
    "denoiser": ("a denoiser without its VAE and text encoders", ""),
    "lora": ("a LoRA", "LoRALoad"),
    "controlnet": ("a ControlNet", "LoadControlNet"),
    "vae": ("a VAE", "LoadVAE"),
    "text encoder": ("a text encoder without a denoiser", ""),
    "embedding": ("a textual inversion", "TextualInversion"),
    "ip-adapter": ("an IP-Adapter", "IPAdapterApply"),
    "upscaler": ("an upscaler", "UpscaleImage"),
}
"""What a file can be: in words, and the node that loads it."""

FOLDERS = {
    "sd": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "sd3": "stabilityai/stable-diffusion-3.5-medium",
    "flux": "black-forest-labs/FLUX.1-schnell",
}
"""A model of each family that the hub has as a folder in diffusers layout."""


def whole(family: str) -> str:
    """What to do for a family of which only a part is there."""
    get = "get the whole model as a folder in diffusers layout"
    return f"{get}, such as: weft models pull {FOLDERS[family]}" if family in FOLDERS else get


WIDTHS = {768: "sd", 1024: "sd", 2048: "sdxl", 1280: "sdxl"}
"""Widths of the text embeddings that a U-Net attends to, and the families they belong to (1280: the SDXL refiner)."""

_UNET, _VAE = "model.diffusion_model.", "first_stage_model."
_LORA = re.compile(r"[._](lora_down|lora_up|lora_A|lora_B|lora\.down|lora\.up|hada_w1_a|lokr_w1|lora_linear_layer)\b")
_DOWN = re.compile(r"[._](lora_down|lora_A|lora\.down|lora_linear_layer\.down)\b")


@dataclass(frozen=True, eq=False)
class Identity:
    """What a file is.

    what: its kind. family: sd, sdxl, sd3 or flux; empty where names and shapes do not tell.
    facts: what else they tell, where they do:
        context      width of the text embeddings that the denoiser attends to (768, 1024, 2048, 1280, …)
        channels     that the denoiser or the ControlNet takes, or of the latents of a VAE
        version      1, 2, base or refiner, of a checkpoint
        prediction   v or epsilon, where the file says so
        zero_snr     True, where the file says so
        layout       original (as the model's authors named its tensors), diffusers, kohya or peft
        families     all those that it may belong to, where that is more than one
    """

    what: What
    family: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        named = KINDS[self.what][0] if self.what in KINDS else "no model that weft knows"
        return f"{named} for {NAMES[self.family]}" if self.family else named

    @property
    def hint(self) -> str:
        """Which node loads it, or what to get instead; empty if neither is known."""
        if self.what in ("denoiser", "text encoder"):
            return whole(self.family)
        node = KINDS.get(self.what, ("", ""))[1]
        return f"load it with {node}" if node else ""


def identify(path: Path) -> Identity:
    """What a .safetensors file is, from its header alone: milliseconds, and no weights are read.

    "this is {identity}; {identity.hint}" is a sentence such as: this is a LoRA for SDXL; load it with LoRALoad.
    Raises FileNotFoundError, and PickleError or DamagedError of `diffusion.header`.
    """
    return of_header(read(path))


def of_header(header: Header) -> Identity:
    """The same, of a header that was read already."""
    shapes = {name: tensor.shape for name, tensor in header.tensors.items()}
    for find in (_lora, _ip_adapter, _controlnet, _checkpoint, _denoiser, _vae, _text_encoder, _embedding, _upscaler):
        found = find(shapes, header.metadata)
        if found is not None:
            return found
    return Identity("unknown", "", {})


Shapes = Mapping[str, tuple[int, ...]]
Texts = Mapping[str, str]


def _context(shapes: Shapes, prefix: str = "") -> int:
    """Width of the text embeddings that a U-Net attends to; 0 if there is none."""
    found = (s[1] for n, s in shapes.items() if n.startswith(prefix) and n.endswith("attn2.to_k.weight") and len(s) > 1)
    return next(found, 0)


def _has(shapes: Shapes, *starts: str) -> bool:
    return any(name.startswith(starts) for name in shapes)


def _checkpoint(shapes: Shapes, texts: Texts) -> Identity | None:
    """A whole model in one file, as model sites have it."""
    if not _has(shapes, _UNET) or not _has(shapes, _VAE):
        return None
    denoiser = _denoiser({n.removeprefix(_UNET): s for n, s in shapes.items() if n.startswith(_UNET)}, texts)
    if denoiser is None:
        return Identity("checkpoint", "", {"layout": "original"})
    facts = {**denoiser.facts, "layout": "original", **_prediction(shapes, texts)}
    if denoiser.family == "sd":
        facts["version"] = "2" if _has(shapes, "cond_stage_model.model.") else "1"
    if denoiser.family == "sdxl":
        facts["version"] = "refiner" if _has(shapes, "conditioner.embedders.0.model.") else "base"
    return Identity("checkpoint", denoiser.family, facts)


def _prediction(shapes: Shapes, texts: Texts) -> dict[str, object]:
    """What the output stands for, and the end of the noise table, where trainers left a mark of it in the file."""
    said = texts.get("modelspec.prediction_type", "").lower()
    found: dict[str, object] = {}
    if "v_pred" in shapes or said.startswith("v"):
        found["prediction"] = "v"
    elif said.startswith("epsilon"):
        found["prediction"] = "epsilon"
    if "ztsnr" in shapes:
        found["zero_snr"] = True
    return found


def _denoiser(shapes: Shapes, texts: Texts) -> Identity | None:
    """A U-Net or a transformer by itself, in its authors' layout or in that of diffusers."""
    if _has(shapes, _UNET):
        shapes = {n.removeprefix(_UNET): s for n, s in shapes.items()}
    if _has(shapes, "double_blocks."):
        return Identity("denoiser", "flux", {"layout": "original"})
    if _has(shapes, "joint_blocks."):
        return Identity("denoiser", "sd3", {"layout": "original"})
    if _has(shapes, "transformer_blocks.") and _has(shapes, "context_embedder."):
        family = "flux" if _has(shapes, "single_transformer_blocks.") else "sd3"
        return Identity("denoiser", family, {"layout": "diffusers"})
    first = shapes.get("input_blocks.0.0.weight") or shapes.get("conv_in.weight")
    if (
        first is None
        or len(first) != 4
        or not _has(shapes, "middle_block.", "mid_block.")
        or not _has(shapes, "time_embed.", "time_embedding.")
    ):
        return None
    family = "sdxl" if _has(shapes, "label_emb.", "add_embedding.") else "sd"
    layout = "original" if "input_blocks.0.0.weight" in shapes else "diffusers"
    return Identity("denoiser", family, {"context": _context(shapes), "channels": first[1], "layout": layout})


def _vae(shapes: Shapes, texts: Texts) -> Identity | None:
    bare = {n.removeprefix(_VAE).removeprefix("vae."): s for n, s in shapes.items()}
    first = bare.get("decoder.conv_in.weight")
    if first is None or len(first) != 4:
        return None
    families = {4: ("sd", "sdxl"), 16: ("sd3", "flux")}.get(first[1], ())
    layout = "original" if _has(bare, "decoder.mid.") else "diffusers"
    return Identity("vae", "", {"channels": first[1], "families": families, "layout": layout})


def _controlnet(shapes: Shapes, texts: Texts) -> Identity | None:
    bare = shapes
    if _has(shapes, "control_model.", "input_hint_block."):
        if _has(shapes, "control_model."):
            bare = {n.removeprefix("control_model."): s for n, s in shapes.items() if n.startswith("control_model.")}
        family, layout, first = "sdxl" if _has(bare, "label_emb.") else "sd", "original", "input_hint_block.0.weight"
    elif _has(shapes, "controlnet_blocks."):
        layout, first = "diffusers", ""
        # of Flux there are single blocks or an embedding of the packed picture; SD3 cuts its patches by a convolution
        family = "sd3" if _has(shapes, "pos_embed.") else "flux"
    elif _has(shapes, "controlnet_cond_embedding.", "controlnet_down_blocks."):
        layout, first = "diffusers", "controlnet_cond_embedding.conv_in.weight"
        family = "sdxl" if _has(shapes, "add_embedding.") else "sd"
    else:
        return None
    facts: dict[str, object] = {"layout": layout, "context": _context(bare)}
    if len(bare.get(first, ())) == 4:
        facts["channels"] = bare[first][1]
    return Identity("controlnet", family, facts)


def _lora(shapes: Shapes, texts: Texts) -> Identity | None:
    """Low-rank changes of weights, under any of the names that trainers give them."""
    names = [name for name in shapes if _LORA.search(name)]
    if not names:
        return None
    widths = [s[1] for n, s in shapes.items() if _DOWN.search(n) and re.search(r"attn2[._]to_[kv]", n) and len(s) > 1]
    layout = "kohya" if names[0].startswith("lora_") else "peft" if ".lora_A" in names[0] else "diffusers"
    context = next(iter(widths), 0)
    return Identity("lora", _lora_family(names, shapes, context), {"context": context, "layout": layout})


def _lora_family(names: list[str], shapes: Shapes, context: int) -> str:
    every = "\n".join(names)
    if re.search(r"single_transformer_blocks|double_blocks|single_blocks", every):
        return "flux"
    if re.search(r"joint_blocks", every):
        return "sd3"
    if re.search(r"^(lora_)?transformer[._]", every, re.MULTILINE):
        width = next((s[1] for n, s in shapes.items() if _DOWN.search(n) and re.search(r"to_q[._]", n)), 0)
        return {1536: "sd3", 2432: "sd3", 3072: "flux"}.get(width, "")
    if context in WIDTHS:
        return WIDTHS[context]
    if re.search(r"lora_te2_|text_encoder_2[._]|lora_unet_(input|output)_blocks", every):
        return "sdxl"
    # only SDXL has several transformer blocks in one place, and only SD attends at its first level
    if re.search(r"transformer_blocks[._][1-9]", every):
        return "sdxl"
    return "sd" if re.search(r"down_blocks[._]0[._]attentions", every) else ""


def _ip_adapter(shapes: Shapes, texts: Texts) -> Identity | None:
    if not _has(shapes, "ip_adapter.") or not _has(shapes, "image_proj."):
        return None
    width = next((s[1] for n, s in shapes.items() if n.endswith("to_k_ip.weight") and len(s) > 1), 0)
    return Identity("ip-adapter", WIDTHS.get(width, ""), {"context": width})


def _text_encoder(shapes: Shapes, texts: Texts) -> Identity | None:
    names = ("text_model.", "encoder.block.", "transformer.resblocks.", "embeddings.token_embedding.")
    return Identity("text encoder", "", {}) if _has(shapes, *names) else None


def _embedding(shapes: Shapes, texts: Texts) -> Identity | None:
    """A textual inversion: a word or two as embeddings, (vectors, width), one for each text encoder."""
    if len(shapes) > 3 or any(len(s) > 2 for s in shapes.values()):
        return None
    if {"clip_l", "clip_g"} <= shapes.keys():
        return Identity("embedding", "sdxl", {})
    widths = [s[-1] for s in shapes.values() if s]
    return Identity("embedding", "sd" if widths[0] in (768, 1024) else "", {"context": widths[0]}) if widths else None


def _upscaler(shapes: Shapes, texts: Texts) -> Identity | None:
    names = ("conv_first.", "model.0.", "body.0.", "params_ema.", "layers.0.residual_group.")
    return Identity("upscaler", "", {}) if _has(shapes, *names) else None
