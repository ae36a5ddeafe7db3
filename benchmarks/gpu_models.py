"""The real SDXL and Flux with random weights, and the ways to draw with them: what `benchmarks/gpu.py` compares."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from pairs import seeds_by_engine

UNET: dict[str, Any] = {
    "sample_size": 128, "in_channels": 4, "out_channels": 4, "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), "layers_per_block": 2,
    "attention_head_dim": (5, 10, 20), "transformer_layers_per_block": (1, 2, 10), "cross_attention_dim": 2048,
    "use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
TRANSFORMER: dict[str, Any] = {
    "in_channels": 64, "num_layers": 19, "num_single_layers": 38, "attention_head_dim": 128,
    "num_attention_heads": 24, "joint_attention_dim": 4096, "pooled_projection_dim": 768,
    "axes_dims_rope": (16, 56, 56),
}  # fmt: skip
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4, "layers_per_block": 2, "sample_size": 1024,
}  # fmt: skip
CLIP_L: dict[str, Any] = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
    "projection_dim": 768,
}  # fmt: skip
CLIP_G: dict[str, Any] = {
    "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20,
    "projection_dim": 1280, "hidden_act": "gelu",
}  # fmt: skip
SDXL_VAE: dict[str, Any] = {**VAE, "latent_channels": 4, "scaling_factor": 0.13025}
FLUX_VAE: dict[str, Any] = {
    **VAE, "latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159, "use_quant_conv": False,
    "use_post_quant_conv": False,
}  # fmt: skip

# steps, guidance scale, the target in seconds for one H200 by speed, and the steps of --tiny
MODELS: dict[str, tuple[int, float, dict[str, str], int]] = {
    "sdxl": (30, 5.0, {"graphs": "1.00", "compile": "0.85"}, 3),
    "flux-schnell": (4, 1.0, {"compile": "0.60"}, 2),
    "flux-dev": (28, 3.5, {"compile": "3.7"}, 3),
}
TEXT, NO_TEXT = "a fox in the grass", "rain"


@dataclass
class Ways:
    """Three ways to draw the picture of a seed, float32 (1, H, W, 3) in 0 … 1, over the same modules."""

    ours: Callable[..., Any]
    """Of a seed, by a kernel of attention, at a speed of `diffusion.fast`."""
    by_hand: Callable[[int], Any]
    pipeline: Callable[[int], Any]
    decoded: Callable[[], Any]
    """What decodes a latent, as each of the ways does at the end."""
    workflow: Callable[..., list[Path]] | None = None
    """Files of so many seeds from a text, by the engine, in batches, at a speed."""
    calls: Callable[[int], list[Path]] | None = None
    """The same by as many calls of the pipeline."""


def networks(name: str, tiny: bool = False) -> tuple[Any, Any]:
    """The denoiser and VAE of a model, with random weights, on torch's default device and in its dtype."""
    import checkpoints
    import checkpoints_dit
    from diffusers import AutoencoderKL, FluxTransformer2DModel, UNet2DConditionModel

    if name == "sdxl" and tiny:
        return checkpoints.unet(name), checkpoints.vae(name)
    if name == "sdxl":
        return UNet2DConditionModel(**UNET), AutoencoderKL(**SDXL_VAE)
    if tiny:
        return checkpoints_dit.flux_transformer(name), checkpoints_dit.vae(*checkpoints_dit.SCALES["flux"])
    return FluxTransformer2DModel(**TRANSFORMER, guidance_embeds=name == "flux-dev"), AutoencoderKL(**FLUX_VAE)


def text_encoders(there: Path, tiny: bool) -> Any:
    """The text encoders of an SDXL, with random weights and the tokenizers of a tiny checkpoint."""
    import checkpoints
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    from diffusion.clip import TextEncoders

    last = len(checkpoints.vocabulary()) - 1
    ends = {"bos_token_id": last - 1, "eos_token_id": last, "pad_token_id": last}
    kinds = ((CLIPTextModel, CLIP_L, 3), (CLIPTextModelWithProjection, CLIP_G, 4))
    made = [
        checkpoints.text_encoder(cls, layers) if tiny else cls(CLIPTextConfig(**sizes, **ends))
        for cls, sizes, layers in kinds
    ]
    tokenizers = [CLIPTokenizer.from_pretrained(there / part) for part in ("tokenizer", "tokenizer_2")]
    return TextEncoders(made, tokenizers, ("text_encoder", "text_encoder_2"))


