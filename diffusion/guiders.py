"""Ways of guiding beside classifier-free guidance.

A *rule* makes one output of o_n (negative), o_p (positive) and w, per picture. With d = o_p - o_n:

    apg      adaptive projected      o_n + w (eta d_parallel + d_orthogonal)    Sadat et al. 2024
             d with momentum and no longer than a norm; its parts parallel and orthogonal to o_p
    zero     CFG-Zero*               s o_n + w (o_p - s o_n)                    Fan et al. 2025
             s = <o_p, o_n> / |o_n|^2; 0 in the first steps
    tangent  tangential              o_n' + w (o_p - o_n')                      arXiv 2503.18137
             o_n' = o_n along the direction that o_p and o_n have most in common
    mambo    magnitude-aware         o_n + w' d                                 arXiv 2508.03442
             w' = 1 + (w - 1) exp(-a |d| / |o_n|)
    bands    frequency-decoupled     o_n + w d_high + w_low d_low               arXiv 2506.19713
    dual     two conditions          o_n + w_2 (o_3 - o_n) + w (o_p - o_3)      Brooks et al. 2023
    perpneg  perpendicular negative  o_3 + w (p - v n_perpendicular)            Armandpour et al. 2023
             p = o_p - o_3, n = o_n - o_3, and its part perpendicular to p; o_3 without a prompt

A *push* goes on from there, o + s (o_p - o_worse), away from a worse network under the positive condition:

    pag      perturbed attention     some attention maps are the identity       Ahn et al. 2024
    slg      skip layer              some blocks are left out                   arXiv 2411.18664
    seg      smoothed energy         some queries are blurred                   arXiv 2408.00760
    auto     autoguidance            another, worse model                       Karras et al. 2024

The rules that are not linear look at the network's output as it is, as diffusers' guiders do.
"""

from collections.abc import Callable, Container, Mapping

import torch
from torch import nn
from torch.nn import functional as F

from diffusion.guidance import CFG, Load, Network, Outputs, Push, Rule, combine, outside
from diffusion.perturb import Change, blurred_queries, identity_attention, perturbed, skipped
from diffusion.recipes import Method, ModelRecipe
from diffusion.types import Level, Schedule

AXES = (1, 2, 3)
TINY = 1e-12
"""What is divided by is no less, so that an output of zeros gives no NaN."""


def dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """<a, b> of each picture: (B, C, H, W) twice to (B, 1, 1, 1)."""
    product: torch.Tensor = (a * b).sum(AXES, keepdim=True)
    return product


def norm(a: torch.Tensor) -> torch.Tensor:
    """|a| of each picture: (B, C, H, W) to (B, 1, 1, 1)."""
    length: torch.Tensor = torch.linalg.vector_norm(a, dim=AXES, keepdim=True)
    return length


def adaptive_projected(eta: float, most: float, momentum: float) -> Callable[[Outputs], torch.Tensor]:
    """apg. most: the norm that d may have, 0 for any. momentum: of d over the steps. eta = 1 keeps d as it is."""
    before = torch.zeros(())

    def rule(o: Outputs) -> torch.Tensor:
        nonlocal before
        d = o.positive - o.negative
        if momentum:
            d = before = d + momentum * before.to(d)
        if most > 0:
            d = d * (most / norm(d)).clamp(max=1)
        if eta != 1:
            unit = F.normalize(o.positive.double(), dim=AXES)  # type: ignore[arg-type]
            parallel = (dot(d.double(), unit) * unit).to(d)
            d = (d - parallel) + eta * parallel
        return o.negative + o.scale * d

    return rule


def zero_star(zero: Container[Level]) -> Callable[[Outputs], torch.Tensor]:
    """zero. The output is 0 at the levels `zero`."""

    def rule(o: Outputs) -> torch.Tensor:
        if o.level in zero:
            return torch.zeros_like(o.positive)
        s = dot(o.positive, o.negative) / (dot(o.negative, o.negative) + 1e-8)
        return combine(s * o.negative, o.positive, o.scale)

    return rule


def tangential(o: Outputs) -> torch.Tensor:
    """tangent. The first right singular vector of the two outputs is what they have most in common."""
    both = torch.stack([o.positive, o.negative], 1).flatten(2).float()  # (B, 2, C H W)
    common = torch.linalg.svd(both, full_matrices=False)[2][:, 0].view(o.positive.shape)
    negative = (dot(o.negative.float(), common) * common).to(o.negative)
    return combine(negative, o.positive, o.scale)


def magnitude_aware(damping: float) -> Callable[[Outputs], torch.Tensor]:
    """mambo. damping: a; 0 leaves w as it is."""

    def rule(o: Outputs) -> torch.Tensor:
        ratio = norm(o.positive - o.negative) / norm(o.negative).clamp(min=TINY)
        return combine(o.negative, o.positive, 1 + (o.scale - 1) * torch.exp(-damping * ratio))

    return rule


