"""Latents: empty ones, to and from pictures, with masks, in other sizes, in batches."""

from dataclasses import replace

from commands.importing import kinds
from commands.importing import values as v
from commands.importing.build import Out
from commands.importing.translate import Call, Row

METHODS = {"nearest-exact": "nearest-exact", "bilinear": "bilinear", "area": "area", "bicubic": "bicubic"}


def empty(t: Call) -> tuple[v.Value | None, ...]:
    """EmptyLatentImage, EmptySD3LatentImage. Which model it is for shows where it is sampled."""
    return (v.Latent(None, empty=v.Empty(t["width"], t["height"], t["batch_size"]), batch=t["batch_size"]),)


def at(t: Call, latent: v.Latent, model: v.Model | None) -> Out:
    """A latent as a link; an empty one is made for this model."""
    if latent.out is not None:
        return latent.out
    assert latent.empty is not None
    if model is None:
        made, kind = next(iter(t.done.models.values()), (None, ""))
        if made is None:
            raise t.wrong("samples", "E-MISSING", "the latent is empty, and there is no model that it is for")
        model = v.Model(Out(made, "model"), kind)
    each = 16 if model.kind in kinds.FLOWS else 8
    sides = latent.empty.width, latent.empty.height
    width, height = (max(side // each, 2) * each for side in sides)
    if (width, height) != sides:
        t.differ(f"{sides[0]} x {sides[1]} is {width} x {height} here: sides of this model are multiples of {each}")
    batch = latent.empty.batch
    return t.add(
        "EmptyLatent", "blank", model=model.out, width=width, height=height, batch=batch if batch > 1 else None
    )


def decode(t: Call) -> tuple[v.Value | None, ...]:
    """VAEDecode."""
    return _decoded(t, None)


def decode_tiled(t: Call) -> tuple[v.Value | None, ...]:
    """VAEDecodeTiled."""
    return _decoded(t, _tile(t))


def _decoded(t: Call, tile: int | None) -> tuple[v.Value | None, ...]:
    latent, vae = t.get("samples", v.Latent), t.get("vae", v.Vae)
    if latent.noise is not None:
        t.differ("decodes a latent that still holds noise")
    out = t.add("VAEDecode", "decode", vae=t.vae(vae, latent.kind), latent=at(t, latent, None), tile=tile)
    return (v.Image(out),)


def encode(t: Call) -> tuple[v.Value | None, ...]:
    """VAEEncode."""
    return _encoded(t, None)


def encode_tiled(t: Call) -> tuple[v.Value | None, ...]:
    """VAEEncodeTiled."""
    return _encoded(t, _tile(t))


def _encoded(t: Call, tile: int | None) -> tuple[v.Value | None, ...]:
    image, vae = t.get("pixels", v.Image), t.get("vae", v.Vae)
    return (v.Latent(t.add("VAEEncode", "encode", vae=t.vae(vae, ""), image=image.out, tile=tile), vae.kind),)


def _tile(t: Call) -> int:
    """The side of the tiles, in the steps that weft takes."""
    side: int = t["tile_size"]
    return max(32, min(side // 32 * 32, 4096))


def encode_for_inpaint(t: Call) -> tuple[v.Value | None, ...]:
    """VAEEncodeForInpaint: a latent that is painted anew in a mask, which is made larger first."""
    image, vae, mask = t.get("pixels", v.Image), t.get("vae", v.Vae), t.get("mask", v.Mask)
    hole = mask.out
    if t["grow_mask_by"] > 0:
        hole = t.add("GrowMask", "hole", mask=hole, pixels=min(t["grow_mask_by"] // 2, 1024) or None)
        t.differ("the mask is made larger by a square there, by an octagon here")
    out = t.add("InpaintLatent", "inpaint", vae=t.vae(vae, ""), image=image.out, mask=hole)
    return (v.Latent(out, vae.kind),)


def inpaint_model(t: Call) -> tuple[v.Value | None, ...]:
    """InpaintModelConditioning: what the network sees beside the latent goes with the latent here."""
    image, vae, mask = t.get("pixels", v.Image), t.get("vae", v.Vae), t.get("mask", v.Mask)
    out = t.add("InpaintLatent", "inpaint", vae=t.vae(vae, ""), image=image.out, mask=mask.out, edge="soft")
    return t.get("positive", v.Cond), t.get("negative", v.Cond), v.Latent(out, vae.kind)


def with_mask(t: Call) -> tuple[v.Value | None, ...]:
    """SetLatentNoiseMask."""
    latent, mask = t.get("samples", v.Latent), t.get("mask", v.Mask)
    if latent.out is None:
        t.differ("a mask on an empty latent; left out, since there is nothing to keep")
        return (latent,)
    return (replace(latent, out=t.add("MaskLatent", "masked_latent", latent=latent.out, mask=mask.out)),)


def _method(t: Call) -> str | None:
    method = t["upscale_method"]
    if method not in METHODS:
        t.differ(f"{method} has no match; nearest: bicubic")
    return METHODS.get(method, "bicubic")


def scale(t: Call) -> tuple[v.Value | None, ...]:
    """LatentUpscale. A width or height of 0 follows from the other."""
    latent, width, height = t.get("samples", v.Latent), t["width"], t["height"]
    if width == height == 0:
        return (latent,)
    if latent.out is None:
        assert latent.empty is not None
        return (replace(latent, empty=replace(latent.empty, width=width or height, height=height or width)),)
    if t["crop"] == "center":
        t.differ("what sticks out of another shape is cropped there, and squeezed here")
    out = t.add(
        "LatentScale", "larger", latent=latent.out, width=width or None, height=height or None, method=_method(t)
    )
    return (replace(latent, out=out),)


def scale_by(t: Call) -> tuple[v.Value | None, ...]:
    """LatentUpscaleBy."""
    latent, factor = t.get("samples", v.Latent), t["scale_by"]
    if latent.out is None:
        assert latent.empty is not None
        width, height = (round(side // 8 * factor) * 8 for side in (latent.empty.width, latent.empty.height))
        return (replace(latent, empty=v.Empty(width, height, latent.empty.batch)),)
    return (replace(latent, out=t.add("LatentScale", "larger", latent=latent.out, factor=factor, method=_method(t))),)


def of_batch(t: Call) -> tuple[v.Value | None, ...]:
    """LatentFromBatch."""
    latent, index, count = t.get("samples", v.Latent), t["batch_index"], t["length"]
    if latent.out is None:
        assert latent.empty is not None
        return (replace(latent, empty=replace(latent.empty, batch=count), batch=count),)
    return (
        replace(latent, out=t.add("LatentFromBatch", "part", latent=latent.out, index=index, count=count), batch=count),
    )


def repeat(t: Call) -> tuple[v.Value | None, ...]:
    """RepeatLatentBatch."""
    latent, count = t.get("samples", v.Latent), t["amount"]
    if latent.out is None:
        assert latent.empty is not None
        batch = latent.empty.batch * count
        return (replace(latent, empty=replace(latent.empty, batch=batch), batch=batch),)
    if count > 64:
        raise t.wrong("amount", "E-LIMIT", f"{count} times the same latent; limit 64")
    return (
        replace(latent, out=t.add("LatentBatch", "batch", latents=[latent.out] * count), batch=latent.batch * count),
    )


def together(t: Call) -> tuple[v.Value | None, ...]:
    """LatentBatch."""
    a, b = t.get("samples1", v.Latent), t.get("samples2", v.Latent)
    if a.out is None and b.out is None:
        assert a.empty is not None
        batch = a.batch + b.batch
        return (replace(a, empty=replace(a.empty, batch=batch), batch=batch),)
    out = t.add("LatentBatch", "batch", latents=[at(t, a, None), at(t, b, None)])
    return (replace(a, out=out, empty=None, batch=a.batch + b.batch),)


def blend(t: Call) -> tuple[v.Value | None, ...]:
    """LatentBlend: z = f z_1 + (1 - f) z_2."""
    a, b = t.get("samples1", v.Latent), t.get("samples2", v.Latent)
    share = round(1 - t["blend_factor"], 10)
    out = t.add("LatentBlend", "blend", latent=at(t, a, None), other=at(t, b, None), share=share)
    return (replace(a, out=out, empty=None),)


ROWS: dict[str, Row] = {
    "EmptyLatentImage": empty,
    "EmptySD3LatentImage": empty,
    "VAEDecode": decode,
    "VAEDecodeTiled": decode_tiled,
    "VAEEncode": encode,
    "VAEEncodeTiled": encode_tiled,
    "VAEEncodeForInpaint": encode_for_inpaint,
    "InpaintModelConditioning": inpaint_model,
    "SetLatentNoiseMask": with_mask,
    "LatentUpscale": scale,
    "LatentUpscaleBy": scale_by,
    "LatentFromBatch": of_batch,
    "RepeatLatentBatch": repeat,
    "LatentBatch": together,
    "LatentBlend": blend,
}
