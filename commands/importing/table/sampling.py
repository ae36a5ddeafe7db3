"""What is sampled: one node of ComfyUI's is a guider, a schedule, a sampler, noise and UNetDenoise here."""

from dataclasses import replace
from typing import Any

from commands.importing import samplers
from commands.importing import values as v
from commands.importing.build import Out
from commands.importing.graph import Link
from commands.importing.table.latents import at
from commands.importing.table.schedules import kind_of, levels
from commands.importing.translate import Call, Row


def denoised(
    t: Call, guider: v.Guider, sampler: v.Sampler, sigmas: v.Sigmas, noise: v.Noise, latent: v.Latent,
    by_ksampler: bool = False,
) -> v.Latent:  # fmt: skip
    """UNetDenoise and all that it takes.

    by_ksampler: levels are those of KSampler, which leaves one out for some samplers; SamplerCustom does not.
    """
    model = guider.model
    first, last = sigmas.first, sigmas.total if sigmas.last is None else sigmas.last
    if first >= last:
        t.differ("no step is left to walk, and the latent is handed on")
        return latent
    if latent.out is None and first > 0:
        t.differ("an empty latent begins with all the noise here, whatever denoise says")
        first = 0
    kind = kind_of(t, sampler, model)
    stepper = t.add("Sampler", "sampler", kind=kind, eta=sampler.eta)
    schedule = _schedule(t, sigmas, model, stepper if by_ksampler and kind in samplers.LEFT_OUT else None)
    if (first, last) != (0, sigmas.total):
        schedule = t.add(
            "CutSchedule", "part", schedule=schedule, start=share(first, sigmas.total) if first else None,
            end=share(last, sigmas.total) if last < sigmas.total else None,
            finish=True if sigmas.finish and last < sigmas.total else None,
        )  # fmt: skip
        if sigmas.denoise < 1:
            schedule.node.about = f"denoise {sigmas.denoise:g}: the last {last - first} of {sigmas.total} steps"
    drawn = _drawn(t, noise, latent, kind)
    guide = _guide(t, _sized(t, guider, latent))
    out = t.add(
        "UNetDenoise", "denoise", guider=guide, schedule=schedule, sampler=stepper, noise=drawn,
        latent=at(t, latent, model),
    )  # fmt: skip
    partway = last < sigmas.total and not sigmas.finish
    return v.Latent(out, model.kind, noise=drawn if partway else None, batch=latent.batch)


def share(part: int, total: int) -> float:
    """part / total with as few digits as still round to that step."""
    return next(f for digits in range(1, 18) if round((f := round(part / total, digits)) * total) == part)


def _schedule(t: Call, sigmas: v.Sigmas, model: v.Model, sampler: Out | None) -> Out:
    of = sigmas.model or model
    inputs: dict[str, Any] = {"model": of.out, "sampler": sampler}
    if sigmas.given:
        inputs |= dict(sigmas.given)
    else:
        inputs |= {"steps": sigmas.steps, "spacing": sigmas.spacing}
    if of.sized is not None and of.kind == "flux":
        inputs |= {"width": of.sized[0], "height": of.sized[1]}
    inputs |= {"shift": of.shift, "zero_snr": of.zero_snr or None}
    return t.add("NoiseSchedule", "schedule", **inputs)


def _drawn(t: Call, noise: v.Noise, latent: v.Latent, kind: str) -> Out:
    """The noise. Without any of its own, a latent that was left with noise goes on with what was drawn for it."""
    if noise.seed is None:
        if latent.noise is not None:
            return latent.noise
        t.differ("begins without noise there; here with noise of seed 0")
    elif latent.noise is not None:
        t.differ("adds noise to a latent that still holds some there; here it goes on from what is left")
    stream = "batch" if latent.batch > 1 else None
    return t.add("Noise", "noise", seed=noise.seed or 0, stream=stream)


def _sized(t: Call, guider: v.Guider, latent: v.Latent) -> v.Guider:
    """The guider, both of whose sides are told sizes where one is: ComfyUI tells the other those of the latent."""
    positive, negative = guider.positive, guider.negative
    if negative is None or positive.sized == negative.sized:
        return guider
    room = latent.empty
    if room is None:
        t.differ("the side that is told no sizes is told 1024 x 1024 here, the size of the latent there")
    width, height = (1024, 1024) if room is None else (room.width, room.height)

    def told(side: v.Cond) -> v.Cond:
        if side.sized:
            return side
        out = t.add("SizeCondition", "sizes", conditioning=side.out, width=width, height=height)
        return replace(side, out=out, sized=True)

    return replace(guider, positive=told(positive), negative=told(negative))


