"""What is sampled with what: models by their recipes, and guiders over them. Importing this file imports no tensors.

A recipe says how to get a part of a model, without its weights. It compares by value, hashes, prints and turns into
JSON.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from diffusion.types import Conditioning, Picture, Prediction, ScheduleConfig

Hint = Literal["pixels", "latent", "unshifted latent"]
"""What a ControlNet sees of its picture."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A change to what a model computes, such as a LoRA: kind, file, its digest, settings, and pictures to follow."""

    kind: str
    source: str
    digest: str = ""
    settings: tuple[tuple[str, float | str], ...] = ()
    pictures: tuple[Picture, ...] = ()

    def has(self, name: str) -> bool:
        """Whether a setting is there."""
        return name in dict(self.settings)

    def number(self, name: str, default: float) -> float:
        """A setting that is a number."""
        return float(dict(self.settings).get(name, default))

    def text(self, name: str, default: str = "") -> str:
        """A setting that is a text."""
        return str(dict(self.settings).get(name, default))


@dataclass(frozen=True, slots=True)
class ControlNetRecipe:
    """How to get a network that steers a denoiser by a picture. family: of the denoisers that it fits.

    hint: what it sees of the picture; an unshifted latent is one without its VAE's shift_factor.
    modes: how many kinds of pictures a union net knows; 0 for one that knows its own only.
    """

    family: str
    source: str
    digest: str = ""
    dtype: str = "auto"
    variant: str = ""
    config: str = ""
    hint: Hint = "pixels"
    modes: int = 0


@dataclass(frozen=True, slots=True)
class Control:
    """A ControlNet and the picture it follows.

    strength: what its output is multiplied with. start, end: the part of the whole schedule, 0 … 1, in which it acts.
    vae: what makes a latent of the picture, for the families whose ControlNets see one. mode: for a union net, which
    kind of picture it is. guess: act on the positive alone, and less on the first blocks.
    """

    net: ControlNetRecipe
    picture: Picture
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    vae: VAERecipe | None = None
    mode: int | None = None
    guess: bool = False


@dataclass(frozen=True, slots=True)
class ModelRecipe:
    """How to get a denoiser, without its weights.

    family: the adapter that knows what the network is fed. source: folder or file. digest: of the weights.
    dtype: float32, bfloat16, float16, or auto. prediction: what the output means.
    space, channels, factor: the latent space; a picture of H x W is a latent of H / factor x W / factor.
    height, width: the picture size it was made for, in pixels. multiple: what any size must be a multiple of.
    sampler: what the kind "model" stands for.
    clip: its data lie in -1 … 1, so what it takes for x0 is clipped to that.
    zero_negative: with nothing to push away from it takes zeros, and not an empty text.
    inpaints: its network sees a mask and a covered picture beside the latent (`diffusion.inpaint`).
    class_names: what a class-conditional model was taught, in the order of its labels.
    patches: what changes its weights. controls: what steers it beside the text.
    variant: of the weight files, such as fp16; empty for the plain ones, or the only ones there are.
    config: the folder that says how to read a single file: its configurations and tokenizers; empty for a folder.
    """

    family: str
    source: str
    digest: str = ""
    dtype: str = "auto"
    prediction: Prediction = "epsilon"
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    space: str = "pixel"
    channels: int = 3
    factor: int = 1
    height: int = 512
    width: int = 512
    multiple: int = 8
    sampler: str = "ddpm"
    clip: bool = False
    zero_negative: bool = False
    inpaints: bool = False
    class_names: tuple[str, ...] = ()
    patches: tuple[Patch, ...] = ()
    controls: tuple[Control, ...] = ()
    variant: str = ""
    config: str = ""


def without_strengths(model: ModelRecipe) -> ModelRecipe:
    """The model without what may differ within a batch: strengths of all kinds, and pictures of ControlNets."""
    left_out = ("strength", "text_strength")
    patches = tuple(
        replace(p, settings=tuple(one for one in p.settings if one[0] not in left_out)) for p in model.patches
    )
    controls = tuple(replace(c, strength=1.0, picture=replace(c.picture, digest="")) for c in model.controls)
    return replace(model, patches=patches, controls=controls)


@dataclass(frozen=True, slots=True)
class TextEncoderRecipe:
    """How to get what turns text into conditioning. class_names: the words it knows, if it is a table of labels."""

    family: str
    source: str
    digest: str = ""
    dtype: str = "auto"
    class_names: tuple[str, ...] = ()
    patches: tuple[Patch, ...] = ()
    variant: str = ""
    config: str = ""


@dataclass(frozen=True, slots=True)
class VAERecipe:
    """How to get what turns latents into pictures and back. channels: of its latents."""

    family: str
    source: str
    digest: str = ""
    dtype: str = "auto"
    space: str = "pixel"
    channels: int = 3
    factor: int = 1
    variant: str = ""
    config: str = ""


@dataclass(frozen=True, slots=True)
class ImageEncoderRecipe:
    """How to get what turns pictures into embeddings for an IP-Adapter: a folder with CLIP's vision model."""

    source: str
    digest: str = ""
    dtype: str = "auto"
    family: str = "clip-vision"
    variant: str = ""
    config: str = ""


