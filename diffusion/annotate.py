"""What ControlNets are told of a picture, as far as it takes a network: depth, poses, soft edges, surfaces.

Depth and segments come from transformers' models. The others are those of controlnet-aux, whose weights exist as
pickles only. These are read by torch's reader of tensors, which knows no other objects and runs nothing (weights_only);
a file with anything else in it is refused before controlnet-aux sees it.
"""

import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

Detector = Callable[[np.ndarray], np.ndarray]
"""From one picture (H, W, 3) of uint8 to another of the same size."""


class UnsafePickleError(ValueError):
    """A file of weights that holds something other than tensors."""


def depth(folder: Path, device: str) -> Detector:
    """Near is white: inverse depth, stretched to 0 … 255 in each picture. Any depth model of transformers.

    ValueError if the folder holds none, or a damaged one.
    """
    model, processor = _transformer("AutoModelForDepthEstimation", folder, device)
    kind = getattr(model.config, "depth_estimation_type", None)
    metric = kind == "metric" or model.config.model_type in ("zoedepth", "depth_pro")

    def detect(picture: np.ndarray) -> np.ndarray:
        inputs = processor(images=picture, return_tensors="pt").to(device)
        with torch.inference_mode():
            seen = model(**inputs)
        sizes: dict[str, Any] = {"target_sizes": [picture.shape[:2]]}
        if model.config.model_type == "zoedepth":
            sizes["source_sizes"] = [picture.shape[:2]]
        (found,) = processor.post_process_depth_estimation(seen, **sizes)
        near = found["predicted_depth"].float().cpu().numpy()  # (H, W)
        if metric:
            near = 1 / near.clip(1e-3)
        near = (near - near.min()) / (float(np.ptp(near)) or 1.0)
        return np.repeat((near * 255).round().astype(np.uint8)[..., None], 3, axis=2)

    return detect


def segment(folder: Path, device: str) -> Detector:
    """Each pixel in the colour of its class in ADE20K. Any semantic segmentation model of transformers.

    ValueError if the folder holds none, or a damaged one.
    """
    colours = np.array(_library("util").ade_palette(), np.uint8)
    model, processor = _transformer("AutoModelForSemanticSegmentation", folder, device)

    def detect(picture: np.ndarray) -> np.ndarray:
        inputs = processor(images=picture, return_tensors="pt").to(device)
        with torch.inference_mode():
            seen = model(**inputs)
        (classes,) = processor.post_process_semantic_segmentation(seen, target_sizes=[picture.shape[:2]])
        picked: np.ndarray = colours[classes.cpu().numpy() % len(colours)]
        return picked

    return detect


def annotator(name: str, files: Sequence[Path], device: str, settings: Mapping[str, object]) -> Detector:
    """A detector of controlnet-aux by the name of its class, its files all in one folder.

    It is shown the picture at its own size, widened to multiples of 64 by repeating its last pixels, for otherwise it
    would resize it; that is cut off again. UnsafePickleError, or ValueError for a damaged file.
    """
    for file in files:
        _check_tensors(file)
    # it prints while it loads, to where `weft run --json` prints its one object
    vars(_library("normalbae.nets.submodules.encoder"))["print"] = lambda *texts, **how: None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            detector = getattr(_library(), name).from_pretrained(str(files[0].parent)).to(device)
        except (RuntimeError, KeyError, TypeError, AttributeError) as err:
            raise ValueError(f"{files[0].parent}: weights that do not fit {name}: {err}") from err

    def detect(picture: np.ndarray) -> np.ndarray:
        h, w = picture.shape[:2]
        wide = np.pad(picture, ((0, -h % 64), (0, -w % 64), (0, 0)), mode="edge")
        side = min(wide.shape[:2])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = detector(wide, detect_resolution=side, image_resolution=side, output_type="np", **settings)
        return np.ascontiguousarray(found[:h, :w])

    return detect


def _check_tensors(file: Path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it says of other protocols; it refuses what it cannot read
            torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as err:
        raise UnsafePickleError(f"{file.name} holds something other than tensors; not loaded") from err
    except (RuntimeError, EOFError, ValueError, KeyError, UnicodeDecodeError) as err:
        raise ValueError(f"{file.name} is damaged: {err}") from err


def _transformer(kind: str, folder: Path, device: str) -> tuple[Any, Any]:
    import transformers

    logging: Any = transformers.utils.logging
    logging.disable_progress_bar()
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    reader: Any = transformers.AutoImageProcessor
    try:
        model = getattr(transformers, kind).from_pretrained(
            str(folder), **local, use_safetensors=True, dtype=torch.float32
        )
        processor = reader.from_pretrained(str(folder), **local)
    except (OSError, RuntimeError, KeyError, ValueError) as err:
        first = (str(err).splitlines() or [type(err).__name__])[0]
        raise ValueError(f"{folder}: no model for this, or damaged: {first}") from err
    return model.to(device).eval(), processor


def _library(part: str = "") -> Any:
    """controlnet-aux, which warns of libraries that nothing here needs."""
    import importlib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"controlnet_aux.{part}" if part else "controlnet_aux")
