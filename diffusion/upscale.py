"""Enlarging pictures by a network that was trained to: ESRGAN, Compact, SPAN, SwinIR and what else spandrel knows."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffusion.types import Image


def load(path: Path, device: str, dtype: str = "float32") -> Any:
    """The network in a .safetensors file, told by the names and shapes of its tensors (a `spandrel` descriptor).

    ValueError if spandrel knows no such network, if it makes no picture of a picture, or cannot compute in the dtype.
    """
    import spandrel  # type: ignore[import-untyped]
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = spandrel.canonicalize_state_dict(load_file(path))
        network = spandrel.MAIN_REGISTRY.load(state)
    except spandrel.UnsupportedModelError as err:
        raise ValueError(f"{path.name} is no upscaler that spandrel knows") from err
    except (SafetensorError, RuntimeError, KeyError) as err:
        raise ValueError(f"{path.name} is damaged, or its tensors do not fit together: {err}") from err
    if not isinstance(network, spandrel.ImageModelDescriptor) or network.input_channels not in (1, 3):
        raise ValueError(f"{path.name} ({network.architecture.name}) does not make a picture of one picture")
    if dtype != "float32" and not getattr(network, {"float16": "supports_half"}.get(dtype, "supports_bfloat16")):
        raise ValueError(f"{path.name} ({network.architecture.name}) cannot compute in {dtype}; take float32")
    return network.to(torch.device(device), getattr(torch, dtype)).eval()


def enlarge(
    network: Any, image: Image, tile: int = 0, overlap: int = 32, progress: Callable[[int, int], None] | None = None
) -> Image:
    """Each picture `network.scale` times as large.

    tile: side of the squares that a large picture is cut into, 0 for none. Each is given `overlap` pixels of what is
    around it, which are cut off again; the result is that of the whole picture where the network looks no further.
    progress: called with the tiles done and their number.
    """
    import spandrel

    if network.tiling == spandrel.ModelTiling.INTERNAL:
        tile = 0
    b, h, w, _ = image.pixels.shape
    ys, xs = (range(0, side, tile or side) for side in (h, w))
    total, scale = b * len(ys) * len(xs), network.scale
    out = np.empty((b, h * scale, w * scale, network.output_channels), np.float32)
    x = torch.from_numpy(_channels(image.pixels, network.input_channels)).permute(0, 3, 1, 2)  # (B, C, H, W)
    for done, (i, top, left) in enumerate(product(range(b), ys, xs)):
        bottom, right = min(h, top + (tile or h)), min(w, left + (tile or w))
        above, before = max(0, top - overlap), max(0, left - overlap)
        piece = x[i : i + 1, :, above : bottom + overlap, before : right + overlap]
        y = network(piece.to(network.device, network.dtype, copy=True)).float().cpu()
        y = y[0, :, (top - above) * scale :, (left - before) * scale :]
        y = y[:, : (bottom - top) * scale, : (right - left) * scale]
        out[i, top * scale : bottom * scale, left * scale : right * scale] = y.permute(1, 2, 0).numpy()
        if progress:
            progress(done + 1, total)
    return Image(out)


def _channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """The pixels with 1 or 3 channels; grey ones are repeated, of coloured ones the luminance (BT.601) is taken."""
    if pixels.shape[3] == channels:
        return np.array(pixels)
    if channels == 3:
        return np.repeat(pixels, 3, axis=3)
    return (pixels @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
