"""Patches: what changes a model and keeps its weights. What travels on is a recipe that names the files."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from diffusion.recipes import ModelRecipe, Patch, TextEncoderRecipe, text_encoder_of
from diffusion.types import Picture
from engine.context import Context
from engine.errors import Place, Problem, error
from engine.node import Input, Node
from engine.spec import FilesOf
from engine.text import quoted
from nodes.compute import fitting
from nodes.files import find_file, find_folder
from nodes.sockets import EmbeddingFile, Image, LoRAFile, Model, TextEncoder

R = TypeVar("R", ModelRecipe, TextEncoderRecipe)
_PATCHED = (ModelRecipe, TextEncoderRecipe)


def _file_of(wanted: str) -> FilesOf:
    """What finds a .safetensors file of a kind in `diffusion.identify.KINDS`, its header read.

    It raises E-NOTFOUND, E-PICKLE, E-MODEL for a damaged file, and E-ARCH for one of another kind.
    """

    def find(source: str, folder: Path, allowed: Sequence[Path] = ()) -> list[Path]:
        from diffusion import header
        from diffusion.identify import KINDS, identify

        path = find_file(source, folder, wanted)
        try:
            what = identify(path)
        except header.PickleError as why:
            hint = f"weft convert {source} explains the risk"
            raise error(Problem("E-PICKLE", f"{quoted(source)} is a pickle; not loaded", hint, exit_code=5)) from why
        except header.DamagedError as why:
            raise error(Problem("E-MODEL", str(why), "get it again")) from why
        if what.what != wanted:
            raise error(Problem("E-ARCH", f"{quoted(source)} is {what}, not {KINDS[wanted][0]}", what.hint))
        return [path]

    return find


def _adapter_files(source: str, folder: Path, allowed: Sequence[Path] = (), image_encoder: object = None) -> list[Path]:
    """The files of an IP-Adapter and of its image encoder. Raises as `_file_of`, and E-NOTFOUND for the encoder."""
    (path,) = _file_of("ip-adapter")(source, folder, allowed)
    encoder = _encoder_of(path, image_encoder, folder)
    files = [encoder / "config.json", encoder / "model.safetensors"]
    for file in files:
        if not file.is_file():
            hint = "set image_encoder to the folder of the image encoder that comes with the adapter"
            raise error(Problem("E-NOTFOUND", f"{file} is missing", hint, exit_code=3))
    return [path, *files]


def _encoder_of(path: Path, image_encoder: object, folder: Path) -> Path:
    """The folder of an image encoder: the one that is named, or "image_encoder" beside the adapter."""
    return find_folder(image_encoder, folder) if isinstance(image_encoder, str) else path.parent / "image_encoder"


def check_weights(**recipes: object) -> None:
    """E-ARCH for what is on a model or text encoder and cannot become part of its weights. recipes: by input."""
    from diffusion.patch_check import no_weights

    hint = "link what comes before it, and apply it again to what is written"
    for name, recipe in recipes.items():
        found = [no_weights(patch) for patch in recipe.patches] if isinstance(recipe, _PATCHED) else []
        if isinstance(recipe, ModelRecipe) and recipe.controls:
            found.append("a ControlNet steers this model, which cannot become part of its weights")
        for why in filter(None, found):
            raise error(Problem("E-ARCH", why, hint, Place(input=name)))


class LoRA(NamedTuple):
    """A model and its text encoder with a LoRA."""

    model: Model
    text_encoder: TextEncoder


class LoRALoad(Node):
    """y = W x + s (alpha / r) B A x: a LoRA, a low-rank change beside the weights of a model (Hu et al. 2021).

    s is strength: 0 the model as it is, 1 what was trained, below 0 away from it. A (r, in) and B (out, r) come from
    the file, as diffusers, peft or kohya's sd-scripts write it; alpha is fixed in training. Several LoRAs add up,
    whatever their order. Where the text encoder is linked, what the file has for it acts there with text_strength; then
    texts must be encoded with the output. Where it is not, the LoRA acts on the model alone, and the output is the
    model's own text encoder. start and end are the part of the schedule in which it acts on the model.

    Different strengths of a model's LoRA are one batch in a sweep; weights are never merged, so taking the node away
    gives the same bits as before.
    """

    version = 1
    cached = False
    model: Model
    text_encoder: TextEncoder | None = None
    source: str | None = Input(
        None, about="a .safetensors file, or owner/name/file in the hub's cache", files=_file_of("lora")
    )
    lora: LoRAFile | None = Input(None, about="or what TrainLoRA made")
    strength: float = Input(1.0, ge=-20, le=20, about="s")
    text_strength: float | None = Input(None, ge=-20, le=20, about="s of the text encoder; default: strength")
    start: float = Input(0.0, ge=0, le=1, about="where on the schedule it begins to act")
    end: float = Input(1.0, ge=0, le=1, about="where on the schedule it stops")

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """Model and text encoder. E-ARCH for a LoRA that was made for another model."""
        from diffusion.patch_check import check_lora

        model, encoder = known.get("model"), known.get("text_encoder")
        if not isinstance(model, ModelRecipe):
            return {}
        _one_of(known, "lora", "LoRA")
        source = known.get("source")
        if isinstance(source, str):
            with fitting():
                check_lora(find_file(source, folder, "lora"), model)
        return {"model": model, "text_encoder": encoder or text_encoder_of(model)}

    def run(self, ctx: Context) -> LoRA:
        from diffusion.patch_check import check_lora

        path = _path(self.source, "lora", self.lora, "LoRA", ctx)
        with fitting():
            check_lora(path, self.model)
        text = self.strength if self.text_strength is None else self.text_strength
        settings: dict[str, float | str] = {"strength": self.strength, "start": self.start, "end": self.end}
        if self.text_encoder is not None:
            settings["text_strength"] = text
        model = _patched(self.model, _patch("lora", path, **settings))
        if self.text_encoder is None:
            return LoRA(model, text_encoder_of(self.model))
        return LoRA(model, _patched(self.text_encoder, _patch("lora", path, strength=text)))


class TextualInversion(Node):
    """v = argmin E |eps - eps_theta(x_t, c(v))|^2: a word with embeddings learned from pictures (Gal et al. 2022).

    A prompt that says the token is read with its n vectors in that place. The file is one of diffusers, of
    stable-diffusion-webui (emb_params), or of SDXL with vectors for both encoders (clip_l, clip_g). What other programs
    write as embedding:name is the token name here.
    """

    version = 1
    cached = False
    text_encoder: TextEncoder
    source: str | None = Input(
        None, about="a .safetensors file, or owner/name/file in the hub's cache", files=_file_of("embedding")
    )
    embedding: EmbeddingFile | None = Input(None, about="or what TrainTextualInversion made")
    token: str | None = Input(None, about="what prompts call it; default: the name in the file, or that of the file")

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """Nothing. E-RANGE where no word is named, or two."""
        _one_of(known, "embedding", "word")
        return {}

    def run(self, ctx: Context) -> TextEncoder:
        path = _path(self.source, "embedding", self.embedding, "word", ctx)
        return _patched(self.text_encoder, _patch("inversion", path, token=self.token or ""))


class IPAdapterApply(Node):
    """y = Attention(q, K, V) + s Attention(q, K', V'): pictures as prompts (Ye et al. 2023, IP-Adapter).

    K and V are made from the text, K' and V' from what CLIP's vision model sees in the pictures; all pictures of the
    image are followed at once. s is strength, and start and end are the part of the schedule in which it acts. For
    U-Nets: Stable Diffusion and SDXL, plain adapters and plus. Several nodes add up.
    """

    version = 1
    cached = False
    model: Model
    source: str = Input(
        about="a .safetensors file, or owner/name/file in the hub's cache",
        files=_adapter_files,
        beside=("image_encoder",),
    )
    image: Image
    strength: float = Input(1.0, ge=-20, le=20, about="s")
    start: float = Input(0.0, ge=0, le=1, about="where on the schedule it begins to act")
    end: float = Input(1.0, ge=0, le=1, about="where on the schedule it stops")
    image_encoder: str | None = Input(None, about="the folder of CLIP's vision model; default: image_encoder beside it")

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The model. E-ARCH for an adapter that was made for another."""
        from diffusion.patch_check import check_ip_adapter

        model = known.get("model")
        if isinstance(model, ModelRecipe) and "source" in known:
            with fitting():
                check_ip_adapter(find_file(known["source"], folder, "ip-adapter"), model)
        return {"model": model} if isinstance(model, ModelRecipe) else {}

    def run(self, ctx: Context) -> Model:
        from diffusion.patch_check import check_ip_adapter

        folder = ctx.settings.folder
        path, *encoder = _adapter_files(self.source, folder, image_encoder=self.image_encoder)
        with fitting():
            check_ip_adapter(path, self.model)
        patch = _patch(
            "ip_adapter",
            path,
            strength=self.strength,
            start=self.start,
            end=self.end,
            encoder=str(encoder[0].parent),
            encoder_digest=_identity(encoder),
        )
        return _patched(self.model, replace(patch, pictures=(_picture(self.image),)))


