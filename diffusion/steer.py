"""The joint between a denoiser and what steers it beside the text, such as ControlNets."""

from collections.abc import Callable, Mapping
from typing import Any

from diffusion.guidance import Inputs
from diffusion.types import Level

Fed = Mapping[str, Any]
"""What a denoiser is fed, by the names of its own arguments."""

Steer = Callable[[Level, Inputs, Fed], dict[str, Any]]
"""From a level, the inputs, and what a denoiser is fed, to what it is to be fed beside that."""


def unsteered(level: Level, inputs: Inputs, fed: Fed) -> dict[str, Any]:
    """Nothing."""
    return {}
