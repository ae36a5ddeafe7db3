"""Eight pictures in a row as PNGs, beside diffusers' pipeline. Run: uv run python benchmarks/pipeline.py [rounds]

Both have their models loaded and draw the same pictures (one prompt, one negative, eight seeds, 20 steps of DDIM), one
after the other; at the end all files are on the disk. Tiny random Stable Diffusion; torch has one thread. The first
line is what the clock says; weft decodes and saves in a thread of its own, so it depends on a second core being free.
The second is the processor time of the thread that draws, which is what the clock would say if one were. The third
draws all eight as one batch.
"""

import sys
import tempfile
import time
from pathlib import Path

from pairs import checkpoint, compared, line, one_thread, seeds_by_engine

COUNT, STEPS, SCALE, SIDE = 8, 20, 7.5, 256
TARGET = 0.92


def main(rounds: int) -> int:
    """Check that both draw the same, time them, and tell. 1 if the target is missed."""
    import diffusers
    import numpy as np
    import text_to_image
    import torch
    from PIL import Image

    one_thread()
    folder, out = checkpoint("sd15"), Path(tempfile.mkdtemp(prefix="weft-bench-"))
    nodes = text_to_image.graph(
        folder, "a fox", SCALE, STEPS, 0,
        no={"type": "TextEncode", "text_encoder": "@base.text_encoder", "text": "grass"}, guide__negative="@no",
        blank__width=SIDE, blank__height=SIDE, schedule__spacing="leading",
        save={"type": "SaveImage", "image": "@decode", "path": "{variant}.png"},
    )  # fmt: skip
    ours = seeds_by_engine(nodes)

    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
    pipe.set_progress_bar_config(disable=True)

    def theirs() -> list[Path]:
        there = Path(tempfile.mkdtemp(dir=out))
        for seed in range(COUNT):
            picture = pipe(
                "a fox", negative_prompt="grass", num_inference_steps=STEPS, guidance_scale=SCALE, width=SIDE,
                height=SIDE, generator=torch.Generator().manual_seed(seed),
            ).images[0]  # fmt: skip
            picture.save(there / f"{seed}.png")
        return [there / f"{seed}.png" for seed in range(COUNT)]

    def pixels(files: list[Path]) -> np.ndarray:
        return np.stack([np.asarray(Image.open(file)) for file in files]).astype(int)

    apart = int(np.abs(pixels(ours(COUNT)) - pixels(theirs())).max())
    print(f"{COUNT} pictures of {SIDE} x {SIDE}, {STEPS} steps; at most {apart} of 255 apart")
    if apart > 1:
        print("they differ: nothing to compare", file=sys.stderr)
        return 1
    met = line("one after the other, weft / pipeline", compared(theirs, lambda: ours(COUNT), rounds), TARGET)
    line(
        "the same, time of the drawing thread",
        compared(theirs, lambda: ours(COUNT), rounds, clock=time.thread_time),
        TARGET,
    )
    line("as one batch, weft / pipeline", compared(theirs, lambda: ours(COUNT, COUNT), rounds), TARGET)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
