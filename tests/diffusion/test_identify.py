"""A weights file is known by the names and shapes of its tensors, whatever it is called."""

import pytest
import torch
from safetensors.torch import save_file

from diffusion.identify import identify

UNET = {
    "input_blocks.0.0.weight": (8, 4, 3, 3),
    "time_embed.0.weight": (32, 8),
    "middle_block.1.transformer_blocks.0.attn2.to_k.weight": (16, 768),
    "middle_block.0.in_layers.0.weight": (16,),
}
MADE = {f"model.diffusion_model.{name}": shape for name, shape in UNET.items()}
VAE = {"decoder.conv_in.weight": (16, 4, 3, 3), "decoder.mid.block_1.norm1.weight": (16,)}
INSIDE = {f"first_stage_model.{name}": shape for name, shape in VAE.items()}
LABEL = {"model.diffusion_model.label_emb.0.0.weight": (32, 64)}
XL = {"conditioner.embedders.1.model.ln_final.weight": (16,)}
CONTROL = {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3), "controlnet_down_blocks.0.weight": (8, 8, 1, 1)}
ATTN = "attentions.0.transformer_blocks.0.attn2.to_k"
KOHYA = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
PLACE = f"unet.down_blocks.1.{ATTN}"

FILES = {
    "sd1 checkpoint": ({**MADE, **INSIDE}, "a checkpoint for Stable Diffusion 1.x or 2.x",
                       {"version": "1", "context": 768, "channels": 4}),
    "sd2 checkpoint": ({**MADE, **INSIDE, "cond_stage_model.model.ln_final.weight": (16,)},
                       "a checkpoint for Stable Diffusion 1.x or 2.x", {"version": "2"}),
    "v-prediction": ({**MADE, **INSIDE, **LABEL, **XL, "v_pred": (0,), "ztsnr": (0,)}, "a checkpoint for SDXL",
                     {"prediction": "v", "zero_snr": True, "version": "base"}),
    "refiner": ({**MADE, **INSIDE, **LABEL, "conditioner.embedders.0.model.ln_final.weight": (16,)},
                "a checkpoint for SDXL", {"version": "refiner"}),
    "unet": (MADE, "a denoiser without its VAE and text encoders for Stable Diffusion 1.x or 2.x", {}),
    "flux": ({"double_blocks.0.img_attn.qkv.weight": (6, 2)},
             "a denoiser without its VAE and text encoders for Flux", {}),
    "vae": (VAE, "a VAE", {"channels": 4, "families": ("sd", "sdxl")}),
    "vae inside": (INSIDE, "a VAE", {"channels": 4}),
    "controlnet": (CONTROL, "a ControlNet for Stable Diffusion 1.x or 2.x", {"channels": 3}),
    "controlnet xl": ({**CONTROL, "add_embedding.linear_1.weight": (8, 8)}, "a ControlNet for SDXL", {}),
    "controlnet flux": ({"controlnet_blocks.0.weight": (8, 8), "transformer_blocks.0.a": (1,)},
                        "a ControlNet for Flux", {}),
    "kohya lora": ({KOHYA: (4, 2048)}, "a LoRA for SDXL", {"layout": "kohya", "context": 2048}),
    "peft lora": ({f"{PLACE}.lora_A.weight": (4, 768)}, "a LoRA for Stable Diffusion 1.x or 2.x", {"layout": "peft"}),
    "diffusers lora": ({f"{PLACE}.lora.down.weight": (4, 1024)}, "a LoRA for Stable Diffusion 1.x or 2.x",
                       {"layout": "diffusers"}),
    "tiny lora": ({f"{PLACE}.lora_A.weight": (4, 16)}, "a LoRA", {"context": 16}),
    "flux lora": ({"transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight": (4, 3072)},
                  "a LoRA for Flux", {}),
    "sd3 lora": ({"transformer.transformer_blocks.0.attn.to_q.lora_A.weight": (4, 1536)}, "a LoRA for SD3", {}),
    "ip-adapter": ({"ip_adapter.1.to_k_ip.weight": (8, 2048), "image_proj.proj.weight": (8, 8)},
                   "an IP-Adapter for SDXL", {}),
    "embedding": ({"emb_params": (2, 768)}, "a textual inversion for Stable Diffusion 1.x or 2.x", {}),
    "embedding xl": ({"clip_l": (2, 768), "clip_g": (2, 1280)}, "a textual inversion for SDXL", {}),
    "text encoder": ({"text_model.embeddings.token_embedding.weight": (9, 8)},
                     "a text encoder without a denoiser", {}),
    "other": ({f"layer.{i}.weight": (2, 2) for i in range(9)}, "no model that weft knows", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_what_a_file_is(case, tmp_path):
    shapes, words, facts = FILES[case]
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "file.safetensors")
    found = identify(tmp_path / "file.safetensors")
    assert str(found) == words
    assert {key: found.facts.get(key) for key in facts} == facts


def test_components_of_a_folder(checkpoint):
    for kind, family in (("sd15", "sd"), ("sdxl", "sdxl"), ("sd3", "sd3"), ("flux-dev", "flux")):
        part = "unet" if kind in ("sd15", "sdxl") else "transformer"
        found = identify(checkpoint(kind) / part / "diffusion_pytorch_model.safetensors")
        assert (found.what, found.family) == ("denoiser", family)
        assert identify(checkpoint(kind) / "vae" / "diffusion_pytorch_model.safetensors").what == "vae"


def test_it_says_which_node_loads_it(tmp_path):
    save_file({KOHYA: torch.zeros(4, 2048)}, tmp_path / "model.safetensors")
    found = identify(tmp_path / "model.safetensors")
    assert f"this is {found}; {found.hint}" == "this is a LoRA for SDXL; load it with LoRALoad"
