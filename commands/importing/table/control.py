"""ControlNets. ComfyUI hangs them on a conditioning, weft on the model: they go with the conditioning until then."""

from dataclasses import replace

from commands.importing import kinds
from commands.importing import values as v
from commands.importing.translate import Call, Row

UNION = {
    "openpose": 0, "depth": 1, "hed/pidi/scribble/ted": 2, "canny/lineart/anime_lineart/mlsd": 3, "normal": 4,
    "segment": 5, "tile": 6, "repaint": 7,
}  # fmt: skip
"""The kinds of pictures of a union net, by the numbers that its authors gave them."""

SOBEL = 8 * 255
"""What ComfyUI's thresholds of Canny are multiplied with: its gradients are of 0 … 1, and an eighth of ours."""


def load(t: Call) -> tuple[v.Value | None, ...]:
    """ControlNetLoader, DiffControlNetLoader."""
    source = kinds.file_name(t["control_net_name"])
    if source.endswith((".pth", ".ckpt", ".pt", ".bin")):
        t.differ(f"{source} is a pickle, which weft does not load: weft convert makes a .safetensors file of it")
    return (v.Net(t.add("LoadControlNet", "controlnet", source=source)),)


def union(t: Call) -> tuple[v.Value | None, ...]:
    """SetUnionControlNetType."""
    kind = t["type"]
    if kind not in UNION:
        t.differ(f"type = {kind}: a union net is told one kind of picture here; set mode of ControlNetApply")
    return (replace(t.get("control_net", v.Net), mode=UNION.get(kind, 0)),)


def _control(t: Call, both: bool, start: float = 0.0, end: float = 1.0) -> v.Control | None:
    net, image, strength = t.get("control_net", v.Net), t.get("image", v.Image), t["strength"]
    if strength == 0:
        return None
    if (start, end) != (0.0, 1.0):
        t.differ(f"{start:g} to {end:g} is a share of the steps here, of the model's timesteps in ComfyUI")
    vae = t.maybe("vae", v.Vae) if "vae" in t.signature.inputs else None
    return v.Control(net.out, image.out, strength, start, max(start, end), net.mode, vae, both)


def apply_one(t: Call) -> tuple[v.Value | None, ...]:
    """ControlNetApply: it acts on whatever the conditioning is guided away from, too."""
    cond, control = t.get("conditioning", v.Cond), _control(t, True)
    return (cond if control is None else replace(cond, controls=(*cond.controls, control)),)


def apply_two(t: Call) -> tuple[v.Value | None, ...]:
    """ControlNetApplyAdvanced, ControlNetApplySD3."""
    control = _control(t, False, t["start_percent"], t["end_percent"])
    sides = t.get("positive", v.Cond), t.get("negative", v.Cond)
    if control is None:
        return sides
    return tuple(replace(side, controls=(*side.controls, control)) for side in sides)


def canny(t: Call) -> tuple[v.Value | None, ...]:
    """Canny."""
    low, high = t["low_threshold"] * SOBEL, t["high_threshold"] * SOBEL
    t.differ("edges are those of OpenCV's Canny here, of Kornia's there")
    image = t.get("image", v.Image)
    out = t.add(
        "ControlImage",
        "edges",
        image=image.out,
        kind="canny",
        low=round(min(low, SOBEL), 2),
        high=round(min(high, SOBEL), 2),
    )
    return (v.Image(out),)


ROWS: dict[str, Row] = {
    "ControlNetLoader": load,
    "DiffControlNetLoader": load,
    "SetUnionControlNetType": union,
    "ControlNetApply": apply_one,
    "ControlNetApplyAdvanced": apply_two,
    "ControlNetApplySD3": apply_two,
    "Canny": canny,
}
