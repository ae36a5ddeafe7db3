"""The true SDXL and Flux on a GPU, beside a loop by hand and diffusers' pipeline. Run: uv run python benchmarks/gpu.py

Instantiates the real configurations with random weights, since speed hardly depends on their values, and draws from
embeddings to a picture in the CPU's memory, in bfloat16: eager, with CUDA graphs, compiled, by each kernel of
attention. SDXL also draws from texts to PNGs on the disk, by a workflow: eight pictures in a row, and a sweep. Prints a
table beside targets for one H200. --model picks one of the models; --tiny runs the same with tiny ones on the CPU.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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
ROW, SWEEP, BATCH = 8, 64, 16
"""Pictures in a row, and those of a sweep in batches."""
ROW_TARGET, SWEEP_TARGET, PEAK_TARGETS = "0.92 of the pipeline", "48", {"sdxl": "10.5 GiB"}
KERNELS = {"sdxl": ("auto", "flash", "efficient", "cudnn", "math"), "flux-schnell": ("auto", "flash", "cudnn")}
"""flux-dev has the network of flux-schnell."""
APART = {"float32": 1e-4, "bfloat16": 0.01}
"""How far two pictures in 0 … 1 may be apart on average and still be the same work."""


MOST_FILES_DIFFER = 8.0
"""Of 255 on average, in bfloat16 and from random weights."""
TEXT, NO_TEXT = "a fox in the grass", "rain"


@dataclass
class Ways:
    """Three ways to draw the picture of a seed, float32 (1, H, W, 3) in 0 … 1, over the same modules."""

    ours: Callable[[int], Any]
    by_hand: Callable[[int], Any]
    pipeline: Callable[[int], Any]
    ours_by: Callable[..., Any]
    """Ours, by a kernel of attention, at a speed of `diffusion.fast`."""
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


def text_encoders(name: str, there: Path, tiny: bool) -> Any:
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
    from diffusion.family import empty_latent, family_of
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
            texts = text_encoders(name, there, tiny) if sdxl else None
    finally:
        torch.set_default_dtype(torch.float32)
    for recipe, module in ((model, net), (vae_recipe, vae), (text_recipe, texts)):
        if module is None:
            continue
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

    def ours_by(seed: int, kernel: str = "auto", speed: str = "none") -> Any:
        with attention(kernel):  # of the denoiser alone, as in a graph: a VAE's heads are too wide for some
            done = denoise([Job(guider, Noise(seed), blank)], levels, Sampler("model"), device, dtype, speed=speed)
        return family.decode(vae, vae_recipe, done[0].samples).pixels

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

    made = Ways(ours_by, unet_loop if sdxl else flow_loop, pipeline, ours_by)
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
    """Draws so many seeds of a text by the engine, as `weft run --sweep` does, and gives the files."""
    import text_to_image

    from engine.api import load, run
    from engine.cache import Cache
    from engine.context import Settings
    from engine.sweep import Sweep
    from nodes import registry

    nodes = text_to_image.graph(
        there, TEXT, scale, steps, 0,
        no={"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": NO_TEXT}, guide__negative="@no",
        blank__width=side, blank__height=side, sampler__kind="model",
        save={"type": "SaveImage", "image": "@decode", "path": "{variant}.png"},
    )  # fmt: skip
    made = load({"format": 1, "nodes": nodes}, registry=registry())

    def drawn(count: int, batch: int = 1, speed: str = "none") -> list[Path]:
        out = Path(tempfile.mkdtemp(prefix="weft-bench-"))
        settings = Settings(device=device, dtype=dtype, out=out, batch=batch, speed=speed)
        found = run(made, sweep=Sweep({"noise.seed": list(range(count))}), settings=settings, cache=Cache())
        return [Path(file.path) for file in found.files]

    return drawn


def report(name: str, device: str, dtype: str, tiny: bool, rounds: int) -> Iterator[str]:
    """The lines of a model in the table. ValueError where two ways draw different pictures."""
    import numpy as np
    import torch

    from diffusion.store import STORE

    made, gpu = ways(name, device, dtype, tiny), device.startswith("cuda")
    steps, _, targets, few = MODELS[name]
    what = f"{name}, {few if tiny else steps} steps"

    def line(*cells: str) -> str:
        return "| " + " | ".join([*cells, *[""] * (7 - len(cells))]) + " |"

    def timed(way: Callable[[int], Any]) -> Callable[[], Any]:
        return lambda: (way(5), gpu and torch.cuda.synchronize())

    def median(work: Callable[[], Any]) -> str:
        return f"{statistics.median(seconds(work) for _ in range(3)):.3f}"

    picture = made.ours(5)

    def far(other: Any) -> float:
        return float(np.abs(picture - other).mean())

    apart = [far(way(5)) for way in (made.by_hand, made.pipeline)]
    # the pipeline rounds its latents to the dtype after each step
    judged = apart if dtype == "float32" else apart[:1]
    if not np.isfinite(picture).all() or picture.std() < 0.01 or max(judged) > APART[dtype]:
        raise ValueError(f"{name}: the ways differ by {apart} on average: nothing to compare")
    ours = timed(made.ours)
    hand, pipe = compared(timed(made.by_hand), ours, rounds), compared(timed(made.pipeline), ours, rounds)
    ratios = [f"{ratio.median:.3f} ({ratio.low:.3f} … {ratio.high:.3f})" for ratio in (hand, pipe)]
    yield line(what, f"{hand.b:.3f}", f"{hand.a:.3f}", f"{pipe.a:.3f}", *ratios)
    yield line(f"{what}, mean distance from ours, 0 … 1", "", *(f"{one:.1e}" for one in apart))
    if gpu:
        torch.cuda.reset_peak_memory_stats()
        ours()
        peak = f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB"
        yield line(f"{name}, peak memory", peak, *[""] * 4, PEAK_TARGETS.get(name, ""))
    for speed in ("graphs", "compile") if gpu else ():
        started = time.perf_counter()
        distance = far(made.ours_by(5, speed=speed))
        first = time.perf_counter() - started
        told = f"{what}, --speed {speed} (the first {first:.1f} s; {distance:.1e} from ours)"
        spent = median(timed(lambda seed, speed=speed: made.ours_by(seed, speed=speed)))  # type: ignore[misc]
        yield line(told, spent, *[""] * 4, "" if tiny else targets.get(speed, ""))
    for kernel in KERNELS.get(name, ()):
        try:
            by_kernel = timed(lambda seed, kernel=kernel: made.ours_by(seed, kernel))  # type: ignore[misc]
            by_kernel()
            spent = median(by_kernel)
        except ValueError:
            spent = "cannot"
        yield line(f"{what}, attention {kernel}", spent)
    if made.workflow is not None and made.calls is not None:
        yield from files(made.workflow, made.calls, gpu, tiny, line)
    STORE.clear()


def files(
    drawn: Callable[..., list[Path]],
    calls: Callable[[int], list[Path]],
    gpu: bool,
    tiny: bool,
    line: Callable[..., str],
) -> Iterator[str]:
    """The lines of pictures from texts to PNGs. ValueError where they differ."""
    import numpy as np
    from PIL import Image

    few, many, batch = (2, 4, 2) if tiny else (ROW, SWEEP, BATCH)
    pixels = [np.asarray(Image.open(draw(1)[0])).astype(int) for draw in (drawn, calls)]
    apart = float(np.abs(pixels[0] - pixels[1]).mean())
    if apart > MOST_FILES_DIFFER:
        raise ValueError(f"the workflow's picture is {apart:.2f} of 255 from the pipeline's: nothing to compare")
    pair = compared(lambda: calls(few), lambda: drawn(few), rounds=1, warm=0)
    told = f"{few} pictures in a row, text to PNG ({apart:.2f} of 255 apart)"
    ratio = f"{pair.median:.3f}"
    yield line(told, f"{pair.b:.2f}", "", f"{pair.a:.2f}", "", ratio, "" if tiny else ROW_TARGET)
    if gpu:
        drawn(1, speed="graphs")
        spent = seconds(lambda: drawn(few, speed="graphs"))
        yield line("the same, --speed graphs", f"{spent:.2f}", "", "", "", f"{spent / pair.a:.3f}")
    spent, calls_of_all = seconds(lambda: drawn(many, batch)), pair.a / few * many
    told = f"{many} seeds in batches of {batch}, text to PNG, beside so many such calls"
    target = "" if tiny else SWEEP_TARGET
    yield line(told, f"{spent:.2f}", "", f"{calls_of_all:.2f}", "", f"{spent / calls_of_all:.3f}", target)


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
                for row in report(name, device, dtype, options.tiny, options.rounds):
                    print(row, flush=True)
        except ValueError as why:
            print(why, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
