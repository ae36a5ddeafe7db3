"""From recipes to a result: load the model, make it a denoiser by guidance, and walk a latent down a schedule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from diffusion.control import hints, steering, strengths
from diffusion.family import Family, family_of
from diffusion.fast import faster
from diffusion.guidance import Guidance, Inputs, Network, Part, Rule, outside, rows
from diffusion.guiders import THIRD, push_of, rule_of
from diffusion.inpaint import inpaint_inputs
from diffusion.kinds import kind_of
from diffusion.patches import driven, patch_inputs
from diffusion.recipes import Guider, ModelRecipe, Recipe, unfit, without_strengths
from diffusion.refiner import told
from diffusion.regions import Frame, laid_out
from diffusion.room import USABLE, free, needed
from diffusion.samplers import OnStep, sample
from diffusion.schedule import least_noisy
from diffusion.store import STORE, pick_device
from diffusion.transfer import moved
from diffusion.types import Conditioning, Latent, Level, Noise, Sampler, Schedule


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
    speed: str = "none",
) -> list[Latent]:
    """Sample several jobs as one batch: one latent for each, the same as one at a time up to rounding.

    The jobs share the model, method, rescale, start and stop, and shape, state and level of their latents; prompts,
    scale and seeds may differ, but conditionings of several parts come alone. speed: as in `diffusion.fast`; patched
    models run as they are. Raises ValueError if they do not, if a latent is of another space than the model, and as
    `diffusion.samplers.sample` does.
    """
    model = jobs[0].guider.model
    _check(jobs, schedule)
    kind = own(sampler, model)
    kind_of(kind, schedule)
    guidance, whole = _together(jobs, schedule, device, dtype, speed)
    done = sample(guidance, to_the_table(schedule, kind, model), kind, [job.noise for job in jobs], whole, on_step)
    parts = torch.chunk(done.samples, len(jobs))
    return [_left(job.latent, part, done, schedule) for job, part in zip(jobs, parts, strict=True)]


def room(jobs: Sequence[Job], schedule: Schedule, device: str = "auto", dtype: str = "auto") -> int:
    """How many of these jobs there is memory for in one batch: 1 at least, all where nobody can tell.

    Errors as `denoise`.
    """
    _check(jobs, schedule)
    # one that guides needs more than one that does not
    job = next((job for job in jobs if job.guider.scale != 1), jobs[0])
    guidance, whole = _together([job], schedule, device, dtype)
    there, levels = free(whole.samples.device), schedule.levels[:1]
    if there is None:
        return len(jobs)
    if job.guider.model.controls or job.guider.start > 0:
        # those that begin later take part in the middle
        levels = (*levels, schedule.levels[len(schedule.levels) // 2 - 1])
    most = max(needed(lambda level=level: guidance(whole.samples, level)) for level in levels)  # type: ignore[misc]
    return min(len(jobs), max(1, int(USABLE * there) // max(1, most)))


def _together(
    jobs: Sequence[Job], schedule: Schedule, device: str, dtype: str, speed: str = "none"
) -> tuple[Guidance, Latent]:
    """The jobs as one denoiser, its networks loaded, and one latent."""
    guider, latent = jobs[0].guider, jobs[0].latent
    model = guider.model
    family, place = family_of(model), pick_device(device)

    def load(recipe: Recipe) -> nn.Module:
        return STORE.load(recipe, device, dtype if recipe.dtype == "auto" else recipe.dtype)

    module = STORE.load(model, device, dtype)
    prepared = faster(module, "none" if model.patches or model.family == "pixel" else speed)
    network = driven(family.network(prepared, model, steering(model, module, schedule, load)), module, model, schedule)
    if prepared is module:
        network = _untracked(network)

    batch = latent.samples.shape[0]
    scales = torch.tensor([float(job.guider.scale) for job in jobs]).repeat_interleave(batch)

    rule = rule_of(guider.method, schedule)
    guided = any(_guided(job.guider, family, rule) for job in jobs)
    height, width = latent.samples.shape[2:]
    frame = Frame(batch, height, width, model.factor, max(1, model.multiple // model.factor), schedule)
    conditions = [_conditions(job, family, guided, frame, load) for job in jobs]
    joined = [_joined(side, place) for side in zip(*conditions, strict=True)]
    guidance = Guidance(
        network,
        model.prediction,
        joined[0],
        joined[1] if guided else None,
        scales,
        guider.rescale,
        model.clip,
        outside(schedule, guider.start, guider.stop),
        rule,
        joined[2] if len(joined) > 2 else None,
        push_of(guider.method, network, module, model, schedule, load),
    )
    whole = replace(
        latent,
        samples=moved(torch.cat([job.latent.samples for job in jobs]), place),
        mask=None if latent.mask is None else moved(torch.cat([_mask(job.latent) for job in jobs]), place),
        kept=None if latent.kept is None else moved(torch.cat([_kept(job.latent) for job in jobs]), place),
    )
    if model.inpaints:
        # its network sees what is to be kept; with nothing cut off it begins with noise alone
        whole = replace(whole, state="empty" if schedule.starts_whole else whole.state, mask=None)
    return guidance, whole


def _untracked(network: Network) -> Network:
    """The same network, of whose thousands of operations torch notes nothing for gradients, nor what is a view of what.

    The calls alone: what else is made while sampling may be kept and be learned from later, as noise tables are. A
    prepared network (`diffusion.fast`) has no operations left to save this for.
    """

    def run(x: torch.Tensor, level: Level, inputs: Inputs) -> torch.Tensor:
        with torch.inference_mode():
            return network(x, level, inputs)

    return run


def _left(latent: Latent, samples: torch.Tensor, done: Latent, schedule: Schedule) -> Latent:
    """What a job leaves: clean, or with all that the model of the next part has to know of a mask."""
    if schedule.ends_clean:
        return Latent(samples, latent.space)
    return replace(latent, samples=samples, state="noisy", level=done.level, kept=latent.original)


def own(sampler: Sampler, model: ModelRecipe) -> Sampler:
    """The sampler with the kind "model" replaced by what the checkpoint names."""
    return replace(sampler, kind=model.sampler) if sampler.kind == "model" else sampler


def to_the_table(schedule: Schedule, sampler: Sampler, model: ModelRecipe) -> Schedule:
    """The schedule; where the sampler stops on the table's least noisy level, ending there: DEIS, and DDIM and PNDM as
    the model says (`ends_clean`)."""
    config = model.schedule
    ends_clean = {"ddim": config.ends_clean is not False, "pndm": config.ends_clean is True, "deis": False}
    if schedule.kind == "flow" or ends_clean.get(sampler.kind, True) or not schedule.ends_clean:
        return schedule
    return replace(schedule, levels=(*schedule.levels[:-1], least_noisy(config)))


def _conditions(
    job: Job, family: Family, guided: bool, frame: Frame, load: Callable[[Recipe], nn.Module]
) -> list[list[Part]]:
    """Positive, and where it guides negative and third; what is not given is the family's unconditional."""
    guider = job.guider
    given = guider.positive or family.unconditional(guider.model, None, load)
    sides = [given]
    if guided:
        first = Conditioning(given.tensors, given.text)
        sides.append(guider.negative or family.unconditional(guider.model, first, load))
        if guider.method is not None and guider.method.kind in THIRD:
            sides.append(guider.third or family.unconditional(guider.model, first, load))
    shared = {name: given.tensors[name] for name in family.shared if name in given.tensors}
    seen = hints(guider.model, frame.height, frame.width, frame.batch, load)
    painted = inpaint_inputs(guider.model, job.latent)

    def inputs(part: Conditioning) -> Inputs:
        return {**rows(replace(part, tensors={**shared, **part.tensors}), frame.batch), **seen, **painted}

    found = laid_out(sides, frame, inputs)
    # what does not come from the text: where it says nothing, and whatever it says
    size = frame.width * frame.factor, frame.height * frame.factor
    defaults = [told(guider.model, *size, frame.batch, negative=i > 0) for i in range(len(sides))]
    extras = [
        {
            **patch_inputs(guider.model, frame.batch, load, negative=i > 0),
            **strengths(guider.model, frame.batch, load, negative=i > 0),
        }
        for i in range(len(sides))
    ]
    return [
        [replace(part, inputs={**default, **part.inputs, **more}) for part in side]
        for side, default, more in zip(found, defaults, extras, strict=True)
    ]


