"""What the engine adds to denoising. Run: uv run python benchmarks/denoise.py [rounds]

The graph's denoising, with progress, previews and a look whether it was cancelled after each step, against a loop
written by hand over the same U-Net with both halves of the guidance in one batch. Tiny random Stable Diffusion on one
thread of the CPU, so that an addition shows that a large model would hide.

The clock of a busy machine hides a thousandth. So the second line times what is added by itself: both with a U-Net that
does nothing, and the U-Net alone, the least of many each, in processor time of the thread.
"""

import sys
import time
from collections.abc import Callable
from itertools import pairwise

from pairs import checkpoint, compared, line, one_thread, seconds

SIDE, STEPS, SCALE = 512, 10, 7.5
TARGET, STEP_TARGET = 1.003, 20.0


def main(rounds: int) -> int:
    """Check that both give the same, time them, and tell. 1 if a target is missed."""
    import torch

    from diffusion import folder
    from diffusion.denoise import Job, denoise
    from diffusion.family import empty_latent, family_of
    from diffusion.recipes import Guider
    from diffusion.schedule import schedule
    from diffusion.store import STORE
    from diffusion.types import Latent, Noise, Prompt, Sampler
    from engine.context import Context, Settings
    from nodes.compute import Previews

    one_thread()
    model, text, _ = folder.recipes(checkpoint("sd15"))
    encoder = STORE.load(text, "cpu")
    family = family_of(text)
    wanted, unwanted = (family.encode_text(encoder, text, Prompt(words)) for words in ("a fox", "grass"))
    unet = STORE.load(model, "cpu")
    levels = schedule(model.schedule, STEPS)
    blank = empty_latent(model, SIDE, SIDE)
    ctx = Context(settings=Settings(previews_per_second=4))
    guider = Guider(model, wanted, unwanted, SCALE)

    def ours() -> Latent:
        previews = Previews(ctx, model.space)

        def on_step(step: int, total: int, x0: torch.Tensor) -> None:
            ctx.progress(step, total, preview=previews.after(x0))

        return denoise([Job(guider, Noise(5), blank)], levels, Sampler("euler"), "cpu", "float32", on_step)[0]

    embeds = torch.cat([unwanted.tensors["prompt_embeds"], wanted.tensors["prompt_embeds"]])
    shape = tuple(blank.samples.shape)

    @torch.no_grad()
    def bare() -> torch.Tensor:
        first = levels.levels[0]
        x = torch.randn(shape, generator=torch.Generator().manual_seed(5))
        if levels.spacing != "leading":
            x = x * first.sigma
        for here, there in pairwise(levels.levels):
            o = unet(torch.cat([x, x]), here.t, encoder_hidden_states=embeds, return_dict=False)[0]
            negative, positive = o.chunk(2)
            o = negative + SCALE * (positive - negative)
            x = there.alpha * (x - here.sigma * o) / here.alpha + there.sigma * o
        return x

    apart = float((ours().samples - bare()).abs().max())
    print(f"{STEPS} steps at {SIDE} x {SIDE}, guidance {SCALE}; results at most {apart:.1e} apart")
    if apart > 1e-3:
        print("they differ: nothing to compare", file=sys.stderr)
        return 1
    line("graph / loop by hand, by the clock", compared(bare, ours, rounds), TARGET)

    def least(work: Callable[[], object], count: int) -> float:
        return min(seconds(work, time.thread_time) for _ in range(count))

    def alone() -> None:
        with torch.no_grad():
            unet(torch.cat([blank.samples] * 2), torch.tensor(5.0), encoder_hidden_states=embeds, return_dict=False)

    call = least(alone, 4 * rounds)
    forward, nothing = type(unet).forward, torch.zeros(2, *shape[1:])
    type(unet).forward = lambda *args, **kwargs: (nothing,)
    try:
        added = (least(ours, 20 * rounds) - least(bare, 20 * rounds)) / STEPS
    finally:
        type(unet).forward = forward
    ratio = 1 + added / call
    met = ratio <= TARGET
    told = f"{added * 1e6:.0f} us a step are added to {call * 1e3:.1f} ms of the U-Net"
    print(f"{told}: {ratio:.4f}, target {TARGET}{'' if met else ' MISSED'}")

    previews, x0, quiet = Previews(Context(), "sd"), blank.samples, Context()
    count = 1000

    def steps() -> None:
        for n in range(count):
            quiet.progress(n, count, preview=previews.after(x0))

    step = min(seconds(steps) for _ in range(rounds * 3)) / count * 1e6
    print(f"progress, previews and cancelling: {step:.1f} us a step, target {STEP_TARGET}")
    return 0 if met and step <= STEP_TARGET else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
