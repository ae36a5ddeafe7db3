"""A U-Net from scratch: the network that looks at a noisy picture and says what is noise (Ho et al. 2020).

    x ─ stem ─ level 0 ───────────── skips ───────────── level 0 ─ head ─ output
                  └ half size ─ level 1 ─ skips ─ level 1 ─ double ┘
                                   └──── middle ────┘

Every block is told the noise level, and the class if there is one, by scaling and shifting its normalised features.
Where pictures are small, self-attention lets every place look at every other, and cross-attention at the tokens of a
condition. All pictures are (B, C, H, W); H and W must be multiples of `UNetConfig.multiple`.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class UNetConfig:
    """Every size of the network; the defaults are those of the digits model, but for its 10 classes.

    Raises ValueError where they do not fit together.
    """

    channels: int = 1
    """C of the pictures: 1 for grey, 3 for colour."""
    widths: tuple[int, ...] = (48, 96)
    """Features at each level; each next level has half the height and width."""
    blocks: int = 1
    """Residual blocks at each level on the way down; one more on the way up."""
    attention: tuple[bool, ...] = (False, True)
    """Whether each level has self-attention. Its cost grows with the fourth power of the picture's side."""
    heads: int = 4
    """Parts into which attention splits its features."""
    groups: int = 8
    """Groups of features that are normalised together."""
    patch: int = 2
    """Side of the squares of pixels that are folded into features at the start: 2 leaves a quarter of the places."""
    embedding: int = 32
    """Features of the sinusoidal time embedding; four times as many are what each block is told."""
    classes: int = 0
    """Number of classes; label `classes` itself means none. 0: not class-conditional."""
    context: int = 0
    """Features of the condition tokens that cross-attention reads. 0: no cross-attention."""
    dropout: float = 0.0
    """Share of features that are dropped in training, against learning a small data set by heart."""

    def __post_init__(self) -> None:
        if len(self.attention) != len(self.widths) or not self.widths:
            raise ValueError(f"attention has {len(self.attention)} entries for {len(self.widths)} widths")
        for width in self.widths:
            if width % self.groups or width % self.heads:
                raise ValueError(f"width {width} must be a multiple of groups {self.groups} and heads {self.heads}")
        if self.embedding % 2:
            raise ValueError(f"embedding must be even, got {self.embedding}")

    @property
    def multiple(self) -> int:
        """What height and width must be multiples of: every level but the last halves them."""
        return self.patch << (len(self.widths) - 1)


