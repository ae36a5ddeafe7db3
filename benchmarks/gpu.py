"""The true SDXL and Flux on a GPU, beside a loop by hand and diffusers' pipeline. Run: uv run python benchmarks/gpu.py

Instantiates the real configurations with random weights, since speed hardly depends on their values, and draws from
embeddings (there are no text encoders) to a picture in the CPU's memory, in bfloat16, eager. Prints a table beside
targets for one H200. --model picks one of the models; --tiny runs the same with tiny ones on the CPU.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from pairs import compared, one_thread, seconds

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
SDXL_VAE: dict[str, Any] = {**VAE, "latent_channels": 4, "scaling_factor": 0.13025}
FLUX_VAE: dict[str, Any] = {
    **VAE, "latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159, "use_quant_conv": False,
    "use_post_quant_conv": False,
}  # fmt: skip

# steps, guidance scale, and the target in seconds for one H200; the last steps are of --tiny
MODELS: dict[str, tuple[int, float, str, int]] = {
    "sdxl": (30, 5.0, "1.00 with CUDA graphs, 0.85 compiled", 3),
    "flux-schnell": (4, 1.0, "0.60 compiled", 2),
    "flux-dev": (28, 3.5, "3.7 compiled", 3),
}
SWEEP, BATCH, SWEEP_TARGET, PEAK_TARGETS = 64, 16, "48", {"sdxl": "10.5 GiB, with them (1.5)"}
KERNELS = ("auto", "flash", "efficient", "cudnn", "math")
APART = {"float32": 1e-4, "bfloat16": 0.01}
"""How far two pictures in 0 … 1 may be apart on average and still be the same work."""


@dataclass
class Ways:
    """Three ways to draw the picture of a seed, float32 (1, H, W, 3) in 0 … 1, over the same modules."""

    ours: Callable[[int], Any]
    by_hand: Callable[[int], Any]
    pipeline: Callable[[int], Any]
    several: Callable[..., list[Any]]
    """Ours, of several seeds as one batch, by a kernel of attention."""


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
    from diffusion.family import empty_latent, family_of
    from diffusion.recipes import Guider
    from diffusion.schedule import for_tokens, schedule
    from diffusion.types import Conditioning, Noise, Sampler

    steps, scale = MODELS[name][3 if tiny else 0], MODELS[name][1]
    sdxl, place, kind = name == "sdxl", torch.device(device), getattr(torch, dtype)
    # what is not of the networks, recipe and scheduler, is as in the checkpoint on the hub
    there = (checkpoints if sdxl else checkpoints_dit).make(Path(tempfile.mkdtemp(prefix="weft-bench-")) / name, name)
    model, _, vae_recipe = folder.recipes(there)
    side = 64 if tiny else 1024
    model = replace(model, height=side, width=side)

    torch.manual_seed(0)
    torch.set_default_dtype(kind)
    try:
        with torch.device(place):
            net, vae = networks(name, tiny)
    finally:
        torch.set_default_dtype(torch.float32)
    for recipe, module in ((model, net), (vae_recipe, vae)):
        module.requires_grad_(False).eval()
        if any(p.ndim > 1 and not p.any() for p in module.parameters()):
            raise ValueError(f"{name}: weights that are zero are faster than others")
        key = store._weights(recipe), (str(place), str(kind))
        store.STORE._get(key, lambda module=module: module, place)

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
    blank = empty_latent(model)
    shape, family = tuple(blank.samples.shape), family_of(model)
    guider = Guider(model, wanted, unwanted if sdxl else None, scale)
    network, start = family.network(net, model), torch.randn(shape).to(place)
    scaled(lambda: network(start, levels.levels[0], wanted.tensors), net.conv_out if sdxl else net.proj_out, 1.0)
    scaled(lambda: vae.decode(start.to(kind), return_dict=False)[0], vae.decoder.conv_out, 0.5)

    def noise(seed: int) -> torch.Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(place)

    def several(seeds: list[int], kernel: str = "auto") -> list[Any]:
        jobs = [Job(guider, Noise(seed), blank) for seed in seeds]
        with attention(kernel):  # of the denoiser alone, as in a graph: a VAE's heads are too wide for some
            done = denoise(jobs, levels, Sampler("model"), device, dtype)
        return [family.decode(vae, vae_recipe, one.samples).pixels for one in done]

    both = {n: torch.cat([unwanted.tensors[n], wanted.tensors[n]]) for n in wanted.tensors}
    sizes = {"text_embeds": both["pooled"], "time_ids": size_ids(side, side).repeat(2, 1).to(place, kind)}

    def unet_loop(seed: int) -> Any:
        x = noise(seed)
        for here, there in pairwise(levels.levels):
            o = net(
                torch.cat([x, x]).to(kind), here.t, encoder_hidden_states=both["prompt_embeds"],
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
        "img_ids": flux.places(height // 2, wide // 2).to(place, torch.float32), "return_dict": False,
    }  # fmt: skip

    def flow_loop(seed: int) -> Any:
        x = flux.packed(noise(seed))
        for here, there in pairwise(levels.levels):
            t = torch.full((1,), here.t, device=place).to(kind) / 1000
            x = x + (there.sigma - here.sigma) * net(hidden_states=x.to(kind), timestep=t, **fixed)[0].float()
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

    return Ways(lambda seed: several([seed])[0], unet_loop if sdxl else flow_loop, pipeline, several)


def report(name: str, device: str, dtype: str, tiny: bool, rounds: int) -> list[str]:
    """The lines of a model in the table. ValueError where two ways draw different pictures."""
    import numpy as np
    import torch
    from PIL import Image

    from diffusion.store import STORE

    made, gpu = ways(name, device, dtype, tiny), device.startswith("cuda")

    def timed(way: Callable[[int], Any]) -> Callable[[], Any]:
        return lambda: (way(5), gpu and torch.cuda.synchronize())

    picture = made.ours(5)
    apart = [float(np.abs(picture - way(5)).mean()) for way in (made.by_hand, made.pipeline)]
    # the pipeline rounds its latents to the dtype after each step
    judged = apart if dtype == "float32" else apart[:1]
    if not np.isfinite(picture).all() or picture.std() < 0.01 or max(judged) > APART[dtype]:
        raise ValueError(f"{name}: the ways differ by {apart} on average: nothing to compare")
    ours = timed(made.ours)
    hand, pipe = compared(timed(made.by_hand), ours, rounds), compared(timed(made.pipeline), ours, rounds)
    steps, _, target, few = MODELS[name]
    cells = [f"{name}, {few if tiny else steps} steps", f"{hand.b:.3f}", f"{hand.a:.3f}", f"{pipe.a:.3f}"]
    ratios = [f"{ratio.median:.3f} ({ratio.low:.3f} … {ratio.high:.3f})" for ratio in (hand, pipe)]
    rows = [[*cells, *ratios, "" if tiny else target]]
    rows += [[f"{name}, mean distance from ours, 0 … 1", "", *(f"{far:.1e}" for far in apart), "", "", ""]]
    for kernel in KERNELS:
        try:
            by_kernel = timed(lambda seed, kernel=kernel: made.several([seed], kernel))
            by_kernel()
            spent = f"{seconds(by_kernel):.3f}"
        except ValueError:
            spent = "cannot"
        rows.append([f"{name}, attention {kernel}", spent, "", "", "", "", ""])
    if gpu:
        torch.cuda.reset_peak_memory_stats()
        ours()
        peak = f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB"
        rows.append([f"{name}, peak memory, no text encoders", peak, "", "", "", "", PEAK_TARGETS.get(name, "")])
    if name == "sdxl":
        count, batch = (4, 2) if tiny else (SWEEP, BATCH)
        folder = Path(tempfile.mkdtemp(prefix="weft-bench-"))

        def save(seed: int, pixels: Any) -> None:
            Image.fromarray((pixels[0] * 255).round().astype("uint8")).save(folder / f"{seed}.png")

        def batches() -> None:
            for first in range(0, count, batch):
                for i, pixels in enumerate(made.several(list(range(first, first + batch)))):
                    save(first + i, pixels)

        def calls() -> None:
            for seed in range(count):
                save(seed, made.pipeline(seed))

        made.several(list(range(batch)))
        a, b = seconds(calls), seconds(batches)
        what = f"{count} seeds in batches of {batch}, PNGs on disk"
        rows.append([what, f"{b:.3f}", "", f"{a:.3f}", "", f"{b / a:.3f}", "" if tiny else SWEEP_TARGET])
    STORE.clear()
    return ["| " + " | ".join(row) + " |" for row in rows]


def main(arguments: list[str]) -> int:
    """Print the table. 0 also where there is no GPU to measure; 1 if two ways draw different pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, help="default: all")
    parser.add_argument("--tiny", action="store_true", help="tiny models on the CPU: does it run at all")
    parser.add_argument("--rounds", type=int, default=3, help="of A B B A, for each ratio")
    options = parser.parse_args(arguments)
    import torch

    if not options.tiny and not torch.cuda.is_available():
        print("no GPU here, so nothing is measured; --tiny runs the same with tiny models on the CPU")
        return 0
    device, dtype = ("cpu", "float32") if options.tiny else ("cuda", "bfloat16")
    if options.tiny:
        one_thread()
    print("tiny models on the CPU" if options.tiny else f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print("| seconds | ours | by hand | diffusers | ours / by hand | ours / diffusers | target, one H200 |")
    print("|---|---|---|---|---|---|---|")
    for name in [options.model] if options.model else MODELS:
        try:
            with torch.no_grad():
                print(*report(name, device, dtype, options.tiny, options.rounds), sep="\n", flush=True)
        except ValueError as why:
            print(why, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