@dataclass(frozen=True, slots=True)
class LoRAFile:
    """A file with a LoRA, and the digest of its content."""

    source: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class EmbeddingFile:
    """A file with the embeddings of a word (textual inversion), and the digest of its content."""

    source: str
    digest: str = ""


def lora_of(file: Path) -> LoRAFile:
    """The LoRA in a file."""
    return LoRAFile(str(file), _digest_of(file))


def embedding_of(file: Path) -> EmbeddingFile:
    """The word in a file."""
    return EmbeddingFile(str(file), _digest_of(file))


def _digest_of(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


Recipe = ModelRecipe | TextEncoderRecipe | VAERecipe | ControlNetRecipe | ImageEncoderRecipe


@dataclass(frozen=True, slots=True)
class Method:
    """A way of guiding other than plain classifier-free guidance.

    kind: known to `diffusion.guiders`, which says what it takes. settings: of the kind, by name. start, stop: the part
    of the whole schedule, 0 … 1, in which it pushes away from a worse model. worse: that model, where it is another.
    """

    kind: str
    settings: tuple[tuple[str, float | str], ...] = ()
    start: float = 0.0
    stop: float = 1.0
    worse: ModelRecipe | None = None


@dataclass(frozen=True, eq=False)
class Guider:
    """A model told what to draw, by guidance (see `diffusion.guidance`).

    positive, negative: None where the model is to run without a condition.
    scale: w. rescale: 0 … 1. start, stop: the part of the whole schedule, 0 … 1, in which it guides.
    method: None for classifier-free guidance. third: one condition more, for the methods that ask for it.
    """

    model: ModelRecipe
    positive: Conditioning | None = None
    negative: Conditioning | None = None
    scale: float = 1.0
    rescale: float = 0.0
    start: float = 0.0
    stop: float = 1.0
    method: Method | None = None
    third: Conditioning | None = None


def text_encoder_of(model: ModelRecipe) -> TextEncoderRecipe:
    """The text encoder that a denoiser came with, with what the denoiser's patches change in it."""
    patches = tuple(
        Patch(patch.kind, patch.source, patch.digest, (("strength", patch.number("text_strength", 1.0)),))
        for patch in model.patches
        if patch.has("text_strength")
    )
    return TextEncoderRecipe(
        model.family,
        model.source,
        model.digest,
        model.dtype,
        patches=patches,
        variant=model.variant,
        config=model.config,
    )


def unfit(recipe: ModelRecipe, table: str) -> str:
    """Why a model cannot be sampled on the levels of a table (a kind of `diffusion.schedule`); empty if it can."""
    if (recipe.prediction == "flow") == (table == "flow") or recipe.prediction not in ("flow", "v"):
        return ""
    fitting = "a flow schedule" if recipe.prediction == "flow" else "linear, scaled_linear or cosine"
    return f"a model that predicts {recipe.prediction} needs {fitting}, not {table}"


def picture_size(recipe: ModelRecipe, width: int | None = None, height: int | None = None) -> tuple[int, int]:
    """Width and height in pixels, the model's own where they are None. ValueError for what the model cannot make."""
    width, height = width or recipe.width, height or recipe.height
    for name, side in (("width", width), ("height", height)):
        if side < 1 or side % recipe.multiple:
            below = max(side // recipe.multiple, 1) * recipe.multiple
            near = ", ".join(str(n) for n in dict.fromkeys((below, below + recipe.multiple)))
            raise ValueError(f"{name} must be a multiple of {recipe.multiple}, got {side}; nearest {near}")
    return width, height


def to_json(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain JSON values, with the name of its class under "recipe"."""
    return {"recipe": type(recipe).__name__, **asdict(recipe)}


def from_json(value: Mapping[str, Any]) -> Recipe:
    """The recipe that `to_json` wrote. Raises ValueError if it names no recipe, or has other fields."""
    fields = dict(value)
    name = fields.pop("recipe", None)
    known = (ModelRecipe, TextEncoderRecipe, VAERecipe, ControlNetRecipe)
    kinds: dict[object, type[Recipe]] = {k.__name__: k for k in known}
    try:
        if "schedule" in fields:
            fields["schedule"] = ScheduleConfig(**fields["schedule"])
        if "class_names" in fields:
            fields["class_names"] = tuple(fields["class_names"])
        if fields.get("controls"):
            raise ValueError("a model with ControlNets")
        fields.pop("controls", None)
        if "patches" in fields:
            if any(patch.get("pictures") for patch in fields["patches"]):
                raise ValueError("a model that follows pictures")
            patches = [{**p, "settings": tuple((k, v) for k, v in p["settings"])} for p in fields["patches"]]
            fields["patches"] = tuple(Patch(**{**p, "pictures": ()}) for p in patches)
        return kinds[name](**fields)
    except (KeyError, TypeError) as err:
        raise ValueError(f"not a recipe: {err}") from err
