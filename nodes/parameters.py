"""A picture's making in the text that stable-diffusion-webui writes and every gallery reads:

    a red fox in snow <lora:ink:0.8>
    Negative prompt: blurry
    Steps: 30, Sampler: DPM++ 2M, CFG scale: 6, Seed: 7, Size: 1024x1024, Model hash: 31e35c80fc, Model: sdxl, …

It is read off the graph above the saved picture: of several samplers, the nearest counts. A picture that no sampler
feeds has no such text. Prompts stand as they were written, but for two things that no reader could tell apart from the
grammar: the words "Negative prompt:" get a full-width colon, and a NUL is written as U+FFFD.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.graph import Link, NodeDef
from engine.node import Node
from engine.share.book import Page
from engine.share.lock import AUTOV2, AUTOV3
from engine.share.picture import COMPOSITE, TRAINED
from nodes.guide import CFG
from nodes.inpaint import InpaintLatent
from nodes.load import LoadCheckpoint
from nodes.patch import LoRALoad
from nodes.sample import Noise, Sampler, UNetDenoise
from nodes.schedule import CutSchedule, NoiseSchedule
from nodes.sockets import Conditioning
from nodes.sources import recipes
from nodes.text import TextEncode, ZeroCondition
from nodes.vae import VAEDecode

SAMPLERS = {
    "ddpm": "DDPM", "ddim": "DDIM", "euler": "Euler", "euler_ancestral": "Euler a", "flow_euler": "Euler",
    "heun": "Heun", "dpm2": "DPM2", "dpm2_ancestral": "DPM2 a", "lms": "LMS", "dpmpp_2s": "DPM++ 2S",
    "dpmpp_2m": "DPM++ 2M", "dpmpp_3m": "DPM++ 3M", "dpmpp_sde": "DPM++ SDE", "dpmpp_2m_sde": "DPM++ 2M SDE",
    "deis": "DEIS", "unipc": "UniPC", "pndm": "PLMS", "lcm": "LCM",
}  # fmt: skip
"""What stable-diffusion-webui calls our samplers."""
SPACINGS = {"model": "Automatic", "karras": "Karras", "exponential": "Exponential", "beta": "Beta",
            "leading": "Leading", "trailing": "Trailing", "linspace": "Linspace"}  # fmt: skip
NEGATIVE = "Negative prompt:"
_KEYS = re.compile(
    r"\b(Steps|Sampler|Schedule type|CFG scale|Seed|Size|Model hash|Model|RNG|ENSD|Hashes|Lora hashes|Version)\s*:"
)


@dataclass(frozen=True, slots=True)
class Made:
    """What is written of a picture. text: with a NUL where the seed goes, which each picture of a batch has its own."""

    text: str = ""
    seed: int | None = None
    follows: bool = False
    """Whether picture i of the batch was drawn with seed + i."""
    source: str = ""

    def of(self, index: int) -> str:
        """The text of picture `index` of the batch."""
        seed = (self.seed or 0) + (index if self.follows else 0)
        return self.text.replace("\0", str(seed % 2**64))


def made(page: Page, image: str, width: int, height: int, version: str) -> Made:
    """What is written of the picture that feeds the input `image` of a node."""
    graph = _Graph(page)
    denoise = graph.nearest(page.task.node.links.get(image), UNetDenoise)
    if denoise is None:
        return Made()
    latent = graph.nearest(denoise.links.get("latent"), InpaintLatent)
    source = COMPOSITE if latent is not None else TRAINED
    pairs = _pairs(graph, denoise, page)
    if pairs is None:
        return Made(source=source)
    guider = graph.behind(denoise, "guider")
    positive = graph.prompt(guider, "positive") + graph.loras(denoise)
    negative = graph.prompt(guider, "negative")
    seed = graph.number(graph.behind(denoise, "noise", Noise), "seed")
    pairs["Seed"] = "\0"
    pairs["Size"] = f"{width}x{height}"
    pairs |= graph.model(denoise, page)
    pairs |= {"RNG": "CPU", "Version": f"weft {version}"}
    lines = [_safe(positive)] if positive else []
    lines += [f"{NEGATIVE} {_safe(negative)}"] if negative else []
    lines.append(", ".join(f"{name}: {value if name == 'Seed' else _value(value)}" for name, value in pairs.items()))
    decoded = graph.behind(page.task.node, image, VAEDecode)
    follows = graph.behind(decoded, "latent") is denoise
    return Made("\n".join(lines), int(seed or 0), follows, source)


def _pairs(graph: "_Graph", denoise: NodeDef, page: Page) -> dict[str, str] | None:
    """Steps to CFG scale; None where the graph does not say how many steps were taken, or by what."""
    schedule = graph.nearest(denoise.links.get("schedule"), NoiseSchedule)
    sampler = graph.behind(denoise, "sampler", Sampler)
    guider = graph.behind(denoise, "guider")
    if schedule is None or sampler is None:
        return None
    given = schedule.literals.get("timesteps") or schedule.literals.get("sigmas")
    steps = len(given) if given else graph.number(schedule, "steps")
    kind = graph.text(sampler, "kind")
    if kind == "model" and (recipe := graph.recipe(denoise, page)) is not None:
        kind = recipe.sampler
    pairs = {"Steps": f"{steps}", "Sampler": SAMPLERS.get(str(kind), str(kind))}
    pairs["Schedule type"] = SPACINGS.get(str(graph.text(schedule, "spacing")), "Automatic")
    scale = graph.number(guider, "scale")
    pairs["CFG scale"] = f"{scale:g}" if scale is not None else "1"
    cut = graph.nearest(denoise.links.get("schedule"), CutSchedule)
    start = graph.number(cut, "start")
    if start:
        pairs["Denoising strength"] = f"{1 - start:g}"
    return pairs


class _Graph:
    """The nodes above the picture, and their values."""

    def __init__(self, page: Page) -> None:
        assert page.book.plan is not None
        self._nodes: Mapping[str, NodeDef] = page.book.plan.graphs[page.task.variant].nodes
        self._page = page

    def upward(self, link: Link | None) -> Iterator[NodeDef]:
        """The node behind a link and all above it, nearest first."""
        level = [link.node] if link is not None else []
        seen: set[str] = set()
        while level:
            fresh = [name for name in dict.fromkeys(level) if name not in seen]
            seen.update(fresh)
            yield from (self._nodes[name] for name in fresh)
            level = [source.node for name in fresh for source in self._nodes[name].sources]

    def nearest(self, link: Link | None, kind: type[Node]) -> NodeDef | None:
        """The nearest node of a kind at or above a link."""
        return next((node for node in self.upward(link) if issubclass(node.cls, kind)), None)

    def behind(self, node: NodeDef | None, name: str, kind: type[Node] = Node) -> NodeDef | None:
        """The node that feeds an input, where it is of this kind."""
        link = node.links.get(name) if node is not None else None
        found = self._nodes[link.node] if link is not None else None
        return found if found is not None and issubclass(found.cls, kind) else None

    def value(self, node: NodeDef | None, name: str) -> Any:
        """What an input is: its literal, or what was made for it; None where neither is known."""
        if node is None:
            return None
        if name in node.links:
            link = node.links[name]
            output = self._nodes[link.node].cls.output_named(link.output)
            return self._page.value(link.node, output) if output else None
        return node.literals.get(name)

    def number(self, node: NodeDef | None, name: str) -> float | int | None:
        """An input that is a number."""
        value = self.value(node, name)
        return value if isinstance(value, int | float) else None

    def text(self, node: NodeDef | None, name: str) -> str:
        """An input that is a text; empty where there is none."""
        value = self.value(node, name)
        return value if isinstance(value, str) else ""

    def prompt(self, guider: NodeDef | None, name: str) -> str:
        """The texts behind a conditioning of a guider, a line for each; nothing for one that was made zero."""
        if guider is None or not issubclass(guider.cls, CFG):
            return ""
        found: list[str] = []
        links = [guider.links[name]] if name in guider.links else []
        seen: set[str] = set()
        while links:
            node = self._nodes[links.pop(0).node]
            if node.id in seen or issubclass(node.cls, ZeroCondition):
                continue
            seen.add(node.id)
            if issubclass(node.cls, TextEncode):
                found.append(self.text(node, "text"))
            links += [link for key, link in node.links.items() if Conditioning in node.cls.inputs[key].kinds]
        return "\n".join(dict.fromkeys(found)).strip()

    def checkpoint(self, denoise: NodeDef) -> NodeDef | None:
        """What loaded the model that was sampled."""
        guider = self.behind(denoise, "guider")
        return self.nearest(guider.links.get("model"), LoadCheckpoint) if guider is not None else None

    def recipe(self, denoise: NodeDef, page: Page) -> Any:
        """The recipe of the model that was sampled, where it is from a checkpoint."""
        node = self.checkpoint(denoise)
        if node is None:
            return None
        given = [self.value(node, name) for name in ("revision", "variant", "config")]
        how = self.text(node, "source"), page.book.settings.folder, *given
        return page.book.once(("recipe", *how), lambda: recipes(*how)[0])

    def model(self, denoise: NodeDef, page: Page) -> dict[str, str]:
        """Hash and name of the model, and hashes of its LoRAs."""
        node = self.checkpoint(denoise)
        if node is None:
            return {}
        assert page.book.plan is not None
        files = page.book.plan.digest_files.files(node, "source")
        weights = [one for one in files if one[1].suffix == ".safetensors"]
        denoisers = [one for one in weights if one[1].parent.name in ("unet", "transformer")]
        found = {}
        if first := next(iter(denoisers or weights), None):
            found["Model hash"] = first[2][:AUTOV2]
        found["Model"] = _name(self.text(node, "source"))
        hashes = []
        for lora in self._loras(denoise):
            _, path, _ = page.book.plan.digest_files.files(lora, "source")[0]
            hashes.append(f"{_name(self.text(lora, 'source'))}: {page.book.cache.sha256(path, body=True)[:AUTOV3]}")
        return {**found, "Lora hashes": ", ".join(hashes)} if hashes else found

    def loras(self, denoise: NodeDef) -> str:
        """The LoRAs as a prompt names them."""
        named = ((_name(self.text(one, "source")), self.number(one, "strength")) for one in self._loras(denoise))
        return "".join(f" <lora:{name}:{strength:g}>" for name, strength in named if strength is not None)

    def _loras(self, denoise: NodeDef) -> list[NodeDef]:
        guider = self.behind(denoise, "guider")
        above = self.upward(guider.links.get("model")) if guider is not None else ()
        # one that was taught in the same graph has no file, and so neither a name nor a hash
        return [node for node in above if issubclass(node.cls, LoRALoad) and self.text(node, "source")]


def _name(source: str) -> str:
    """The name of a model: that of its file or folder, without what the grammar of a prompt needs for itself."""
    path = Path(source.rstrip("/\\"))
    name = path.stem if path.suffix == ".safetensors" else path.name
    return re.sub(r"[<>:\x00-\x1f]", "_", name)


def _safe(prompt: str) -> str:
    return prompt.replace(NEGATIVE, NEGATIVE[:-1] + "：").replace("\0", "�")


def _value(text: str) -> str:
    """A value as the grammar has it: in quotes where it has a comma or a colon. What reads like one of the grammar's
    keys inside one loses its colon, because simple readers look for those without minding quotes."""
    text = re.sub(r"[\"\r\n]", "_", text)
    text = _KEYS.sub(lambda match: match[0][:-1] + "_", text)
    return json.dumps(text, ensure_ascii=False) if "," in text or ":" in text else text