def _one_of(known: Mapping[str, Any], other: str, what: str) -> None:
    """E-RANGE where neither a source nor what a node made names a file, or both do. known: as in `Node.foresee`."""
    source, made = known.get("source", ...), known.get(other, ...)
    if (source is None) == (made is None):
        wrong = (
            f"neither source nor {other} says which {what}"
            if source is None
            else f"source and {other} both name a {what}"
        )
        raise error(Problem("E-RANGE", wrong, "give one of the two", Place(input="source")))


def _path(source: str | None, other: str, made: LoRAFile | EmbeddingFile | None, what: str, ctx: Context) -> Path:
    """The one file that a source or what a node made names; `other` is both the input and the kind of file."""
    _one_of({"source": source, other: made}, other, what)
    return Path(made.source) if made is not None else find_file(cast(str, source), ctx.settings.folder, other)


def _patch(kind: str, path: Path, **settings: float | str) -> Patch:
    return Patch(kind, str(path), _identity([path]), tuple(sorted(settings.items())))


def _identity(files: Sequence[Path]) -> str:
    """SHA-256 over names, sizes and times of change: which files these are, without reading them."""
    seen = hashlib.sha256()
    for file in files:
        stat = file.stat()
        seen.update(f"{file.name}\n{stat.st_size}\n{stat.st_mtime_ns}\n".encode())
    return seen.hexdigest()


def _patched(recipe: R, patch: Patch) -> R:
    return replace(recipe, patches=(*recipe.patches, patch))


def _picture(image: Image) -> Picture:
    seen = hashlib.sha256(repr(image.pixels.shape).encode())
    seen.update(image.pixels.tobytes())
    return Picture(seen.hexdigest(), image)
