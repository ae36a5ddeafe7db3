"""The graphs of the tests: one function a subject of ComfyUI's, which gives what ComfyUI would run."""

from typing import Any

from comfy_files import Base, Graph, begin


def plain(source: str = "sd15", **more: Any) -> Graph:
    base = begin(source)
    return base.save(base.sampled(base.blank(), **more))


def from_picture(denoise: float = 0.6, **more: Any) -> Graph:
    base = begin()
    latent = base.graph.add("VAEEncode", pixels=(base.picture(), 0), vae=base.vae)
    return base.save(base.sampled((latent, 0), denoise=denoise, **more))


def loras() -> Graph:
    base = begin()
    g = base.graph
    one = g.add("LoraLoader", model=base.model, clip=base.clip, lora_name="sd15-peft.safetensors", strength_model=0.8,
                strength_clip=0.5)  # fmt: skip
    two = g.add("LoraLoaderModelOnly", model=(one, 0), lora_name="sd15-kohya.safetensors", strength_model=-0.5)
    positive = g.add("CLIPTextEncode", text="a wolf", clip=(one, 1))
    base.model, base.positive = (two, 0), (positive, 0)
    return base.save(base.sampled(base.blank()))


def clip_skip() -> Graph:
    base = begin()
    layer = base.graph.add("CLIPSetLastLayer", clip=base.clip, stop_at_clip_layer=-2)
    base.positive = base.graph.add("CLIPTextEncode", text="a wolf", clip=(layer, 0)), 0
    return base.save(base.sampled(base.blank()))


def control(how: str) -> Graph:
    base = begin()
    g = base.graph
    net = g.add("ControlNetLoader", control_net_name="control-sd15")
    edges = g.add("Canny", image=(base.picture(), 0), low_threshold=0.1, high_threshold=0.2)
    if how == "plain":
        base.positive = g.add("ControlNetApply", conditioning=base.positive, control_net=(net, 0), image=(edges, 0),
                              strength=0.7), 0  # fmt: skip
        return base.save(base.sampled(base.blank()))
    for start, end in ((0.0, 1.0), (0.0, 0.6))[: 1 if how == "one" else 2]:
        both = g.add("ControlNetApplyAdvanced", positive=base.positive, negative=base.negative, control_net=(net, 0),
                     image=(edges, 0), strength=0.7, start_percent=start, end_percent=end)  # fmt: skip
        base.positive, base.negative = (both, 0), (both, 1)
    return base.save(base.sampled(base.blank()))


def inpaint(how: str) -> Graph:
    base = begin("sd15-inpaint" if how == "model" else "sd15")
    g = base.graph
    picture = base.picture()
    if how == "model":
        made = g.add("InpaintModelConditioning", positive=base.positive, negative=base.negative, vae=base.vae,
                     pixels=(picture, 0), mask=(picture, 1), noise_mask=True)  # fmt: skip
        base.positive, base.negative = (made, 0), (made, 1)
        return base.save(base.sampled((made, 2), denoise=0.7))
    if how == "covered":
        latent = g.add("VAEEncodeForInpaint", pixels=(picture, 0), vae=base.vae, mask=(picture, 1), grow_mask_by=6)
        return base.save(base.sampled((latent, 0)))
    inverted = g.add("InvertMask", mask=(picture, 1))
    encoded = g.add("VAEEncode", pixels=(picture, 0), vae=base.vae)
    latent = g.add("SetLatentNoiseMask", samples=(encoded, 0), mask=(inverted, 0))
    return base.save(base.sampled((latent, 0), denoise=0.7))


def larger(how: str) -> Graph:
    base = begin()
    g = base.graph
    first = base.sampled(base.blank())
    if how == "size":
        latent = g.add("LatentUpscale", samples=first, upscale_method="bislerp", width=96, height=128, crop="disabled")
        return base.save(base.sampled((latent, 0), denoise=0.5, steps=4))
    if how == "by":
        latent = g.add("LatentUpscaleBy", samples=first, upscale_method="nearest-exact", scale_by=1.5)
        return base.save(base.sampled((latent, 0), denoise=0.5))
    decoded = g.add("VAEDecode", samples=first, vae=base.vae)
    network = g.add("UpscaleModelLoader", model_name="upscaler.safetensors")
    enlarged = g.add("ImageUpscaleWithModel", upscale_model=(network, 0), image=(decoded, 0))
    smaller = g.add("ImageScale", image=(enlarged, 0), upscale_method="lanczos", width=96, height=0, crop="disabled")
    g.add("SaveImage", images=(smaller, 0), filename_prefix="large/%date:yyyy-MM-dd%")
    g.add("PreviewImage", images=(decoded, 0))
    return g


