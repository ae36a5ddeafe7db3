"""What a training shows of itself: a look now and then, and validation pictures that are kept.

A picture that is kept is made before the step that follows it, from weights that a saved state holds; so a training
that was stopped and goes on has them all, and they are the same as those of one that was not.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from diffusion import captions
from diffusion.checkpoint import write_atomically
from diffusion.guidance import Network
from diffusion.look import look
from diffusion.loop import LoopConfig, loop
from diffusion.training_data import Base, Examples
from diffusion.training_step import Feed
from diffusion.types import Image

SHOWN = 4
"""Pictures in a look where no prompts are given."""

Look = Callable[[], Image]
"""Makes a few pictures with what was learned so far."""
Report = Callable[[int, int, float, Look], None]
"""Told after each step: steps done, steps in all, loss, and what makes a few pictures. It may raise to stop."""


@dataclass(frozen=True)
class Validation:
    """Which pictures are kept. prompts: what to draw, by default the first captions. every: steps from one time to the
    next, 0 for never. folder: where they are kept until the training is done."""

    prompts: tuple[str, ...] = ()
    every: int = 0
    folder: Path = Path()


@dataclass(frozen=True, eq=False)
class Run:
    """Where and under whose eyes a training runs.

    identity: what decides the result: the data, the weights it begins with and the settings. progress: the file that
    keeps its state. device: where to train.
    """

    identity: Mapping[str, Any]
    progress: Path | None = None
    device: str = "cpu"
    report: Report = lambda step, total, loss, look: None
    validation: Validation = field(default_factory=Validation)


class Viewer:
    """Draws with what was learned so far.

    network, feed: with the averaged weights. data: from which the pictures take their shape and hints, and, where no
    prompts are given, the first captions.
    """

    def __init__(self, base: Base, network: Network, feed: Feed, data: Examples, run: Run) -> None:
        self._base, self._network, self._feed, self._device = base, network, feed, run.device
        prompts = run.validation.prompts
        count = len(prompts) or min(SHOWN, len(data.latents))
        which = torch.arange(count) % len(data.latents)
        texts = prompts or [data.texts[i] for i in which.tolist()]
        ids = captions.tokens(base.encoders, list(texts))
        hints = None if data.hints is None else data.hints[which]
        self._data = replace(data, latents=data.latents[which], texts=texts, ids=ids, sizes=None, hints=hints)

    def look(self) -> Image:
        """The pictures. The random numbers of the training are left as they were."""
        count = len(self._data.latents)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            positive, negative = (
                self._feed(self._data, torch.arange(count), torch.full((count,), none)) for none in (False, True)
            )
            latents = self._data.latents.to(self._device)
            base = self._base
            return look(self._network, base.model, positive, negative, latents, base.vae, base.vae_recipe)


class Album:
    """The pictures that are kept: those after 0 steps, after every so many, and after the last."""

    def __init__(self, validation: Validation, steps: int, look: Look) -> None:
        self._validation, self._steps, self._look = validation, steps, look

    def at(self, step: int) -> None:
        """Keep pictures of what was learned in so many steps, if it is time and they are not there."""
        every = self._validation.every
        if not every or (step % every and step != self._steps) or self._file(step).is_file():
            return
        out = io.BytesIO()
        np.save(out, self._look().pixels)
        write_atomically(self._file(step), out.getvalue())

    def pictures(self) -> Image:
        """All of them, time after time: float32 (T P, H, W, C) for P prompts; no picture if none are wanted."""
        every, last = self._validation.every, self._steps
        if not every:
            return Image(np.zeros((0, 1, 1, 3), np.float32))
        times = [*range(0, last, every), last]
        return Image(np.concatenate([np.load(self._file(step), allow_pickle=False) for step in times]))

    def _file(self, step: int) -> Path:
        return self._validation.folder / f"{step:08}.npy"


def watched(
    model: nn.Module,
    average: nn.Module,
    config: LoopConfig,
    loss_of: Callable[[], torch.Tensor],
    run: Run,
    viewer: Viewer,
    groups: Sequence[tuple[Sequence[torch.Tensor], float]] = (),
) -> tuple[tuple[float, ...], Image]:
    """`diffusion.loop.loop`, with looks at what is learned: the loss of every step, and the pictures kept."""
    album = Album(run.validation, config.steps, viewer.look)

    def next_loss(step: int) -> torch.Tensor:
        album.at(step)
        return loss_of()

    def report(step: int, total: int, loss: float) -> None:
        run.report(step, total, loss, viewer.look)

    losses = loop(model, average, config, next_loss, dict(run.identity), run.progress, report=report, groups=groups)
    album.at(config.steps)
    return losses, album.pictures()
