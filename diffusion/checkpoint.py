"""The folder that a pixel-space model is kept in. Reading what it holds imports no tensor library.

    config.json          what the model is: sizes, prediction, schedule, class names, and how it was trained
    model.safetensors    its weights, the EMA ones

Both are written to a temporary name, synced and renamed, so a folder never holds half a file.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from diffusion.recipes import ModelRecipe, TextEncoderRecipe, VAERecipe
from diffusion.types import Prediction, ScheduleConfig

if TYPE_CHECKING:
    import torch

FORMAT = 1
FAMILY = "pixel"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
MOST_BYTES = 1 << 20

MULTIPLES: dict[str, Callable[[Mapping[str, Any]], int]] = {
    # each level but the last halves the picture
    "unet": lambda sizes: int(sizes["patch"]) << (len(sizes["widths"]) - 1),
    "dit": lambda sizes: int(sizes["patch"]),
}
"""The kinds of networks (`diffusion.networks`), and from their sizes what height and width must be multiples of."""


@dataclass(frozen=True)
class PixelConfig:
    """What config.json holds.

    network: its kind, one of `MULTIPLES`; in the file it is the key under which the sizes stand. sizes: the fields of
    that network's config. height, width: of the pictures it learned from, in pixels.
    training: how it was trained, for people to read.
    """

    network: str
    sizes: Mapping[str, Any]
    height: int
    width: int
    prediction: Prediction = "v"
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    class_names: tuple[str, ...] = ()
    sampler: str = "ddim"
    training: Mapping[str, Any] | None = None

    @property
    def channels(self) -> int:
        """C of the pictures."""
        return int(self.sizes["channels"])

    @property
    def multiple(self) -> int:
        """What height and width must be multiples of; the same as `multiple` of the network's config."""
        return MULTIPLES[self.network](self.sizes)


def read_config(folder: Path) -> PixelConfig:
    """What a model folder holds.

    Raises FileNotFoundError if the folder or one of its files is missing, and ValueError, naming the file, if
    config.json is damaged, is of another program, or is of a newer format.
    """
    path = folder / CONFIG
    for needed in (path, folder / WEIGHTS):
        if not needed.is_file():
            raise FileNotFoundError(f"{needed} is missing: a model folder holds {CONFIG} and {WEIGHTS}")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path}: larger than {MOST_BYTES} bytes, so no model configuration")
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as err:
        raise ValueError(f"{path}: not valid JSON: {err}") from err
    if not isinstance(value, dict) or value.get("family") != FAMILY:
        raise ValueError(f'{path}: not a pixel-space model of weft (no "family": "{FAMILY}")')
    if value.get("format") != FORMAT:
        raise ValueError(f"{path}: model format {value.get('format')!r}; this version reads format {FORMAT}")
    return _config(path, value)


def write_config(folder: Path, config: PixelConfig) -> None:
    """Write config.json."""
    value = asdict(config)
    network = {value.pop("network"): value.pop("sizes")}
    text = json.dumps({"format": FORMAT, "family": FAMILY, **network, **value}, indent=1) + "\n"
    write_atomically(folder / CONFIG, text.encode())


def recipes(folder: Path) -> tuple[ModelRecipe, TextEncoderRecipe, VAERecipe]:
    """The three recipes of a model folder. Errors as in `read_config`."""
    config = read_config(folder)
    source, digest = str(folder), digest_of(folder)
    model = ModelRecipe(
        FAMILY,
        source,
        digest,
        prediction=config.prediction,
        schedule=config.schedule,
        channels=config.channels,
        height=config.height,
        width=config.width,
        multiple=config.multiple,
        sampler=config.sampler,
        clip=True,
        class_names=config.class_names,
    )
    text_encoder = TextEncoderRecipe(FAMILY, source, digest, class_names=config.class_names)
    return model, text_encoder, VAERecipe(FAMILY, source, digest, channels=config.channels)


def digest_of(folder: Path) -> str:
    """SHA-256 over both files of a model folder, as hexadecimal digits."""
    both = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        with (folder / name).open("rb") as file:
            both.update(hashlib.file_digest(file, "sha256").digest())
    return both.hexdigest()


def in_dtype(weights: bytes, dtype: str) -> bytes:
    """A safetensors file with its floating point tensors in another dtype, such as float16; its metadata stay."""
    import torch

    kind = getattr(torch, dtype)
    return rewritten(weights, lambda _, tensor: tensor.to(kind) if tensor.is_floating_point() else tensor)


def rewritten(weights: bytes, change: "Callable[[str, torch.Tensor], torch.Tensor]") -> bytes:
    """A safetensors file with what `change` makes of each tensor, by name; its metadata stay."""
    from safetensors.torch import load, save

    # not by safetensors itself, which puts metadata in another order each time
    metadata = _split(weights)[0].get("__metadata__", {})
    return with_metadata(save({name: change(name, tensor) for name, tensor in load(weights).items()}), metadata)


def with_metadata(weights: bytes, more: Mapping[str, str]) -> bytes:
    """A safetensors file with more in its metadata; its tensors are taken over byte by byte."""
    header, tensors = _split(weights)
    header["__metadata__"] = {**header.get("__metadata__", {}), **more}
    told = json.dumps(header, separators=(",", ":")).encode()
    told += b" " * (-len(told) % 8)
    return len(told).to_bytes(8, "little") + told + tensors


def _split(weights: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and the bytes of its tensors."""
    size = int.from_bytes(weights[:8], "little")
    return json.loads(weights[8 : 8 + size]), weights[8 + size :]


def write_atomically(path: Path, data: bytes) -> None:
    """Write a whole file or none of it, making its folder if need be: a temporary name, synced, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _config(path: Path, value: Mapping[str, Any]) -> PixelConfig:
    kinds = [kind for kind in MULTIPLES if kind in value]
    if len(kinds) != 1:
        known, found = " or ".join(MULTIPLES), "several" if kinds else "none"
        raise ValueError(f"{path}: damaged: it must hold the sizes of one network, {known}, not {found}")
    try:
        config = PixelConfig(
            network=kinds[0],
            sizes=dict(value[kinds[0]]),
            height=int(value["height"]),
            width=int(value["width"]),
            prediction=value["prediction"],
            schedule=ScheduleConfig(**value["schedule"]),
            class_names=tuple(map(str, value["class_names"])),
            sampler=str(value["sampler"]),
            training=value.get("training"),
        )
        if config.prediction not in get_args(Prediction) or config.channels not in (1, 3) or config.multiple < 1:
            raise ValueError(f"prediction {config.prediction!r}, {config.channels} channels, sizes {config.sizes}")
    except (KeyError, TypeError, ValueError) as err:
        raise ValueError(f"{path}: damaged: {type(err).__name__} {err}") from err
    return config
