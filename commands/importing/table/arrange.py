"""Pictures cut, turned, mixed and put together; and plain values."""

from commands.importing import values as v
from commands.importing.translate import Call, Row

TURNS = {"90 degrees": "90", "180 degrees": "180", "270 degrees": "270"}


def invert(t: Call) -> tuple[v.Value | None, ...]:
    """ImageInvert."""
    return (v.Image(t.add("ControlImage", "inverted", image=t.get("image", v.Image).out, kind="invert")),)


def batch(t: Call) -> tuple[v.Value | None, ...]:
    """ImageBatch."""
    a, b = t.get("image1", v.Image), t.get("image2", v.Image)
    t.differ("pictures of two sizes are refused here, and the second is resized there")
    return (v.Image(t.add("ImageBatch", "batch", images=[a.out, b.out])),)


def of_batch(t: Call) -> tuple[v.Value | None, ...]:
    """ImageFromBatch."""
    image = t.get("image", v.Image)
    return (v.Image(t.add("ImageFromBatch", "part", image=image.out, index=t["batch_index"], count=t["length"])),)


def repeat(t: Call) -> tuple[v.Value | None, ...]:
    """RepeatImageBatch."""
    if t["amount"] > 64:
        raise t.wrong("amount", "E-LIMIT", f"{t['amount']} times the same picture; limit 64")
    return (v.Image(t.add("ImageBatch", "batch", images=[t.get("image", v.Image).out] * t["amount"])),)


def crop(t: Call) -> tuple[v.Value | None, ...]:
    """ImageCrop."""
    sides = {name: t[name] for name in ("x", "y", "width", "height")}
    return (v.Image(t.add("ImageCrop", "cropped", image=t.get("image", v.Image).out, **sides)),)


def blend(t: Call) -> tuple[v.Value | None, ...]:
    """ImageBlend."""
    a, b = t.get("image1", v.Image), t.get("image2", v.Image)
    mode = None if t["blend_mode"] == "normal" else t["blend_mode"]
    return (v.Image(t.add("ImageBlend", "blend", image=a.out, other=b.out, share=t["blend_factor"], mode=mode)),)


def composite(t: Call) -> tuple[v.Value | None, ...]:
    """ImageCompositeMasked."""
    a, b, mask = t.get("destination", v.Image), t.get("source", v.Image), t.maybe("mask", v.Mask)
    if t["resize_source"]:
        t.differ("resize_source: what is pasted keeps its size here; scale it with ImageScale")
    out = t.add(
        "ImageComposite", "composite", image=a.out, overlay=b.out, mask=None if mask is None else mask.out,
        x=t["x"] or None, y=t["y"] or None,
    )  # fmt: skip
    return (v.Image(out),)


def flip(t: Call) -> tuple[v.Value | None, ...]:
    """ImageFlip."""
    how = "vertical" if t["flip_method"].startswith("x") else "horizontal"
    return (v.Image(t.add("ImageFlip", "flipped", image=t.get("image", v.Image).out, how=how)),)


def rotate(t: Call) -> tuple[v.Value | None, ...]:
    """ImageRotate."""
    image, how = t.get("image", v.Image), TURNS.get(t["rotation"])
    return (image if how is None else v.Image(t.add("ImageFlip", "turned", image=image.out, how=how)),)


def plain(t: Call) -> tuple[v.Value | None, ...]:
    """PrimitiveInt, PrimitiveFloat, PrimitiveString and their like."""
    return (v.Constant(t["value"]),)


def joined(t: Call) -> tuple[v.Value | None, ...]:
    """StringConcatenate."""
    return (v.Constant(t["delimiter"].join((t["string_a"], t["string_b"]))),)


ROWS: dict[str, Row] = {
    "ImageInvert": invert,
    "ImageBatch": batch,
    "ImageFromBatch": of_batch,
    "RepeatImageBatch": repeat,
    "ImageCrop": crop,
    "ImageBlend": blend,
    "ImageCompositeMasked": composite,
    "ImageFlip": flip,
    "ImageRotate": rotate,
    "PrimitiveInt": plain,
    "PrimitiveFloat": plain,
    "PrimitiveString": plain,
    "PrimitiveStringMultiline": plain,
    "PrimitiveBoolean": plain,
    "StringConcatenate": joined,
}
