"""64 variants as batches, beside 64 calls of diffusers' pipeline. Run: uv run python benchmarks/sweep.py [rounds]

Four seeds, four prompts and four guidance scales, each variant a PNG on the disk; both have their models loaded. weft
encodes each prompt once and samples BATCH variants at a time. Tiny random Stable Diffusion at 64 x 64 on one thread of
the CPU: small pictures are where a batch gains most, since a call costs about as much for one as for several.
"""

import sys
import tempfile
from itertools import product
from pathlib import Path

from pairs import checkpoint, compared, line, one_thread

SEEDS, PROMPTS, SCALES = [1, 2, 3, 4], ["a fox", "a hare", "grass", "a red barn"], [2.0, 4.0, 6.0, 8.0]
STEPS, BATCH = 8, 16
TARGET = 0.75


def main(rounds: int) -> int:
    """Check that both draw the same, time them, and tell. 1 if the target is missed."""
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

    one_thread()
    folder, out = checkpoint("sd15"), Path(tempfile.mkdtemp(prefix="weft-bench-"))
    nodes = text_to_image.graph(
        folder, "a fox", 7.5, STEPS, 0,
        no={"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": ""}, guide__negative="@no",
        schedule__spacing="leading", save={"type": "SaveImage", "image": "@decode", "path": "{variant}.png"},
    )  # fmt: skip
    workflow = load({"format": 1, "nodes": nodes}, registry=registry())
    variants = Sweep({"noise.seed": SEEDS, "wanted.text": PROMPTS, "guide.scale": SCALES})

    def ours() -> list[Path]:
        settings = Settings(out=Path(tempfile.mkdtemp(dir=out)), batch=BATCH)
        return [Path(f.path) for f in run(workflow, sweep=variants, settings=settings, cache=Cache()).files]

    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
    pipe.set_progress_bar_config(disable=True)

    def theirs() -> list[Path]:
        there, files = Path(tempfile.mkdtemp(dir=out)), []
        for i, (seed, prompt, scale) in enumerate(product(SEEDS, PROMPTS, SCALES)):
            own = torch.Generator().manual_seed(seed)
            picture = pipe(prompt, num_inference_steps=STEPS, guidance_scale=scale, generator=own).images[0]
            files.append(there / f"{i}.png")
            picture.save(files[-1])
        return files

    def pixels(files: list[Path]) -> np.ndarray:
        return np.stack([np.asarray(Image.open(file)) for file in files]).astype(int)

    apart = int(np.abs(pixels(ours()) - pixels(theirs())).max())
    print(f"{len(SEEDS) * len(PROMPTS) * len(SCALES)} variants, {STEPS} steps; at most {apart} of 255 apart")
    if apart > 1:
        print("they differ: nothing to compare", file=sys.stderr)
        return 1
    return 0 if line(f"batches of {BATCH}, weft / pipeline", compared(theirs, ours, rounds), TARGET) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
