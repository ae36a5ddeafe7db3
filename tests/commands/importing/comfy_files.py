"""ComfyUI files for the tests: a graph is written down once, and becomes a file of either format.

`Graph.api` is what ComfyUI would run, and so the answer; `Graph.ui` is a canvas that means the same, to which
functions of `traps` then do what people and older versions of ComfyUI do.
"""

from dataclasses import dataclass, field
from typing import Any

Ref = tuple[str, int]

SOCKETS: dict[str, tuple[str, str]] = {
    # type: links as name=TYPE, then the widgets in the order of the editor; "seed" is followed by its control
    "CheckpointLoaderSimple": ("", "ckpt_name > MODEL CLIP VAE"),
    "UNETLoader": ("", "unet_name weight_dtype > MODEL"),
    "CLIPLoader": ("", "clip_name type > CLIP"),
    "DualCLIPLoader": ("", "clip_name1 clip_name2 type > CLIP"),
    "TripleCLIPLoader": ("", "clip_name1 clip_name2 clip_name3 > CLIP"),
    "VAELoader": ("", "vae_name > VAE"),
    "LoraLoader": ("model=MODEL clip=CLIP", "lora_name strength_model strength_clip > MODEL CLIP"),
    "LoraLoaderModelOnly": ("model=MODEL", "lora_name strength_model > MODEL"),
    "ControlNetLoader": ("", "control_net_name > CONTROL_NET"),
    "UpscaleModelLoader": ("", "model_name > UPSCALE_MODEL"),
    "CLIPTextEncode": ("clip=CLIP", "text > CONDITIONING"),
    "CLIPSetLastLayer": ("clip=CLIP", "stop_at_clip_layer > CLIP"),
    "CLIPTextEncodeSDXL": (
        "clip=CLIP",
        "width height crop_w crop_h target_width target_height text_g text_l > CONDITIONING",
    ),
    "CLIPTextEncodeSDXLRefiner": ("clip=CLIP", "ascore width height text > CONDITIONING"),
    "CLIPTextEncodeFlux": ("clip=CLIP", "clip_l t5xxl guidance > CONDITIONING"),
    "CLIPTextEncodeSD3": ("clip=CLIP", "clip_l clip_g t5xxl empty_padding > CONDITIONING"),
    "FluxGuidance": ("conditioning=CONDITIONING", "guidance > CONDITIONING"),
    "ConditioningZeroOut": ("conditioning=CONDITIONING", "> CONDITIONING"),
    "ConditioningCombine": ("conditioning_1=CONDITIONING conditioning_2=CONDITIONING", "> CONDITIONING"),
    "ConditioningConcat": ("conditioning_to=CONDITIONING conditioning_from=CONDITIONING", "> CONDITIONING"),
    "ConditioningAverage": (
        "conditioning_to=CONDITIONING conditioning_from=CONDITIONING",
        "conditioning_to_strength > CONDITIONING",
    ),
    "ConditioningSetArea": ("conditioning=CONDITIONING", "width height x y strength > CONDITIONING"),
    "ConditioningSetAreaPercentage": ("conditioning=CONDITIONING", "width height x y strength > CONDITIONING"),
    "ConditioningSetMask": ("conditioning=CONDITIONING mask=MASK", "strength set_cond_area > CONDITIONING"),
    "ConditioningSetTimestepRange": ("conditioning=CONDITIONING", "start end > CONDITIONING"),
    "ControlNetApply": ("conditioning=CONDITIONING control_net=CONTROL_NET image=IMAGE", "strength > CONDITIONING"),
    "ControlNetApplyAdvanced": (
        "positive=CONDITIONING negative=CONDITIONING control_net=CONTROL_NET image=IMAGE vae=VAE",
        "strength start_percent end_percent > CONDITIONING CONDITIONING",
    ),
    "InpaintModelConditioning": (
        "positive=CONDITIONING negative=CONDITIONING vae=VAE pixels=IMAGE mask=MASK",
        "noise_mask > CONDITIONING CONDITIONING LATENT",
    ),
    "Canny": ("image=IMAGE", "low_threshold high_threshold > IMAGE"),
    "EmptyLatentImage": ("", "width height batch_size > LATENT"),
    "EmptySD3LatentImage": ("", "width height batch_size > LATENT"),
    "VAEDecode": ("samples=LATENT vae=VAE", "> IMAGE"),
    "VAEDecodeTiled": ("samples=LATENT vae=VAE", "tile_size overlap temporal_size temporal_overlap > IMAGE"),
    "VAEEncode": ("pixels=IMAGE vae=VAE", "> LATENT"),
    "VAEEncodeForInpaint": ("pixels=IMAGE vae=VAE mask=MASK", "grow_mask_by > LATENT"),
    "SetLatentNoiseMask": ("samples=LATENT mask=MASK", "> LATENT"),
    "LatentUpscale": ("samples=LATENT", "upscale_method width height crop > LATENT"),
    "LatentUpscaleBy": ("samples=LATENT", "upscale_method scale_by > LATENT"),
    "RepeatLatentBatch": ("samples=LATENT", "amount > LATENT"),
    "KSampler": (
        "model=MODEL positive=CONDITIONING negative=CONDITIONING latent_image=LATENT",
        "seed steps cfg sampler_name scheduler denoise > LATENT",
    ),
    "KSamplerAdvanced": (
        "model=MODEL positive=CONDITIONING negative=CONDITIONING latent_image=LATENT",
        "add_noise noise_seed steps cfg sampler_name scheduler start_at_step end_at_step "
        "return_with_leftover_noise > LATENT",
    ),
    "SamplerCustom": (
        "model=MODEL positive=CONDITIONING negative=CONDITIONING sampler=SAMPLER sigmas=SIGMAS latent_image=LATENT",
        "add_noise noise_seed cfg > LATENT LATENT",
    ),
    "SamplerCustomAdvanced": (
        "noise=NOISE guider=GUIDER sampler=SAMPLER sigmas=SIGMAS latent_image=LATENT",
        "> LATENT LATENT",
    ),
    "RandomNoise": ("", "noise_seed > NOISE"),
    "BasicGuider": ("model=MODEL conditioning=CONDITIONING", "> GUIDER"),
    "CFGGuider": ("model=MODEL positive=CONDITIONING negative=CONDITIONING", "cfg > GUIDER"),
    "KSamplerSelect": ("", "sampler_name > SAMPLER"),
    "BasicScheduler": ("model=MODEL", "scheduler steps denoise > SIGMAS"),
    "SDTurboScheduler": ("model=MODEL", "steps denoise > SIGMAS"),
    "KarrasScheduler": ("", "steps sigma_max sigma_min rho > SIGMAS"),
    "SplitSigmas": ("sigmas=SIGMAS", "step > SIGMAS SIGMAS"),
    "ModelSamplingFlux": ("model=MODEL", "max_shift base_shift width height > MODEL"),
    "ModelSamplingSD3": ("model=MODEL", "shift > MODEL"),
    "RescaleCFG": ("model=MODEL", "multiplier > MODEL"),
    "FreeU_V2": ("model=MODEL", "b1 b2 s1 s2 > MODEL"),
    "LoadImage": ("", "image upload > IMAGE MASK"),
    "LoadImageMask": ("", "image channel upload > MASK"),
    "SaveImage": ("images=IMAGE", "filename_prefix >"),
    "PreviewImage": ("images=IMAGE", ">"),
    "ImageScale": ("image=IMAGE", "upscale_method width height crop > IMAGE"),
    "ImageScaleBy": ("image=IMAGE", "upscale_method scale_by > IMAGE"),
    "ImageUpscaleWithModel": ("upscale_model=UPSCALE_MODEL image=IMAGE", "> IMAGE"),
    "ImageInvert": ("image=IMAGE", "> IMAGE"),
    "ImagePadForOutpaint": ("image=IMAGE", "left top right bottom feathering > IMAGE MASK"),
    "InvertMask": ("mask=MASK", "> MASK"),
    "GrowMask": ("mask=MASK", "expand tapered_corners > MASK"),
    "SolidMask": ("", "value width height > MASK"),
    "PrimitiveInt": ("", "value > INT"),
    "PrimitiveStringMultiline": ("", "value > STRING"),
    "UltimateSDUpscale": ("image=IMAGE model=MODEL", "upscale_by seed > IMAGE"),
    "CLIPVisionLoader": ("", "clip_name > CLIP_VISION"),
    "CLIPVisionEncode": ("clip_vision=CLIP_VISION image=IMAGE", "crop > CLIP_VISION_OUTPUT"),
    "unCLIPConditioning": (
        "conditioning=CONDITIONING clip_vision_output=CLIP_VISION_OUTPUT",
        "strength noise_augmentation > CONDITIONING",
    ),
}
"""The sockets of the editor, written down here by themselves: links first, widgets behind them."""