def conditions(how: str) -> Graph:
    base = begin()
    g = base.graph
    other = g.add("CLIPTextEncode", text="a grey wolf", clip=base.clip)
    if how == "area":
        placed = g.add("ConditioningSetArea", conditioning=(other, 0), width=32, height=64, x=32, y=0, strength=1.5)
        base.positive = g.add("ConditioningCombine", conditioning_1=base.positive, conditioning_2=(placed, 0)), 0
    elif how == "share":
        placed = g.add("ConditioningSetAreaPercentage", conditioning=(other, 0), width=0.5, height=1.0, x=0.5, y=0.0,
                       strength=1.0)  # fmt: skip
        base.positive = g.add("ConditioningCombine", conditioning_1=(placed, 0), conditioning_2=base.positive), 0
    elif how == "mask":
        mask = g.add("LoadImageMask", image="input.png", channel="red")
        masked = g.add("ConditioningSetMask", conditioning=(other, 0), mask=(mask, 0), strength=1.0,
                       set_cond_area="mask bounds")  # fmt: skip
        base.positive = g.add("ConditioningCombine", conditioning_1=base.positive, conditioning_2=(masked, 0)), 0
    elif how == "concat":
        base.positive = g.add("ConditioningConcat", conditioning_to=base.positive, conditioning_from=(other, 0)), 0
    elif how == "average":
        base.positive = g.add("ConditioningAverage", conditioning_to=base.positive, conditioning_from=(other, 0),
                              conditioning_to_strength=0.3), 0  # fmt: skip
    else:
        early = g.add("ConditioningSetTimestepRange", conditioning=base.positive, start=0.0, end=0.5)
        late = g.add("ConditioningSetTimestepRange", conditioning=(other, 0), start=0.5, end=1.0)
        base.positive = g.add("ConditioningCombine", conditioning_1=(early, 0), conditioning_2=(late, 0)), 0
    return base.save(base.sampled(base.blank()))


def vae() -> Graph:
    base = begin()
    base.vae = base.graph.add("VAELoader", vae_name="vae-sd.safetensors"), 0
    return base.save(base.sampled(base.blank()))


def two_stages(sampler: str = "euler", leftover: str = "enable") -> Graph:
    base = begin()
    g = base.graph
    shared: dict[str, Any] = {"model": base.model, "positive": base.positive, "negative": base.negative, "cfg": 6.0,
                              "steps": 4, "sampler_name": sampler, "scheduler": "karras"}  # fmt: skip
    first = g.add("KSamplerAdvanced", add_noise="enable", noise_seed=7, latent_image=base.blank(), start_at_step=0,
                  end_at_step=3, return_with_leftover_noise=leftover, **shared)  # fmt: skip
    if leftover == "disable":
        return base.save((first, 0))
    second = g.add("KSamplerAdvanced", add_noise="disable", noise_seed=0, latent_image=(first, 0), start_at_step=3,
                   end_at_step=10000, return_with_leftover_noise="disable", **shared)  # fmt: skip
    return base.save((second, 0))


