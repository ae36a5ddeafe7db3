"""Samplers, levels, noise and guiders: the parts of ComfyUI's custom sampling, which are values until it samples."""

from dataclasses import replace

from commands.importing import kinds, samplers
from commands.importing import values as v
from commands.importing.translate import Call, Row

SD_NOISE = (14.614642, 0.0291675)
"""The largest and the least sigma / alpha of Stable Diffusion's table, which KarrasScheduler has by default."""

STEPS_LIMIT = 10_000
"""Steps of a whole schedule."""


def spacing(t: Call, scheduler: str) -> str:
    """The spacing of NoiseSchedule for a scheduler of ComfyUI's."""
    if scheduler not in samplers.SCHEDULERS:
        t.differ(f"scheduler {scheduler} has no match; nearest: comfy_normal")
        return "comfy_normal"
    return f"comfy_{scheduler}"


def levels(t: Call, model: v.Model | None, scheduler: str, steps: int, denoise: float = 1.0) -> v.Sigmas:
    """The last `steps` levels of a schedule of int(steps / denoise)."""
    name = spacing(t, scheduler)
    if steps > STEPS_LIMIT or (denoise > 0 and steps / denoise > STEPS_LIMIT):
        what = f"{steps} steps of a denoise of {denoise:g} are more than {STEPS_LIMIT}"
        raise t.wrong("steps", "E-RANGE", what)
    if denoise > 0.9999:
        return v.Sigmas(model, name, steps, total=samplers.steps_of(name, max(steps, 1)))
    if denoise <= 0 or steps < 1:
        return v.Sigmas(model, name, max(steps, 1), last=0, total=max(steps, 1))
    whole = int(steps / denoise)
    total = samplers.steps_of(name, whole)
    return v.Sigmas(model, name, whole, first=max(total - steps, 0), denoise=denoise, total=total)


def basic(t: Call) -> tuple[v.Value | None, ...]:
    """BasicScheduler."""
    return (levels(t, t.get("model", v.Model), t["scheduler"], t["steps"], t["denoise"]),)


def turbo(t: Call) -> tuple[v.Value | None, ...]:
    """SDTurboScheduler: every hundredth timestep, from the noisiest."""
    first = 10 - int(10 * t["denoise"])
    times = [float(time) for time in range(999, 0, -100)][first : first + t["steps"]]
    if not times:
        return (v.Sigmas(t.get("model", v.Model), "comfy_normal", 1, last=0, total=1),)
    return (v.Sigmas(t.get("model", v.Model), "", len(times), given=(("timesteps", times),), total=len(times)),)


def karras(t: Call) -> tuple[v.Value | None, ...]:
    """KarrasScheduler, PolyexponentialScheduler: the model's own ends, or levels outright."""
    steps, most, least, rho = t["steps"], t["sigma_max"], t["sigma_min"], t["rho"]
    poly = t.node.type == "PolyexponentialScheduler"
    if (most, least) == SD_NOISE and rho == (1.0 if poly else 7.0):
        name = "comfy_exponential" if poly else "comfy_karras"
        return (v.Sigmas(None, name, steps, total=steps),)
    ramp = [i / max(steps - 1, 1) for i in range(steps)]
    if poly:
        given = [least * (most / least) ** ((1 - u) ** rho) for u in ramp]
    else:
        given = [(most ** (1 / rho) + u * (least ** (1 / rho) - most ** (1 / rho))) ** rho for u in ramp]
    return (_outright(steps, given),)


def exponential(t: Call) -> tuple[v.Value | None, ...]:
    """ExponentialScheduler."""
    steps, most, least = t["steps"], t["sigma_max"], t["sigma_min"]
    if (most, least) == SD_NOISE:
        return (v.Sigmas(None, "comfy_exponential", steps, total=steps),)
    return (_outright(steps, [most * (least / most) ** (i / max(steps - 1, 1)) for i in range(steps)]),)


def _outright(steps: int, given: list[float]) -> v.Sigmas:
    return v.Sigmas(None, "", steps, given=(("sigmas", [round(s, 6) for s in given]),), total=steps)


def beta(t: Call) -> tuple[v.Value | None, ...]:
    """BetaSamplingScheduler."""
    if (t["alpha"], t["beta"]) != (0.6, 0.6):
        t.differ(f"alpha {t['alpha']:g} and beta {t['beta']:g} are 0.6 here")
    return (levels(t, t.get("model", v.Model), "beta", t["steps"]),)


def split(t: Call) -> tuple[v.Value | None, ...]:
    """SplitSigmas: the noisy part and the clean part."""
    sigmas = t.get("sigmas", v.Sigmas)
    return _parts(sigmas, _walked(sigmas)[0] + t["step"])


