"""The graphs that the views are shown on: each is a picture written as one line a node."""

from engine.views.model import Box, Picture, Port, Wire

SOCKETS = {
    "model": "MODEL",
    "text_encoder": "TEXT ENCODER",
    "vae": "VAE",
    "positive": "CONDITIONING",
    "negative": "CONDITIONING",
    "conditioning": "CONDITIONING",
    "latent": "LATENT",
    "image": "IMAGE",
    "mask": "MASK",
}
LOADER = "model text_encoder vae"


def drawn(*nodes: str) -> Picture:
    """A picture from lines such as `decode VAEDecode latent=denoise.latent vae=base.vae -> image`."""
    boxes, wires = [], []
    for node in nodes:
        left, _, outputs = node.partition(" ->")
        name, kind, *links = left.split()
        inputs = []
        for link in links:
            port, _, origin = link.partition("=")
            inputs.append(_port(port))
            if origin:
                wires.append(Wire(*origin.split("."), name, port))
        boxes.append(Box(name, kind, tuple(inputs), tuple(_port(o) for o in outputs.split())))
    return Picture(tuple(boxes), tuple(wires))


def _port(name: str) -> Port:
    return Port(name, SOCKETS.get(name, name.rstrip("0123456789").upper()))


def sampler(name: str, model: str, positive: str, negative: str, latent: str) -> str:
    links = f"model={model}.model positive={positive}.conditioning negative={negative}.conditioning"
    return f"{name} KSampler {links} latent={latent}.latent -> latent"


SDXL = drawn(
    f"base LoadCheckpoint -> {LOADER}",
    "positive TextEncode text_encoder=base.text_encoder -> conditioning",
    "negative TextEncode text_encoder=base.text_encoder -> conditioning",
    "schedule NoiseSchedule model=base.model -> schedule",
    "sampler Sampler -> sampler",
    "noise Noise -> noise",
    "blank EmptyLatent model=base.model -> latent",
    "guide CFG model=base.model positive=positive.conditioning negative=negative.conditioning -> guider",
    "denoise UNetDenoise guider=guide.guider schedule=schedule.schedule sampler=sampler.sampler noise=noise.noise"
    " latent=blank.latent -> latent",
    "decode VAEDecode vae=base.vae latent=denoise.latent -> image",
    "save SaveImage image=decode.image",
)

REFINER = drawn(
    f"base LoadCheckpoint -> {LOADER}",
    f"refiner LoadCheckpoint -> {LOADER}",
    "lora LoRALoad model=base.model text_encoder=base.text_encoder -> model text_encoder",
    "pos TextEncode text_encoder=lora.text_encoder -> conditioning",
    "neg TextEncode text_encoder=lora.text_encoder -> conditioning",
    "rpos TextEncode text_encoder=refiner.text_encoder -> conditioning",
    "rneg TextEncode text_encoder=refiner.text_encoder -> conditioning",
    "blank EmptyLatent -> latent",
    sampler("first", "lora", "pos", "neg", "blank"),
    sampler("second", "refiner", "rpos", "rneg", "first"),
    "decode VAEDecode latent=second.latent vae=base.vae -> image",
    "save SaveImage image=decode.image",
)


def _large() -> Picture:
    """42 nodes: one base, five regions with their own LoRA, prompts and sampler, joined and refined in turn."""
    nodes = [f"base LoadCheckpoint -> {LOADER}", "blank EmptyLatent -> latent"]
    latent = "blank"
    for i in range(1, 6):
        nodes += [
            f"lora{i} LoRALoad model=base.model text_encoder=base.text_encoder -> model text_encoder",
            f"pos{i} TextEncode text_encoder=lora{i}.text_encoder -> conditioning",
            f"neg{i} TextEncode text_encoder=lora{i}.text_encoder -> conditioning",
            f"photo{i} LoadImage -> image mask",
            f"net{i} ControlNetApply model=lora{i}.model image=photo{i}.image -> model",
            sampler(f"pass{i}", f"net{i}", f"pos{i}", f"neg{i}", latent),
            f"view{i} VAEDecode latent=pass{i}.latent vae=base.vae -> image",
        ]
        latent = f"pass{i}"
    views = " ".join(f"image{i}=view{i}.image" for i in range(1, 6))
    nodes += [
        f"grid ImageGrid {views} -> image",
        "save-grid SaveImage image=grid.image",
        "hires Upscale image=view5.image -> image",
        "save SaveImage image=hires.image",
        "sheet SaveImage image=view5.image",
    ]
    return drawn(*nodes)


def layered_grid(count: int) -> Picture:
    """`count` nodes in which each takes values from three earlier ones, near and far."""
    nodes = []
    for i in range(count):
        links = {f"in{k}": i - back for k, back in enumerate((1 + i % 3, 5 + i % 4, 17 + i % 11)) if i >= back}
        nodes.append(f"n{i} Node " + " ".join(f"{k}=n{s}.latent" for k, s in links.items()) + " -> latent")
    return drawn(*nodes)


PICTURES = {
    "none": drawn(),
    "one": drawn("blank EmptyLatent -> latent"),
    "chain": drawn(
        "photo LoadImage -> image mask",
        "edges ControlImage image=photo.image -> image",
        "grid ImageGrid image=edges.image -> image",
        "save SaveImage image=grid.image",
    ),
    "diamond": drawn(
        "top Load -> image",
        "left Blur image=top.image -> image",
        "right Sharpen image=top.image -> image",
        "bottom Blend image1=left.image image2=right.image -> image",
    ),
    "multi-edges": drawn(
        f"base LoadCheckpoint -> {LOADER}",
        "lora LoRALoad model=base.model text_encoder=base.text_encoder -> model text_encoder",
        "mix ModelMix vae=base.vae model1=lora.model model2=lora.model text_encoder=lora.text_encoder -> model",
    ),
    "cycle": drawn(
        "seed Noise -> noise",
        "a Mix noise=seed.noise latent=c.latent -> latent",
        "b Mix latent=a.latent vae=gone.vae -> latent",
        "c Mix latent=b.latent image=c.latent -> latent",
    ),
    "fan-out": drawn(
        "photo LoadImage -> image mask",
        *(f"save{i} SaveImage image=photo.image" for i in range(5)),
        "cut Crop image=photo.image mask=photo.mask -> image",
    ),
    "sdxl": SDXL,
    "refiner": REFINER,
    "large": _large(),
}
