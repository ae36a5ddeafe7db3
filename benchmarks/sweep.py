"""64 variants as batches, beside 64 calls of diffusers' pipeline. Run: uv run python benchmarks/sweep.py [rounds]

Twice: four seeds, four prompts and four guidance scales; and four seeds, two prompts, two guidance scales and four
strengths of a LoRA, which the pipeline is told by `set_adapters`. Each variant is a PNG on the disk; both have their
models loaded, and the LoRA too. weft encodes each prompt once and samples BATCH variants at a time. Tiny random Stable
Diffusion at 64 x 64 on one thread of the CPU: small pictures are where a batch gains most, since a call costs about as
much for one as for several.
"""

import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from pairs import checkpoint, compared, line, one_thread

STEPS, BATCH = 8, 16
TARGET = 0.75


SWEEPS: dict[str, dict[str, list[Any]]] = {
    "prompts": {
        "noise.seed": [1, 2, 3, 4],
        "wanted.text": ["a fox", "a hare", "grass", "a red barn"],
        "guide.scale": [2.0, 4.0, 6.0, 8.0],
    },
    "LoRA strengths": {
        "noise.seed": [1, 2, 3, 4],
        "wanted.text": ["a fox", "a hare"],
        "guide.scale": [2.0, 6.0],
        "lora.strength": [0.0, 0.3, 0.6, 1.0],
    },
}
"""What varies, by the inputs of ours."""


def main(rounds: int) -> int:
    """For both sweeps: check that both draw the same, time them, and tell. 1 if a target is missed."""
    one_thread()
    return max([swept(name, rounds) for name in SWEEPS])


def swept(name: str, rounds: int) -> int:
    """One of `SWEEPS`."""
    import adapters
    import diffusers
    import numpy as np
    import text_to_image
    import torch
    from PIL import Image

    from engine.api import load, run
    from engine.cache import Cache
    from engine.context import Settings
    from engine.sweep import Sweep
    from nodes import registry

    values = SWEEPS[name]
    folder, out = checkpoint("sd15"), Path(tempfile.mkdtemp(prefix="weft-bench-"))
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
    pipe.set_progress_bar_config(disable=True)
    nodes = text_to_image.graph(
        folder, "a fox", 7.5, STEPS, 0,
        no={"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": ""}, guide__negative="@no",
        schedule__spacing="leading", save={"type": "SaveImage", "image": "@decode", "path": "{variant}.png"},
    )  # fmt: skip
    if "lora.strength" in values:
        layers = adapters.factors(pipe.unet, adapters.ATTENTION)
        file = adapters.write(out / "lora.safetensors", "peft", {"unet": layers})
        nodes["lora"] = {"type": "LoRALoad", "model": "@base.model", "source": str(file)}
        nodes["guide"]["model"] = "@lora.model"
        pipe.load_lora_weights(str(out), weight_name=file.name, adapter_name="one")
    workflow = load({"format": 1, "nodes": nodes}, registry=registry())
    variants = list(product(*values.values()))

    def ours() -> list[Path]:
        settings = Settings(out=Path(tempfile.mkdtemp(dir=out)), batch=BATCH)
        return [Path(f.path) for f in run(workflow, sweep=Sweep(values), settings=settings, cache=Cache()).files]

    def theirs() -> list[Path]:
        there, files = Path(tempfile.mkdtemp(dir=out)), []
        for i, (seed, prompt, scale, *strength) in enumerate(variants):
            if strength:
                pipe.set_adapters(["one"], strength)
            own = torch.Generator().manual_seed(seed)
            picture = pipe(prompt, num_inference_steps=STEPS, guidance_scale=scale, generator=own).images[0]
            files.append(there / f"{i}.png")
            picture.save(files[-1])
        return files

    def pixels(files: list[Path]) -> np.ndarray:
        return np.stack([np.asarray(Image.open(file)) for file in files]).astype(int)

    here = pixels(ours())
    apart = int(np.abs(here - pixels(theirs())).max())
    print(f"{name}: {len(variants)} variants, {STEPS} steps; at most {apart} of 255 apart")
    if apart > 1 or len(np.unique(here, axis=0)) < len(variants):
        print("they differ, or some do not: nothing to compare", file=sys.stderr)
        return 1
    return 0 if line(f"{name}, batches of {BATCH}, weft / pipeline", compared(theirs, ours, rounds), TARGET) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