def split_by_share(t: Call) -> tuple[v.Value | None, ...]:
    """SplitSigmasDenoise: the clean part is a share of the steps."""
    sigmas = t.get("sigmas", v.Sigmas)
    first, last = _walked(sigmas)
    return _parts(sigmas, last - round((last - first) * t["denoise"]))


def _walked(sigmas: v.Sigmas) -> tuple[int, int]:
    return sigmas.first, sigmas.total if sigmas.last is None else sigmas.last


def _parts(sigmas: v.Sigmas, at: int) -> tuple[v.Value | None, ...]:
    first, last = _walked(sigmas)
    at = min(max(at, first), last)
    return replace(sigmas, last=at, finish=False), replace(sigmas, first=at)


def select(t: Call) -> tuple[v.Value | None, ...]:
    """KSamplerSelect."""
    return (v.Sampler("", name=t["sampler_name"]),)


def with_eta(t: Call) -> tuple[v.Value | None, ...]:
    """SamplerEulerAncestral and its like: a sampler with its own share of fresh noise."""
    name = {"SamplerEulerAncestral": "euler_ancestral", "SamplerDPMPP_2M_SDE": "dpmpp_2m_sde",
            "SamplerDPMPP_SDE": "dpmpp_sde", "SamplerLMS": "lms"}[t.node.type]  # fmt: skip
    eta = t["eta"] if "eta" in t.signature.inputs else None
    if "s_noise" in t.signature.inputs and t["s_noise"] != 1.0:
        t.differ(f"s_noise {t['s_noise']:g} is 1 here")
    if name == "lms" and t["order"] != 4:
        t.differ(f"order {t['order']} is 4 here")
    if eta is not None and name != "euler_ancestral" and eta != 1.0:
        t.differ(f"eta {eta:g} of {name} is 1 here")
    return (v.Sampler("", eta=None if eta == 1.0 or name != "euler_ancestral" else eta, name=name),)


def noise(t: Call) -> tuple[v.Value | None, ...]:
    """RandomNoise."""
    return (v.Noise(t["noise_seed"]),)


def no_noise(t: Call) -> tuple[v.Value | None, ...]:
    """DisableNoise."""
    return (v.Noise(None),)


def basic_guider(t: Call) -> tuple[v.Value | None, ...]:
    """BasicGuider: the model as it is, with one condition."""
    return (v.Guider(t.get("model", v.Model), t.get("conditioning", v.Cond), None, 1.0),)


def cfg_guider(t: Call) -> tuple[v.Value | None, ...]:
    """CFGGuider."""
    return (v.Guider(t.get("model", v.Model), t.get("positive", v.Cond), t.get("negative", v.Cond), t["cfg"]),)


def dual_guider(t: Call) -> tuple[v.Value | None, ...]:
    """DualCFGGuider: o_n + w_2 (o_2 - o_n) + w (o_1 - o_2)."""
    if t["style"] == "nested":
        t.differ("style = nested is regular here")
    more = (("middle", t.get("cond2", v.Cond).out), ("middle_scale", t["cfg_cond2_negative"]))
    first, negative = t.get("cond1", v.Cond), t.get("negative", v.Cond)
    return (v.Guider(t.get("model", v.Model), first, negative, t["cfg_conds"], "DualGuider", more),)


def perp_guider(t: Call) -> tuple[v.Value | None, ...]:
    """PerpNegGuider."""
    more = (("empty", t.get("empty_conditioning", v.Cond).out), ("negative_scale", t["neg_scale"]))
    positive, negative = t.get("positive", v.Cond), t.get("negative", v.Cond)
    return (v.Guider(t.get("model", v.Model), positive, negative, t["cfg"], "PerpNegGuider", more),)


def kind_of(t: Call, sampler: v.Sampler, model: v.Model) -> str:
    """Our sampler for one of ComfyUI's, on this model."""
    kind, what = samplers.sampler_of(sampler.name, model.kind in kinds.FLOWS)
    if not kind:
        t.differ(f"sampler {sampler.name} has no match; nearest: euler")
        return "euler"
    if what:
        t.differ(what)
    return kind


ROWS: dict[str, Row] = {
    "BasicScheduler": basic,
    "SDTurboScheduler": turbo,
    "KarrasScheduler": karras,
    "PolyexponentialScheduler": karras,
    "ExponentialScheduler": exponential,
    "BetaSamplingScheduler": beta,
    "SplitSigmas": split,
    "SplitSigmasDenoise": split_by_share,
    "KSamplerSelect": select,
    "SamplerEulerAncestral": with_eta,
    "SamplerDPMPP_2M_SDE": with_eta,
    "SamplerDPMPP_SDE": with_eta,
    "SamplerLMS": with_eta,
    "RandomNoise": noise,
    "DisableNoise": no_noise,
    "BasicGuider": basic_guider,
    "CFGGuider": cfg_guider,
    "DualCFGGuider": dual_guider,
    "PerpNegGuider": perp_guider,
}
