"""What ControlNets are told of a picture, as far as arithmetic alone finds it: edges, lines, colours, brightness.

Every function takes and gives one picture (H, W, 3) of uint8 at its own size. The defaults are those that the field's
ControlNets were trained with.
"""

import cv2
import numpy as np

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


def canny(picture: np.ndarray, low: float = 100, high: float = 200) -> np.ndarray:
    """Edges one pixel wide, white on black: gradients above `high`, and those above `low` that touch them (Canny 1986).

    Both thresholds are of |dx| + |dy| under a Sobel filter, 0 … 2040.
    """
    return _rgb(cv2.Canny(picture, low, high))


def lineart(picture: np.ndarray, sigma: float = 6.0, threshold: float = 8.0) -> np.ndarray:
    """Strokes darker than what is around them, white on black: v = min over colours of (G_sigma x - x).

    The strokes' median is made a half; what is below `threshold` counts for no stroke there. Equal to controlnet-aux's
    LineartStandardDetector.
    """
    x = picture.astype(np.float32)
    v = (cv2.GaussianBlur(x, (0, 0), sigma) - x).min(axis=2).clip(0, 255)  # (H, W)
    strokes = v[v > threshold]
    v /= max(16.0, float(np.median(strokes)) if strokes.size else 16.0)
    return _rgb((v * 127).clip(0, 255).astype(np.uint8))


def scribble(picture: np.ndarray, threshold: float = 32.0) -> np.ndarray:
    """Bold lines, white on black: where a fine blur is darker than a coarse one by threshold / 2 (Winnemöller 2011)."""
    x = picture.astype(np.float32)
    fine, coarse = cv2.GaussianBlur(x, (0, 0), 0.5), cv2.GaussianBlur(x, (0, 0), 5.0)
    darker = (coarse - fine).max(axis=2)
    return _rgb(np.where(2 * darker > threshold, 255, 0).astype(np.uint8))


def shuffle(picture: np.ndarray, size: int = 256, seed: int = 0) -> np.ndarray:
    """The colours and textures of a picture without its shapes: each pixel from a random place.

    The places are two smooth fields, uniform noise every `size` pixels with cubic curves between, which fill the
    picture from edge to edge (the shuffle of ControlNet 1.1).
    """
    random = np.random.default_rng(seed)
    h, w = picture.shape[:2]
    places = []
    for side in (w, h):
        noise = random.random((h // size + 2, w // size + 2), np.float32)
        field = cv2.resize(noise, (w + 2 * size, h + 2 * size), interpolation=cv2.INTER_CUBIC)
        field = field[size : size + h, size : size + w]
        spread = max(float(np.ptp(field)), 1e-6)
        places.append((field - field.min()) / spread * (side - 1))
    return cv2.remap(picture, places[0], places[1], cv2.INTER_LINEAR)


def tile(picture: np.ndarray, size: int = 8) -> np.ndarray:
    """The picture as it would come from one `size` times smaller: what is there stays, details go."""
    h, w = picture.shape[:2]
    small = cv2.resize(picture, (max(1, w // size), max(1, h // size)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC)


def blur(picture: np.ndarray, sigma: float = 9.0) -> np.ndarray:
    """The picture under a Gaussian."""
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def luminance(picture: np.ndarray) -> np.ndarray:
    """Brightness without colour, 0.299 R + 0.587 G + 0.114 B: what recolouring networks take."""
    return _rgb((picture @ LUMINANCE).round().clip(0, 255).astype(np.uint8))


def binary(picture: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """White where the luminance is above the threshold, 0 … 255; None: where black and white part best (Otsu 1979)."""
    grey = luminance(picture)[..., 0]
    otsu = cv2.THRESH_OTSU if threshold is None else 0
    return _rgb(cv2.threshold(grey, threshold or 0, 255, cv2.THRESH_BINARY + otsu)[1])


def colour(picture: np.ndarray, size: int = 64) -> np.ndarray:
    """A mosaic of mean colours in squares of `size` pixels (the colour grid of T2I-Adapter)."""
    h, w = picture.shape[:2]
    small = cv2.resize(picture, (max(1, w // size), max(1, h // size)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (w, h), interpolation=cv2.INTER_NEAREST)


def invert(picture: np.ndarray) -> np.ndarray:
    """255 - p: drawings of dark lines on white paper, as networks want them."""
    return 255 - picture


def _rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)
