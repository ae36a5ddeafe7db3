"""Do the pocket models draw what they are told? Run: uv run python benchmarks/pocket.py [--model NAME] [--curve]

Captions that were not in training are drawn by a graph, and read back from the pixels by diffusion/see.py, which knows
nothing of the model: colours, shapes, and places. --curve measures one-object captions at several guidance scales, and
draws docs/NAME-guidance.png.
"""

import argparse
import sys
import tempfile
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

STEPS, SCALE, SEED = 25, 4.0, 100
CURVE = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0)
TARGETS = {"colour": 0.95, "shape": 0.90, "colour, shape and place": 0.85}
TWO = 0.60


def drawn(model: str, captions: list[str], scale: float, first_seed: int) -> list:
    """A picture of each caption, uint8 (64, 64, 3), each from noise of its own."""
    import numpy as np
    from PIL import Image

    from engine.api import load, run
    from engine.cache import Cache
    from engine.context import Settings
    from engine.sweep import Sweep
    from nodes import registry

    base = {name: f"@base.{name}" for name in ("model", "text_encoder", "vae")}
    nodes = {
        "base": {"type": "LoadCheckpoint", "source": model},
        "wanted": {"type": "TextEncode", "text_encoder": base["text_encoder"], "text": "x"},
        "empty": {"type": "TextEncode", "text_encoder": base["text_encoder"], "text": ""},
        "none": {"type": "ZeroCondition", "conditioning": "@empty"},
        "guide": {"type": "CFG", "model": base["model"], "positive": "@wanted", "scale": scale,
                  "negative": "@empty" if "flux" in model else "@none"},
        "schedule": {"type": "NoiseSchedule", "model": base["model"], "steps": STEPS},
        "sampler": {"type": "Sampler"},
        "noise": {"type": "Noise", "seed": 0},
        "blank": {"type": "EmptyLatent", "model": base["model"], "width": 64, "height": 64},
        "draw": {"type": "UNetDenoise", "guider": "@guide", "schedule": "@schedule", "sampler": "@sampler",
                 "noise": "@noise", "latent": "@blank"},
        "decode": {"type": "VAEDecode", "vae": base["vae"], "latent": "@draw"},
        "save": {"type": "SaveImage", "image": "@decode", "path": "{variant}.png"},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as out:
        zips = {"wanted.text": captions, "noise.seed": [first_seed + i for i in range(len(captions))]}
        settings = Settings(out=Path(out), folder=Path.cwd(), batch=32)
        workflow = load({"format": 1, "nodes": nodes}, registry=registry())
        files = run(workflow, sweep=Sweep(zips=zips), settings=settings, cache=Cache()).files
        pictures = [file.path for file in files if file.path.suffix == ".png"]
        return [np.asarray(Image.open(path).convert("RGB")) for path in pictures]


def measured(model: str, shapes: int, count: int, scale: float, keep: str = "") -> dict[str, float]:
    """The share of test captions with so many shapes of which each thing was drawn as asked for."""
    import numpy as np

    from diffusion.see import fits, see
    from diffusion.shapes import scenes

    chosen = list(islice(scenes("test", shapes, SEED), count))
    pictures = drawn(model, [scene.caption for scene in chosen], scale, SEED)
    if keep:
        from PIL import Image

        rows = [np.concatenate(pictures[i : i + 10], 1) for i in range(0, min(count, 60) // 10 * 10, 10)]
        Image.fromarray(np.concatenate(rows)).save(keep)
    found = [fits(see(picture), scene) for picture, scene in zip(pictures, chosen, strict=True)]
    shares = {name: sum(one[name] for one in found) / count for name in found[0]}
    shares["colour, shape and place"] = sum(o["colour"] and o["shape"] and o["place"] for o in found) / count
    shares["all"] = sum(all(one.values()) for one in found) / count
    return shares


def curve(model: str, count: int) -> None:
    """What guidance does, printed and drawn."""
    from diffusion.plots import plot_curves
    from nodes.draw import to_pictures

    rows = [measured(model, 1, count, scale) for scale in CURVE]
    for scale, row in zip(CURVE, rows, strict=True):
        print(f"guidance {scale:4g}: " + ", ".join(f"{name} {share:.1%}" for name, share in row.items()))
    names = ("colour", "shape", "place", "colour, shape and place")
    curves = {name: [row[name] for row in rows] for name in names}
    path = Path(__file__).parent.parent / "docs" / f"{Path(model).name}-guidance.png"
    title = f"{Path(model).name}: {count} captions of one object drawn as asked for"
    to_pictures(plot_curves(CURVE, curves, "guidance scale", title).pixels)[0].save(path)


def main() -> int:
    """Print each share beside its target. 1 if one is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pocket-xl")
    parser.add_argument("--scale", type=float, default=SCALE)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("--keep", default="", help="a PNG for the first sixty pictures")
    given = parser.parse_args()
    if given.curve:
        curve(given.model, given.count)
        return 0
    missed = False
    one = measured(given.model, 1, given.count, given.scale, given.keep)
    for name, share in one.items():
        target = TARGETS.get(name)
        missed |= target is not None and share < target
        print(
            f"{given.count} captions of one object, {name}: {share:.1%}" + (f" (target {target:.0%})" if target else "")
        )
    two = measured(given.model, 2, given.count // 2, given.scale, given.keep.replace(".png", "-two.png"))
    for name, share in two.items():
        print(
            f"{given.count // 2} captions of two objects, {name}: {share:.1%}"
            + (f" (target {TWO:.0%})" if name == "all" else "")
        )
    return int(missed or two["all"] < TWO)


if __name__ == "__main__":
    sys.exit(main())
