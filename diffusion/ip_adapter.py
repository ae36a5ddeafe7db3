"""IP-Adapter: pictures as prompts, by an attention of their own beside that to the text (Ye et al. 2023).

In each cross-attention of the U-Net, with queries q from the latent:

    y = softmax(q K^T / sqrt(d)) V + sum_i s_i softmax(q K_i^T / sqrt(d)) V_i

K and V come from the text, K_i and V_i from what CLIP's vision model makes of adapter i's pictures: one embedding of
each (plain), or all its patches (plus). Guidance pushes away from zeros, or from what CLIP makes of a picture of zeros.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow
from torch import nn
from torch.nn import functional as F

from diffusion.guidance import Inputs, Load
from diffusion.identify import identify
from diffusion.lora import Strengths
from diffusion.patch_check import MisfitError, check_pictures
from diffusion.pixel import in_channels
from diffusion.reading import unreadable
from diffusion.recipes import ImageEncoderRecipe, ModelRecipe, Patch

_PLAIN = "image_proj.proj.weight"


class Adapter(nn.Module):
    """The tensors of a file: keys and values for each cross-attention, and what makes tokens of an embedding."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], name: str) -> None:
        super().__init__()
        self.names = tuple(tensors)
        self.tensors = nn.ParameterList([nn.Parameter(tensor, False) for tensor in tensors.values()])
        self.name = name

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """The tensors whose names begin so, without that beginning."""
        pairs = zip(self.names, self.tensors, strict=True)
        return {name.removeprefix(prefix): tensor.data for name, tensor in pairs if name.startswith(prefix)}


def read(path: Path, dtype: torch.dtype) -> Adapter:
    """The tensors of a file. MisfitError for one that holds something else."""
    import safetensors.torch

    what = identify(path)
    if what.what != "ip-adapter":
        raise MisfitError(f"{path.name} is {what}, not an IP-Adapter; {what.hint}".rstrip("; "))
    tensors = safetensors.torch.load_file(path)
    check_pictures(path.name, tensors)
    return Adapter({name: tensor.to(dtype) for name, tensor in tensors.items()}, path.name)


class ImageAttention(nn.Module):
    """Cross-attention to a text and to pictures: an attention processor of diffusers. which: indices of the s_i."""

    def __init__(self, keys: nn.ModuleList, values: nn.ModuleList, strengths: Strengths, which: Sequence[int]) -> None:
        super().__init__()
        self.keys, self.values = keys, values
        self.strengths, self.which = strengths, tuple(which)

    def forward(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: tuple[torch.Tensor, Sequence[torch.Tensor]],
        *_: Any,
        **__: Any,
    ) -> torch.Tensor:
        """hidden_states (B, L, D); the text (B, M, E), and for each adapter N pictures of T tokens (B, N, T, E)."""
        text, pictures = encoder_hidden_states

        def heads(z: torch.Tensor) -> torch.Tensor:
            return z.view(*z.shape[:2], attn.heads, -1).transpose(1, 2)  # (B, heads, ., d)

        q = heads(attn.to_q(hidden_states))
        y = F.scaled_dot_product_attention(q, heads(attn.to_k(text)), heads(attn.to_v(text)))
        for i, seen, key, value in zip(self.which, pictures, self.keys, self.values, strict=True):
            s = self.strengths.values[i]
            if isinstance(s, torch.Tensor):
                s = s.to(y).view(-1, 1, 1, 1)
            tokens = seen.flatten(1, 2)
            y = y + s * F.scaled_dot_product_attention(q, heads(key(tokens)), heads(value(tokens)))
        y = y.transpose(1, 2).flatten(2)
        for layer in attn.to_out:
            y = layer(y)
        return y


