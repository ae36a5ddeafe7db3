"""The networks that a pixel-space model may have. All take (x, t, labels) and give an output of the shape of x.

Adding one is writing its sizes and its module, a line in `SIZES` and in `build`, and one in
`diffusion.checkpoint.MULTIPLES`, which knows them without importing torch.
"""

from collections.abc import Mapping
from typing import Any

from diffusion.dit import DiT, DiTConfig
from diffusion.unet import UNet, UNetConfig

NetworkConfig = UNetConfig | DiTConfig
PixelNetwork = UNet | DiT

SIZES: dict[str, type[NetworkConfig]] = {"unet": UNetConfig, "dit": DiTConfig}
"""What says how large a network is, by the name of its kind."""


def build(config: NetworkConfig) -> PixelNetwork:
    """A new network of these sizes, with random weights drawn from torch's default generator."""
    return UNet(config) if isinstance(config, UNetConfig) else DiT(config)


def kind_of_network(config: NetworkConfig) -> str:
    """The name of a network's kind."""
    return next(name for name, sizes in SIZES.items() if isinstance(config, sizes))


def sizes_of(kind: str, values: Mapping[str, Any]) -> NetworkConfig:
    """The sizes that stand in a config.json. TypeError or ValueError for what does not fit, KeyError for the kind."""
    given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return SIZES[kind](**given)
