"""How each node type of ours is said in ComfyUI's: one small function a type."""

from collections.abc import Mapping
from typing import Any

from commands.importing import samplers
from commands.importing.export import Export, Row
from engine.graph import Link, NodeDef
from engine.text import visible


def simple(kind: str, links: Mapping[str, str], constants: Mapping[str, str], **fixed: Any) -> Row:
    """The row of a node that is one of ComfyUI's. links, constants: its input -> ours. fixed: its other inputs."""

    def row(e: Export, node: NodeDef) -> str | None:
        fed = {theirs: e.link(node, ours) for theirs, ours in links.items()}
        given = {theirs: e.value(node, ours) for theirs, ours in constants.items()}
        return e.add(kind, **fed, **given, **fixed)

    return row


def _checkpoint(e: Export, node: NodeDef) -> str | None:
    source = str(e.value(node, "source"))
    if "/" in source and "." not in source.rpartition("/")[2][-12:]:
        e.differ(node, f"{visible(source)} is a folder or a hub id, and ComfyUI loads single files")
    return e.add("CheckpointLoaderSimple", ckpt_name=source)


def _text(e: Export, node: NodeDef) -> str | None:
    if e.value(node, "weighting") != "comfy":
        e.differ(node, f"weights are read as ComfyUI does, not weighting = {e.value(node, 'weighting')}")
    if any(e.value(node, name) is not None for name in ("text_2", "text_3")):
        e.differ(node, "all encoders read text; nearest: CLIPTextEncodeSDXL")
    clip = e.link(node, "text_encoder")
    if skip := e.value(node, "clip_skip"):
        clip = [e.add("CLIPSetLastLayer", clip=clip, stop_at_clip_layer=-1 - skip), 0]
    text = e.link(node, "text") if "text" in node.links else e.value(node, "text")
    return e.add("CLIPTextEncode", clip=clip, text=text)


def _sizes(e: Export, node: NodeDef) -> str | None:
    """The text of SDXL with sizes, or of its refiner with a score; in ComfyUI one node does both."""
    text = e.workflow.nodes[node.links["conditioning"].node]
    if text.cls.__name__ != "TextEncode":
        return None
    width, height, score = (e.value(node, name) for name in ("width", "height", "aesthetic_score"))
    clip, first, second = e.link(text, "text_encoder"), e.value(text, "text"), e.value(text, "text_2")
    if e.value(text, "weighting") != "comfy":
        e.differ(text, f"weights are read as ComfyUI does, not weighting = {e.value(text, 'weighting')}")
    if score is not None:
        return e.add("CLIPTextEncodeSDXLRefiner", clip=clip, text=first, width=width, height=height, ascore=score)
    return e.add(
        "CLIPTextEncodeSDXL", clip=clip, text_l=first, text_g=first if second is None else second, width=width,
        height=height, crop_w=e.value(node, "crop_x"), crop_h=e.value(node, "crop_y"),
        target_width=e.value(node, "target_width") or width, target_height=e.value(node, "target_height") or height,
    )  # fmt: skip


def _blank(e: Export, node: NodeDef) -> str | None:
    sides = [e.value(node, side) or 1024 for side in ("width", "height")]
    return e.add("EmptyLatentImage", width=sides[0], height=sides[1], batch_size=e.value(node, "batch"))


def _lora(e: Export, node: NodeDef) -> str | None:
    strength, text = e.value(node, "strength"), e.value(node, "text_strength")
    model, clip = e.link(node, "model"), e.link(node, "text_encoder")
    if clip is None:
        return e.add("LoraLoaderModelOnly", model=model, lora_name=e.value(node, "source"), strength_model=strength)
    return e.add("LoraLoader", model=model, clip=clip, lora_name=e.value(node, "source"), strength_model=strength,
                 strength_clip=strength if text is None else text)  # fmt: skip