def scaled(output: Callable[[], Any], last: Any, deviation: float) -> None:
    """Scale the weights of a last layer until the output has that deviation. ValueError where it cannot have it."""
    factor = deviation / float(output().float().std())
    for parameter in last.parameters():
        parameter.data *= factor
    found = float(output().float().std())
    if not 0.1 <= found <= 10:
        raise ValueError(f"random weights gave outputs of deviation {found}")


def ways(name: str, device: str, dtype: str, tiny: bool) -> Ways:
    """The ways to draw with a model, whose modules are put where denoise finds those of its recipes."""
    import checkpoints
    import checkpoints_dit
    import diffusers
    import torch

    from diffusion import flux, folder, latent, store
    from diffusion.attention import attention
    from diffusion.conditions import size_ids
    from diffusion.denoise import Job, denoise
    from diffusion.direct import directed
    from diffusion.family import empty_latent, family_of
    from diffusion.patches import shared_copy
    from diffusion.recipes import Guider
    from diffusion.schedule import for_tokens, schedule
    from diffusion.types import Conditioning, Noise, Sampler

    steps, scale = MODELS[name][3 if tiny else 0], MODELS[name][1]
    sdxl, place, kind = name == "sdxl", torch.device(device), getattr(torch, dtype)
    # what is not of the networks, recipe and scheduler, is as in the checkpoint on the hub
    there = (checkpoints if sdxl else checkpoints_dit).make(Path(tempfile.mkdtemp(prefix="weft-bench-")) / name, name)
    model, text_recipe, vae_recipe = folder.recipes(there)
    side = 64 if tiny else 1024
    model = replace(model, height=side, width=side)

    torch.manual_seed(0)
    torch.set_default_dtype(kind)
    try:
        with torch.device(place):
            net, vae = networks(name, tiny)
            texts = text_encoders(there, tiny) if sdxl else None
    finally:
        torch.set_default_dtype(torch.float32)
    for recipe, module in ((model, net), (vae_recipe, vae), (text_recipe, texts)):
        if module is None:
            continue
        module.requires_grad_(False).eval()
        if any(p.ndim > 1 and not p.any() for p in module.parameters()):
            raise ValueError(f"{name}: weights that are zero are faster than others")
        key = store._weights(recipe), (str(place), str(kind))
        # as the store makes them; the other ways keep diffusers' own
        store.STORE._get(key, lambda module=module: directed(shared_copy(module)), place)

    c = net.config
    width = c.cross_attention_dim if sdxl else c.joint_attention_dim
    times = 6 * c.addition_time_embed_dim if sdxl else 0
    pooled = c.projection_class_embeddings_input_dim - times if sdxl else c.pooled_projection_dim
    wanted, unwanted = (
        Conditioning({
            "prompt_embeds": torch.randn(1, 77 if sdxl else 512, width).to(place, kind),
            "pooled": torch.randn(1, pooled).to(place, kind),
        })
        for _ in range(2)
    )  # fmt: skip
    levels = schedule(for_tokens(model.schedule, (side // model.multiple) ** 2), steps)
    times_there = torch.tensor([level.t for level in levels.levels[:-1]], device=place)
    blank = empty_latent(model)
    shape, family = tuple(blank.samples.shape), family_of(model)
    guider = Guider(model, wanted, unwanted if sdxl else None, scale)
    network, start = family.network(net, model), torch.randn(shape).to(place)
    scaled(lambda: network(start, levels.levels[0], wanted.tensors), net.conv_out if sdxl else net.proj_out, 1.0)
    scaled(lambda: vae.decode(start.to(kind), return_dict=False)[0], vae.decoder.conv_out, 0.5)

    def noise(seed: int) -> torch.Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(place)

    def ours(seed: int, kernel: str = "auto", speed: str = "none") -> Any:
        with attention(kernel):  # of the denoiser alone, as in a graph: a VAE's heads are too wide for some
            done = denoise([Job(guider, Noise(seed), blank)], levels, Sampler("model"), device, dtype, speed=speed)
        return family.decode(vae, vae_recipe, done[0].samples).pixels

    both = {n: torch.cat([unwanted.tensors[n], wanted.tensors[n]]) for n in wanted.tensors}
    sizes = {"text_embeds": both["pooled"], "time_ids": size_ids(side, side).repeat(2, 1).to(place, kind)}

    def unet_loop(seed: int) -> Any:
        x = noise(seed)
        for t, (here, there) in zip(times_there, pairwise(levels.levels), strict=True):
            o = net(
                torch.cat([x, x]).to(kind), t, encoder_hidden_states=both["prompt_embeds"],
                added_cond_kwargs=sizes, return_dict=False,
            )[0].float()  # fmt: skip
            negative, positive = o.chunk(2)
            o = negative + scale * (positive - negative)
            x = there.alpha * (x - here.sigma * o) / here.alpha + there.sigma * o
        return latent.decode(vae, x).pixels

    height, wide = shape[2:]
    fixed = {
        "guidance": torch.full((1,), scale, device=place) if name == "flux-dev" else None,
        "pooled_projections": wanted.tensors["pooled"], "encoder_hidden_states": wanted.tensors["prompt_embeds"],
        "txt_ids": torch.zeros(512, 3, device=place),
        "img_ids": flux.places(height // 2, wide // 2, place), "return_dict": False,
    }  # fmt: skip

    def flow_loop(seed: int) -> Any:
        x = flux.packed(noise(seed))
        for t, (here, there) in zip(times_there, pairwise(levels.levels), strict=True):
            o = net(hidden_states=x.to(kind), timestep=t[None].to(kind) / 1000, **fixed)[0].float()
            x = x + (there.sigma - here.sigma) * o
        return latent.decode(vae, flux.unpacked(x, height, wide)).pixels

    none = dict.fromkeys(("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"))
    told = {"prompt_embeds": wanted.tensors["prompt_embeds"], "pooled_prompt_embeds": wanted.tensors["pooled"]}
    if sdxl:
        walk: Any = diffusers.EulerDiscreteScheduler.from_pretrained(there / "scheduler")
        pipe: Any = diffusers.StableDiffusionXLPipeline(vae, unet=net, scheduler=walk, add_watermarker=False, **none)
        told |= {f"negative_{n}": unwanted.tensors[m] for n, m in zip(told, wanted.tensors, strict=True)}
    else:
        walk = diffusers.FlowMatchEulerDiscreteScheduler.from_pretrained(there / "scheduler")
        pipe = diffusers.FluxPipeline(vae=vae, transformer=net, scheduler=walk, **none)
    pipe.set_progress_bar_config(disable=True)

    def pipeline(seed: int) -> Any:
        x = noise(seed).to(kind)
        return pipe(
            **told, latents=x if sdxl else flux.packed(x), num_inference_steps=steps, guidance_scale=scale,
            height=side, width=side, output_type="np",
        ).images  # fmt: skip

    made = Ways(ours, unet_loop if sdxl else flow_loop, pipeline, lambda: family.decode(vae, vae_recipe, start).pixels)
    if texts is None:
        return made
    one, two = texts.encoders
    whole: Any = diffusers.StableDiffusionXLPipeline(
        vae, one, two, *texts.tokenizers, net, walk, add_watermarker=False
    )  # fmt: skip
    whole.set_progress_bar_config(disable=True)

    def calls(count: int) -> list[Path]:
        files = [Path(tempfile.mkdtemp(prefix="weft-bench-")) / f"{seed}.png" for seed in range(count)]
        for seed, file in enumerate(files):
            whole(
                TEXT, negative_prompt=NO_TEXT, num_inference_steps=steps, guidance_scale=scale, height=side, width=side,
                latents=noise(seed).to(kind),
            ).images[0].save(file)  # fmt: skip
        return files

    return replace(made, workflow=workflow(there, scale, steps, side, device, dtype), calls=calls)


def workflow(there: Path, scale: float, steps: int, side: int, device: str, dtype: str) -> Callable[..., list[Path]]:
    """Draws so many seeds of a text by the engine; see `pairs.seeds_by_engine`."""
    import text_to_image

    nodes = text_to_image.graph(
        there, TEXT, scale, steps, 0,
        no={"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": NO_TEXT}, guide__negative="@no",
        blank__width=side, blank__height=side, sampler__kind="model",
        save={"type": "SaveImage", "image": "@decode", "path": "{variant}.png"},
    )  # fmt: skip
    return seeds_by_engine(nodes, device=device, dtype=dtype)
