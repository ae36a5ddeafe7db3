"""The values that travel between the parts of a diffusion model. Importing this file imports no tensor library.

All are frozen. What holds tensors or arrays compares by identity; what is a recipe or a setting compares by value,
hashes, prints and turns into JSON, so it can name a result in a cache. Shapes are written with

    B batch, P prompts, N pictures, C channels, H height, W width.

P prompts serve a batch of B = P n latents, prompt after prompt: prompt 0 n times, prompt 1 n times, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import numpy as np
    import torch

Prediction = Literal["epsilon", "sample", "v", "flow"]
"""What the number a network puts out stands for; `diffusion.parameterisation` says what each means."""

State = Literal["empty", "clean", "noisy"]

Weighting = Literal["none", "a1111", "comfy"]
"""How weights in a prompt, such as (word:1.2), are read; `diffusion.prompt` says what each does."""

PREDICTIONS: tuple[str, ...] = get_args(Prediction)


@dataclass(frozen=True, slots=True)
class Level:
    """One noise level of x = alpha x0 + sigma eps. t is only what the network is told, 0 … train_steps."""

    t: float
    alpha: float
    sigma: float


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """The noise table that a model was trained on, and how it is meant to be sampled.

    kind: linear, scaled_linear, cosine or flow. beta_start, beta_end: of the first two.
    steps_offset: added to every timestep of leading spacing. shift: moves a flow table towards noise.
    ends_clean: the last step of DDIM and PNDM goes to no noise at all, and not to the table's least. None: as each is
    known for, DDIM to none and PNDM to the least.
    states_spacing: the model's own file names its spacing; else it is what the scheduler in that file is known for.
    even: the spacing by time that karras, exponential and beta take their ends from; linspace is the whole table.
    placing: how leading and linspace spacing are meant (even, whole or ahead); see `diffusion.spacing`.
    distilled_steps: how many timesteps a model was distilled on, for lcm spacing.
    base_shift, max_shift: of pictures of base_tokens and max_tokens, where the shift of a flow follows the size; see
    `diffusion.schedule.for_tokens`, which sets mu, the shift's logarithm. None for models that have one shift.
    """

    kind: str = "linear"
    train_steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    spacing: str = "trailing"
    steps_offset: int = 0
    shift: float = 1.0
    zero_snr: bool = False
    ends_clean: bool | None = None
    states_spacing: bool = True
    even: str = "linspace"
    placing: str = "even"
    distilled_steps: int = 50
    base_shift: float | None = None
    max_shift: float = 1.15
    base_tokens: int = 256
    max_tokens: int = 4096
    mu: float | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Noise levels from noisy to clean; a sampler takes one step between each two.

    levels: at least one; the last has sigma 0 and alpha 1 unless the end was cut off.
    kind: the table they come from (linear, scaled_linear, cosine, flow, or sigmas when given outright).
    spacing: how they were chosen from the table.
    first, total: where the levels stand in the whole schedule: steps cut off before them, and steps of the whole.
    config: the table itself, for solvers that look at levels between these.
    """

    levels: tuple[Level, ...]
    kind: str = "linear"
    spacing: str = "trailing"
    first: int = 0
    total: int = 0
    config: ScheduleConfig = field(default_factory=ScheduleConfig)

    @property
    def steps(self) -> int:
        """Number of steps that a sampler takes: one fewer than levels."""
        return len(self.levels) - 1

    @property
    def ends_clean(self) -> bool:
        """True if nothing was cut off at the end, so that the last level holds no noise."""
        return self.levels[-1].sigma == 0.0

    @property
    def starts_whole(self) -> bool:
        """True if nothing was cut off at the start."""
        return self.first == 0


@dataclass(frozen=True, slots=True)
class Sampler:
    """How to step: a kind known to `diffusion.samplers`, and eta in 0 … 1 (None: what the kind is defined by)."""

    kind: str = "model"
    eta: float | None = None


@dataclass(frozen=True, slots=True)
class Noise:
    """A source of random numbers. Item i of a batch has a stream of its own, seeded with seed + i.

    variation_strength in 0 … 1 turns the initial noise towards that of variation_seed along the sphere. whole: one
    stream for the whole batch instead, as ComfyUI draws it; items other than the first then have no seed of their own.
    """

    seed: int
    variation_seed: int | None = None
    variation_strength: float = 0.0
    whole: bool = False


