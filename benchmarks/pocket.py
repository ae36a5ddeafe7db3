"""Do the pocket models draw what they are told? Run: uv run python benchmarks/pocket.py [NAME] [--curve]

Captions that were not in training are drawn by a graph, and read back from the pixels by diffusion/see.py, which knows
nothing of the model. NAME is
  pocket-xl, pocket-flux  colours, shapes and places of one object and of two; --curve measures both at several guidance
                          scales, and draws docs/NAME-guidance.png
  pocket-canny            where the edges of pictures lie, drawn along those of others in another colour
  pocket-lora-STYLE       how far pictures are in the style at several strengths, and whether they still show what they
                          should; --curve draws docs/pocket-lora-STYLE-strength.png
or a folder of such a name, as train-pocket-flux, train-pocket-canny and train-lora save it. Without a name, pocket-xl.
Prints each share beside its target; the exit code is 1 if one is missed.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

STEPS, SCALE, SEED = 25, 2.0, 100
CURVE = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0)
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 0.8, 1.0)
NEAR = 2
"""Pixels between an edge and the one it is to follow."""
DOCS = Path(__file__).parent.parent / "docs"

Nodes = dict[str, dict[str, Any]]
Zips = dict[str, list[Any]]


def graph(model: str, scale: float) -> Nodes:
    """A text drawn by a model, ready to be changed."""
    base = {name: f"@base.{name}" for name in ("model", "text_encoder", "vae")}
    return {
        "base": {"type": "LoadCheckpoint", "source": model},
        "wanted": {"type": "TextEncode", "text_encoder": base["text_encoder"], "text": "x"},
        "empty": {"type": "TextEncode", "text_encoder": base["text_encoder"], "text": ""},
        "none": {"type": "ZeroCondition", "conditioning": "@empty"},
        # Flux is guided only where there is a negative
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


def drawn(nodes: Nodes, captions: list[str], **zips: list[Any]) -> list:
    """A picture of each caption, uint8 (64, 64, 3), from noise of its own. zips: more that differs, node__input."""
    import numpy as np
    from PIL import Image

    from engine.api import load, run
    from engine.cache import Cache
    from engine.context import Settings
    from engine.sweep import Sweep
    from nodes import registry

    varied: Zips = {"wanted.text": captions, "noise.seed": [SEED + i for i in range(len(captions))]}
    varied |= {name.replace("__", "."): values for name, values in zips.items()}
    with tempfile.TemporaryDirectory() as out:
        settings = Settings(out=Path(out), folder=Path.cwd(), batch=32)
        workflow = load({"format": 1, "nodes": nodes}, registry=registry())
        files = run(workflow, sweep=Sweep(zips=varied), settings=settings, cache=Cache()).files
        pictures = [file.path for file in files if file.path.suffix == ".png"]
        return [np.asarray(Image.open(path).convert("RGB")) for path in pictures]


def chosen(shapes: int, count: int) -> list:
    """So many scenes that were not in training, with so many shapes in each."""
    from diffusion.shapes import scenes

    return list(islice(scenes("test", shapes, SEED), count))


def right(pictures: list, wanted: list, styles: tuple[str, ...] = ("plain",)) -> dict[str, float]:
    """The share of pictures in which each thing is as it was asked for."""
    from diffusion.see import fits, see

    found = [fits(see(picture, styles), scene) for picture, scene in zip(pictures, wanted, strict=True)]
    shares = {name: sum(one[name] for one in found) / len(found) for name in found[0]}
    shares["colour, shape and place"] = sum(o["colour"] and o["shape"] and o["place"] for o in found) / len(found)
    shares["all"] = sum(all(one.values()) for one in found) / len(found)
    return shares


def texts(model: str, count: int, scale: float, keep: str) -> bool:
    """One object and two, beside what is asked of them. Whether all is met."""
    met = True
    for shapes, number, targets in (
        (1, count, {"colour": 0.95, "shape": 0.90, "colour, shape and place": 0.85}),
        (2, count // 2, {"all": 0.60}),
    ):
        wanted = chosen(shapes, number)
        pictures = drawn(graph(model, scale), [scene.caption for scene in wanted])
        kept(pictures, keep, f"-{shapes}")
        for name, share in right(pictures, wanted).items():
            met &= said(f"{number} captions, shapes in each {shapes}: {name}", share, targets.get(name))
    return met


def guidance(model: str, count: int) -> None:
    """What guidance does, printed and drawn."""
    curves: dict[str, list[float]] = {}
    for shapes, said_of, names in ((1, "one object", ("colour", "shape", "place")), (2, "two objects", ("all",))):
        wanted = chosen(shapes, count)
        for scale in CURVE:
            row = right(drawn(graph(model, scale), [scene.caption for scene in wanted]), wanted)
            print(f"{said_of}, guidance {scale:4g}: " + ", ".join(f"{n} {share:.1%}" for n, share in row.items()))
            for name in names:
                curves.setdefault(f"{said_of}: {name}", []).append(row[name])
    title = f"{model}: {count} captions each, drawn as asked for"
    plot(CURVE, curves, "guidance scale", title, DOCS / f"{model}-guidance.png")


def canny(source: str, count: int, keep: str) -> bool:
    """Pictures along the edges of others, in colours of their own."""
    from scipy import ndimage

    from diffusion.detect import canny as edges
    from diffusion.shapes import COLOURS, draw

    colours, scenes = list(COLOURS), chosen(1, count)
    # the next colour of the list, which the edges say nothing of
    others = [
        replace(s, shapes=(replace(s.shapes[0], colour=colours[(colours.index(s.shapes[0].colour) + 1) % 7]),))
        for s in scenes
    ]
    nodes = graph("pocket-xl", SCALE) | {
        "shapes": {"type": "Shapes", "count": count, "part": "test", "shapes": 1, "seed": SEED},
        "picture": {"type": "DatasetImage", "dataset": "@shapes", "index": 0},
        "edges": {"type": "ControlImage", "image": "@picture", "kind": "canny"},
        "net": {"type": "LoadControlNet", "source": source},
        "along": {"type": "ControlNetApply", "model": "@base.model", "controlnet": "@net", "image": "@edges"},
    }
    nodes["guide"]["model"] = "@along"
    pictures = drawn(nodes, [scene.caption for scene in others], picture__index=list(range(count)))
    kept(pictures, keep)
    near, far, followed, unfollowed = 0, 0, 0, 0
    for picture, scene in zip(pictures, scenes, strict=True):
        own, asked = (edges(one)[..., 0] > 0 for one in (picture, draw(scene)))
        from_asked, from_own = (ndimage.distance_transform_edt(~one) for one in (asked, own))
        near, far = near + int((own & (from_asked <= NEAR)).sum()), far + int((own & (from_asked > NEAR)).sum())
        missed = int((asked & (from_own > NEAR)).sum()) if own.any() else int(asked.sum())
        followed, unfollowed = followed + int(asked.sum()) - missed, unfollowed + missed
    met = said(f"{count} pictures: edge pixels within {NEAR} of the control's", near / max(near + far, 1), 0.90)
    met &= said(f"{count} pictures: the control's within {NEAR} of the picture's", followed / (followed + unfollowed))
    for name, share in right(pictures, others).items():
        met &= said(f"{count} pictures: {name}", share, {"colour": 0.90}.get(name))
    return met


def lora(source: str, count: int, keep: str, curve: bool) -> bool:
    """A style at several strengths, with its trigger word and without."""
    import numpy as np

    from diffusion.see import STYLE
    from nodes.sources import LORA

    model, folder = Path(source).name, Path(source).resolve()
    file = str(folder / LORA) if folder.is_dir() else source
    style = model.removeprefix("pocket-lora-")
    wanted, measure = chosen(1, count), STYLE[style]
    rows: dict[tuple[float, bool], tuple[float, dict[str, float]]] = {}
    for strength, called in [*((s, True) for s in STRENGTHS), (1.0, False)]:
        nodes = graph("pocket-xl", SCALE) | {
            "style": {"type": "LoRALoad", "model": "@base.model", "text_encoder": "@base.text_encoder",
                      "source": file, "strength": strength},
        }  # fmt: skip
        nodes["wanted"]["text_encoder"] = nodes["empty"]["text_encoder"] = "@style.text_encoder"
        nodes["guide"]["model"] = "@style.model"
        pictures = drawn(nodes, [f"{style}, {s.caption}" if called else s.caption for s in wanted])
        kept(pictures, keep, f"-{strength:g}{'' if called else '-uncalled'}")
        told = right(pictures, wanted, ("plain", style))
        rows[strength, called] = float(np.mean([measure(picture) for picture in pictures])), told
        word = "with" if called else "without"
        print(f"strength {strength:4g}, {word} the word {style}: style {rows[strength, called][0]:.3f}, "
              + ", ".join(f"{name} {share:.1%}" for name, share in told.items()))  # fmt: skip
    steps = [rows[s, True][0] for s in (0.0, 0.5, 1.0)]
    met = steps[0] < steps[1] < steps[2] and rows[1.0, False][0] < steps[2]
    print(f"style at 0, 0.5, 1: {', '.join(f'{s:.3f}' for s in steps)}; without the word {rows[1.0, False][0]:.3f}")
    for name in ("colour", "shape"):
        met &= said(f"{count} captions at strength 0.8: {name}", rows[0.8, True][1][name], 0.85)
    if curve:
        curves = {style: [rows[s, True][0] for s in STRENGTHS]}
        curves |= {name: [rows[s, True][1][name] for s in STRENGTHS] for name in ("colour", "shape")}
        plot(STRENGTHS, curves, "strength", f"{model}, {count} captions", DOCS / f"{model}-strength.png")
    return met


def said(what: str, share: float, target: float | None = None) -> bool:
    """Print a share, beside what is asked; whether that is reached."""
    print(f"{what}: {share:.1%}" + ("" if target is None else f" (target {target:.0%})"))
    return target is None or share >= target


def plot(x: tuple[float, ...], curves: dict[str, list[float]], axis: str, title: str, path: Path) -> None:
    """Draw curves into a file."""
    from diffusion.plots import plot_curves
    from nodes.draw import to_pictures

    to_pictures(plot_curves(x, curves, axis, title).pixels)[0].save(path)


def kept(pictures: list, keep: str, mark: str = "") -> None:
    """Keep the first sixty pictures, if anybody wants them."""
    if not keep:
        return
    import numpy as np
    from PIL import Image

    rows = [np.concatenate(pictures[i : i + 10], 1) for i in range(0, min(len(pictures), 60) // 10 * 10, 10)]
    Image.fromarray(np.concatenate(rows)).save(Path(keep).with_stem(Path(keep).stem + mark))


def main() -> int:
    """Print each share beside its target. 1 if one is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="pocket-xl")
    parser.add_argument("--scale", type=float, default=SCALE, help="guidance, for pocket-xl and pocket-flux")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("--keep", default="", help="a PNG for the first sixty pictures")
    given = parser.parse_args()
    name = Path(given.model).name
    if name == "pocket-canny":
        return int(not canny(given.model, given.count, given.keep))
    if name.startswith("pocket-lora-"):
        return int(not lora(given.model, given.count, given.keep, given.curve))
    if given.curve:
        guidance(given.model, given.count)
        return 0
    return int(not texts(given.model, given.count, given.scale, given.keep))


if __name__ == "__main__":
    sys.exit(main())
