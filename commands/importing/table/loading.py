"""Models, text encoders, VAEs, LoRAs: what is loaded, and what is patched onto it."""

from dataclasses import replace

from commands.importing import kinds
from commands.importing import values as v
from commands.importing.build import Out
from commands.importing.translate import MODELS, Call, Row

PICKLES = (".ckpt", ".pt", ".pth", ".bin")


def _loaded(t: Call, name: str) -> tuple[Out, Out, Out, str]:
    """The outputs of LoadCheckpoint for a file, and what kind of model it is."""
    name = kinds.file_name(name)
    alone = sum(node.type in MODELS for node in t.graph.nodes.values()) == 1
    kind, guess = kinds.kind_of(name, {node.type for node in t.graph.nodes.values()}, alone)
    source = kinds.folder_of(name) or name
    if source != name:
        t.differ(f"{name} and its text encoders and VAE are loaded as one model, {source}")
    if name.endswith(PICKLES):
        t.differ(f"{name} is a pickle, which weft does not load: weft convert makes a .safetensors file of it")
    made = t.done.builder.add("LoadCheckpoint", {"source": source}, "refiner" if kind == "sdxl-refiner" else "base")
    t.done.models.setdefault(name, (made, kind))
    if guess and len(t.done.models) == 1:
        t.done.said.append(f"{t.node.called}: {name} is taken for Stable Diffusion 1.x, which nothing in it tells")
    return Out(made, "model"), Out(made, "text_encoder"), Out(made, "vae"), kind


def checkpoint(t: Call) -> tuple[v.Value | None, ...]:
    """CheckpointLoaderSimple."""
    model, clip, vae, kind = _loaded(t, t["ckpt_name"])
    return v.Model(model, kind), v.Clip(clip, kind), v.Vae(vae, kind=kind)


def checkpoint_with_config(t: Call) -> tuple[v.Value | None, ...]:
    """CheckpointLoader, whose config says what the file says itself."""
    if "v_" in t["config_name"] or "inpaint" in t["config_name"]:
        t.differ(f"{t['config_name']} is not read: weft tells the kind of model by its tensors")
    return checkpoint(t)


def unet(t: Call) -> tuple[v.Value | None, ...]:
    """UNETLoader: a denoiser by itself. Weft loads models whole, with their encoders and VAE."""
    model, _, _, kind = _loaded(t, t["unet_name"])
    if t["weight_dtype"] not in ("default", "fp16", "bf16"):
        t.differ(f"weights in {t['weight_dtype']}: weft takes bfloat16 on CUDA")
    return (v.Model(model, kind),)


def _clip(t: Call, kind: str, files: tuple[str, ...]) -> tuple[v.Value | None, ...]:
    """The text encoder of the model that is loaded whole, in place of files by themselves."""
    same = [made for made, found in t.done.models.values() if kinds.space_of(found) == kinds.space_of(kind)]
    every = [made for made, _ in t.done.models.values()]
    names = ", ".join(kinds.file_name(name) for name in files)
    if not every:
        source = kinds.USUAL.get(kinds.space_of(kind), kinds.USUAL["sd"])
        t.differ(f"the text encoder is that of {source}, in place of {names}")
        return (v.Clip(t.several("LoadCheckpoint", "base", ("text_encoder",), source=source)[0], kind),)
    made = (same or every)[0]
    t.differ(f"the text encoder is that of {made.inputs['source']}, in place of {names}")
    found = next(found for other, found in t.done.models.values() if other is made)
    return (v.Clip(Out(made, "text_encoder"), found),)


def clip(t: Call) -> tuple[v.Value | None, ...]:
    """CLIPLoader."""
    return _clip(t, kinds.CLIP_TYPES.get(t["type"], t["type"]), (t["clip_name"],))


def two_clips(t: Call) -> tuple[v.Value | None, ...]:
    """DualCLIPLoader."""
    return _clip(t, kinds.CLIP_TYPES.get(t["type"], t["type"]), (t["clip_name1"], t["clip_name2"]))


def three_clips(t: Call) -> tuple[v.Value | None, ...]:
    """TripleCLIPLoader, which is for SD3."""
    return _clip(t, "sd3", (t["clip_name1"], t["clip_name2"], t["clip_name3"]))


def vae(t: Call) -> tuple[v.Value | None, ...]:
    """VAELoader: a VAE by itself, or that of a model which is loaded whole."""
    name = kinds.file_name(t["vae_name"])
    if name in ("taesd", "taesdxl", "taesd3", "taef1", "pixel_space"):
        t.differ(f"{name} has no match; nearest: the model's own VAE")
    whole = [made for made, kind in t.done.models.values() if kinds.folder_of(_file(t, made)) or _unet(t, made)]
    if whole and (name.lower() in ("ae.safetensors", "ae.sft") or name.startswith("tae")):
        t.differ(f"the VAE is that of {whole[0].inputs['source']}, in place of {name}")
        return (v.Vae(Out(whole[0], "vae")),)
    if name.startswith("tae") or name == "pixel_space":
        every = [made for made, _ in t.done.models.values()]
        return (v.Vae(Out(every[0], "vae") if every else None, source=name),)
    if name.endswith(PICKLES):
        t.differ(f"{name} is a pickle, which weft does not load: weft convert makes a .safetensors file of it")
    return (v.Vae(None, source=name),)


