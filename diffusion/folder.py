"""A model folder in diffusers layout: which family it is, and its recipes, from its JSON files and the headers of its
weights alone. Importing this file imports no tensor library.

    model_index.json                          the pipeline it was made for
    unet/, vae/, text_encoder/ …              config.json and *.safetensors
    tokenizer/ …, scheduler/                  vocabularies; the noise table, and how it is meant to be sampled
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusion import weights_check
from diffusion.header import Tensor
from diffusion.parts import read_json, weights_of
from diffusion.recipes import ModelRecipe, TextEncoderRecipe, VAERecipe
from diffusion.scheduler_config import prediction_of, sampler_of, schedule_of

INDEX = "model_index.json"

PIPELINES = {
    "StableDiffusionPipeline": "sd",
    "StableDiffusionImg2ImgPipeline": "sd",
    "StableDiffusionInpaintPipeline": "sd",
    "LatentConsistencyModelPipeline": "sd",
    "LatentConsistencyModelImg2ImgPipeline": "sd",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusionXLImg2ImgPipeline": "sdxl",
    "StableDiffusionXLInpaintPipeline": "sdxl",
    "StableDiffusion3Pipeline": "sd3",
    "FluxPipeline": "flux",
}
"""The pipelines that a model_index.json may name, and the family that serves them."""

PARTS = {
    "sd": ("unet", "vae", "text_encoder", "tokenizer", "scheduler"),
    "sdxl": ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"),
    "sdxl-refiner": ("unet", "vae", "text_encoder_2", "tokenizer_2", "scheduler"),
    "sd3": (
        "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3",
        "tokenizer", "tokenizer_2", "tokenizer_3", "scheduler",
    ),
    "flux": ("transformer", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"),
}  # fmt: skip

OPTIONAL = {"sd3": ("text_encoder_3", "tokenizer_3")}
"""What a folder may be without: SD3 also draws without its T5."""

WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "transformer": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
    "text_encoder_2": "model.safetensors",
    "text_encoder_3": "model.safetensors",
}
"""The parts with weights, and what the file is called; larger ones lie in shards, listed in NAME.index.json."""

NETWORKS = {"sd": "unet", "sdxl": "unet", "sdxl-refiner": "unet", "sd3": "transformer", "flux": "transformer"}
"""The part that denoises."""

SPACES = {"sdxl-refiner": "sdxl"}
"""The latent space of a family, where it is that of another."""

SIDES = {"sd": 64, "sdxl": 128, "sdxl-refiner": 128, "sd3": 128, "flux": 128}
"""Sides of the latents that a family was made for, where its configuration does not say."""


@dataclass(frozen=True, eq=False)
class Folder:
    """What a folder says of itself.

    configs: the JSON of each part that has one. files: all that is read of it. tensors: what the headers say of the
    weights of each part.
    """

    path: Path
    family: str
    index: Mapping[str, Any]
    configs: Mapping[str, Mapping[str, Any]]
    files: tuple[Path, ...]
    tensors: Mapping[str, Mapping[str, Tensor]]


def read(path: Path, variant: str = "", weights: bool = True) -> Folder:
    """Read a folder's JSON files and the headers of its weights.

    variant: of the weights; see `diffusion.parts.variant_of` for what empty takes. weights: False where they lie in
    another place. Raises FileNotFoundError for a part that is missing, VariantError for a variant that is,
    PickleError for weights that are there only as pickles, DamagedError for a damaged file, and ValueError for a
    pipeline weft does not know (with those it does).
    """
    index = read_json(path / INDEX)
    pipeline = str(index.get("_class_name"))
    if pipeline not in PIPELINES:
        raise ValueError(f"{path / INDEX}: unknown pipeline {pipeline}; known: {', '.join(PIPELINES)}")
    family = PIPELINES[pipeline]
    if family == "sdxl" and not (path / "text_encoder").is_dir() and index.get("text_encoder") in (None, [None, None]):
        family = "sdxl-refiner"
    configs, files, tensors = {}, [path / INDEX], {}
    for part in PARTS[family]:
        if part in OPTIONAL.get(family, ()) and not (path / part).is_dir():
            continue
        if part in WEIGHTS:
            config = path / part / "config.json"
            configs[part] = read_json(config)
            files.append(config)
            if weights:
                found = weights_of(path / part, WEIGHTS[part], variant)
                files += found.files
                tensors[part] = found.tensors
        elif part == "scheduler":
            config = path / part / "scheduler_config.json"
            configs[part] = read_json(config)
            files.append(config)
        else:
            if not (path / part / "tokenizer_config.json").is_file():
                raise FileNotFoundError(f"{path / part / 'tokenizer_config.json'} is missing")
            files += sorted(file for file in (path / part).iterdir() if file.suffix in (".json", ".txt", ".model"))
    return Folder(path, family, index, configs, tuple(files), tensors)


def recipes(path: Path, variant: str = "") -> tuple[ModelRecipe, TextEncoderRecipe, VAERecipe]:
    """The three recipes of a folder. Errors as in `read` and `recipes_of`, and ValueError for weights that do not fit
    their configuration."""
    folder = read(path, variant)
    found = recipes_of(folder, variant)
    for part, tensors in folder.tensors.items():
        weights_check.check(str(path / part), part, folder.configs[part], tensors)
    return found


def recipes_of(folder: Folder, variant: str = "") -> tuple[ModelRecipe, TextEncoderRecipe, VAERecipe]:
    """The three recipes of a folder that was read. ValueError for a network that its family does not run."""
    network, vae, scheduler = (folder.configs[part] for part in (NETWORKS[folder.family], "vae", "scheduler"))
    patch = _check_unet(folder) if NETWORKS[folder.family] == "unet" else _check_transformer(folder)
    try:
        factor = 2 ** (len(vae["block_out_channels"]) - 1)
        channels = int(vae["latent_channels"])
        # Flux's transformer does not say, and its VAE says pixels
        side = network.get("sample_size") or vae.get("sample_size", 0) // factor or SIDES[folder.family]
        height, width = (int(side), int(side)) if isinstance(side, int) else map(int, side)
        prediction, sampler = prediction_of(scheduler), sampler_of(scheduler)
        clip = sampler in ("ddim", "ddpm") and bool(scheduler.get("clip_sample", True))
        schedule = schedule_of(scheduler, "trailing" if folder.family == "flux" else "linspace")
        if (prediction == "flow") != (NETWORKS[folder.family] == "transformer"):
            raise ValueError(f"{scheduler['_class_name']} with {folder.family}")
    except (KeyError, TypeError, ValueError) as err:
        raise ValueError(f"{folder.path}: a configuration that weft does not know: {type(err).__name__} {err}") from err
    source, digest = str(folder.path), identity_of(folder.files)
    space = SPACES.get(folder.family, folder.family)
    model = ModelRecipe(
        folder.family,
        source,
        digest,
        prediction=prediction,
        schedule=schedule,
        space=space,
        channels=channels,
        factor=factor,
        height=height * factor,
        width=width * factor,
        multiple=factor * patch,
        sampler=sampler,
        clip=clip,
        inpaints=network.get("in_channels") == 2 * channels + 1,
        zero_negative=bool(folder.index.get("force_zeros_for_empty_prompt", folder.family == "sdxl")),
        variant=variant,
    )
    return (
        model,
        TextEncoderRecipe(folder.family, source, digest, variant=variant),
        VAERecipe(folder.family, source, digest, space=space, channels=channels, factor=factor, variant=variant),
    )


def _check_unet(folder: Folder) -> int:
    """ValueError for a U-Net that is fed otherwise than its family. The side of its patches: it has none, so 1."""
    unet, channels = folder.configs["unet"], folder.configs["vae"].get("latent_channels", 4)
    where = folder.path / "unet" / "config.json"
    # an inpainting network sees a mask and a covered picture beside the latent
    known = (channels, 2 * channels + 1)
    if unet.get("in_channels", 4) not in known:
        what = f"the U-Net takes {unet.get('in_channels')} channels; known: {known[0]} and {known[1]}"
        raise ValueError(f"{where}: {what}")
    wanted = "text_time" if folder.family.startswith("sdxl") else None
    if unet.get("addition_embed_type") != wanted or unet.get("class_embed_type") is not None:
        raise ValueError(f"{where}: the U-Net is fed otherwise (addition_embed_type, class_embed_type) than known ones")
    return 1


def _check_transformer(folder: Folder) -> int:
    """ValueError for a transformer that is fed otherwise than its family. The side of the patches it cuts latents into.

    SD3 cuts them itself; Flux is given patches of 2 x 2, four times as many channels.
    """
    transformer, channels = folder.configs["transformer"], folder.configs["vae"].get("latent_channels", 4)
    patch = 2 if folder.family == "flux" else transformer.get("patch_size", 2)
    wanted = channels * patch**2 if folder.family == "flux" else channels
    if transformer.get("in_channels", wanted) != wanted:
        where = folder.path / "transformer" / "config.json"
        raise ValueError(f"{where}: the transformer takes {transformer['in_channels']} channels; known: {wanted}")
    return int(patch)


def identity_of(files: Iterable[Path]) -> str:
    """SHA-256 over paths, sizes and times of change of files, as hexadecimal digits. Reading gigabytes of weights each
    time a recipe is made would take longer than what the recipe is for."""
    seen = hashlib.sha256()
    for file in files:
        stat = file.stat()
        seen.update(f"{file}\n{stat.st_size}\n{stat.st_mtime_ns}\n".encode())
    return seen.hexdigest()
