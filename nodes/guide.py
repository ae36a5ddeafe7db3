"""Guiders: a model told what to draw, and how what it says under several conditions becomes one thing.

In the formulas o is what the model says of the positive condition (o_p), the negative one (o_n) or a third (o_3), and
w the scale. `diffusion.guiders` has them all side by side.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusion.identify import called
from diffusion.recipes import Method, ModelRecipe
from engine.context import Context
from engine.errors import Place, Problem, error
from engine.node import Input, Node
from nodes.sockets import Conditioning, Guider, Model


def guided(cls: type[Node], known: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a guider foresees: its model. E-ARCH for a conditioning of another family than the model's."""
    model = known.get("model")
    if not isinstance(model, ModelRecipe):
        return {}
    for name, spec in cls.inputs.items():
        family = known.get(name)
        if Conditioning in spec.kinds and isinstance(family, str) and family != model.family:
            what = f"the conditioning is for {called(family)}, and the model is {called(model.family)}"
            hint = "encode the text with the text encoder of this model"
            raise error(Problem("E-ARCH", what, hint, Place(input=name)))
    return {"guider": model}


class CFG(Node):
    """Classifier-free guidance: eps = eps_uncond + w (eps_cond - eps_uncond) (Ho & Salimans, 2022).

    w = 1 asks the model once and does not look at the negative; larger w follows the prompt more closely at the cost of
    variety. rescale brings the result's deviation back to that of eps_cond (Lin et al. 2023). Guidance acts between
    start and stop, fractions of the schedule; outside them w is 1.
    """

    version = 1
    model: Model
    positive: Conditioning | None = Input(None, about="what to draw; none: the model without a condition")
    negative: Conditioning | None = Input(None, about="what to push away from; none: the model's empty condition")
    scale: float = Input(7.0, ge=0, le=100, about="w; 1 runs the model once")
    rescale: float = Input(0.0, ge=0, le=1, about="how much of the deviation of eps_cond to restore")
    start: float = Input(0.0, ge=0, le=1, about="where on the schedule guidance begins")
    stop: float = Input(1.0, ge=0, le=1, about="where on the schedule guidance ends")

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The model that is guided. E-ARCH for a conditioning of another family."""
        return guided(cls, known)

    def run(self, ctx: Context) -> Guider:
        return self.guider()

    def guider(self, method: Method | None = None, third: Conditioning | None = None) -> Guider:
        """What this node makes, by another method than classifier-free guidance."""
        fixed = self.scale, self.rescale, self.start, self.stop
        return Guider(self.model, self.positive, self.negative, *fixed, method, third)


class AdaptiveProjectedGuider(CFG):
    """Adaptive projected guidance: o_n + w (eta d_parallel + d_orthogonal), d = o_p - o_n (Sadat et al., 2024).

    The part of d parallel to o_p makes colours garish at large w, so it gets less weight. d is no longer than norm, and
    a negative momentum takes back what it was in the steps before. eta = 1, norm = 0 and momentum = 0 is CFG.
    """

    version = 1
    eta: float = Input(0.0, ge=0, le=1, about="weight of the part of d parallel to o_p")
    norm: float = Input(15.0, ge=0, le=1e6, about="the length that d may have; 0: any")
    momentum: float = Input(-0.5, ge=-1, le=1, about="share of the earlier d that is added; negative: taken off")

    def run(self, ctx: Context) -> Guider:
        settings = ("eta", self.eta), ("norm", self.norm), ("momentum", self.momentum)
        return self.guider(Method("apg", settings))


class ZeroStarGuider(CFG):
    """CFG-Zero*: s o_n + w (o_p - s o_n), s = <o_p, o_n> / |o_n|^2; and 0 in the first steps (Fan et al., 2025).

    s makes o_n as long as fits o_p best. For models of flows, where the first steps of an unsure model do more harm
    than none.
    """

    version = 1
    zero_steps: int = Input(1, ge=0, le=1000, about="first steps in which the output is 0")

    def run(self, ctx: Context) -> Guider:
        return self.guider(Method("zero", (("zero_steps", float(self.zero_steps)),)))


class TangentialGuider(CFG):
    """Tangential guidance: o_n' + w (o_p - o_n') (arXiv 2503.18137).

    o_n' is o_n along the one direction that o_p and o_n have most in common, their first right singular vector; what
    else is in o_n would pull away from the data.
    """

    version = 1

    def run(self, ctx: Context) -> Guider:
        return self.guider(Method("tangent"))


class MagnitudeAwareGuider(CFG):
    """Magnitude-aware guidance: CFG with w' = 1 + (w - 1) exp(-a |o_p - o_n| / |o_n|) (MAMBO-G, arXiv 2508.03442).

    Where positive and negative are far apart, as in the first steps, it guides less. damping = 0 is CFG.
    """

    version = 1
    damping: float = Input(8.0, ge=0, le=100, about="a")

    def run(self, ctx: Context) -> Guider:
        return self.guider(Method("mambo", (("damping", self.damping),)))


class FrequencyDecoupledGuider(CFG):
    """Frequency-decoupled guidance: o_n + w d_high + w_low d_low, d = o_p - o_n (arXiv 2506.19713).

    d_low is what is left of d at half the size. A small w_low keeps variety and natural colours, a large w gives
    detail. w_low = w is CFG.
    """

    version = 1
    low_scale: float = Input(5.0, ge=0, le=100, about="w_low")

    def run(self, ctx: Context) -> Guider:
        return self.guider(Method("bands", (("low_scale", self.low_scale),)))


class DualGuider(CFG):
    """Two conditions with a scale each: o_n + w_2 (o_3 - o_n) + w (o_p - o_3) (Brooks et al., 2023).

    w_2 leads from the negative to the middle condition, w from there to the positive. The model is asked for three at
    once. With w_2 = w the middle does not matter, and it is CFG.
    """

    version = 1
    middle: Conditioning = Input(about="the third condition")
    middle_scale: float = Input(1.5, ge=0, le=100, about="w_2")

    def run(self, ctx: Context) -> Guider:
        return self.guider(Method("dual", (("middle_scale", self.middle_scale),)), self.middle)


class PerpNegGuider(CFG):
    """Perpendicular negative: o_3 + w (p - v n_perpendicular), p = o_p - o_3, n = o_n - o_3 (Armandpour et al., 2023).

    Only what of the negative is perpendicular to the positive is pushed away from, so that a negative which overlaps
    with the prompt does not take from it. o_3 is the empty condition; v = 0 is CFG against that.
    """

    version = 1
    empty: Conditioning | None = Input(None, about="the empty condition; none: the model's own")
    negative_scale: float = Input(1.0, ge=0, le=100, about="v")

    def run(self, ctx: Context) -> Guider:
        return self.guider(Method("perpneg", (("negative_scale", self.negative_scale),)), self.empty)


LAYERS = 'with commas between: "mid", "down.1", "up.0" of a U-Net, "7" of a transformer; none: the middle'


class PerturbedAttentionGuider(CFG):
    """Perturbed attention guidance: CFG, then + s (o_p - o_perturbed) (Ahn et al., 2024).

    In o_perturbed some self-attention maps are the identity, so that structure is lost; pushing away from that gives
    structure, also at w = 1. One more call of the model. strength = 0 is CFG.
    """

    version = 1
    strength: float = Input(3.0, ge=0, le=100, about="s")
    layers: str = Input("", about=f"whose attention is perturbed, {LAYERS}")
    push_start: float = Input(0.0, ge=0, le=1, about="where on the schedule the push begins")
    push_stop: float = Input(1.0, ge=0, le=1, about="where on the schedule the push ends")

    def run(self, ctx: Context) -> Guider:
        settings = ("strength", self.strength), ("layers", self.layers)
        return self.guider(Method("pag", settings, self.push_start, self.push_stop))


class SkipLayerGuider(CFG):
    """Skip layer guidance: CFG, then + s (o_p - o_skipped) (Stable Diffusion 3.5; arXiv 2411.18664).

    In o_skipped some blocks hand on what they are given. For Stable Diffusion 3.5 medium, layers "7, 8, 9" make
    anatomy better. One more call of the model between push_start and push_stop. strength = 0 is CFG.
    """

    version = 1
    strength: float = Input(2.8, ge=0, le=100, about="s")
    layers: str = Input("", about=f"blocks left out, {LAYERS}")
    push_start: float = Input(0.01, ge=0, le=1, about="where on the schedule the push begins")
    push_stop: float = Input(0.2, ge=0, le=1, about="where on the schedule the push ends")

    def run(self, ctx: Context) -> Guider:
        settings = ("strength", self.strength), ("layers", self.layers)
        return self.guider(Method("slg", settings, self.push_start, self.push_stop))


class SmoothedEnergyGuider(CFG):
    """Smoothed energy guidance: CFG, then + s (o_p - o_blurred) (arXiv 2408.00760).

    In o_blurred the queries of some self-attentions are blurred by a Gaussian over the picture. One more call of the
    model. strength = 0 is CFG.
    """

    version = 1
    strength: float = Input(3.0, ge=0, le=100, about="s")
    blur: float | None = Input(None, ge=0.1, le=1000, about="deviation of the Gaussian in tokens; none: infinite")
    layers: str = Input("", about=f"whose queries are blurred, {LAYERS}")
    push_start: float = Input(0.0, ge=0, le=1, about="where on the schedule the push begins")
    push_stop: float = Input(1.0, ge=0, le=1, about="where on the schedule the push ends")

    def run(self, ctx: Context) -> Guider:
        blur = math.inf if self.blur is None else self.blur
        settings = ("strength", self.strength), ("blur", blur), ("layers", self.layers)
        return self.guider(Method("seg", settings, self.push_start, self.push_stop))


class AutoGuider(Node):
    """Autoguidance: o_worse + w (o - o_worse), a model led by a worse version of itself (Karras et al., 2024).

    The worse one is smaller or less trained, of the same family and latents, and sees the same condition. So guidance
    takes no variety away. w = 1 is the model alone.
    """

    version = 1
    model: Model
    worse: Model = Input(about="a smaller or less trained model of the same kind")
    positive: Conditioning | None = Input(None, about="what to draw; none: the models without a condition")
    scale: float = Input(2.0, ge=0, le=100, about="w")
    rescale: float = Input(0.0, ge=0, le=1, about="how much of the deviation of o to restore")
    start: float = Input(0.0, ge=0, le=1, about="where on the schedule guidance begins")
    stop: float = Input(1.0, ge=0, le=1, about="where on the schedule guidance ends")

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The model that is guided. E-ARCH for a conditioning of another family."""
        return guided(cls, known)

    def run(self, ctx: Context) -> Guider:
        method = Method("auto", (("strength", self.scale - 1),), self.start, self.stop, self.worse)
        return Guider(self.model, self.positive, rescale=self.rescale, method=method)
