"""Networks made worse on purpose for one call: what some ways of guiding push away from.

Layers are named as the library names them: a number is a transformer's block, "mid", "down.1" and "up.0" are parts of a
U-Net, and any longer name of a module will do.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from diffusion.guidance import Inputs, Network
from diffusion.types import Level

Change = Callable[[Sequence[nn.Module], torch.Size], AbstractContextManager[None]]
"""Changes blocks of a network that is called with an x of this size, and back again."""


def perturbed(network: Network, module: nn.Module, change: Change, layers: str = "") -> Network:
    """The network, with the blocks of these layers changed while it runs. ValueError if it has none such.

    layers: names, with commas between; "" is the middle of a U-Net, or a transformer's block in the middle.
    """
    blocks = blocks_of(module, layers)

    def run(x: torch.Tensor, level: Level, inputs: Inputs) -> torch.Tensor:
        with change(blocks, x.shape):
            return network(x, level, inputs)

    return run


def blocks_of(module: nn.Module, layers: str = "") -> list[nn.Module]:
    """The transformer blocks in the named layers of a network. ValueError that lists the layers if there are none."""
    stack = getattr(module, "transformer_blocks", None)
    known = [f"mid, {_short('down_blocks', module)}, {_short('up_blocks', module)}"]
    if stack is not None:
        known = [f"0 … {len(stack) - 1}"]
    elif not hasattr(module, "mid_block"):
        raise ValueError("this model has no transformer blocks; Stable Diffusion, SDXL, SD3 and Flux have")
    default = "mid" if stack is None else str(len(stack) // 2)
    found: list[nn.Module] = []
    for name in (layers or default).split(","):
        inside = [block for block in _named(module, name.strip()) if hasattr(block, "attn1") or hasattr(block, "attn")]
        if not inside:
            raise ValueError(f'the model has no transformer blocks in "{name.strip()}"; its layers: {known[0]}')
        found += [block for block in inside if block not in found]
    return found


def _named(module: nn.Module, name: str) -> Iterator[nn.Module]:
    path = f"transformer_blocks.{name}" if name.isdigit() else re.sub(r"^(mid|down|up)\b", _long, name)
    try:
        yield from module.get_submodule(path).modules() if path else ()
    except AttributeError:
        return


def _long(match: re.Match[str]) -> str:
    return {"mid": "mid_block", "down": "down_blocks", "up": "up_blocks"}[match[1]]


def _short(stack: str, module: nn.Module) -> str:
    return ", ".join(f"{stack.removesuffix('_blocks')}.{i}" for i in range(len(getattr(module, stack, ()))))


class Alone:
    """Attention in which no token of the picture sees another: their map is the identity.

    A picture's own attention then gives each token its value. Where picture and text are one sequence, each sees the
    text as before, and the text sees all; `original` computes that.
    """

    def __init__(self, original: Callable[..., Any]) -> None:
        self._original = original

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if encoder_hidden_states is None:
            picture = attn.to_v(hidden_states)
            for layer in getattr(attn, "to_out", None) or ():
                picture = layer(picture)
            return picture
        from diffusers.models.transformers.transformer_flux import FluxAttention

        # SD3 puts the text behind the picture, Flux before it
        before = encoder_hidden_states.shape[1] if isinstance(attn, FluxAttention) else 0
        apart = Apart(slice(before, before + hidden_states.shape[1]))
        with apart:
            out = self._original(attn, hidden_states, encoder_hidden_states, *args, **kwargs)
        if not apart.used:
            raise ValueError("perturbed attention needs torch's own attention: choose no other backend for it")
        return out


class Apart(TorchFunctionMode):
    """Within it, tokens of a part of a sequence see all tokens but the others of that part. used: whether any saw."""

    def __init__(self, part: slice) -> None:
        super().__init__()
        self._part, self.used = part, False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            query = args[0] if args else kwargs["query"]
            length = query.shape[2]
            mask = torch.zeros(length, length, dtype=query.dtype, device=query.device)
            mask[self._part, self._part] = -math.inf
            mask.fill_diagonal_(0)
            kwargs, self.used = {**kwargs, "attn_mask": mask}, True
        return func(*args, **kwargs)


@contextmanager
def identity_attention(blocks: Sequence[nn.Module], size: torch.Size) -> Iterator[None]:
    """Self-attention in the blocks gathers nothing from elsewhere in the picture (Ahn et al. 2024)."""
    with ExitStack() as undo:
        for attn in _self_attentions(blocks):
            undo.callback(attn.set_processor, attn.processor)
            attn.set_processor(Alone(attn.processor))
        yield


@contextmanager
def skipped(blocks: Sequence[nn.Module], size: torch.Size) -> Iterator[None]:
    """The blocks hand on what they are given (arXiv 2411.18664)."""

    def picture_only(hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return hidden_states

    def text_and_picture(
        hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return encoder_hidden_states, hidden_states

    before = [vars(block).get("forward") for block in blocks]
    try:
        for block in blocks:
            vars(block)["forward"] = text_and_picture if _joint(block) else picture_only
        yield
    finally:
        for block, forward in zip(blocks, before, strict=True):
            if forward is None:
                del vars(block)["forward"]
            else:
                vars(block)["forward"] = forward


def _joint(block: nn.Module) -> bool:
    """Whether a block sees picture and text as one, and hands on both."""
    return hasattr(block, "attn")


def blurred_queries(sigma: float) -> Change:
    """A change: the queries of self-attention in the blocks are blurred over the picture (arXiv 2408.00760).

    sigma: of the Gaussian, in tokens; infinite is the mean of all.
    """

    @contextmanager
    def change(blocks: Sequence[nn.Module], size: torch.Size) -> Iterator[None]:
        def blur(layer: nn.Module, args: tuple[Any, ...], queries: torch.Tensor) -> torch.Tensor:
            height, width = tokens_of(size, queries.shape[1])
            grid = queries.transpose(1, 2).reshape(*queries.shape[::2], height, width)  # (B, D, h, w)
            return gaussian(grid, sigma).flatten(2).transpose(1, 2)

        with ExitStack() as hooks:
            attentions: list[Any] = _self_attentions(blocks)
            for attn in attentions:
                hooks.callback(attn.to_q.register_forward_hook(blur).remove)
            yield

    return change


def tokens_of(size: torch.Size, tokens: int) -> tuple[int, int]:
    """Height and width in tokens of an x (B, C, H, W) that a network has halved so often that it has so many."""
    height, width = size[2:]
    while height * width > tokens and height * width > 1:
        height, width = math.ceil(height / 2), math.ceil(width / 2)
    if height * width != tokens:
        raise ValueError(f"{tokens} tokens are no picture of {size[2]} x {size[3]} halved")
    return height, width


def gaussian(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """x (B, C, H, W) blurred over H and W, reflected at the edges; the mean for an infinite sigma."""
    if math.isinf(sigma):
        return x.mean((2, 3), keepdim=True).expand_as(x)
    for axis in (2, 3):
        radius = min(math.ceil(3 * sigma), x.shape[axis] - 1)
        places = torch.arange(-radius, radius + 1, device=x.device, dtype=torch.float32)
        weight = torch.exp(-0.5 * (places / sigma) ** 2)
        weight = (weight / weight.sum()).to(x.dtype)
        shape, pad = (
            ((2 * radius + 1, 1), (0, 0, radius, radius)) if axis == 2 else ((1, 2 * radius + 1), (radius,) * 2)
        )
        kernel = weight.view(1, 1, *shape).expand(x.shape[1], 1, *shape)
        x = F.conv2d(F.pad(x, (*pad, 0, 0) if axis == 3 else pad, mode="reflect"), kernel, groups=x.shape[1])
    return x


def _self_attentions(blocks: Sequence[nn.Module]) -> list[Any]:
    """The self-attentions of blocks: of a picture alone, or of picture and text as one."""
    return [
        attn
        for block in blocks
        for name in ("attn1", "attn", "attn2")
        if (attn := getattr(block, name, None)) is not None and not getattr(attn, "is_cross_attention", False)
    ]