def _guided(guider: Guider, family: Family, rule: Rule) -> bool:
    away = guider.negative is not None or guider.third is not None or family.pushes_from_empty
    return guider.positive is not None and (rule.always or guider.scale != 1) and away


def _joined(sides: Sequence[Sequence[Part]], place: torch.device) -> list[Part]:
    """One side of every job as one batch."""
    return [
        replace(
            same[0],
            inputs={name: moved(torch.cat([part.inputs[name] for part in same]), place) for name in same[0].inputs},
            weight=None if same[0].weight is None else moved(same[0].weight, place),
        )
        for same in zip(*sides, strict=True)
    ]


def _mask(latent: Latent) -> torch.Tensor:
    if latent.mask is None:
        raise ValueError("some of the latents have a mask and some have none: they cannot be one batch")
    return latent.mask.expand(latent.samples.shape[0], -1, -1, -1)


def _kept(latent: Latent) -> torch.Tensor:
    if latent.kept is None:
        raise ValueError("of some of the latents something is kept, and of some nothing: they cannot be one batch")
    return latent.kept


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
        conditions = job.guider.positive, job.guider.negative, job.guider.third
        if len(jobs) > 1 and not all(one is None or one.plain for one in conditions):
            raise ValueError("a conditioning of several parts, or for a place, cannot be one batch with others")
    if why := unfit(model, schedule.kind):
        raise ValueError(why)


def _common(job: Job) -> tuple[object, ...]:
    guider, latent = job.guider, job.latent
    shape = tuple(latent.samples.shape)
    model = without_strengths(guider.model)
    return model, guider.method, guider.rescale, guider.start, guider.stop, shape, latent.state, latent.level