def _file(t: Call, made: object) -> str:
    return next(name for name, (other, _) in t.done.models.items() if other is made)


def _unet(t: Call, made: object) -> bool:
    """Whether a model came from UNETLoader, which has no VAE."""
    name = _file(t, made)
    return any(
        node.type == "UNETLoader" and kinds.file_name(str(node.inputs.get("unet_name"))) == name
        for node in t.graph.nodes.values()
    )


def lora(t: Call) -> tuple[v.Value | None, ...]:
    """LoraLoader."""
    model, encoder = t.get("model", v.Model), t.get("clip", v.Clip)
    strength, text = t["strength_model"], t["strength_clip"]
    out = t.several(
        "LoRALoad", "lora", ("model", "text_encoder"), model=model.out, text_encoder=encoder.out,
        source=_weights(t, t["lora_name"]), strength=_within(t, "strength_model", strength),
        text_strength=None if text == strength else _within(t, "strength_clip", text),
    )  # fmt: skip
    return replace(model, out=out[0]), replace(encoder, out=out[1])


def lora_on_model(t: Call) -> tuple[v.Value | None, ...]:
    """LoraLoaderModelOnly."""
    model = t.get("model", v.Model)
    out = t.several(
        "LoRALoad", "lora", ("model",), model=model.out, source=_weights(t, t["lora_name"]),
        strength=_within(t, "strength_model", t["strength_model"]),
    )  # fmt: skip
    return (replace(model, out=out[0]),)


def _weights(t: Call, name: str) -> str:
    name = kinds.file_name(name)
    if name.endswith(PICKLES):
        t.differ(f"{name} is a pickle, which weft does not load: weft convert makes a .safetensors file of it")
    return name


def _within(t: Call, name: str, value: float, most: float = 20.0) -> float:
    if abs(value) <= most:
        return value
    t.differ(f"{name} {value:g} is more than weft takes, and is {most:g} here")
    return most if value > 0 else -most


def last_layer(t: Call) -> tuple[v.Value | None, ...]:
    """CLIPSetLastLayer."""
    return (replace(t.get("clip", v.Clip), layer=t["stop_at_clip_layer"]),)


def flux_sampling(t: Call) -> tuple[v.Value | None, ...]:
    """ModelSamplingFlux: a shift that follows the size. With other bounds than Flux's own it is said outright."""
    import math

    model = t.get("model", v.Model)
    width, height, most, least = t["width"], t["height"], t["max_shift"], t["base_shift"]
    if (most, least) == (1.15, 0.5):
        return (replace(model, sized=(width, height), shift=None),)
    # mu = m tokens + b on a line through base_shift at 256 and max_shift at 4096 tokens
    m = (most - least) / (4096 - 256)
    mu = width * height / 256 * m + least - m * 256
    t.differ(
        f"max_shift {most:g} and base_shift {least:g}: the levels are rounded to a thousandth, not a ten thousandth"
    )
    return (replace(model, shift=round(math.exp(mu), 6), sized=None),)


def shift(t: Call) -> tuple[v.Value | None, ...]:
    """ModelSamplingSD3 and ModelSamplingAuraFlow."""
    return (replace(t.get("model", v.Model), shift=t["shift"], sized=None),)


def discrete(t: Call) -> tuple[v.Value | None, ...]:
    """ModelSamplingDiscrete."""
    model, how = t.get("model", v.Model), t["sampling"]
    if how == "lcm":
        return (replace(model, zero_snr=t["zsnr"], sampler="lcm"),)
    if how != "eps":
        t.differ(f"sampling = {how}: weft goes by what the model's files say of its prediction")
    return (replace(model, zero_snr=t["zsnr"]),)


def rescale(t: Call) -> tuple[v.Value | None, ...]:
    """RescaleCFG."""
    return (replace(t.get("model", v.Model), rescale=t["multiplier"]),)


def perturbed(t: Call) -> tuple[v.Value | None, ...]:
    """PerturbedAttentionGuidance."""
    settings = (("strength", t["scale"]),)
    return (replace(t.get("model", v.Model), guider="PerturbedAttentionGuider", settings=settings),)


def skipped(t: Call) -> tuple[v.Value | None, ...]:
    """SkipLayerGuidanceSD3."""
    settings = (
        ("strength", t["scale"]), ("layers", t["layers"]), ("push_start", t["start_percent"]),
        ("push_stop", t["end_percent"]),
    )  # fmt: skip
    return (replace(t.get("model", v.Model), guider="SkipLayerGuider", settings=settings),)


ROWS: dict[str, Row] = {
    "CheckpointLoaderSimple": checkpoint,
    "CheckpointLoader": checkpoint_with_config,
    "UNETLoader": unet,
    "CLIPLoader": clip,
    "DualCLIPLoader": two_clips,
    "TripleCLIPLoader": three_clips,
    "VAELoader": vae,
    "LoraLoader": lora,
    "LoraLoaderModelOnly": lora_on_model,
    "CLIPSetLastLayer": last_layer,
    "ModelSamplingFlux": flux_sampling,
    "ModelSamplingSD3": shift,
    "ModelSamplingAuraFlow": shift,
    "ModelSamplingDiscrete": discrete,
    "RescaleCFG": rescale,
    "PerturbedAttentionGuidance": perturbed,
    "SkipLayerGuidanceSD3": skipped,
}