def frequency_decoupled(low: float) -> Callable[[Outputs], torch.Tensor]:
    """bands. low: w_low, for what is left of d at half the size."""

    def rule(o: Outputs) -> torch.Tensor:
        return combine(o.negative, o.positive, o.scale) + (low - o.scale) * coarse(o.positive - o.negative)

    return rule


def coarse(d: torch.Tensor) -> torch.Tensor:
    """d made half as large and as large again, blurred each time: (B, C, H, W), what a Laplacian pyramid leaves out."""
    line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=d.device, dtype=d.dtype) / 16
    kernel = (line[:, None] * line[None, :]).expand(d.shape[1], 1, 5, 5)

    def blur(x: torch.Tensor) -> torch.Tensor:
        # reflected at the edges where there is enough to reflect
        mode = "reflect" if min(x.shape[2:]) > 2 else "replicate"
        return F.conv2d(F.pad(x, (2, 2, 2, 2), mode=mode), kernel, groups=x.shape[1])

    def resized(x: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)

    half = resized(blur(d), (max(1, d.shape[2] // 2), max(1, d.shape[3] // 2)))
    return blur(resized(half, tuple(d.shape[2:])))


def dual(second: float) -> Callable[[Outputs], torch.Tensor]:
    """dual. second: w_2, from the negative to the third."""

    def rule(o: Outputs) -> torch.Tensor:
        assert o.third is not None
        return combine(o.negative, o.third, second) + o.scale * (o.positive - o.third)

    return rule


def perpendicular_negative(away: float) -> Callable[[Outputs], torch.Tensor]:
    """perpneg. away: v, how much of the negative is pushed away from."""

    def rule(o: Outputs) -> torch.Tensor:
        assert o.third is not None
        p, n = o.positive - o.third, o.negative - o.third
        perpendicular = n - dot(n, p) / dot(p, p).clamp(min=TINY) * p
        return o.third + o.scale * (p - away * perpendicular)

    return rule


RULES: Mapping[str, Callable[[Mapping[str, float], Schedule], Rule]] = {
    "apg": lambda s, _: Rule(adaptive_projected(s["eta"], s["norm"], s["momentum"])),
    "zero": lambda s, schedule: Rule(zero_star(_first(schedule, int(s["zero_steps"])))),
    "tangent": lambda s, _: Rule(tangential),
    "mambo": lambda s, _: Rule(magnitude_aware(s["damping"])),
    "bands": lambda s, _: Rule(frequency_decoupled(s["low_scale"]), always=True),
    "dual": lambda s, _: Rule(dual(s["middle_scale"]), always=True),
    "perpneg": lambda s, _: Rule(perpendicular_negative(s["negative_scale"]), always=True),
}
"""How each rule is made of a method's settings."""

THIRD = ("dual", "perpneg")
"""The kinds that ask for a third condition."""


def rule_of(method: Method | None, schedule: Schedule) -> Rule:
    """The rule of a method, which may keep a memory of one run; classifier-free guidance if it has none of its own."""
    if method is None or method.kind not in RULES:
        return CFG
    return RULES[method.kind]({name: float(value) for name, value in method.settings}, schedule)


def push_of(
    method: Method | None, network: Network, module: nn.Module, model: ModelRecipe, schedule: Schedule, load: Load
) -> Push | None:
    """What a method pushes away from, and how strongly; None if nothing. ValueError where the model has no such layers,
    or the worse model does not fit it.

    network, module: the model's. load: gives the modules of other recipes.
    """
    if method is None or method.kind in RULES:
        return None
    settings = dict(method.settings)
    if not settings["strength"]:
        return None
    if method.kind == "auto":
        worse = _other(method, model, load)
    else:
        worse = perturbed(network, module, _change(method.kind, settings), str(settings["layers"]))
    return Push(worse, float(settings["strength"]), outside(schedule, method.start, method.stop))


def _change(kind: str, settings: Mapping[str, float | str]) -> Change:
    if kind == "pag":
        return identity_attention
    return skipped if kind == "slg" else blurred_queries(float(settings["blur"]))


def _other(method: Method, model: ModelRecipe, load: Load) -> Network:
    from diffusion.family import family_of

    other = method.worse
    assert other is not None
    for what in ("family", "space", "channels", "prediction"):
        here, there = getattr(model, what), getattr(other, what)
        if here != there:
            raise ValueError(f"the worse model's {what} is {there}, and the model's is {here}: take one of its kind")
    if other.patches or other.controls:
        raise ValueError("the worse model takes no LoRA, IP-Adapter or ControlNet of its own: give it as it was loaded")
    return family_of(other).network(load(other), other)


def _first(schedule: Schedule, steps: int) -> Container[Level]:
    """The levels of a schedule's first steps."""
    total = max(schedule.total, 1)
    return outside(schedule, min(steps, total) / total, 1.0)
