"""Text as conditioning, and conditionings made of others."""

import re
from dataclasses import replace
from typing import Any

from commands.importing import values as v
from commands.importing.translate import Call, Row

_EMBEDDING = re.compile(r"embedding:([\w\-./\\]+)")
_CHOICE = re.compile(r"(?<!\\)\{[^{}]*\|[^{}]*\}")
LAYERS = {"sd": -1, "sd2": -2}
"""The last layer of CLIP that a kind counts, from the end as ComfyUI counts; others take the last but one."""

FLUX_TOKENS = 256
"""Tokens to which ComfyUI fills up what T5 reads for Flux; for SD3 they are 77."""
SD3_TOKENS = 77
WORDS_A_TOKEN = 1.4
"""Tokens that T5 makes of a word, at most on average."""


def _encoded(t: Call, clip: v.Clip, text: str, text_2: str | None = None, text_3: str | None = None) -> v.Cond:
    """TextEncode as ComfyUI reads prompts."""
    encoder, texts = clip.out, [text, text_2, text_3]
    for i, one in enumerate(texts):
        for name in dict.fromkeys(_EMBEDDING.findall(one or "")):
            encoder, word = _embedding(t, encoder, name)
            texts[i] = re.sub(rf"embedding:{re.escape(name)}(?![\w\-./\\])", word, texts[i] or "")
        if _CHOICE.search(one or ""):
            t.done.said.append(f"{t.node.called}: ComfyUI's editor draws one of {{a|b}}; here PromptTemplate does that")
    inputs: dict[str, Any] = {"text": texts[0], "text_2": texts[1], "text_3": texts[2]}
    inputs |= {"clip_skip": _skip(t, clip), "max_tokens": _tokens(t, clip.kind, texts), "weighting": "comfy"}
    return v.Cond(t.add("TextEncode", "text", text_encoder=encoder, **inputs), clip.kind)


def _embedding(t: Call, encoder: Any, name: str) -> tuple[Any, str]:
    """The text encoder with an embedding, and the word that calls it."""
    base = name.replace("\\", "/").rpartition("/")[2]
    stem = re.sub(r"\.(safetensors|pt|bin)\Z", "", base)
    source = name.replace("\\", "/") if base != stem else f"{name.replace(chr(92), '/')}.safetensors"
    return t.add("TextualInversion", "embedding", text_encoder=encoder, source=source, token=stem), stem


def _skip(t: Call, clip: v.Clip) -> int | None:
    if clip.layer is None:
        return None
    skip = LAYERS.get(clip.kind, -2) - clip.layer
    if skip < 0:
        t.differ(f"stops at layer {clip.layer} of CLIP, after the last that this model is read from here")
        return None
    return skip or None


def _tokens(t: Call, kind: str, texts: list[str | None]) -> int | None:
    """How many tokens T5 is to read, so that its text is filled up as in ComfyUI."""
    fill = {"flux": FLUX_TOKENS, "flux-schnell": FLUX_TOKENS, "sd3": SD3_TOKENS}.get(kind)
    if fill is None:
        return None
    words = max(len(re.findall(r"\w+|[^\w\s]", text or "")) for text in texts)
    if words * WORDS_A_TOKEN <= fill - 1:
        return fill
    t.differ("ComfyUI reads as many tokens as a long text has; T5 reads a fixed number here, filled up")
    return None


def text(t: Call) -> tuple[v.Value | None, ...]:
    """CLIPTextEncode."""
    return (_encoded(t, t.get("clip", v.Clip), t["text"]),)


def _sized(t: Call, cond: v.Cond, **sizes: Any) -> v.Cond:
    return replace(cond, out=t.add("SizeCondition", "sizes", conditioning=cond.out, **sizes), sized=True)


def text_sdxl(t: Call) -> tuple[v.Value | None, ...]:
    """CLIPTextEncodeSDXL."""
    first, second = t["text_l"], t["text_g"]
    cond = _encoded(t, t.get("clip", v.Clip), first, None if first == second else second)
    width, height = t["width"], t["height"]
    target = {"target_width": t["target_width"], "target_height": t["target_height"]}
    if (t["target_width"], t["target_height"]) == (width, height):
        target = {}
    crop = {name: value for name, value in (("crop_x", t["crop_w"]), ("crop_y", t["crop_h"])) if value}
    return (_sized(t, cond, width=width, height=height, **crop, **target),)


def text_refiner(t: Call) -> tuple[v.Value | None, ...]:
    """CLIPTextEncodeSDXLRefiner."""
    cond = _encoded(t, t.get("clip", v.Clip), t["text"])
    return (_sized(t, cond, width=t["width"], height=t["height"], aesthetic_score=min(t["ascore"], 10.0)),)


def text_flux(t: Call) -> tuple[v.Value | None, ...]:
    """CLIPTextEncodeFlux."""
    first, second = t["clip_l"], t["t5xxl"]
    cond = _encoded(t, t.get("clip", v.Clip), first, None if first == second else second)
    return (replace(cond, out=t.add("FluxGuidance", "guidance", conditioning=cond.out, scale=t["guidance"])),)


