"""Masks."""

from commands.importing import values as v
from commands.importing.translate import Call, Row

OPERATIONS = {"multiply": "multiply", "add": "add", "subtract": "subtract", "and": "intersect", "or": "union",
              "xor": "difference"}  # fmt: skip


def of_image(t: Call) -> tuple[v.Value | None, ...]:
    """ImageToMask."""
    channel = t["channel"]
    if channel == "alpha":
        t.differ("channel = alpha: pictures have no alpha here, LoadImage gives it as a mask; luminance is taken")
        channel = None
    return (v.Mask(t.add("MaskFromImage", "mask", image=t.get("image", v.Image).out, channel=channel)),)


def to_image(t: Call) -> tuple[v.Value | None, ...]:
    """MaskToImage."""
    return (v.Image(t.add("ImageFromMask", "mask_picture", mask=t.get("mask", v.Mask).out)),)


def invert(t: Call) -> tuple[v.Value | None, ...]:
    """InvertMask."""
    return (v.Mask(t.add("InvertMask", "inverted", mask=t.get("mask", v.Mask).out)),)


def grow(t: Call) -> tuple[v.Value | None, ...]:
    """GrowMask."""
    mask, pixels = t.get("mask", v.Mask), t["expand"]
    if not pixels:
        return (mask,)
    t.differ("a mask grows over an octagon here, over a diamond or a square there")
    return (v.Mask(t.add("GrowMask", "grown", mask=mask.out, pixels=max(-1024, min(pixels, 1024)))),)


def feather(t: Call) -> tuple[v.Value | None, ...]:
    """FeatherMask."""
    sides = {name: t[name] or None for name in ("left", "top", "right", "bottom")}
    return (v.Mask(t.add("FeatherMask", "soft", mask=t.get("mask", v.Mask).out, **sides)),)


def solid(t: Call) -> tuple[v.Value | None, ...]:
    """SolidMask."""
    return (v.Mask(t.add("SolidMask", "mask", width=t["width"], height=t["height"], value=t["value"])),)


def combine(t: Call) -> tuple[v.Value | None, ...]:
    """MaskComposite."""
    a, b = t.get("destination", v.Mask), t.get("source", v.Mask)
    if t["x"] or t["y"]:
        t.differ(f"the second mask lies at {t['x']}, {t['y']} there, at 0, 0 here")
    operation = OPERATIONS.get(t["operation"], "multiply")
    return (v.Mask(t.add("MaskCombine", "mask", first=a.out, second=b.out, operation=operation)),)


ROWS: dict[str, Row] = {
    "ImageToMask": of_image,
    "MaskToImage": to_image,
    "InvertMask": invert,
    "GrowMask": grow,
    "FeatherMask": feather,
    "SolidMask": solid,
    "MaskComposite": combine,
}
