"""Random numbers for sampling: one stream for each item of a batch, so that a batch of 4 equals 4 runs of 1.

Item i draws from a generator seeded with seed + i: first its initial noise, then one picture of noise at each step
that needs one. A source may also have one stream for its whole part of the batch, from which each draw takes all items
at once; that is ComfyUI's noise. Streams live on the CPU in float32, so a seed means the same picture on every device.
"""

from collections.abc import Sequence

import torch

from diffusion.transfer import moved
from diffusion.types import Noise

SEEDS = 2**64


class Streams:
    """The streams of a batch. noise: one source, or one for each of several equal parts of the batch, in order.

    Raises ValueError if the batch does not divide into the sources.
    """

    def __init__(
        self, noise: Noise | Sequence[Noise], shape: Sequence[int], device: torch.device | str = "cpu"
    ) -> None:
        sources = (noise,) if isinstance(noise, Noise) else tuple(noise)
        batch, item = shape[0], tuple(shape[1:])
        if not sources or batch % len(sources):
            raise ValueError(f"a batch of {batch} does not divide into {len(sources)} noise sources")
        part = batch // len(sources)
        # (source, place of the first item, shape of a draw)
        self._noises = [
            (source, i, (part if source.whole else 1, *item))
            for source in sources
            for i in range(1 if source.whole else part)
        ]
        self._streams = [_generator(source.seed + i) for source, i, _ in self._noises]
        self._device = torch.device(device)

    def initial(self) -> torch.Tensor:
        """The first draw of every stream, turned towards the variation where one is asked for: (B, C, H, W)."""
        drawn = []
        for stream, (source, i, shape) in zip(self._streams, self._noises, strict=True):
            noise = torch.randn(shape, generator=stream)
            if source.variation_strength > 0 and source.variation_seed is not None:
                other = torch.randn(shape, generator=_generator(source.variation_seed + i))
                turned = zip(noise, other, strict=True)
                noise = torch.stack([slerp(a, b, source.variation_strength) for a, b in turned])
            drawn.append(noise)
        return moved(torch.cat(drawn), self._device)

    def draw(self) -> torch.Tensor:
        """The next draw of every stream: (B, C, H, W)."""
        drawn = [
            torch.randn(shape, generator=stream)
            for stream, (_, _, shape) in zip(self._streams, self._noises, strict=True)
        ]
        return moved(torch.cat(drawn), self._device)


def slerp(a: torch.Tensor, b: torch.Tensor, part: float) -> torch.Tensor:
    """From a (part 0) to b (part 1) along the sphere: keeps the length that noise has; a straight line would not."""
    # theta = angle between a and b;   (sin((1 - p) theta) a + sin(p theta) b) / sin(theta)
    cosine = (a * b).sum() / (a.norm() * b.norm())
    theta = torch.arccos(cosine.clamp(-1, 1))
    if torch.sin(theta) < 1e-4:
        return torch.lerp(a, b, part)
    return (torch.sin((1 - part) * theta) * a + torch.sin(part * theta) * b) / torch.sin(theta)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed % SEEDS)