def text_sd3(t: Call) -> tuple[v.Value | None, ...]:
    """CLIPTextEncodeSD3."""
    first, second, third = t["clip_l"], t["clip_g"], t["t5xxl"]
    if t["empty_padding"] == "none" and not (first and second and third):
        t.differ("empty texts are zeros there (empty_padding = none), and what the encoder makes of them here")
    second = None if second == first else second
    return (_encoded(t, t.get("clip", v.Clip), first, second, None if third == first else third),)


def flux_guidance(t: Call) -> tuple[v.Value | None, ...]:
    """FluxGuidance."""
    cond = t.get("conditioning", v.Cond)
    out = t.add("FluxGuidance", "guidance", conditioning=cond.out, scale=t["guidance"])
    return (replace(cond, out=out),)


def zero(t: Call) -> tuple[v.Value | None, ...]:
    """ConditioningZeroOut."""
    cond = t.get("conditioning", v.Cond)
    return (replace(cond, out=t.add("ZeroCondition", "zero", conditioning=cond.out)),)


def _two(t: Call, first: str, second: str, kind: str, name: str, **more: Any) -> tuple[v.Value | None, ...]:
    a, b = t.get(first, v.Cond), t.get(second, v.Cond)
    if a.controls != b.controls:
        if kind == "CombineCondition":
            t.differ("the ControlNets of one of them act on both here")
        elif b.controls:
            t.differ(f"the ControlNets of {second} act on it here, and not in ComfyUI")
    controls = (*a.controls, *(control for control in b.controls if control not in a.controls))
    return (v.Cond(t.add(kind, name, first=a.out, second=b.out, **more), a.kind, a.sized or b.sized, controls),)


def combine(t: Call) -> tuple[v.Value | None, ...]:
    """ConditioningCombine."""
    return _two(t, "conditioning_1", "conditioning_2", "CombineCondition", "both")


def concat(t: Call) -> tuple[v.Value | None, ...]:
    """ConditioningConcat."""
    return _two(t, "conditioning_to", "conditioning_from", "ConcatCondition", "joined")


def average(t: Call) -> tuple[v.Value | None, ...]:
    """ConditioningAverage."""
    strength = t["conditioning_to_strength"]
    return _two(t, "conditioning_to", "conditioning_from", "AverageCondition", "average", strength=strength)


def _placed(t: Call, **place: Any) -> tuple[v.Value | None, ...]:
    cond = t.get("conditioning", v.Cond)
    out = t.add("ConditionArea", "area", conditioning=cond.out, **place, strength=t["strength"])
    return (replace(cond, out=out),)


def area(t: Call) -> tuple[v.Value | None, ...]:
    """ConditioningSetArea."""
    return _placed(t, **{name: float(t[name]) for name in ("x", "y", "width", "height")})


def area_share(t: Call) -> tuple[v.Value | None, ...]:
    """ConditioningSetAreaPercentage."""
    return _placed(t, **{name: t[name] for name in ("x", "y", "width", "height")}, unit="fractions")


def area_strength(t: Call) -> tuple[v.Value | None, ...]:
    """ConditioningSetAreaStrength."""
    return _placed(t)


def mask(t: Call) -> tuple[v.Value | None, ...]:
    """ConditioningSetMask."""
    cond, where = t.get("conditioning", v.Cond), t.get("mask", v.Mask)
    crop = True if t["set_cond_area"] == "mask bounds" else None
    out = t.add("ConditionMask", "masked", conditioning=cond.out, mask=where.out, strength=t["strength"], crop=crop)
    return (replace(cond, out=out),)


def when(t: Call) -> tuple[v.Value | None, ...]:
    """ConditioningSetTimestepRange."""
    cond, start, end = t.get("conditioning", v.Cond), t["start"], t["end"]
    if (start, end) != (0.0, 1.0):
        t.differ(f"{start:g} to {end:g} is a share of the steps here, of the model's timesteps in ComfyUI")
    out = t.add("ConditionRange", "range", conditioning=cond.out, start=start, end=max(start, end))
    return (replace(cond, out=out),)


ROWS: dict[str, Row] = {
    "CLIPTextEncode": text,
    "CLIPTextEncodeSDXL": text_sdxl,
    "CLIPTextEncodeSDXLRefiner": text_refiner,
    "CLIPTextEncodeFlux": text_flux,
    "CLIPTextEncodeSD3": text_sd3,
    "FluxGuidance": flux_guidance,
    "ConditioningZeroOut": zero,
    "ConditioningCombine": combine,
    "ConditioningConcat": concat,
    "ConditioningAverage": average,
    "ConditioningSetArea": area,
    "ConditioningSetAreaPercentage": area_share,
    "ConditioningSetAreaStrength": area_strength,
    "ConditioningSetMask": mask,
    "ConditioningSetTimestepRange": when,
}
