"""LoRA: low-rank changes beside the weights of a network (Hu et al. 2021).

    y = W x + sum_i s_i (alpha_i / r_i) B_i A_i x

W is the layer as it was and stays untouched. A_i is (r, in), B_i (out, r), of rank r far below both; alpha_i is a
number that was fixed in training, and s_i the strength, 1 for what was trained. In a convolution A_i has the kernel of
W, and B_i one of 1 x 1.

The terms are added and not merged into W: taking a LoRA away gives back the same bits, and s_i can be another for each
picture of a batch. They are merged only where a new model is written. `diffusion.lora_file` reads the files.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from diffusion.patch_check import MisfitError

Strength = torch.Tensor | float
"""s: one number, or (B,)."""


class Factors(nn.Module):
    """A (r, in) and B (out, r) of one layer, and alpha / r. Where A and B are parameters, they can be taught."""

    down: torch.Tensor
    up: torch.Tensor

    def __init__(self, down: torch.Tensor, up: torch.Tensor, scale: float) -> None:
        super().__init__()
        for name, tensor in (("down", down), ("up", up)):
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(name, tensor)
            else:
                self.register_buffer(name, tensor)
        self.scale = scale

    def forward(self, layer: Any, x: torch.Tensor, strength: Strength) -> torch.Tensor:
        """s (alpha / r) B A x, shaped as what the layer makes of x."""
        if isinstance(layer, nn.Conv2d):
            z = F.conv2d(x, self.down, None, layer.stride, layer.padding, layer.dilation)
            return F.conv2d(z * self._factor(z, strength), self.up)
        z = F.linear(x, self.down)
        return F.linear(z * self._factor(z, strength), self.up)

    def change(self) -> torch.Tensor:
        """(alpha / r) B A in float32, shaped as the layer's weights."""
        change = self.up.float().flatten(1) @ self.down.float().flatten(1)
        return change.view(len(self.up), *self.down.shape[1:]) * self.scale

    def fits(self, layer: nn.Module) -> bool:
        """Whether B A has the shape of the layer's weights."""
        weight = getattr(layer, "weight", None)
        if not isinstance(layer, nn.Linear | nn.Conv2d) or weight is None:
            return False
        grouped = isinstance(layer, nn.Conv2d) and layer.groups != 1
        (rank, *into), (out, inner, *last) = self.down.shape, self.up.shape
        return (out, *into) == tuple(weight.shape) and rank == inner and math.prod(last) == 1 and not grouped

    def _factor(self, z: torch.Tensor, strength: Strength) -> Strength:
        if isinstance(strength, torch.Tensor):
            return (strength.to(z.device, z.dtype) * self.scale).view(-1, *[1] * (z.ndim - 1))
        return strength * self.scale


class Lora(nn.Module):
    """What a file holds for a denoiser, or for the text encoders: factors by the part of the model and the layer.

    name: of the file, for messages. family: of the models it was made for, as far as can be told.
    """

    def __init__(self, parts: Mapping[str, Mapping[str, Factors]], name: str, family: str = "") -> None:
        super().__init__()
        self.parts = parts
        self.every = nn.ModuleList([one for factors in parts.values() for one in factors.values()])
        self.name, self.family = name, family

    def weights(self) -> dict[str, torch.Tensor]:
        """A and B of every layer, by its name."""
        layers = {f"{part}.{path}": one for part, found in self.parts.items() for path, one in found.items()}
        return {f"{layer}.{end}": getattr(one, end) for layer, one in layers.items() for end in ("down", "up")}


class Strengths:
    """s_i of every LoRA of a module, in order; all its layers look here."""

    def __init__(self, values: Sequence[Strength]) -> None:
        self.values = tuple(values)


class Adapted(nn.Module):
    """A layer and what LoRAs add to it."""

    def __init__(self, layer: Any, strengths: Strengths) -> None:
        super().__init__()
        self.layer, self.strengths = layer, strengths
        self.added = nn.ModuleList()
        self.which: list[int] = []

    @property
    def weight(self) -> torch.Tensor:
        """W."""
        weight: torch.Tensor = self.layer.weight
        return weight

    @property
    def bias(self) -> torch.Tensor | None:
        """The layer's own bias."""
        bias: torch.Tensor | None = self.layer.bias
        return bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """y = W x + sum_i s_i (alpha_i / r_i) B_i A_i x."""
        y: torch.Tensor = self.layer(x)
        for i, factors in zip(self.which, self.added, strict=True):
            y = y + factors(self.layer, x, self.strengths.values[i])
        return y


def install(root: nn.Module, lora: Lora, part: str, strengths: Strengths, index: int) -> None:
    """Let the layers of a module add what a LoRA has for a part. index: of its strength.

    MisfitError that names the first three layers that the module does not have, or has in another shape.
    """
    for parent, name, factors in _places(root, lora, part):
        layer = getattr(parent, name)
        if not isinstance(layer, Adapted):
            layer = Adapted(layer, strengths)
            setattr(parent, name, layer)
        layer.added.append(factors)
        layer.which.append(index)


@torch.no_grad()
def merge(root: nn.Module, lora: Lora, part: str, strength: float) -> None:
    """Make what a LoRA has for a part of the weights' own: W' = W + s (alpha / r) B A, rounded to the dtype of W once.
    Errors as `install`."""
    for parent, name, factors in _places(root, lora, part):
        weight: torch.Tensor = getattr(parent, name).weight
        weight.copy_(weight.float() + strength * factors.change().to(weight.device))


def _places(root: nn.Module, lora: Lora, part: str) -> list[tuple[nn.Module, str, Factors]]:
    """The module that holds each layer that a LoRA changes, its name there, and the change."""
    found: list[tuple[nn.Module, str, Factors]] = []
    strange: list[str] = []
    for path, factors in lora.parts.get(part, {}).items():
        place = _place(root, path)
        if place is None or not factors.fits(_bare(getattr(*place))):
            strange.append(path)
        else:
            found.append((*place, factors))
    if strange:
        made = f", which was made for {lora.family}," if lora.family else ""
        named = ", ".join(strange[:3]) + (", …" if len(strange) > 3 else "")
        raise MisfitError(
            f"{lora.name}{made} changes {len(strange)} layers that the {part} of this model does not have: {named}"
        )
    return found


def _place(root: nn.Module, path: str) -> tuple[nn.Module, str] | None:
    """The module that holds a layer, and the name it has there; None if there is none.

    CLIP's layers lie in text_model, or, as of transformers 5.6, in the encoder itself.
    """
    for spelling in (path, path.removeprefix("text_model."), f"text_model.{path}"):
        above, _, name = spelling.rpartition(".")
        try:
            parent = root.get_submodule(above)
        except AttributeError:
            continue
        if isinstance(getattr(parent, name, None), nn.Module):
            return parent, name
    return None


def _bare(layer: nn.Module) -> nn.Module:
    return layer.layer if isinstance(layer, Adapted) else layer