def custom(how: str) -> Graph:
    base = begin()
    g = base.graph
    select = g.add("KSamplerSelect", sampler_name="dpmpp_2m")
    if how == "karras":
        sigmas = g.add("KarrasScheduler", steps=3, sigma_max=14.614642, sigma_min=0.0291675, rho=7.0)
    else:
        sigmas = g.add("BasicScheduler", model=base.model, scheduler="sgm_uniform", steps=4, denoise=1.0)
    shared: dict[str, Any] = {"model": base.model, "positive": base.positive, "negative": base.negative,
                              "sampler": (select, 0), "cfg": 5.0}  # fmt: skip
    if how != "split":
        made = g.add("SamplerCustom", add_noise=True, noise_seed=9, sigmas=(sigmas, 0), latent_image=base.blank(),
                     **shared)  # fmt: skip
        return base.save((made, 0))
    parts = g.add("SplitSigmas", sigmas=(sigmas, 0), step=2)
    first = g.add("SamplerCustom", add_noise=True, noise_seed=9, sigmas=(parts, 0), latent_image=base.blank(), **shared)
    second = g.add("SamplerCustom", add_noise=False, noise_seed=0, sigmas=(parts, 1), latent_image=(first, 0), **shared)
    return base.save((second, 0))


def refiner() -> Graph:
    base = begin("sdxl")
    g = base.graph
    other = g.add("CheckpointLoaderSimple", ckpt_name="sdxl-refiner")
    positive = g.add("CLIPTextEncode", text="a red fox, (snow:1.2)", clip=(other, 1))
    negative = g.add("CLIPTextEncodeSDXLRefiner", ascore=2.5, width=1024, height=1024, text="blurry", clip=(other, 1))
    shared: dict[str, Any] = {"cfg": 8.0, "steps": 5, "sampler_name": "euler", "scheduler": "normal"}
    first = g.add("KSamplerAdvanced", add_noise="enable", noise_seed=7, latent_image=base.blank(), start_at_step=0,
                  end_at_step=4, return_with_leftover_noise="enable", model=base.model, positive=base.positive,
                  negative=base.negative, **shared)  # fmt: skip
    second = g.add("KSamplerAdvanced", add_noise="disable", noise_seed=0, latent_image=(first, 0), start_at_step=4,
                   end_at_step=10000, return_with_leftover_noise="disable", model=(other, 0), positive=(positive, 0),
                   negative=(negative, 0), **shared)  # fmt: skip
    base.vae = (other, 2)
    return base.save((second, 0))


def sizes() -> Graph:
    base = begin("sdxl")
    g = base.graph
    base.positive = g.add("CLIPTextEncodeSDXL", clip=base.clip, width=1024, height=1024, crop_w=8, crop_h=0,
                          target_width=64, target_height=64, text_g="a fox", text_l="a red fox"), 0  # fmt: skip
    base.negative = g.add("ConditioningZeroOut", conditioning=base.positive), 0
    return base.save(base.sampled(base.blank(), scheduler="exponential"))


def turbo() -> Graph:
    base = begin("sdxl-turbo")
    g = base.graph
    select = g.add("KSamplerSelect", sampler_name="euler_ancestral")
    sigmas = g.add("SDTurboScheduler", model=base.model, steps=2, denoise=1.0)
    blank = base.blank()
    made = g.add("SamplerCustom", model=base.model, add_noise=True, noise_seed=3, cfg=1.0, positive=base.positive,
                 negative=base.negative, sampler=(select, 0), sigmas=(sigmas, 0), latent_image=blank)  # fmt: skip
    return base.save((made, 0))


def sd3(how: str) -> Graph:
    base = begin("sd3")
    g = base.graph
    model = g.add("ModelSamplingSD3", model=base.model, shift=2.5)
    base.model = (model, 0)
    if how == "three":
        clip = g.add("TripleCLIPLoader", clip_name1="clip_g.safetensors", clip_name2="clip_l.safetensors",
                     clip_name3="t5xxl_fp16.safetensors")  # fmt: skip
        base.positive = g.add("CLIPTextEncodeSD3", clip=(clip, 0), clip_l="a fox", clip_g="a fox", t5xxl="a red fox",
                              empty_padding="none"), 0  # fmt: skip
    return base.save(base.sampled(base.blank(kind="EmptySD3LatentImage"), scheduler="sgm_uniform"))