def _denoise(e: Export, node: NodeDef) -> str | None:
    guide = e.workflow.nodes[node.links["guider"].node]
    noise = e.workflow.nodes[node.links["noise"].node]
    if guide.cls.__name__ != "CFG":
        return None
    sampler = e.workflow.nodes[node.links["sampler"].node]
    kind = str(e.value(sampler, "kind"))
    name = {ours: theirs for theirs, ours in reversed({**samplers.EXACT, **samplers.FRESH}.items())}.get(kind)
    name = "euler" if kind == "euler" else name or {"flow_euler": "euler", "unipc": "uni_pc"}.get(kind)
    if name is None:
        e.differ(sampler, f"kind = {kind} has no match; nearest: euler")
    sigmas = _sigmas(e, e.workflow.nodes[node.links["schedule"].node], guide)
    if sigmas is None:
        return None
    positive = e.link(guide, "positive")
    negative = e.link(guide, "negative")
    if negative is None and positive is not None:
        negative = [e.add("ConditioningZeroOut", conditioning=positive), 0]
        e.differ(guide, "no negative is a conditioning of zeros")
    positive, negative = _controlled(e, guide, positive, negative)
    return e.add(
        "SamplerCustom", model=e.link(guide, "model"), add_noise=not _partway(e, node.links["latent"]),
        noise_seed=e.value(noise, "seed") or 0, cfg=e.value(guide, "scale"), positive=positive, negative=negative,
        sampler=[e.add("KSamplerSelect", sampler_name=name or "euler"), 0], sigmas=sigmas,
        latent_image=e.link(node, "latent"),
    )  # fmt: skip


def _partway(e: Export, link: Link) -> bool:
    """Whether a latent comes from a schedule that was cut at its end, and so holds noise."""
    node = e.workflow.nodes[link.node]
    if node.cls.__name__ != "UNetDenoise":
        return False
    part = e.workflow.nodes[node.links["schedule"].node]
    return part.cls.__name__ == "CutSchedule" and (e.value(part, "end") or 1.0) < 1.0


def _controlled(e: Export, guide: NodeDef, positive: Any, negative: Any) -> tuple[Any, Any]:
    """Both sides with the ControlNets of the model, which ComfyUI hangs on them."""
    nets = []
    node = e.workflow.nodes[guide.links["model"].node]
    while node.cls.__name__ == "ControlNetApply":
        nets.append(node)
        node = e.workflow.nodes[node.links["model"].node]
    for net in reversed(nets):
        made = e.add(
            "ControlNetApplyAdvanced", positive=positive, negative=negative, control_net=e.link(net, "controlnet"),
            image=e.link(net, "image"), strength=e.value(net, "strength"), start_percent=e.value(net, "start"),
            end_percent=e.value(net, "end"), vae=e.link(net, "vae"),
        )  # fmt: skip
        positive, negative = [made, 0], [made, 1]
    return positive, negative


def _uncontrolled(e: Export, node: NodeDef) -> str | None:
    """The model below a ControlNet: the net itself goes onto the conditionings."""
    below = e.link(node, "model")
    return None if below is None else str(below[0])


def _sigmas(e: Export, node: NodeDef, guide: NodeDef) -> list[Any] | None:
    """The levels; None, and listed, for those that no scheduler of ComfyUI's makes."""
    if node.cls.__name__ == "CutSchedule":
        whole = e.workflow.nodes[node.links["schedule"].node]
        sigmas = _sigmas(e, whole, guide)
        if sigmas is None:
            return None
        if e.value(node, "by") == "timesteps":
            e.differ(node, "is a share of the steps there")
        if e.value(node, "finish"):
            e.differ(node, "its last step goes on to no noise here, and not there")
        total = samplers.steps_of(str(e.value(whole, "spacing")), int(e.value(whole, "steps") or 1))
        first, last = (round(float(e.value(node, name) or 0) * total) for name in ("start", "end"))
        if last < total:
            sigmas = [e.add("SplitSigmas", sigmas=sigmas, step=last), 0]
        return [e.add("SplitSigmas", sigmas=sigmas, step=first), 1] if first > 0 else sigmas
    if node.cls.__name__ != "NoiseSchedule" or any(e.value(node, n) is not None for n in ("timesteps", "sigmas")):
        e.done.unmatched.append(f"{node.id} ({node.cls.__name__}): no match in ComfyUI")
        return None
    spacing = str(e.value(node, "spacing"))
    scheduler = spacing.removeprefix("comfy_")
    if scheduler not in samplers.SCHEDULERS or spacing == scheduler:
        near = scheduler if scheduler in samplers.SCHEDULERS else "normal"
        e.differ(node, f"spacing = {spacing} has no match; nearest: {near}")
        scheduler = near
    if "sampler" in node.links:
        e.differ(node, "levels are not placed for the sampler there")
    model = e.link(node, "model") or e.link(guide, "model")
    if (shift := e.value(node, "shift")) is not None:
        model = [e.add("ModelSamplingSD3", model=model, shift=shift), 0]
    elif (width := e.value(node, "width")) is not None:
        size = {"width": width, "height": e.value(node, "height") or width}
        model = [e.add("ModelSamplingFlux", model=model, max_shift=1.15, base_shift=0.5, **size), 0]
    steps = e.value(node, "steps")
    return [e.add("BasicScheduler", model=model, scheduler=scheduler, steps=steps, denoise=1.0), 0]


