"""Data sets as what networks learn from: pixels, latents, and the tokens of captions."""

import hashlib

import torch

from diffusion.types import Dataset


def pixels(images: torch.Tensor) -> torch.Tensor:
    """uint8 (B, H, W, C) as float32 (B, C, H, W) in -1 … 1: p / 127.5 - 1."""
    return images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1


def content_of(dataset: Dataset) -> str:
    """SHA-256 of pictures, labels and captions, as hexadecimal digits."""
    seen = hashlib.sha256(dataset.images.tobytes())
    seen.update(b"" if dataset.labels is None else dataset.labels.tobytes())
    seen.update("\n".join(dataset.captions).encode())
    return seen.hexdigest()