def flux(name: str, how: str = "advanced") -> Graph:
    g = Graph()
    unet = g.add("UNETLoader", unet_name=name, weight_dtype="default")
    clip = g.add("DualCLIPLoader", clip_name1="t5xxl_fp16.safetensors", clip_name2="clip_l.safetensors", type="flux")
    vae = g.add("VAELoader", vae_name="ae.safetensors")
    base = Base(g, (unet, 0), (clip, 0), (vae, 0), ("", 0), ("", 0))
    blank = g.add("EmptySD3LatentImage", width=64, height=64, batch_size=1)
    if how == "ksampler":
        text = g.add("CLIPTextEncodeFlux", clip=(clip, 0), clip_l="a fox", t5xxl="a red fox", guidance=4.0)
        base.positive, base.negative = (text, 0), (g.add("ConditioningZeroOut", conditioning=(text, 0)), 0)
        return base.save(base.sampled((blank, 0), cfg=1.0, scheduler="simple"))
    text = g.add("CLIPTextEncode", text="a red fox", clip=(clip, 0))
    guidance = g.add("FluxGuidance", conditioning=(text, 0), guidance=3.5)
    sampling = g.add("ModelSamplingFlux", model=(unet, 0), max_shift=1.15, base_shift=0.5, width=64, height=64)
    model = (sampling, 0) if how == "advanced" else (unet, 0)
    guider = g.add("BasicGuider", model=model, conditioning=(guidance, 0))
    select = g.add("KSamplerSelect", sampler_name="euler")
    sigmas = g.add("BasicScheduler", model=model, scheduler="simple", steps=3, denoise=1.0 if how != "img2img" else 0.6)
    noise = g.add("RandomNoise", noise_seed=219670278747233)
    latent = (blank, 0)
    if how == "img2img":
        latent = g.add("VAEEncode", pixels=(g.add("LoadImage", image="input.png"), 0), vae=(vae, 0)), 0
    made = g.add("SamplerCustomAdvanced", noise=(noise, 0), guider=(guider, 0), sampler=(select, 0), sigmas=(sigmas, 0),
                 latent_image=latent)  # fmt: skip
    return base.save((made, 0))


def real_primitives() -> Graph:
    base = begin()
    g = base.graph
    steps, text = g.add("PrimitiveInt", value=3), g.add("PrimitiveStringMultiline", value="a white fox")
    base.positive = g.add("CLIPTextEncode", text=(text, 0), clip=base.clip), 0
    return base.save(base.sampled(base.blank(), steps=(steps, 0)))


def unknown() -> Graph:
    base = begin()
    latent = base.sampled(base.blank())
    decoded = base.graph.add("VAEDecode", samples=latent, vae=base.vae)
    larger = base.graph.add("UltimateSDUpscale", image=(decoded, 0), model=base.model, upscale_by=2.0, seed=5)
    base.graph.add("SaveImage", images=(larger, 0), filename_prefix="ComfyUI")
    return base.graph


def left_out() -> Graph:
    base = begin()
    model = base.graph.add("FreeU_V2", model=base.model, b1=1.3, b2=1.4, s1=0.9, s2=0.2)
    rescaled = base.graph.add("RescaleCFG", model=(model, 0), multiplier=0.7)
    base.model = (rescaled, 0)
    return base.save(base.sampled(base.blank()))


def pictures_as_prompts() -> Graph:
    base = begin()
    g = base.graph
    vision = g.add("CLIPVisionLoader", clip_name="clip_vision_g.safetensors")
    seen = g.add("CLIPVisionEncode", clip_vision=(vision, 0), image=(base.picture(), 0), crop="center")
    base.positive = g.add("unCLIPConditioning", conditioning=base.positive, clip_vision_output=(seen, 0), strength=1.0,
                          noise_augmentation=0.1), 0  # fmt: skip
    return base.save(base.sampled(base.blank()))


def outpaint() -> Graph:
    base = begin()
    g = base.graph
    padded = g.add("ImagePadForOutpaint", image=(base.picture(), 0), left=0, top=0, right=64, bottom=0, feathering=8)
    latent = g.add("VAEEncodeForInpaint", pixels=(padded, 0), vae=base.vae, mask=(padded, 1), grow_mask_by=0)
    return base.save(base.sampled((latent, 0)))


def embedding() -> Graph:
    base = begin()
    base.positive = base.graph.add("CLIPTextEncode", text="a fox, embedding:cat-toy, snow", clip=base.clip), 0
    return base.save(base.sampled(base.blank()))


def batch() -> Graph:
    base = begin()
    return base.save(base.sampled(base.blank(batch=3)))