def install(module: nn.Module, adapters: Sequence[Adapter], strengths: Strengths, which: Sequence[int]) -> None:
    """Put adapters into a U-Net. which: the index of each one's strength. MisfitError for a file that does not fit."""
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import IPAdapterAttnProcessor, IPAdapterAttnProcessor2_0

    names = ", ".join(adapter.name for adapter in adapters)
    unet: Any = module
    if not isinstance(module, UNet2DConditionModel):
        raise MisfitError(f"{names} is an IP-Adapter for Stable Diffusion or SDXL, and this model is neither")
    states = [{part: adapter.part(f"{part}.") for part in ("image_proj", "ip_adapter")} for adapter in adapters]
    for adapter, state in zip(adapters, states, strict=True):
        width = next((t.shape[1] for name, t in state["ip_adapter"].items() if name.endswith("to_k_ip.weight")), 0)
        wanted = unet.config.cross_attention_dim
        if width != wanted:
            raise MisfitError(
                f"{adapter.name} is for a U-Net with text embeddings {width} wide, and this one takes {wanted}"
            )
    try:
        unet._load_ip_adapter_weights(states, low_cpu_mem_usage=False)
    except (RuntimeError, KeyError, IndexError) as err:
        raise MisfitError(f"{names} does not fit the U-Net: {err}") from err
    processors: dict[str, Any] = dict(unet.attn_processors)
    for name, one in processors.items():
        if isinstance(one, IPAdapterAttnProcessor | IPAdapterAttnProcessor2_0):
            processors[name] = ImageAttention(one.to_k_ip, one.to_v_ip, strengths, which)
    unet.set_attn_processor(processors)


def seen(inputs: Inputs) -> list[torch.Tensor]:
    """What the adapters of a U-Net see, (B, N, …) each, in their order."""
    names = [name for name in inputs if name.startswith("ip_adapter_") and not name.endswith("_strength")]
    return [inputs[name] for name in sorted(names, key=lambda name: int(name.removeprefix("ip_adapter_")))]


class ImageEncoder(nn.Module):
    """CLIP's vision model with its projection (Radford et al. 2021), and how it wants its pictures."""

    def __init__(self, encoder: nn.Module, size: int) -> None:
        super().__init__()
        from transformers import CLIPImageProcessor

        self.encoder = encoder
        self.prepare: Any = CLIPImageProcessor(size=size, crop_size=size)

    @torch.no_grad()
    def encode(self, pictures: Sequence[np.ndarray], plain: bool, zeros: bool) -> torch.Tensor:
        """N pictures, each (H, W, 3) in 0 … 1, to (N, D), or all patches of each, (N, T, D). zeros: of no picture."""
        eight = [Pillow.fromarray((pixels * 255).round().astype(np.uint8)) for pixels in pictures]
        weight = next(self.encoder.parameters())
        x = self.prepare(eight, return_tensors="pt").pixel_values.to(weight.device, weight.dtype)
        x = torch.zeros_like(x) if zeros else x
        if not plain:
            patches: torch.Tensor = self.encoder(x, output_hidden_states=True).hidden_states[-2]
            return patches
        embeds: torch.Tensor = self.encoder(x).image_embeds
        return torch.zeros_like(embeds) if zeros else embeds


def load_encoder(recipe: ImageEncoderRecipe, dtype: torch.dtype) -> ImageEncoder:
    """The image encoder in a folder, on the CPU. ValueError if it is damaged."""
    from transformers import CLIPVisionModelWithProjection

    try:
        encoder: Any = CLIPVisionModelWithProjection.from_pretrained(
            recipe.source, dtype=dtype, use_safetensors=True, local_files_only=True
        )
    except (OSError, RuntimeError, KeyError) as err:
        raise unreadable(recipe.source, err) from err
    return ImageEncoder(encoder, encoder.config.image_size)


def embedded(patch: Patch, model: ModelRecipe, batch: int, load: Load, negative: bool) -> torch.Tensor:
    """What an adapter sees of its pictures, (B, N, …) float32 on the CPU. negative: in their place what guidance pushes
    away from."""
    from diffusion.header import read as header_of

    encoder = load(ImageEncoderRecipe(patch.text("encoder"), patch.text("encoder_digest"), model.dtype))
    assert isinstance(encoder, ImageEncoder)
    pictures = [pixels for picture in patch.pictures for pixels in in_channels(picture.image.pixels, 3)]
    plain = _PLAIN in header_of(Path(patch.source)).tensors
    return encoder.encode(pictures, plain, negative).float().cpu()[None].repeat_interleave(batch, 0)
