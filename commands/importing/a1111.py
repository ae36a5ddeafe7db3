"""The text that stable-diffusion-webui (A1111) writes into pictures, and a workflow of it.

    prompt lines
    Negative prompt: lines
    Steps: 30, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x768, Model: name, …

A value with a comma or colon is quoted as JSON. LoRAs stand in the prompt: <lora:name:weight>.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from commands.importing import kinds, samplers
from commands.importing.build import Builder, Made, Out
from commands.importing.table.sampling import share
from commands.importing.translate import Import
from engine.errors import Problem, error
from engine.text import quoted

SAMPLERS = {
    "Euler": "euler", "Euler a": "euler_ancestral", "LMS": "lms", "Heun": "heun", "DPM2": "dpm_2",
    "DPM2 a": "dpm_2_ancestral", "DPM++ 2S a": "dpmpp_2s_ancestral", "DPM++ 2M": "dpmpp_2m", "DPM++ SDE": "dpmpp_sde",
    "DPM++ 2M SDE": "dpmpp_2m_sde", "DPM++ 2M SDE Heun": "dpmpp_2m_sde_heun", "DPM++ 3M SDE": "dpmpp_3m_sde",
    "DPM fast": "dpm_fast", "DPM adaptive": "dpm_adaptive", "LCM": "lcm", "UniPC": "uni_pc", "Restart": "heunpp2",
    "DDIM": "ddim", "PLMS": "ipndm", "DDIM CFG++": "euler_cfg_pp",
}  # fmt: skip
"""Its samplers, by ComfyUI's names."""

SCHEDULES = {
    "Uniform": "normal", "Normal": "normal", "Karras": "karras", "Exponential": "exponential",
    "Polyexponential": "exponential", "SGM Uniform": "sgm_uniform", "KL Optimal": "kl_optimal", "Simple": "simple",
    "DDIM": "ddim_uniform", "Beta": "beta",
}  # fmt: skip
AUTOMATIC = {
    "DPM++ 2M": "karras", "DPM++ SDE": "karras", "DPM++ 2S a": "karras", "DPM2": "karras", "DPM2 a": "karras",
    "LMS": "normal", "DPM++ 2M SDE": "exponential", "DPM++ 3M SDE": "exponential", "DPM++ 2M SDE Heun": "exponential",
}  # fmt: skip
"""What "Schedule type: Automatic" means, where it is not Uniform."""

