"""What travels along the links of a ComfyUI graph, while it is translated.

Much of it is not yet a node of ours: where ComfyUI hangs something on a conditioning that we hang on the model, or says
late what we must say early, the value carries it to the node that needs it.
"""

from dataclasses import dataclass
from typing import Any

from commands.importing.build import Out


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a text or a boolean that a node gives."""

    value: Any


@dataclass(frozen=True, slots=True)
class Unmatched:
    """An output of a node that has no match."""

    out: Out


@dataclass(frozen=True, slots=True)
class Model:
    """A denoiser. kind: what it is (`kinds`). The rest is what patches of ComfyUI's said of its schedule and guidance.

    sized: width and height from which the shift of a flow follows. guider: a guider of ours in place of CFG, with what
    it takes beside.
    """

    out: Out
    kind: str
    shift: float | None = None
    sized: tuple[int, int] | None = None
    zero_snr: bool = False
    sampler: str = ""
    rescale: float = 0.0
    guider: str = "CFG"
    settings: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Clip:
    """A text encoder. layer: the last one that counts, from the end, as ComfyUI counts; None: as the model has it."""

    out: Out
    kind: str
    layer: int | None = None


@dataclass(frozen=True, slots=True)
class Vae:
    """A VAE. out is None for one that is a file by itself (source), whose family the latent tells."""

    out: Out | None
    source: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Control:
    """A ControlNet on a conditioning. both: whether it acts on the negative too."""

    net: Out
    image: Out
    strength: float
    start: float
    end: float
    mode: int | None
    vae: Vae | None
    both: bool = False


@dataclass(frozen=True, slots=True)
class Cond:
    """A conditioning, with the ControlNets that hang on it. sized: whether SizeCondition is in it."""

    out: Out
    kind: str
    sized: bool = False
    controls: tuple[Control, ...] = ()


@dataclass(frozen=True, slots=True)
class Empty:
    """Room for pictures of a size in pixels, whose model is not known yet."""

    width: int
    height: int
    batch: int


@dataclass(frozen=True, slots=True)
class Latent:
    """A latent: one of ours, or room for one. noise: what was drawn for it, where it was left with noise."""

    out: Out | None
    kind: str = ""
    empty: Empty | None = None
    noise: Out | None = None
    batch: int = 1


@dataclass(frozen=True, slots=True)
class Image:
    """Pictures."""

    out: Out


@dataclass(frozen=True, slots=True)
class Mask:
    """Masks."""

    out: Out


@dataclass(frozen=True, slots=True)
class Net:
    """A ControlNet, and for a union net the kind of picture."""

    out: Out
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class Upscaler:
    """The file of an upscaler network."""

    source: str


@dataclass(frozen=True, slots=True)
class Sampler:
    """How to step."""

    kind: str
    eta: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Noise:
    """Where noise comes from; a seed of None is none at all."""

    seed: int | None


@dataclass(frozen=True, slots=True)
class Sigmas:
    """Levels: `steps` of a scheduler, of which those from first to last are walked.

    given: inputs of NoiseSchedule in place of these. finish: whether the last level is no noise at all.
    """

    model: Model | None
    spacing: str
    steps: int
    first: int = 0
    last: int | None = None
    given: tuple[tuple[str, Any], ...] = ()
    finish: bool = False
    denoise: float = 1.0
    """The share of the whole that is walked, as it was asked for."""
    total: int = 0
    """How many steps there are, where the scheduler makes more or fewer than it is asked for."""


@dataclass(frozen=True, slots=True)
class Guider:
    """A model that was told what to draw."""

    model: Model
    positive: Cond
    negative: Cond | None
    scale: float
    kind: str = "CFG"
    more: tuple[tuple[str, Any], ...] = ()


Value = (
    Constant | Unmatched | Model | Clip | Vae | Cond | Latent | Image | Mask | Net | Upscaler | Sampler | Noise
    | Sigmas | Guider
)  # fmt: skip
