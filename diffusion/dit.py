"""A diffusion transformer from scratch: the picture as tokens, told the noise level by adaLN-Zero (Peebles & Xie 2023).

    x ─ patches ─ tokens + places ─ block ─ … ─ block ─ norm ─ patches ─ output
                                      │           │       │
    t ─ waves ─┐                      │           │       │
    label ─────┴─ c ─────────────────┴───────────┴───────┘

Each square of patch x patch pixels is one token, and every token looks at every other in every block: there are no
levels and no convolutions. What c says of the noise and the class enters through the norms alone: a block scales and
shifts what it normalised, and multiplies what it adds by a gate that is zero at first, so that a new network passes its
tokens on as they are. All pictures are (B, C, H, W); H and W must be multiples of the patch.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from diffusion.unet import time_embedding, zeroed


@dataclass(frozen=True)
class DiTConfig:
    """Every size of the network; the defaults are those of the digits model, but for its 10 classes.

    Raises ValueError where they do not fit together.
    """

    channels: int = 1
    """C of the pictures: 1 for grey, 3 for colour."""
    patch: int = 2
    """Side of the squares of pixels that become one token: half of it is four times the tokens."""
    width: int = 96
    """Features of a token."""
    depth: int = 8
    """Blocks."""
    heads: int = 4
    """Parts into which attention splits its features."""
    expand: int = 4
    """How many times the width the hidden layer of a block's MLP has."""
    embedding: int = 64
    """Features of the sinusoidal time embedding."""
    classes: int = 0
    """Number of classes; label `classes` itself means none. 0: not class-conditional."""
    dropout: float = 0.0
    """Share of what a block adds that is dropped in training, against learning a small data set by heart."""

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width % 4:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}, and of 4 for the places")
        if self.embedding % 2:
            raise ValueError(f"embedding must be even, got {self.embedding}")

    @property
    def multiple(self) -> int:
        """What height and width must be multiples of."""
        return self.patch


def patchify(x: torch.Tensor, patch: int) -> torch.Tensor:
    """Pictures (B, C, H, W) as tokens, row after row: (B, N, C patch^2) with N = (H / patch) (W / patch)."""
    return F.pixel_unshuffle(x, patch).flatten(2).transpose(1, 2)


def unpatchify(tokens: torch.Tensor, patch: int, height: int, width: int) -> torch.Tensor:
    """The other way: tokens (B, N, C patch^2) as pictures (B, C, height, width) in pixels."""
    b, _, values = tokens.shape
    squares = tokens.transpose(1, 2).reshape(b, values, height // patch, width // patch)
    return F.pixel_shuffle(squares, patch)


def places(rows: int, columns: int, width: int) -> torch.Tensor:
    """Where each token lies, as waves of many lengths: half the features say its row, half its column. (N, width)"""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.cat([time_embedding(row.flatten(), width // 2), time_embedding(column.flatten(), width // 2)], dim=1)


def modulate(h: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """LN(h) (1 + scale) + shift: h (B, N, W), shift and scale (B, 1, W). The norm has no weights of its own."""
    return F.layer_norm(h, h.shape[-1:], eps=1e-6) * (1 + scale) + shift


class SelfAttention(nn.Module):
    """softmax(Q K^T / sqrt(d)) V: each token gathers from all tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """h: (B, N, W) to (B, N, W)."""
        b, count, width = h.shape
        split = self.query_key_value(h).view(b, count, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # (B, heads, N, W / heads) each
        gathered = F.scaled_dot_product_attention(query, key, value)  # (B, heads, N, W / heads)
        result: torch.Tensor = self.out(gathered.transpose(1, 2).flatten(2))  # (B, N, W)
        return result


class Block(nn.Module):
    """Attention, then an MLP, each added through a gate.

    shift, scale, gate = W silu(c) + b,   h = h + gate f(LN(h) (1 + scale) + shift)

    W and b begin as zeros, so that every gate does, and h = h (adaLN-Zero).
    """

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.expand * config.width
        self.modulation = zeroed(nn.Linear(width, 6 * width))
        self.attention = SelfAttention(width, config.heads)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, h: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """h: (B, N, W) and silu(c): (B, W), to (B, N, W)."""
        shift, scale, gate, shift2, scale2, gate2 = self.modulation(c)[:, None].chunk(6, dim=2)  # (B, 1, W) each
        h = h + gate * self.dropout(self.attention(modulate(h, shift, scale)))
        result: torch.Tensor = h + gate2 * self.dropout(self.mlp(modulate(h, shift2, scale2)))
        return result


class DiT(nn.Module):
    """The whole network; see the picture at the top of this file."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        width, pixels = config.width, config.channels * config.patch**2
        self.time = nn.Sequential(nn.Linear(config.embedding, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(config.classes + 1, width) if config.classes else None
        self.stem = nn.Linear(pixels, width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.modulation = zeroed(nn.Linear(width, 2 * width))
        self.head = zeroed(nn.Linear(width, pixels))

    def forward(self, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """x: (B, C, H, W), t: (B,) in 0 … 1000, labels: (B,) int64 in 0 … classes, to (B, C, H, W)."""
        config = self.config
        height, width = x.shape[2:]
        dtype = self.stem.weight.dtype
        c = self.time(time_embedding(t, config.embedding).to(dtype))  # (B, W)
        if self.label is not None:
            if labels is None:
                labels = torch.full_like(t, config.classes, dtype=torch.long)
            c = c + self.label(labels)
        c = F.silu(c)

        h = self.stem(patchify(x, config.patch))  # (B, N, W)
        h = h + places(height // config.patch, width // config.patch, config.width).to(h)
        for block in self.blocks:
            h = block(h, c)

        shift, scale = self.modulation(c)[:, None].chunk(2, dim=2)  # (B, 1, W) each
        return unpatchify(self.head(modulate(h, shift, scale)), config.patch, height, width)