def _save(e: Export, node: NodeDef) -> str | None:
    prefix = visible(str(e.value(node, "path"))).rpartition(".")[0]
    return e.add("SaveImage", images=e.link(node, "image"), filename_prefix=prefix.replace("{", "").replace("}", ""))


def _scale(e: Export, node: NodeDef) -> str | None:
    width, height, factor = (e.value(node, name) for name in ("width", "height", "factor"))
    image, method = e.link(node, "image"), str(e.value(node, "filter")).replace("nearest", "nearest-exact")
    if width is None and height is None:
        return e.add("ImageScaleBy", image=image, upscale_method=method, scale_by=factor)
    crop = "center" if e.value(node, "fit") == "crop" else "disabled"
    return e.add("ImageScale", image=image, upscale_method=method, width=width or 0, height=height or 0, crop=crop)


def _latent_scale(e: Export, node: NodeDef) -> str | None:
    width, height, factor = (e.value(node, name) for name in ("width", "height", "factor"))
    latent, method = e.link(node, "latent"), e.value(node, "method")
    if width is None and height is None:
        return e.add("LatentUpscaleBy", samples=latent, upscale_method=method, scale_by=factor)
    return e.add("LatentUpscale", samples=latent, upscale_method=method, width=width or 0, height=height or 0,
                 crop="disabled")  # fmt: skip


def _upscale(e: Export, node: NodeDef) -> str | None:
    model = e.add("UpscaleModelLoader", model_name=e.value(node, "source"))
    return e.add("ImageUpscaleWithModel", upscale_model=[model, 0], image=e.link(node, "image"))


ROWS: dict[str, Row] = {
    "LoadCheckpoint": _checkpoint,
    "LoadVAE": simple("VAELoader", {}, {"vae_name": "source"}),
    "LoRALoad": _lora,
    "TextEncode": _text,
    "SizeCondition": _sizes,
    "ZeroCondition": simple("ConditioningZeroOut", {"conditioning": "conditioning"}, {}),
    "FluxGuidance": simple("FluxGuidance", {"conditioning": "conditioning"}, {"guidance": "scale"}),
    "CombineCondition": simple("ConditioningCombine", {"conditioning_1": "first", "conditioning_2": "second"}, {}),
    "ConcatCondition": simple("ConditioningConcat", {"conditioning_to": "first", "conditioning_from": "second"}, {}),
    "AverageCondition": simple(
        "ConditioningAverage", {"conditioning_to": "first", "conditioning_from": "second"},
        {"conditioning_to_strength": "strength"},
    ),
    "ConditionMask": simple(
        "ConditioningSetMask", {"conditioning": "conditioning", "mask": "mask"}, {"strength": "strength"},
        set_cond_area="default",
    ),
    "ConditionRange": simple(
        "ConditioningSetTimestepRange", {"conditioning": "conditioning"}, {"start": "start", "end": "end"}
    ),
    "LoadControlNet": simple("ControlNetLoader", {}, {"control_net_name": "source"}),
    "ControlNetApply": _uncontrolled,
    "EmptyLatent": _blank,
    "VAEDecode": simple("VAEDecode", {"samples": "latent", "vae": "vae"}, {}),
    "VAEEncode": simple("VAEEncode", {"pixels": "image", "vae": "vae"}, {}),
    "MaskLatent": simple("SetLatentNoiseMask", {"samples": "latent", "mask": "mask"}, {}),
    "InpaintLatent": simple(
        "VAEEncodeForInpaint", {"pixels": "image", "vae": "vae", "mask": "mask"}, {}, grow_mask_by=0
    ),
    "LatentScale": _latent_scale,
    "UNetDenoise": _denoise,
    "LoadImage": simple("LoadImage", {}, {"image": "path"}),
    "SaveImage": _save,
    "ImageScale": _scale,
    "UpscaleImage": _upscale,
    "InvertMask": simple("InvertMask", {"mask": "mask"}, {}),
    "GrowMask": simple("GrowMask", {"mask": "mask"}, {"expand": "pixels"}, tapered_corners=True),
}  # fmt: skip
"""Our node types, and what each is in ComfyUI."""
