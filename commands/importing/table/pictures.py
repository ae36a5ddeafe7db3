"""Pictures: from files, to files, in other sizes."""

import re

from commands.importing import kinds
from commands.importing import values as v
from commands.importing.translate import Call, Row

FILTERS = {"nearest-exact": "nearest", "bilinear": "bilinear", "area": "area", "bicubic": "bicubic", "lanczos": None}
"""Filters of ImageScale; None is its own."""

_FOLDER = re.compile(r"\s*\[(input|output|temp)\]\Z")
_BROWSER = re.compile(r"%[^%]*%")


def path_of(t: Call) -> str:
    """The path of a picture: relative to the workflow, where ComfyUI has it in its folder input."""
    name = t["image"]
    folder = _FOLDER.search(name)
    path = kinds.file_name(_FOLDER.sub("", name))
    if folder and folder[1] != "input":
        t.differ(f"{path} lies in ComfyUI's folder {folder[1]}: put it beside the workflow")
    return path


def load(t: Call) -> tuple[v.Value | None, ...]:
    """LoadImage."""
    image, mask = t.several("LoadImage", "picture", ("image", "mask"), path=path_of(t))
    return v.Image(image), v.Mask(mask)


def load_mask(t: Call) -> tuple[v.Value | None, ...]:
    """LoadImageMask."""
    image, mask = t.several("LoadImage", "picture", ("image", "mask"), path=path_of(t))
    channel = t["channel"]
    if channel == "alpha":
        return (v.Mask(mask),)
    return (v.Mask(t.add("MaskFromImage", "mask", image=image, channel=channel)),)


def save(t: Call) -> tuple[v.Value | None, ...]:
    """SaveImage."""
    return _saved(t, stem_of(t, "image"))


def preview(t: Call) -> tuple[v.Value | None, ...]:
    """PreviewImage, which is saved like others here."""
    return _saved(t, "preview")


def stem_of(t: Call, otherwise: str) -> str:
    """The name of what is saved. What the editor fills in into it (%date%, %Node.widget%) has no match."""
    prefix = kinds.file_name(t["filename_prefix"])
    name = _BROWSER.sub("", prefix)
    if name != prefix:
        t.differ(f"{prefix} is filled in by ComfyUI; here the name is without that: {{param}} and {{index}} are there")
    parts = [re.sub(r"[^\w \-.,+()]", "", part).strip(" .-") for part in name.split("/")]
    return "/".join(part for part in parts if part)[:120] or otherwise


def _saved(t: Call, stem: str) -> tuple[v.Value | None, ...]:
    t.add("SaveImage", "save", image=t.get("images", v.Image).out, path=f"{stem}.png")
    return ()


def scale(t: Call) -> tuple[v.Value | None, ...]:
    """ImageScale. A width or height of 0 follows from the other."""
    image, width, height = t.get("image", v.Image), t["width"], t["height"]
    if width == height == 0:
        return (image,)
    out = t.add(
        "ImageScale", "scaled", image=image.out, width=width or None, height=height or None,
        fit="crop" if t["crop"] == "center" else None, filter=_filter(t),
    )  # fmt: skip
    return (v.Image(out),)


def scale_by(t: Call) -> tuple[v.Value | None, ...]:
    """ImageScaleBy."""
    out = t.add("ImageScale", "scaled", image=t.get("image", v.Image).out, factor=t["scale_by"], filter=_filter(t))
    return (v.Image(out),)


def scale_to(t: Call) -> tuple[v.Value | None, ...]:
    """ImageScaleToTotalPixels."""
    image, much = t.get("image", v.Image), min(max(t["megapixels"], 0.01), 64.0)
    return (v.Image(t.add("ImageScale", "scaled", image=image.out, megapixels=much, filter=_filter(t))),)


def pad(t: Call) -> tuple[v.Value | None, ...]:
    """ImagePadForOutpaint."""
    sides = {name: t[name] or None for name in ("left", "top", "right", "bottom")}
    image = t.get("image", v.Image)
    out = t.several("ImagePad", "padded", ("image", "mask"), image=image.out, **sides, feather=t["feathering"] or None)
    return v.Image(out[0]), v.Mask(out[1])


def _filter(t: Call) -> str | None:
    method = t["upscale_method"]
    if method not in FILTERS:
        t.differ(f"{method} has no match; nearest: lanczos")
    elif method in ("bilinear", "bicubic"):
        t.differ(f"{method} averages over what it shrinks here, and not there")
    return FILTERS.get(method)


def load_upscaler(t: Call) -> tuple[v.Value | None, ...]:
    """UpscaleModelLoader."""
    name = kinds.file_name(t["model_name"])
    if name.endswith((".pth", ".pt", ".ckpt", ".bin")):
        t.differ(f"{name} is a pickle, which weft does not load: weft convert makes a .safetensors file of it")
    return (v.Upscaler(name),)


def upscale(t: Call) -> tuple[v.Value | None, ...]:
    """ImageUpscaleWithModel."""
    source, image = t.get("upscale_model", v.Upscaler).source, t.get("image", v.Image)
    return (v.Image(t.add("UpscaleImage", "enlarged", image=image.out, source=source)),)


ROWS: dict[str, Row] = {
    "LoadImage": load,
    "LoadImageMask": load_mask,
    "SaveImage": save,
    "PreviewImage": preview,
    "ImageScale": scale,
    "ImageScaleBy": scale_by,
    "ImageScaleToTotalPixels": scale_to,
    "ImagePadForOutpaint": pad,
    "UpscaleModelLoader": load_upscaler,
    "ImageUpscaleWithModel": upscale,
}
