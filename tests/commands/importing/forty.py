"""The ComfyUI files of the tests, by name: what ComfyUI would run, and how the canvas says it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import graphs
import traps
from comfy_files import Graph

UI = dict[str, Any]


@dataclass
class File:
    """One graph. traps: what is done to its canvas. runs: whether it can be drawn with the tests' checkpoints.

    unmatched: what has no match, as it is listed. differs: a part of each difference that is listed, in order.
    said: a part of something that the canvas alone says. renamed: ids that a subgraph gives, old to new.
    """

    graph: Graph
    traps: list[Callable[[UI], None]] = field(default_factory=list)
    control: Any = "randomize"
    sizes: str = "list"
    runs: bool = True
    unmatched: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    browser: dict[str, Any] = field(default_factory=dict)

    def api(self) -> dict[str, Any]:
        """As ComfyUI runs it."""
        prompt = self.graph.api()
        new = {self.renamed.get(name, name): body for name, body in prompt.items()}
        for body in new.values():
            for key, value in body["inputs"].items():
                if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
                    body["inputs"][key] = [self.renamed.get(value[0], value[0]), value[1]]
            if body["class_type"] == "LoadImage":
                body["inputs"] |= self.browser
        return new

    def ui(self) -> UI:
        """As its editor saves it."""
        canvas = self.graph.ui(self.control, self.sizes)
        for trap in self.traps:
            trap(canvas)
        return canvas


@cache
def files() -> dict[str, File]:
    """All of them."""
    shared = {"widget": "steps", "owners": [7], "value": 3}
    return {
        "sd15 text to image": File(graphs.plain()),
        "sd15 img2img": File(graphs.from_picture()),
        "sd15 img2img, denoise as a browser adds it": File(graphs.from_picture(0.8700000000000001, steps=5)),
        "sd15 two loras": File(graphs.loras()),
        "sd15 clip skip": File(graphs.clip_skip()),
        "sd15 controlnet": File(graphs.control("plain"), differs=["OpenCV's Canny"]),
        "sd15 controlnet advanced": File(graphs.control("one"), differs=["OpenCV's Canny"]),
        "sd15 two controlnets": File(graphs.control("two"), differs=["OpenCV's Canny", "0 to 0.6 is a share"]),
        "sd15 inpaint, covered": File(graphs.inpaint("covered"), differs=["larger by a square"]),
        "sd15 inpaint, noise mask": File(graphs.inpaint("masked")),
        "sd15 inpaint model": File(graphs.inpaint("model")),
        "sd15 latent upscale": File(graphs.larger("size"), differs=["bislerp has no match"]),
        "sd15 latent upscale by": File(graphs.larger("by")),
        "sd15 model upscale": File(graphs.larger("model"), runs=False, differs=["is filled in by ComfyUI"]),
        "sd15 areas": File(graphs.conditions("area")),
        "sd15 areas in shares": File(graphs.conditions("share")),
        "sd15 mask": File(graphs.conditions("mask")),
        "sd15 concat": File(graphs.conditions("concat")),
        "sd15 average": File(graphs.conditions("average")),
        "sd15 timestep range": File(graphs.conditions("range"), differs=["0 to 0.5 is a share", "0.5 to 1 is a share"]),
        "sd15 batch of three": File(graphs.batch()),
        "sd15 another vae": File(graphs.vae(), runs=False),
        "sd15 two stages": File(graphs.two_stages()),
        "sd15 ends early": File(graphs.two_stages(leftover="disable")),
        "sd15 sampler custom": File(graphs.custom("basic")),
        "sd15 karras scheduler": File(graphs.custom("karras")),
        "sd15 split sigmas": File(graphs.custom("split")),
        "sd15 uni_pc": File(graphs.plain(sampler_name="uni_pc", scheduler="karras"), differs=["uni_pc has no match"]),
        "sd15 dpm_2, ddim_uniform": File(graphs.plain(sampler_name="dpm_2", scheduler="ddim_uniform")),
        "sd15 ancestral, beta": File(graphs.plain(sampler_name="euler_ancestral", scheduler="beta"),
                                        differs=["fresh noise"]),
        "sd15 embedding": File(graphs.embedding(), runs=False),
        "sdxl base and refiner": File(graphs.refiner(), differs=["is told no sizes"]),
        "sdxl sizes": File(graphs.sizes()),
        "sdxl turbo": File(graphs.turbo(), differs=["fresh noise"]),
        "sd3": File(graphs.sd3("one")),
        "sd3 three encoders": File(graphs.sd3("three"), differs=["the text encoder is that of sd3"]),
        "flux dev": File(graphs.flux("flux-dev"), differs=["the text encoder is that of", "the VAE is that of"]),
        "flux dev, one shift": File(graphs.flux("flux-dev", "plain"), differs=["the text encoder", "the VAE"]),
        "flux dev by KSampler": File(graphs.flux("flux-dev", "ksampler"), differs=["the text encoder", "the VAE"]),
        "flux schnell": File(graphs.flux("flux-schnell"), differs=["the text encoder", "the VAE"]),
        "flux img2img": File(graphs.flux("flux-dev", "img2img"), differs=["the text encoder", "the VAE"]),
        "primitives": File(graphs.plain(), [partial(traps.primitive, **shared)]),
        "primitives, widget dropped": File(graphs.plain(), [partial(traps.primitive, **shared, dropped=True)]),
        "real primitives": File(graphs.real_primitives()),
        "reroutes": File(graphs.plain(), [traps.reroutes, traps.drawn_reroutes]),
        "notes and groups": File(
            graphs.plain(), [traps.notes_and_groups],
            said=["note: the seed is a good one", "note: # where to get the model", "groups: Prompts"],
        ),
        "muted": File(graphs.plain(), [partial(traps.muted_branch, image=8)],
                      said=["SaveImage (10) is muted, and left out"]),
        "bypassed": File(graphs.plain(), [traps.bypassed_lora], said=["LoraLoader (10) is bypassed, and left out"]),
        "set and get": File(graphs.plain(), [traps.set_and_get]),
        "use everywhere": File(graphs.plain(), [traps.everywhere]),
        "links of version 1": File(graphs.plain(), [traps.version_1]),
        "subgraph": File(
            graphs.plain(),
            [partial(traps.into_subgraph, inner=[5, 7], instance=20, proxies=[(7, "seed"), (5, "text")])],
            renamed={"5": "20:5", "7": "20:7"},
        ),
        "subgraph in a subgraph": File(
            graphs.plain(),
            [partial(traps.into_subgraph, inner=[7], instance=1020, proxies=[(7, "steps")]), _nested],
            renamed={"7": "30:1020:7", "5": "30:5"},
        ),
        "group node": File(
            graphs.plain(), [partial(traps.group_node, inner=[7, 8], instance=20)], renamed={"7": "20:0", "8": "20:1"}
        ),
        "an old file": File(graphs.from_picture(), control=False, sizes="dict",
                            browser={"choose file to upload": "image"}),
        "no control behind the seed": File(graphs.plain(), control=None),
        "unknown node": File(
            graphs.unknown(), runs=False, control="fixed",
            unmatched=["UltimateSDUpscale (9): no match; nearest: LatentScale, CutSchedule and UNetDenoise "
                       "(as the workflow upscale has them)"],
        ),
        "left out": File(graphs.left_out(), differs=["FreeU_V2 (6): no match; nearest: FrequencyDecoupledGuider"]),
        "pictures as prompts": File(
            graphs.pictures_as_prompts(), runs=False,
            differs=["unCLIPConditioning (9): no match; nearest: IPAdapterApply (both are prompted by pictures)"],
            unmatched=["CLIPVisionLoader (6): no match; nearest: IPAdapterApply (it loads its image encoder itself)",
                       "CLIPVisionEncode (8): no match; nearest: IPAdapterApply (it looks at the picture itself)"],
        ),
        "outpaint": File(graphs.outpaint()),
    }  # fmt: skip


def _nested(ui: UI) -> None:
    """Put the subgraph itself into another, with the prompt."""
    traps.into_subgraph(ui, [1020, 5], 30)