@dataclass(frozen=True, eq=False)
class Latent:
    """What a denoiser works on.

    samples: (B, C, H, W) float. All zeros where the state is empty.
    space: the name of the coding they are in, such as pixel; only a VAE and a model of the same space take them.
    state: empty is pure noise still to be drawn; clean is noised to a schedule's first level; noisy goes on as it is.
    level: the noise level that a noisy one stands at.
    mask: (B or 1, 1, H, W) in 0 … 1, 1 where it is to be painted anew; None for everywhere.
    covered: (B or 1, C, H, W), the same picture with the part of the mask covered, for networks that look at it.
    kept: (B, C, H, W), of a noisy one with a mask: what the picture was before, clean, of which the rest is kept.
    """

    samples: torch.Tensor
    space: str
    state: State = "clean"
    level: Level | None = None
    mask: torch.Tensor | None = None
    covered: torch.Tensor | None = None
    kept: torch.Tensor | None = None

    @property
    def original(self) -> torch.Tensor | None:
        """What is kept outside the mask, clean; None where nothing is."""
        return None if self.mask is None else self.samples if self.state == "clean" else self.kept


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a text encoder is to encode.

    text_2, text_3: for the second and third encoder; None is the same text. clip_skip: how many last layers of a CLIP
    encoder to leave out. max_tokens: how many tokens a T5 encoder reads; None is the family's own number.
    """

    text: str
    text_2: str | None = None
    text_3: str | None = None
    clip_skip: int = 0
    max_tokens: int | None = None
    weighting: Weighting = "none"


@dataclass(frozen=True, eq=False)
class Scope:
    """Where, when and how much a conditioning counts beside others.

    area: x, y, width and height of the only place where it counts, in pixels or (unit) as fractions of the picture.
    mask: float32 (N, H, W) of any size, how much it counts at each place. crop: the network sees only what the mask
    leaves. strength: what that is multiplied with. start, end: the part of the whole schedule, 0 … 1, in which it
    counts.
    """

    area: tuple[float, float, float, float] | None = None
    unit: Literal["pixels", "fractions"] = "pixels"
    mask: np.ndarray | None = None
    crop: bool = False
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0

    @property
    def limited(self) -> bool:
        """False if it counts everywhere, at every level, by 1."""
        whole = self.area is None and self.mask is None
        return not whole or (self.strength, self.start, self.end) != (1.0, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What a text encoder made of P prompts: tensors by the names that the family gives them, first axis P.

    A class-conditional pixel model has "labels": (P,) int64, where the number of classes itself means no class.
    others: further conditionings for the same pictures, with no others of their own; what a network says under each
    of them is mixed, where and when and as much as the scope of each says (`diffusion.guidance.Sides`).
    """

    tensors: Mapping[str, torch.Tensor]
    text: str = ""
    scope: Scope = Scope()
    others: tuple[Conditioning, ...] = ()

    @property
    def prompts(self) -> int:
        """P, the number of prompts; 1 where nothing is fed."""
        return next((int(tensor.shape[0]) for tensor in self.tensors.values()), 1)

    @property
    def parts(self) -> tuple[Conditioning, ...]:
        """Itself without the others, and the others."""
        return (replace(self, others=()), *self.others)

    @property
    def plain(self) -> bool:
        """Whether there is nothing to mix: no others, and no limit to where or when it counts."""
        return not self.others and not self.scope.limited


@dataclass(frozen=True, eq=False)
class Image:
    """Pictures. pixels: float32 (B, H, W, C) in 0 … 1 with C = 1 (grey) or 3 (sRGB)."""

    pixels: np.ndarray


@dataclass(frozen=True, slots=True)
class Picture:
    """Pictures that are part of a recipe: they compare by the digest of their pixels."""

    digest: str
    image: Image = field(compare=False, repr=False)


@dataclass(frozen=True, eq=False)
class Mask:
    """Masks. values: float32 (B, H, W) in 0 … 1; 1 marks what is to be painted anew."""

    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures to learn from.

    images: uint8 (N, H, W, C) with C = 1 or 3. labels: int64 (N,) indices into class_names, or None.
    captions: one text a picture, or empty.
    crops: int64 (N, 4), height and width of the file that each was cut from, and the top and left of the cut in the
    picture as it was resized; None where that is not to be told.
    others: further pictures, of other shapes, with no others of their own.
    """

    images: np.ndarray
    labels: np.ndarray | None = None
    captions: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    name: str = ""
    crops: np.ndarray | None = None
    others: tuple[Dataset, ...] = ()

    def __len__(self) -> int:
        return sum(len(part.images) for part in self.parts)

    @property
    def parts(self) -> tuple[Dataset, ...]:
        """The pictures of each shape by themselves."""
        return (replace(self, others=()), *self.others) if self.others else (self,)

    @property
    def alike(self) -> Dataset:
        """Itself. ValueError if its pictures are of several shapes."""
        if self.others:
            shapes = ", ".join("{1} x {0}".format(*part.images.shape[1:3]) for part in self.parts)
            raise ValueError(f"{self.name} has pictures of {shapes}, and this takes one shape; cut them to squares")
        return self