SEEDS = ("seed", "noise_seed")
MODEL, CLIP, VAE = 0, 1, 2


@dataclass
class Graph:
    """Nodes by id: (type, inputs), an input being a constant or a Ref."""

    nodes: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)

    def add(self, kind: str, _id: str = "", /, **inputs: Any) -> str:
        """A node; gives its id."""
        name = _id or str(len(self.nodes) + 3)
        assert name not in self.nodes
        self.nodes[name] = (kind, inputs)
        return name

    def api(self) -> dict[str, Any]:
        """The graph as ComfyUI runs it."""
        return {
            name: {
                "class_type": kind,
                "inputs": {key: list(v) if isinstance(v, tuple) else v for key, v in inputs.items()},
                "_meta": {"title": kind},
            }
            for name, (kind, inputs) in self.nodes.items()
        }

    def ui(self, control: Any = "randomize", sizes: str = "list") -> dict[str, Any]:
        """The graph on a canvas, as litegraph 0.4 writes it. control: what stands behind a seed; None for nothing."""
        links: list[list[Any]] = []
        nodes: list[dict[str, Any]] = []
        for i, (name, (kind, inputs)) in enumerate(self.nodes.items()):
            sockets, rest = SOCKETS[kind]
            widgets, _, outputs = (part.split() for part in rest.partition(">"))
            node: dict[str, Any] = {
                "id": int(name),
                "type": kind,
                "pos": [i * 300, 100],
                "size": [210, 60] if sizes == "list" else {"0": 210, "1": 60},
                "flags": {},
                "order": i,
                "mode": 0,
                "inputs": [],
                "outputs": [{"name": t, "type": t, "links": []} for t in outputs],
                "properties": {"Node name for S&R": kind},
            }
            for word in sockets.split():
                key, _, kind_of = word.partition("=")
                node["inputs"].append({"name": key, "type": kind_of, "link": None})
            values = []
            for widget in widgets:
                value = inputs.get(widget)
                if widget == "upload":
                    values.append("image")
                    continue
                if isinstance(value, tuple):
                    node["inputs"].append({"name": widget, "type": "*", "link": None, "widget": {"name": widget}})
                    value = 0
                values.append(value)
                if widget in SEEDS and control is not None:
                    values.append(control)
            node["widgets_values"] = values
            nodes.append(node)
            for slot, socket in enumerate(node["inputs"]):
                source = inputs.get(socket["name"])
                if isinstance(source, tuple):
                    link = [len(links) + 1, int(source[0]), source[1], int(name), slot, socket["type"]]
                    links.append(link)
                    socket["link"] = link[0]
        by_id = {node["id"]: node for node in nodes}
        for link in links:
            by_id[link[1]]["outputs"][link[2]]["links"].append(link[0])
        return {
            "last_node_id": max(by_id),
            "last_link_id": len(links),
            "nodes": nodes,
            "links": links,
            "groups": [],
            "config": {},
            "extra": {"ds": {"scale": 1.0, "offset": [0, 0]}},
            "version": 0.4,
        }


