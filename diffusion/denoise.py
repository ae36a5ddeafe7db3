"""From recipes to a result: load the model, make it a denoiser by guidance, and walk a latent down a schedule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from diffusion.family import Family, family_of
from diffusion.guidance import Guidance, Inputs, outside, rows
from diffusion.kinds import kind_of
from diffusion.samplers import OnStep, sample
from diffusion.schedule import least_noisy
from diffusion.store import STORE, pick_device
from diffusion.types import Guider, Latent, ModelRecipe, Noise, Recipe, Sampler, Schedule


@dataclass(frozen=True, eq=False)
class Job:
    """One thing to sample: what to draw, with which noise, on what."""

    guider: Guider
    noise: Noise
    latent: Latent


def denoise(
    jobs: Sequence[Job],
    schedule: Schedule,
    sampler: Sampler,
    device: str = "auto",
    dtype: str = "auto",
    on_step: OnStep | None = None,
) -> list[Latent]:
    """Sample several jobs as one batch: one latent for each, the same as one at a time up to rounding.

    The jobs share the model, rescale, start and stop, and the shape, state and level of their latents; prompts, scale
    and seeds may differ. Raises ValueError if they do not, if a latent is of another space than the model, and as
    `diffusion.samplers.sample` does.
    """
    guider, latent = jobs[0].guider, jobs[0].latent
    model = guider.model
    _check(jobs, schedule)
    kind = own(sampler, model)
    kind_of(kind, schedule)
    family, place = family_of(model), pick_device(device)
    network = family.network(STORE.load(model, device, dtype), model)

    batch = latent.samples.shape[0]
    scales = torch.tensor([float(job.guider.scale) for job in jobs]).repeat_interleave(batch)

    def load(recipe: Recipe) -> nn.Module:
        return STORE.load(recipe, device, dtype)

    positives, negatives = zip(*(_inputs(job.guider, family, batch, load) for job in jobs), strict=True)
    guided = any(_guided(job.guider, family) for job in jobs)
    guidance = Guidance(
        network,
        model.prediction,
        _joined(positives, place),
        _joined(negatives, place) if guided else None,
        scales.to(place),
        guider.rescale,
        model.clip,
        outside(schedule, guider.start, guider.stop),
    )
    whole = replace(
        latent,
        samples=torch.cat([job.latent.samples for job in jobs]).to(place),
        mask=None if latent.mask is None else torch.cat([_mask(job.latent) for job in jobs]).to(place),
    )
    walked = to_the_table(schedule, kind, model)
    done = sample(guidance, walked, kind, [job.noise for job in jobs], whole, on_step)
    if schedule.ends_clean:
        done = replace(done, state="clean", level=None)
    return [replace(done, samples=part) for part in torch.chunk(done.samples, len(jobs))]


def own(sampler: Sampler, model: ModelRecipe) -> Sampler:
    """The sampler with the kind "model" replaced by what the checkpoint names."""
    return replace(sampler, kind=model.sampler) if sampler.kind == "model" else sampler


def to_the_table(schedule: Schedule, sampler: Sampler, model: ModelRecipe) -> Schedule:
    """The schedule; where DDIM and PNDM stop on the table's least noisy level (`ends_clean`), ending there."""
    if sampler.kind not in ("ddim", "pndm") or model.schedule.ends_clean or not schedule.ends_clean:
        return schedule
    return replace(schedule, levels=(*schedule.levels[:-1], least_noisy(model.schedule)))


def _inputs(guider: Guider, family: Family, batch: int, load: Callable[[Recipe], nn.Module]) -> tuple[Inputs, Inputs]:
    """Positive and negative inputs of B rows; what is not given is the family's unconditional."""
    given = guider.positive or family.unconditional(guider.model, None, load)
    positive = rows(given, batch)
    if not _guided(guider, family):
        return positive, positive
    negative = rows(guider.negative or family.unconditional(guider.model, given, load), batch)
    shared = {name: positive[name] for name in family.shared if name in positive}
    return positive, {**shared, **negative}


def _guided(guider: Guider, family: Family) -> bool:
    away = guider.negative is not None or family.pushes_from_empty
    return guider.positive is not None and guider.scale != 1 and away


def _joined(inputs: Sequence[Inputs], place: torch.device) -> Inputs:
    return {name: torch.cat([one[name] for one in inputs]).to(place) for name in inputs[0]}


def _mask(latent: Latent) -> torch.Tensor:
    if latent.mask is None:
        raise ValueError("some of the latents have a mask and some have none: they cannot be one batch")
    return latent.mask.expand(latent.samples.shape[0], -1, -1, -1)


def _check(jobs: Sequence[Job], schedule: Schedule) -> None:
    first = jobs[0]
    model = first.guider.model
    for job in jobs:
        if job.latent.space != model.space:
            raise ValueError(f"the latent is in the space {job.latent.space}, and the model works in {model.space}")
        if job.latent.samples.shape[1] != model.channels:
            raise ValueError(f"the model takes {model.channels} channels, not {job.latent.samples.shape[1]}")
        if _common(job) != _common(first):
            raise ValueError(f"these cannot be one batch: {_common(first)} and {_common(job)}")
    if (model.prediction == "flow") != (schedule.kind == "flow") and model.prediction in ("flow", "v"):
        fitting = "a flow schedule" if model.prediction == "flow" else "linear, scaled_linear or cosine"
        raise ValueError(f"a model that predicts {model.prediction} needs {fitting}, not {schedule.kind}")


def _common(job: Job) -> tuple[object, ...]:
    guider, latent = job.guider, job.latent
    shape = tuple(latent.samples.shape)
    return guider.model, guider.rescale, guider.start, guider.stop, shape, latent.state, latent.level