def time_embedding(t: torch.Tensor, size: int) -> torch.Tensor:
    """Timesteps (B,), any real numbers from 0 to about 1000, as waves of many lengths: (B, size)."""
    # w_i = 10000^(-i / (size / 2));   cos(w t), sin(w t)
    frequency = torch.exp(-math.log(10000) * torch.arange(size // 2, device=t.device) / (size // 2))
    angle = t.float()[:, None] * frequency[None]  # (B, size / 2)
    return torch.cat([angle.cos(), angle.sin()], dim=1)  # (B, size)


class ResidualBlock(nn.Module):
    """x + f(x), where f is two convolutions, the second told the noise level by a scale and a shift of its input."""

    def __init__(self, inputs: int, outputs: int, embedding: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * outputs)
        self.norm2 = nn.GroupNorm(groups, outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """x: (B, inputs, H, W), embedding: (B, E), to (B, outputs, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))  # (B, outputs, H, W)
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)  # (B, outputs, 1, 1) each
        h = self.norm2(h) * (1 + scale) + shift
        h = self.conv2(self.dropout(F.silu(h)))  # (B, outputs, H, W)
        result: torch.Tensor = self.skip(x) + h  # (B, outputs, H, W)
        return result


class Attention(nn.Module):
    """x + softmax(Q K^T / sqrt(d)) V: each place gathers from all places, or from the tokens of a condition."""

    def __init__(self, width: int, heads: int, groups: int, context: int = 0) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(context or width, 2 * width)
        self.out = zeroed(nn.Linear(width, width))

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """x: (B, C, H, W), context: (B, L, context) or None for x itself, to (B, C, H, W)."""
        b, c, h, w = x.shape
        places = self.norm(x).flatten(2).transpose(1, 2)  # (B, HW, C)
        seen = places if context is None else context  # (B, L, C or context)
        query = self._split(self.query(places))  # (B, heads, HW, C / heads)
        key, value = (self._split(part) for part in self.key_value(seen).chunk(2, dim=2))  # (B, heads, L, C / heads)
        gathered = F.scaled_dot_product_attention(query, key, value)  # (B, heads, HW, C / heads)
        change: torch.Tensor = self.out(gathered.transpose(1, 2).reshape(b, h * w, c))  # (B, HW, C)
        return x + change.transpose(1, 2).reshape(b, c, h, w)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        b, length, c = x.shape
        return x.view(b, length, self.heads, c // self.heads).transpose(1, 2)  # (B, L, C) to (B, heads, L, C / heads)


class Layer(nn.Module):
    """A residual block, then self-attention and cross-attention where the configuration has them."""

    def __init__(self, config: UNetConfig, inputs: int, outputs: int, attends: bool) -> None:
        super().__init__()
        self.residual = ResidualBlock(inputs, outputs, 4 * config.embedding, config.groups, config.dropout)
        self.attend = Attention(outputs, config.heads, config.groups) if attends else None
        crosses = attends and config.context > 0
        self.cross = Attention(outputs, config.heads, config.groups, config.context) if crosses else None

    def forward(self, x: torch.Tensor, embedding: torch.Tensor, context: torch.Tensor | None) -> torch.Tensor:
        """x: (B, inputs, H, W) to (B, outputs, H, W). ValueError if it reads a context and gets none."""
        x = self.residual(x, embedding)
        if self.attend is not None:
            x = self.attend(x)
        if self.cross is not None:
            if context is None:
                raise ValueError("this network reads condition tokens, and none were given")
            x = self.cross(x, context)
        return x


class UNet(nn.Module):
    """The whole network; see the picture at the top of this file."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, hidden = config.widths, 4 * config.embedding
        pixels = config.channels * config.patch**2
        self.time = nn.Sequential(nn.Linear(config.embedding, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.label = nn.Embedding(config.classes + 1, hidden) if config.classes else None
        self.stem = nn.Conv2d(pixels, widths[0], 3, padding=1)

        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        skips, width = [widths[0]], widths[0]
        for level, outputs in enumerate(widths):
            for _ in range(config.blocks):
                self.down.append(Layer(config, width, outputs, config.attention[level]))
                width = outputs
                skips.append(width)
            if level < len(widths) - 1:
                self.shrink.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                skips.append(width)

        attends = config.attention[-1]
        self.middle = nn.ModuleList([Layer(config, width, width, attends), Layer(config, width, width, False)])

        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, outputs in reversed(list(enumerate(widths))):
            for _ in range(config.blocks + 1):
                self.up.append(Layer(config, width + skips.pop(), outputs, config.attention[level]))
                width = outputs
            if level:
                self.grow.append(nn.Conv2d(width, width, 3, padding=1))

        self.norm = nn.GroupNorm(config.groups, width)
        self.head = zeroed(nn.Conv2d(width, pixels, 3, padding=1))

    def forward(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        labels: torch.Tensor | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """x: (B, C, H, W), t: (B,), labels: (B,) int64 in 0 … classes, context: (B, L, context), to (B, C, H, W)."""
        config = self.config
        embedding = self.time(time_embedding(t, config.embedding).to(self.stem.weight.dtype))  # (B, 4 E)
        if self.label is not None:
            if labels is None:
                labels = torch.full_like(t, config.classes, dtype=torch.long)
            embedding = embedding + self.label(labels)
        embedding = F.silu(embedding)

        h = self.stem(F.pixel_unshuffle(x, config.patch))  # (B, widths[0], H / patch, W / patch)
        skips = [h]
        for level in range(len(config.widths)):
            for layer in self.down[level * config.blocks : (level + 1) * config.blocks]:
                h = layer(h, embedding, context)
                skips.append(h)
            if level < len(config.widths) - 1:
                h = self.shrink[level](h)  # half the height and width
                skips.append(h)

        for layer in self.middle:
            h = layer(h, embedding, context)

        for i in range(len(config.widths)):
            for layer in self.up[i * (config.blocks + 1) : (i + 1) * (config.blocks + 1)]:
                h = layer(torch.cat([h, skips.pop()], dim=1), embedding, context)
            if i < len(config.widths) - 1:
                h = self.grow[i](F.interpolate(h, scale_factor=2.0, mode="nearest"))  # twice the height and width

        return F.pixel_shuffle(self.head(F.silu(self.norm(h))), config.patch)  # (B, C, H, W)


def zeroed(module: nn.Conv2d | nn.Linear) -> nn.Module:
    """The same layer with zero weights, so that what it is added to starts out unchanged."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module