@dataclass
class Base:
    """A graph that has begun: where its model, text encoder, VAE, positive and negative stand."""

    graph: Graph
    model: Ref
    clip: Ref
    vae: Ref
    positive: Ref
    negative: Ref

    def save(self, latent: Ref, **more: Any) -> Graph:
        """The graph with a latent decoded and saved."""
        decode = self.graph.add("VAEDecode", samples=latent, vae=self.vae)
        self.graph.add("SaveImage", images=(decode, 0), filename_prefix="ComfyUI", **more)
        return self.graph

    def sampled(self, latent: Ref, **more: Any) -> Ref:
        """What a KSampler makes of a latent."""
        given: dict[str, Any] = {
            "seed": 42, "steps": 3, "cfg": 6.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            "model": self.model, "positive": self.positive, "negative": self.negative,
        }  # fmt: skip
        return self.graph.add("KSampler", latent_image=latent, **(given | more)), 0

    def blank(self, size: int = 64, batch: int = 1, kind: str = "EmptyLatentImage") -> Ref:
        """An empty latent."""
        return self.graph.add(kind, width=size, height=size, batch_size=batch), 0

    def picture(self) -> str:
        """A picture with a mask, from the file that the tests have."""
        return self.graph.add("LoadImage", image="input.png")


def begin(source: str = "sd15", clip: Ref | None = None) -> Base:
    """A checkpoint and two prompts."""
    graph = Graph()
    loaded = graph.add("CheckpointLoaderSimple", ckpt_name=source)
    encoder = clip or (loaded, CLIP)
    positive = graph.add("CLIPTextEncode", text="a red fox, (snow:1.2)", clip=encoder)
    negative = graph.add("CLIPTextEncode", text="blurry", clip=encoder)
    return Base(graph, (loaded, MODEL), encoder, (loaded, VAE), (positive, 0), (negative, 0))
