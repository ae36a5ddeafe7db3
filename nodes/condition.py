"""Conditionings made of others: two in one, and one for a place or a part of the schedule.

The arithmetic is ComfyUI's, so that an imported graph means the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from engine.context import Context
from engine.errors import Place, Problem
from engine.node import Input, Node
from nodes.sockets import Conditioning, Mask


class CombineCondition(Node):
    """o = sum m_i o_i / sum m_i: both conditionings hold, and what the model says under each is mixed.

    m is 1 where nothing else is said: ConditionArea and ConditionMask give it a place and a strength. Alone it is the
    mean of both. `a AND b` of stable-diffusion-webui with weights v and w is this with strengths v and w, at v + w
    times the guidance scale (Liu et al. 2022).
    """

    version = 1
    first: Conditioning
    second: Conditioning

    def run(self, ctx: Context) -> Conditioning:
        from diffusion.conditions import combined

        return combined(self.first, self.second)


class ConcatCondition(Node):
    """c = [c_1, c_2]: one conditioning, with the tokens of the second behind those of the first.

    The pooled vector and sizes are the first's. So two prompts of 77 tokens are read one by one and seen together.
    """

    version = 1
    first: Conditioning
    second: Conditioning

    def run(self, ctx: Context) -> Conditioning:
        from diffusion.conditions import concatenated

        return concatenated(self.first, self.second)


class AverageCondition(Node):
    """c = s c_1 + (1 - s) c_2: embeddings between two prompts, the pooled vector too.

    Where the second has fewer tokens, zeros stand for those that it lacks.
    """

    version = 1
    first: Conditioning
    second: Conditioning
    strength: float = Input(0.5, ge=0, le=1, about="s; 1 is the first alone")

    def run(self, ctx: Context) -> Conditioning:
        from diffusion.conditions import averaged

        return averaged(self.first, self.second, self.strength)


class ConditionArea(Node):
    """A conditioning for a rectangle of the picture: the model is asked of that rectangle alone.

    Its weight m is the strength, and rises to that from the edges of the rectangle that lie within the picture, over 8
    places of the latent, which are 64 pixels of Stable Diffusion. Combine it with one for the whole picture, or with
    others that cover the rest. Where nothing counts the picture is grey. Without a width and height only the strength
    changes.
    """

    version = 1
    conditioning: Conditioning
    x: float = Input(0.0, ge=0, le=16384, about="left edge")
    y: float = Input(0.0, ge=0, le=16384, about="upper edge")
    width: float | None = Input(None, ge=0, le=16384, about="width; none: the place stays as it is")
    height: float | None = Input(None, ge=0, le=16384, about="height; none: the place stays as it is")
    unit: Literal["pixels", "fractions"] = Input("pixels", about="what these are in; fractions of the picture: 0 … 1")
    strength: float = Input(1.0, ge=0, le=10, about="m, beside other conditionings")

    @classmethod
    def check(cls, literals: Mapping[str, Any]) -> Iterable[Problem]:
        """Refuse a width without a height, and fractions above 1."""
        width, height = literals.get("width"), literals.get("height")
        if (width is None) != (height is None) and {"width", "height"} <= literals.keys():
            yield Problem("E-RANGE", "a width needs a height", "give both, or neither", Place(input="width"))
        if literals.get("unit") == "fractions":
            for name in ("x", "y", "width", "height"):
                if (literals.get(name) or 0) > 1:
                    yield Problem("E-RANGE", f"{literals[name]:g} is no fraction", "0 … 1", Place(input=name))

    def run(self, ctx: Context) -> Conditioning:
        from diffusion.conditions import each

        area = None if self.width is None or self.height is None else (self.x, self.y, self.width, self.height)

        def placed(part: Conditioning) -> Conditioning:
            scope = replace(part.scope, strength=self.strength)
            return replace(part, scope=replace(scope, area=area, unit=self.unit) if area else scope)

        return each(self.conditioning, placed)


class ConditionMask(Node):
    """A conditioning that counts as much as a mask says, place by place: m = strength times the mask.

    The mask is resized to the latent. The model is asked of the whole picture, or with crop only of the rectangle
    around what the mask leaves, as of an area.
    """

    version = 1
    conditioning: Conditioning
    mask: Mask
    strength: float = Input(1.0, ge=0, le=10, about="m where the mask is 1")
    crop: bool = Input(False, about="ask the model only of the mask's bounding box")

    def run(self, ctx: Context) -> Conditioning:
        from diffusion.conditions import each

        mask = self.mask.values * self.strength

        def masked(part: Conditioning) -> Conditioning:
            return replace(part, scope=replace(part.scope, mask=mask, crop=self.crop))

        return each(self.conditioning, masked)


class ConditionRange(Node):
    """A conditioning that counts only in a part of the schedule: in step i of n if start <= i/n and (i+1)/n <= end.

    Combine two to change the prompt on the way. Steps are counted in the whole schedule, also where it was cut.
    """

    version = 1
    conditioning: Conditioning
    start: float = Input(0.0, ge=0, le=1, about="where on the schedule it begins to count")
    end: float = Input(1.0, ge=0, le=1, about="where on the schedule it ends")

    @classmethod
    def check(cls, literals: Mapping[str, Any]) -> Iterable[Problem]:
        """Refuse a part that ends before it starts."""
        start, end = literals.get("start", 0.0), literals.get("end", 1.0)
        if start > end:
            yield Problem("E-RANGE", f"start {start:g} lies after end {end:g}", "exchange them", Place(input="start"))

    def run(self, ctx: Context) -> Conditioning:
        from diffusion.conditions import each

        def ranged(part: Conditioning) -> Conditioning:
            return replace(part, scope=replace(part.scope, start=self.start, end=self.end))

        return each(self.conditioning, ranged)
