"""Pictures to learn from: scikit-learn's digits, MNIST's own files, and folders of pictures.

All give uint8 (N, H, W, C) and, where there are classes, int64 labels (N,).
"""

import gzip
import json
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from PIL import ImageOps

from diffusion.buckets import cut, nearest, shapes
from diffusion.types import Dataset

TEST_PART = 360
"""How many of the 1,797 digits are kept for testing."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MOST_BYTES = 1 << 30


def digits(size: int = 16, part: str = "train") -> Dataset:
    """Handwritten digits, 8 x 8 scans that come with scikit-learn, enlarged to size x size, bright on dark.

    part: train (1,437 pictures), test (360, as many of each class in proportion) or all. The split is always the same.
    Raises ValueError for another part or a size outside 8 … 256.
    """
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]
    from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]

    if not 8 <= size <= 256:
        raise ValueError(f"size must lie in 8 … 256, got {size}")
    scans = load_digits()
    images = np.rint(scans.images * (255 / 16)).astype(np.uint8)
    images = np.stack([resized(Picture.fromarray(image), size) for image in images])[..., None]
    labels = scans.target.astype(np.int64)
    train, test = train_test_split(np.arange(len(labels)), test_size=TEST_PART, random_state=0, stratify=labels)
    parts = {"train": np.sort(train), "test": np.sort(test), "all": np.arange(len(labels))}
    if part not in parts:
        raise ValueError(f'unknown part "{part}"; known: {", ".join(parts)}')
    chosen = parts[part]
    return Dataset(images[chosen], labels[chosen], (), tuple("0123456789"), f"digits {size} {part}")


def mnist(folder: Path, part: str = "train") -> Dataset:
    """MNIST from its four original idx files, plain or .gz, in one folder: 28 x 28, bright on dark (LeCun et al. 1998).

    part: train or test. Raises FileNotFoundError that names the file, and ValueError for one that is damaged.
    """
    prefix = {"train": "train", "test": "t10k"}.get(part)
    if prefix is None:
        raise ValueError(f'unknown part "{part}"; known: train, test')
    images = read_idx(_idx_file(folder, f"{prefix}-images-idx3-ubyte", f"{prefix}-images.idx3-ubyte"), 3)
    labels = read_idx(_idx_file(folder, f"{prefix}-labels-idx1-ubyte", f"{prefix}-labels.idx1-ubyte"), 1)
    if len(images) != len(labels):
        raise ValueError(f"{folder}: {len(images)} images but {len(labels)} labels")
    if labels.size and labels.max() > 9:
        raise ValueError(f"{folder}: label {labels.max()}, and digits end at 9")
    return Dataset(images[..., None], labels.astype(np.int64), (), tuple("0123456789"), f"mnist {part}")


def read_idx(path: Path, axes: int) -> np.ndarray:
    """An idx file of unsigned bytes with that many axes. ValueError, naming the file, for anything else.

    Layout: two zero bytes, the type (8: unsigned byte), the number of axes, each length as a big-endian uint32, data.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:3] != b"\0\0\x08" or head[3] != axes:
                raise ValueError(
                    f"{path}: magic number {head.hex() or 'missing'}, expected {bytes([0, 0, 8, axes]).hex()}"
                )
            lengths = file.read(4 * axes)
            if len(lengths) < 4 * axes:
                raise ValueError(f"{path}: ends inside its header")
            shape = struct.unpack(f">{axes}I", lengths)
            expected = int(np.prod([int(n) for n in shape], dtype=object))
            if expected > MOST_BYTES:
                raise ValueError(f"{path}: claims {expected} bytes of data, more than {MOST_BYTES}")
            data = file.read(expected + 1)
    except (EOFError, gzip.BadGzipFile) as err:
        raise ValueError(f"{path}: not a whole gzip file: {err}") from err
    if len(data) != expected:
        has = "more" if len(data) > expected else str(len(data))
        raise ValueError(f"{path}: {expected} bytes of data expected for {' x '.join(map(str, shape))}, found {has}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def image_folder(folder: Path, size: int, grey: bool = False, multiple: int = 0, mirrored: bool = False) -> Dataset:
    """Pictures of a folder, in the order of their names, turned as their files say they are to be seen.

    multiple: 0 for squares about the middle, of size x size pixels; else pictures keep about their own shape, with
    sides that are multiples of this and about size^2 pixels (`diffusion.buckets`), and crops say what was cut.
    mirrored: each is there once more, left and right exchanged.

    Sub-folders are classes, named as they are; otherwise metadata.jsonl (lines of file_name and text) or a .txt file
    beside each picture gives captions. Raises FileNotFoundError if there is no folder or no picture, and ValueError,
    naming the file, for a damaged one or a caption that is missing.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder")
    classes = sorted(d for d in folder.iterdir() if d.is_dir() and _pictures(d))
    paths, texts = _pictures(folder), tuple[str, ...]()
    labels: np.ndarray | None = None
    if classes:
        found = [(path, label) for label, d in enumerate(classes) for path in _pictures(d)]
        paths, labels = [path for path, _ in found], np.array([label for _, label in found], dtype=np.int64)
    elif not paths:
        raise FileNotFoundError(f"{folder} holds no pictures ({', '.join(SUFFIXES)}) and no folders of pictures")
    else:
        texts = _captions(folder, paths)
    among = shapes(size, multiple) if multiple else []
    cuts = [_cut(path, size, grey, among) for path in paths]
    parts = []
    for which in _alike(cuts):
        images = np.stack([cuts[i][0] for i in which])
        crops = np.array([cuts[i][1] for i in which], np.int64) if multiple else None
        part = Dataset(
            images[..., None] if grey else images,
            None if labels is None else labels[which],
            tuple(texts[i] for i in which if texts),
            tuple(d.name for d in classes),
            folder.name,
            crops,
        )
        parts.append(_mirrored(part) if mirrored else part)
    return replace(parts[0], others=tuple(parts[1:]))


def resized(picture: Picture.Image, size: int) -> np.ndarray:
    """A picture cut to a square about its middle and resized with a bicubic filter: uint8 (size, size[, 3])."""
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    square = picture.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((size, size), Picture.Resampling.BICUBIC))


def _idx_file(folder: Path, *names: str) -> Path:
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    raise FileNotFoundError(f"{folder} holds neither {names[0]} nor {names[0]}.gz")


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES)


Cut = tuple[np.ndarray, tuple[int, int, int, int]]
"""A picture as it is learned from, and what was cut; see `buckets.cut`."""


def _cut(path: Path, size: int, grey: bool, among: list[tuple[int, int]]) -> Cut:
    try:
        with Picture.open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("L" if grey else "RGB")
    except (OSError, ValueError, SyntaxError, Picture.DecompressionBombError) as err:
        raise ValueError(f"{path}: not a picture that can be read: {err}") from err
    if not among:
        return resized(picture, size), (0, 0, 0, 0)
    return cut(picture, *nearest(*picture.size, among))


def _alike(cuts: Sequence[Cut]) -> list[list[int]]:
    """Which pictures are of one shape, the shape of most first."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, (image, _) in enumerate(cuts):
        groups.setdefault(image.shape, []).append(i)
    return sorted(groups.values(), key=lambda which: (-len(which), which))


def _mirrored(part: Dataset) -> Dataset:
    return replace(
        part,
        images=np.concatenate([part.images, part.images[:, :, ::-1]]),
        labels=None if part.labels is None else np.tile(part.labels, 2),
        captions=part.captions * 2,
        crops=None if part.crops is None else np.tile(part.crops, (2, 1)),
    )


def _captions(folder: Path, pictures: Sequence[Path]) -> tuple[str, ...]:
    table = folder / "metadata.jsonl"
    if table.is_file():
        texts = _metadata(table)
        missing = [path.name for path in pictures if path.name not in texts]
        if missing:
            raise ValueError(f"{table}: no line for {missing[0]}")
        return tuple(texts[path.name] for path in pictures)
    beside = [path.with_suffix(".txt") for path in pictures]
    if not any(path.is_file() for path in beside):
        return ()
    for path in beside:
        if not path.is_file():
            raise ValueError(f"{path} is missing: other pictures have a caption")
    return tuple(path.read_text("utf-8").strip() for path in beside)


def _metadata(table: Path) -> dict[str, str]:
    texts = {}
    for number, line in enumerate(table.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            texts[str(row["file_name"])] = str(row["text"])
        except (ValueError, KeyError, TypeError) as err:
            raise ValueError(f'{table}:{number}: needs {{"file_name": ..., "text": ...}}') from err
    return texts


def joined(sets: Sequence[Dataset], repeats: Sequence[int] = ()) -> Dataset:
    """Data sets one after the other, those of one shape together, and other shapes beside them. Captions, labels with
    the same classes, and cuts stay where all have them.

    repeats: how often each set is there; once if empty.
    ValueError if there are no sets, repeats are not one for each and 1 or more, or some are grey and some in colour.
    """
    times = repeats or [1] * len(sets)
    if len(times) != len(sets):
        raise ValueError(f"{len(sets)} data sets, but {len(times)} repeats: give one for each, or none")
    if min(times, default=1) < 1:
        raise ValueError(f"repeats must be 1 or more, got {min(times)}; leave a data set out that is not wanted")
    parts = [part for one, often in zip(sets, times, strict=True) for part in one.parts * often]
    if not parts:
        raise ValueError("no data sets to join")
    if len({part.images.shape[-1] for part in parts}) > 1:
        channels = ", ".join(f"{one.name} has pictures of {one.images.shape[-1]}" for one in sets)
        raise ValueError(f"pictures of as many channels are wanted: {channels}")
    classes = parts[0].class_names
    labelled = all(part.labels is not None and part.class_names == classes for part in parts)
    told = all(len(part.captions) == len(part.images) for part in parts)
    cut = all(part.crops is not None for part in parts)

    def together(shape: tuple[int, ...]) -> Dataset:
        same = [part for part in parts if part.images.shape[1:] == shape]
        return Dataset(
            np.concatenate([part.images for part in same]),
            np.concatenate([part.labels for part in same if part.labels is not None]) if labelled else None,
            tuple(caption for part in same for caption in part.captions) if told else (),
            classes if labelled else (),
            " and ".join(one.name for one in sets),
            np.concatenate([part.crops for part in same if part.crops is not None]) if cut else None,
        )

    first, *others = map(together, dict.fromkeys(part.images.shape[1:] for part in parts))
    return replace(first, others=tuple(others))