def _guide(t: Call, guider: v.Guider) -> Out:
    positive, negative, model = guider.positive, guider.negative, guider.model
    other = negative.controls if negative is not None else positive.controls
    acting = tuple(control for control in positive.controls if not control.both)
    if guider.scale != 1.0 and acting != tuple(control for control in other if not control.both):
        t.differ("its ControlNets act on positive and negative alike here")
    out = model.out
    for control in (*positive.controls, *(c for c in other if c not in positive.controls)):
        out = t.add(
            "ControlNetApply", "controlled", model=out, controlnet=control.net, image=control.image,
            vae=None if control.vae is None else t.vae(control.vae, model.kind), strength=_strength(t, control),
            start=control.start or None, end=None if control.end == 1.0 else control.end, mode=control.mode,
        )  # fmt: skip
    kind = model.guider if guider.kind == "CFG" else guider.kind
    return t.add(
        kind, "guide", model=out, positive=positive.out, negative=None if negative is None else negative.out,
        scale=_scale(t, guider.scale), rescale=model.rescale or None,
        **(dict(model.settings) if kind == model.guider else {}), **dict(guider.more),
    )  # fmt: skip


def _strength(t: Call, control: v.Control) -> float:
    if not 0 <= control.strength <= 10:
        t.differ(f"a strength of {control.strength:g} is {min(max(control.strength, 0), 10)} here")
    return min(max(control.strength, 0.0), 10.0)


def _scale(t: Call, scale: float) -> float:
    if not 0 <= scale <= 100:
        t.differ(f"cfg {scale:g} is {min(max(scale, 0.0), 100.0):g} here")
    return min(max(scale, 0.0), 100.0)


def ksampler(t: Call) -> tuple[v.Value | None, ...]:
    """KSampler."""
    model = t.get("model", v.Model)
    guider = v.Guider(model, t.get("positive", v.Cond), t.get("negative", v.Cond), t["cfg"])
    sigmas = levels(t, model, t["scheduler"], t["steps"], t["denoise"])
    noise, latent = v.Noise(t["seed"]), t.get("latent_image", v.Latent)
    return (denoised(t, guider, v.Sampler("", name=t["sampler_name"]), sigmas, noise, latent, True),)


def ksampler_advanced(t: Call) -> tuple[v.Value | None, ...]:
    """KSamplerAdvanced: the steps from start_at_step to end_at_step, with or without noise at either end."""
    model = t.get("model", v.Model)
    guider = v.Guider(model, t.get("positive", v.Cond), t.get("negative", v.Cond), t["cfg"])
    sigmas = levels(t, model, t["scheduler"], t["steps"])
    last = min(t["end_at_step"], sigmas.total)
    finish = t["return_with_leftover_noise"] == "disable"
    sigmas = replace(sigmas, first=t["start_at_step"], last=last, finish=finish)
    latent = t.get("latent_image", v.Latent)
    seed = None if t["add_noise"] == "disable" else t["noise_seed"]
    sampler = v.Sampler("", name=t["sampler_name"])
    if seed is None and latent.noise is not None and sampler.name in samplers.FRESH:
        t.differ("fresh noise goes on from what was drawn before, and not from its own seed")
    return (denoised(t, guider, sampler, sigmas, v.Noise(seed), latent, True),)


def custom(t: Call) -> tuple[v.Value | None, ...]:
    """SamplerCustom."""
    guider = v.Guider(t.get("model", v.Model), t.get("positive", v.Cond), t.get("negative", v.Cond), t["cfg"])
    noise = v.Noise(t["noise_seed"] if t["add_noise"] else None)
    return _custom(t, guider, noise)


def custom_advanced(t: Call) -> tuple[v.Value | None, ...]:
    """SamplerCustomAdvanced."""
    return _custom(t, t.get("guider", v.Guider), t.get("noise", v.Noise))


def _custom(t: Call, guider: v.Guider, noise: v.Noise) -> tuple[v.Value | None, ...]:
    sigmas = t.get("sigmas", v.Sigmas)
    made = denoised(t, guider, t.get("sampler", v.Sampler), sigmas, noise, t.get("latent_image", v.Latent))
    asked = any(value == Link(t.node.id, 1) for node in t.graph.nodes.values() for value in node.inputs.values())
    if asked and made.noise is not None:
        t.differ("denoised_output is what the last step takes for the picture there, and still holds noise here")
    return made, replace(made, noise=None)


ROWS: dict[str, Row] = {
    "KSampler": ksampler,
    "KSamplerAdvanced": ksampler_advanced,
    "SamplerCustom": custom,
    "SamplerCustomAdvanced": custom_advanced,
}