_PAIR = re.compile(r'\s*([A-Z][\w .+/()-]*):\s*("(?:[^"\\]|\\.)*"|[^,]*)(?:,|$)')
_LORA = re.compile(r"<(?:lora|lyco):([^:<>]+)((?::[^:<>]+)*)>")
_NETWORK = re.compile(r"<(\w+):([^<>]+)>")
_LAST = re.compile(r"(?:^|\n)(Steps: *\d+.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Text:
    """What the text says: prompts, and the settings by name."""

    prompt: str
    negative: str
    settings: dict[str, str]


def is_a1111(text: str) -> bool:
    """Whether a text is one of these."""
    return _LAST.search(text.strip()) is not None


def read(text: str) -> Text:
    """The parts of a text."""
    text = text.replace("\r\n", "\n").strip()
    found = _LAST.search(text)
    if found is None:
        raise error(Problem("E-FOREIGN", "no line that begins with Steps:", "give the text as it was written"))
    above = text[: found.start()]
    prompt, _, negative = above.partition("Negative prompt:")
    settings: dict[str, str] = {}
    for key, value in _PAIR.findall(found[1].replace("\n", " ")):
        settings.setdefault(key.strip(), _unquoted(value.strip()))
    return Text(prompt.strip(), negative.strip(), settings)


def _unquoted(value: str) -> str:
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            return value.strip('"')
    return value


class _Translation:
    """The settings as nodes. What is used is taken out of `rest`; what is left at the end is listed."""

    def __init__(self, text: Text) -> None:
        self.text, self.done = text, Import()
        self.rest = dict(text.settings)
        self.builder: Builder = self.done.builder

    def take(self, *names: str) -> str:
        """The value of the first of these settings that is there; empty if none is."""
        found = [self.rest.pop(name) for name in names if name in self.rest]
        return found[0] if found else ""

    def number(self, name: str, default: float) -> float:
        """A setting as a number. E-TYPE if it is none."""
        value = self.take(name)
        try:
            return float(value) if value else default
        except ValueError:
            raise error(Problem("E-TYPE", f"{name}: {quoted(value, 30)}; expected a number")) from None

    def add(self, kind: str, wish: str, /, **inputs: Any) -> Made:
        """A node."""
        return self.builder.add(kind, inputs, wish, once=kind != "SaveImage")

    def differ(self, what: str) -> None:
        """Say what will not be as it was."""
        self.done.differs.append(what)

    def file(self, name: str) -> str:
        """The file of a model that is called by its name alone."""
        return name if "." in name.rpartition("/")[2][-12:] else f"{name}.safetensors"


def translate(text: str) -> Import:
    """Nodes of ours for a text. Raises E-TYPE for what should be a number, and as `read`."""
    t = _Translation(read(text))
    name, digest = t.take("Model"), t.take("Model hash")
    if not name:
        t.differ(f"the text names no model{f', only its hash {digest}' if digest else ''}: set source of base")
    name = name or digest or "model"
    kind = kinds.kind_of(name, set(), False)[0]
    base = t.add("LoadCheckpoint", "base", source=t.file(name))
    model, encoder, vae = (Out(base, output) for output in ("model", "text_encoder", "vae"))
    if own := t.take("VAE"):
        vae = Out(t.add("LoadVAE", "vae", source=t.file(own), family=kinds.space_of(kind)))
    t.take("VAE hash")
    model, encoder, prompt = _loras(t, model, encoder, t.text.prompt)
    encoder = _embeddings(t, encoder)
    skip = int(t.number("Clip skip", 1)) - 1
    for word in ("AND", "[from:to:when]"):
        if (word == "AND" and re.search(r"\bAND\b", prompt)) or (
            word[0] == "[" and re.search(r"\[[^\]]*:[^\]]*:", prompt)
        ):
            t.differ(f"{word} in a prompt is read as it is written here; nearest: CombineCondition, ConditionRange")
    more = {"clip_skip": skip or None, "weighting": "a1111"}
    positive = Out(t.add("TextEncode", "positive", text_encoder=encoder, text=prompt, **more))
    negative = Out(t.add("TextEncode", "negative", text_encoder=encoder, text=t.text.negative, **more))
    _denoised(t, model, vae, positive, negative)
    for key in ("Version", "Lora hashes", "TI hashes", "Hashes", "Emphasis", "Size", "NGMS", "Schedule type"):
        t.take(key)
    for key, value in t.rest.items():
        t.done.said.append(f"{key}: {value} is not taken over")
    return t.done


def _loras(t: _Translation, model: Out, encoder: Out, prompt: str) -> tuple[Out, Out, str]:
    """Model and text encoder with the LoRAs of the prompt, and the prompt without them."""
    for name, weights in _LORA.findall(prompt):
        numbers = [_weight(part) for part in weights.split(":")[1:]]
        text, unet = (numbers[0], numbers[1]) if len(numbers) > 1 else (numbers[0] if numbers else 1.0,) * 2
        made = t.add("LoRALoad", "lora", model=model, text_encoder=encoder, source=t.file(name), strength=unet,
                     text_strength=None if text == unet else text)  # fmt: skip
        model, encoder = Out(made, "model"), Out(made, "text_encoder")
    prompt = _LORA.sub("", prompt)
    for kind, rest in _NETWORK.findall(prompt):
        t.differ(f"<{kind}:{rest}> has no match; nearest: LoRALoad; left out")
    return model, encoder, _NETWORK.sub("", prompt).strip()


def _weight(part: str) -> float:
    try:
        return max(-20.0, min(float(part.rpartition("=")[2]), 20.0))
    except ValueError:
        return 1.0


def _embeddings(t: _Translation, encoder: Out) -> Out:
    """The text encoder with the embeddings that the text names."""
    for name in re.findall(r"([^,:]+):\s*[0-9a-f]{8,}", t.take("TI hashes")):
        made = t.add(
            "TextualInversion", "embedding", text_encoder=encoder, source=t.file(name.strip()), token=name.strip()
        )
        encoder = Out(made)
    return encoder


def _denoised(t: _Translation, model: Out, vae: Out, positive: Out, negative: Out) -> None:
    steps, scale = max(int(t.number("Steps", 20)), 1), t.number("CFG scale", 7.0)
    seed = int(t.number("Seed", -1)) if t.rest.get("Seed", "").lstrip("-").isdigit() else -1
    called, scheduler = t.take("Sampler") or "Euler", t.take("Schedule type")
    for suffix in ("Karras", "Exponential"):
        if called.endswith(f" {suffix}"):
            called, scheduler = called.removesuffix(f" {suffix}"), scheduler or suffix
    kind, what = samplers.sampler_of(SAMPLERS.get(called, ""), False)
    t.differ(what if kind and what else "") if what else None
    if not kind:
        t.differ(f"sampler {called} has no match; nearest: euler")
    sampler = Out(t.add("Sampler", "sampler", kind=kind or "euler"))
    spacing = AUTOMATIC.get(called, "normal") if scheduler == "Automatic" else SCHEDULES.get(scheduler or "Uniform", "")
    if not spacing:
        t.differ(f"schedule {scheduler} has no match; nearest: comfy_normal")
    inputs = {"model": model, "spacing": f"comfy_{spacing or 'normal'}"}
    if kind in samplers.LEFT_OUT:
        inputs["sampler"] = sampler
    schedule = Out(t.add("NoiseSchedule", "schedule", **inputs, steps=steps))
    if (rng := t.take("RNG")) != "CPU":
        t.differ(f"noise is drawn on the {rng or 'GPU'} there, and on the CPU here: another picture")
    other = t.take("Variation seed")
    noise = Out(t.add("Noise", "noise", seed=seed, variation_seed=int(other) if other.isdigit() else None,
                      variation_strength=t.number("Variation seed strength", 0.0) or None))  # fmt: skip
    guide = Out(t.add("CFG", "guide", model=model, positive=positive, negative=negative,
                      scale=min(max(scale, 0.0), 100.0)))  # fmt: skip
    parts: dict[str, Any] = {"guider": guide, "sampler": sampler, "noise": noise}
    size = re.fullmatch(r"(\d+)\s*x\s*(\d+)", t.take("Size"))
    width, height = (max(int(side) // 8 * 8, 16) for side in size.groups()) if size else (512, 512)
    strength = t.number("Denoising strength", 1.0)
    larger = {key: t.take(f"Hires {key}") for key in ("upscale", "upscaler", "steps", "resize")}
    again = any(larger.values())
    if strength < 1.0 and not again:
        picture = t.add("LoadImage", "picture", path="input.png")
        t.differ("the picture that it began with is not in the text: set path of picture")
        latent = Out(t.add("VAEEncode", "encode", vae=vae, image=Out(picture, "image")))
        schedule = _part(t, schedule, steps, strength)
    else:
        latent = Out(t.add("EmptyLatent", "blank", model=model, width=width, height=height))
    latent = Out(t.add("UNetDenoise", "denoise", **parts, schedule=schedule, latent=latent))
    if again:
        latent = _larger(t, latent, larger, vae)
        count = int(larger["steps"]) if larger["steps"].isdigit() and int(larger["steps"]) else steps
        schedule = _part(t, Out(t.add("NoiseSchedule", "schedule", **inputs, steps=count)), count, strength)
        latent = Out(t.add("UNetDenoise", "denoise", **parts, schedule=schedule, latent=latent))
    image = Out(t.add("VAEDecode", "decode", vae=vae, latent=latent))
    t.add("SaveImage", "save", image=image, path="picture.png")


def _part(t: _Translation, schedule: Out, steps: int, strength: float) -> Out:
    """The steps that are walked from a picture: int(strength steps) + 1 of them."""
    first = max(steps - int(min(strength, 0.999) * steps) - 1, 0)
    return Out(t.add("CutSchedule", "part", schedule=schedule, start=share(first, steps))) if first else schedule


def _larger(t: _Translation, latent: Out, how: dict[str, str], vae: Out) -> Out:
    upscaler, factor = how["upscaler"] or "Latent", how["upscale"]
    size = re.fullmatch(r"(\d+)\s*x\s*(\d+)", how["resize"])
    to: dict[str, Any] = {"width": int(size[1]), "height": int(size[2])} if size else {}
    to = to or {"factor": float(factor) if re.fullmatch(r"[\d.]+", factor) else 2.0}
    if upscaler.startswith("Latent"):
        method = "bicubic" if "bicubic" in upscaler else "nearest-exact" if "nearest" in upscaler else "bilinear"
        return Out(t.add("LatentScale", "larger", latent=latent, **to, method=method))
    t.differ(f"upscaler {upscaler} is ImageScale here; nearest: UpscaleImage with its file")
    image = Out(t.add("VAEDecode", "decode", vae=vae, latent=latent))
    image = Out(t.add("ImageScale", "larger", image=image, **to, multiple_of=8))
    return Out(t.add("VAEEncode", "encode", vae=vae, image=image))
