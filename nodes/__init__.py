"""weft's own nodes. One module a subject; each node is a thin layer over diffusion/, which it imports when it runs.

`PACK` is the table by which the engine finds a node's module without importing the others.
"""

from engine.registry import Pack, Registry

PACK = Pack(
    "weft",
    {
        "nodes.arrange": (
            "ImageBatch",
            "ImageBlend",
            "ImageComposite",
            "ImageCrop",
            "ImageFlip",
            "ImageFromBatch",
            "ImagePad",
            "LatentBatch",
            "LatentBlend",
            "LatentFromBatch",
        ),
        "nodes.condition": (
            "AverageCondition",
            "CombineCondition",
            "ConcatCondition",
            "ConditionArea",
            "ConditionMask",
            "ConditionRange",
        ),
        "nodes.control": ("ControlNetApply", "LoadControlNet"),
        "nodes.cost": ("CountFlops",),
        "nodes.data": ("DatasetImage", "Digits", "ImageFolder", "JoinDatasets", "Mnist", "Shapes"),
        "nodes.detect": ("ControlImage",),
        "nodes.evaluate": ("Classify", "FrechetDistance"),
        "nodes.guide": (
            "AdaptiveProjectedGuider",
            "AutoGuider",
            "CFG",
            "DualGuider",
            "FrequencyDecoupledGuider",
            "MagnitudeAwareGuider",
            "PerpNegGuider",
            "PerturbedAttentionGuider",
            "SkipLayerGuider",
            "SmoothedEnergyGuider",
            "TangentialGuider",
            "ZeroStarGuider",
        ),
        "nodes.image": ("ImageGrid", "LoadImage", "SaveImage", "Stopwatch"),
        "nodes.inpaint": ("InpaintLatent", "MaskLatent"),
        "nodes.learn": ("ForwardProcess", "PlotSchedule"),
        "nodes.learn_control": ("TrainControlNet",),
        "nodes.learn_inversion": ("SaveTextualInversion", "TrainTextualInversion"),
        "nodes.learn_lora": ("SaveLoRA", "TrainLoRA"),
        "nodes.learn_models": ("NewFlux", "NewSDXL", "TrainTextToImage", "TrainVAE"),
        "nodes.load": ("LoadCheckpoint",),
        "nodes.load_vae": ("LoadVAE",),
        "nodes.mask": (
            "BlurMask",
            "FeatherMask",
            "GrowMask",
            "ImageFromMask",
            "InvertMask",
            "MaskCombine",
            "MaskFromImage",
            "RectangleMask",
            "SolidMask",
        ),
        "nodes.merge": ("MergeModels",),
        "nodes.patch": ("IPAdapterApply", "LoRALoad", "TextualInversion"),
        "nodes.prompt": ("PromptTemplate",),
        "nodes.sample": ("EmptyLatent", "Noise", "Sampler", "UNetDenoise"),
        "nodes.save_model": ("SaveModel",),
        "nodes.scale": ("ImageScale", "LatentScale", "UpscaleImage"),
        "nodes.schedule": ("CutSchedule", "NoiseSchedule"),
        "nodes.text": ("FluxGuidance", "SizeCondition", "TextEncode", "ZeroCondition"),
        "nodes.train": ("PlotLoss", "TrainDDPM", "TrainDiT"),
        "nodes.vae": ("VAEDecode", "VAEEncode"),
        "nodes.values": ("Calculate", "Integer", "JoinText", "Number", "SaveText", "Text"),
    },
    packages=("nodes", "diffusion", "engine"),
    machine="nodes.machine:MACHINE",
)


def registry() -> Registry:
    """weft's own nodes, and those of other installed packs where a name is not among them."""
    return Registry([PACK], entry_points=True)
